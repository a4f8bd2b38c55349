/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live pool: what a page tells of it, and what the publisher remembers of it. See live.c, and
 * live_sample.c for how it is looked at.
 */
#ifndef FILCHI_POOL_LIVE_H
#define FILCHI_POOL_LIVE_H

#include "core/types.h"
#include "pool/live_page.h"

/* What the publisher has seen of a worker. */
struct filchi_live_seen {
	struct filchi_page_times then[2]; /* of about one second before, and before that */
	struct filchi_page_times now;
	uint64_t guessed;              /* asleep, by looking: see asleep_unseen() */
	struct filchi_page_times base; /* sums from before it became live */
	uint32_t sleep;                /* the state of its sleeper */
	uint32_t tid;
	int64_t job;
	uint64_t job_since;
	char pin[16], mask[64], gives_way_to[64];
	struct filchi_cpuset cpus; /* that `mask` names */
};

#define FILCHI_LIVE_CHANGES 4096u /* bytes of text */

struct filchi_live {
	struct filch_pool *pool;
	struct filchi_live *next;
	uint64_t number, since;
	uint64_t then_at[2], now;
	struct filchi_page_times outside[2];
	struct filchi_page_lane lane[FILCH_LANES]; /* as on the page before, then[] apart */
	struct filch_lane_stats ended[2][FILCH_LANES];
	uint64_t lanes_at, lanes_next;
	uint64_t seats_next; /* when masks are asked for again */
	uint32_t allowed, quota, flags;
	bool looked; /* at least once: a difference is a change */
	bool active; /* something has happened since the look before */
	uint64_t activity;
	char changes[FILCHI_LIVE_CHANGES]; /* lines, the oldest first */
	uint32_t changes_size;
	struct filchi_live_seen worker[];
};

/* The pages' memory while one is put together. */
struct filchi_page_buffer {
	char *at;
	size_t size, room;
};

/* @size zero bytes more, rounded up; their place in the buffer. False: no memory. */
bool filchi_page_add(struct filchi_page_buffer *page, size_t size, size_t *place);

/* The publisher, under its lock: adds a record of the pool as it is now. False: no memory. */
bool filchi_live_look(struct filchi_live *live, struct filchi_page_buffer *page, uint64_t now);

/*
 * The creator of a pool, before its workers run: FILCH_LIVE=1 makes their time count from the
 * beginning. 0 or -ENOMEM. And when they run: the pool is live, or @notes tells why not.
 */
int filchi_live_prepare(struct filch_pool *pool);
void filchi_live_begin(struct filch_pool *pool, FILE *notes);

/* Destroy, when no job is left: it is not live any more. Nothing if it was not. */
void filchi_live_end(struct filch_pool *pool);

/* Held over a fork; the child has no live pool and no page. */
void filchi_live_before_fork(void);
void filchi_live_after_fork(void);
void filchi_live_in_child(void);

#endif
