/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of a live process, as it lies in its file: plain data, written by pool/live.c and read
 * by the tools, live_read.c.
 *
 *   /dev/shm/filch-UID/PID-START     the directory 0700, the file 0600, both its user's
 *
 * START is when the process began, by the kernel's count (/proc/PID/stat, field 22): with the
 * number it names a process for ever. A second copy of the library in a process, as of a plugin,
 * appends "-1", and so on. Each page is a whole file that takes the place of the one
 * before by rename(2). So a reader that has opened one has all of one moment, and nobody waits.
 *
 * A header, then for each pool: its record, one for each worker, its reasons and its changes. All
 * is in the machine's own order of bytes, and 8-byte aligned. The header has the sizes of all
 * records: another version is told and not read.
 *
 * Values come twice: of now, and of one to two seconds before, so that one page is enough for
 * rates. Times are nanoseconds, those of events as of CLOCK_MONOTONIC. Texts end with a 0 byte.
 */
#ifndef FILCHI_LIVE_PAGE_H
#define FILCHI_LIVE_PAGE_H

#include <filch/job.h>
#include <filch/stats.h>
#include <stdint.h>

#include "struct/histogram.h"

#define FILCHI_PAGE_ROOT    "/dev/shm"
#define FILCHI_PAGE_MAGIC   "filch-pg"
#define FILCHI_PAGE_VERSION 1u
#define FILCHI_PAGE_MOST    (UINT64_C(1) << 26) /* bytes: no page is larger */
#define FILCHI_PAGE_POOLS   16383u              /* as many may live */

enum filchi_page_counter {
#define FILCHI_PAGE_COUNTER(name, meaning) FILCHI_PAGE_##name,
	FILCH_STATS_LIST(FILCHI_PAGE_COUNTER)
#undef FILCHI_PAGE_COUNTER
		FILCHI_PAGE_COUNTERS
};

enum { FILCHI_PAGE_NOW, FILCHI_PAGE_THEN, FILCHI_PAGE_MOMENTS };

enum filchi_page_state {
	FILCHI_PAGE_BUSY,
	FILCHI_PAGE_SEARCHING,
	FILCHI_PAGE_ASLEEP,
	FILCHI_PAGE_WAITING,  /* asleep, with work of its own that waits */
	FILCHI_PAGE_RETIRED,  /* it may not run */
	FILCHI_PAGE_BLOCKING, /* between filch_blocking_begin() and _end() */
	FILCHI_PAGE_LOST,     /* its thread, and there is no other yet */
	FILCHI_PAGE_AWAY,     /* worker 0 of a FILCH_POOL_CALLER pool, outside of its calls */
	FILCHI_PAGE_STATES
};

/* filchi_page_pool.flags */
#define FILCHI_PAGE_PAUSED  1u
#define FILCHI_PAGE_CLOSING 2u
#define FILCHI_PAGE_PINNED  4u /* workers have seats */

struct filchi_page_header {
	char magic[8];
	uint32_t version, header_size, pool_size, worker_size;
	uint64_t size; /* of the page */
	uint64_t sum;  /* filchi_page_sum() of all that follows the header */
	uint64_t number;
	uint64_t pid, started, pid_namespace, uid;
	uint64_t realtime, now, interval; /* of this page; until the next */
	uint32_t pools, copy; /* copy: of the library, among those in the process; 0 = the first */
	uint32_t publisher, reserved; /* the number of the thread that writes the page */
	char library[16], program[48];
};

struct filchi_page_times {
	uint64_t busy, searching, asleep, waiting;
	uint64_t counter[FILCHI_PAGE_COUNTERS];
};

struct filchi_page_worker {
	int32_t cpu, core, node, package, kind; /* of its seat; -1 */
	uint32_t state;                         /* enum filchi_page_state */
	uint32_t tid;                           /* 0 = none */
	int32_t pin_error;
	int64_t job; /* that it is at; 0 = none */
	uint64_t job_since;
	uint64_t depth; /* pieces of work on its stack */
	char name[32];  /* of the job */
	char pin[16], mask[64], gives_way_to[64];
	struct filchi_page_times times[FILCHI_PAGE_MOMENTS];
};

struct filchi_page_lane {
	uint64_t queued, running, waiting, oldest; /* oldest: for how long it has been queued */
	struct {
		uint64_t completed, shed, cancelled, rejected;
	} ended[FILCHI_PAGE_MOMENTS];
};

struct filchi_page_pool {
	uint64_t size;   /* of this record and all that belongs to it */
	uint64_t number; /* of the pool in its process */
	uint64_t since;  /* it is live */
	uint64_t at[FILCHI_PAGE_MOMENTS];
	char name[16];
	uint32_t workers, allowed, limit, quota; /* records that follow; UINT32_MAX = no quota */
	uint32_t workers_max, spares, queue_capacity, jobs_max;
	uint32_t flags, binding;
	uint32_t reasons_size, changes_size;                   /* bytes, with the 0 */
	uint64_t queued, searching, asleep, waiting;           /* jobs; workers */
	struct filchi_page_times outside[FILCHI_PAGE_MOMENTS]; /* threads that are no workers */
	uint64_t lanes_at; /* when the slots were looked at for: */
	struct filchi_page_lane lane[FILCH_LANES];
	uint64_t queue_time[FILCHI_HISTOGRAM_BUCKETS], run_time[FILCHI_HISTOGRAM_BUCKETS];
};

static inline uint64_t filchi_page_round(uint64_t size)
{
	return (size + 7) & ~UINT64_C(7);
}

/* FNV-1a over words of 8 bytes: finds a page that was cut or mixed, and no forger. */
static inline uint64_t filchi_page_sum(const void *at, uint64_t size)
{
	const char *bytes = at;
	uint64_t sum = UINT64_C(0xcbf29ce484222325), word;

	for (uint64_t i = 0; i + sizeof word <= size; i += sizeof word) {
		__builtin_memcpy(&word, bytes + i, sizeof word);
		sum = (sum ^ word) * UINT64_C(0x100000001b3);
	}
	return sum;
}

#endif
