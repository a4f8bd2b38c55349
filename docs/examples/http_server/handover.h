/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the server hands work to threads and learns of its end: all that it knows of them.
 *
 * One implementation is on filch (handover_filch.c); the benchmarks bring another, on a queue under
 * one mutex, so that the same server can be measured with both. Every call comes from the thread of
 * the event loop and none of them blocks, but for open and close.
 *
 * The life of one piece of work: submit returns an id, or an error and then nothing has happened;
 * its end comes out of reap() exactly once, after the descriptor has become readable.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct handover;

struct handover_options {
	uint32_t workers;       /* 0: as many as there are cores, less those reserved */
	uint32_t queue;         /* work queued and not started; beyond it submit is -EAGAIN */
	uint32_t reserve_cores; /* left free for the event loop */
};

/* How one piece of work ended. */
struct handover_end {
	void *arg;
	int64_t id;
	/*
	 * what the function returned; -ECANCELED, -ETIMEDOUT: it did not start; -EFAULT with a
	 * signal: it crashed
	 */
	int32_t status;
	int32_t worker;
	int signal;       /* 0, or what it crashed with */
	uint64_t address; /* and at which address */
	uint64_t queued_ns, run_ns;
};

/*
 * A figure of /stats, and of /metrics under its other name, which ends in _total if it only counts
 * up, or in its unit. Those with the same name follow each other, and then have a label:
 * lane="urgent".
 */
enum handover_unit { HANDOVER_NUMBER, HANDOVER_NS };

struct handover_figure {
	const char *name, *metric, *meaning;
	const char *label, *label_value; /* NULL: without */
	bool gauge;                      /* it may fall; otherwise it only counts up */
	enum handover_unit unit;         /* of `value`: Prometheus gets seconds */
	uint64_t value;
};

#define HANDOVER_GUARDED 1u /* a crash ends this piece of work and nothing else */

int handover_open(struct handover **handover, const struct handover_options *options);

/* Everything submitted has come out of reap() before. */
void handover_close(struct handover *handover);

/* Readable when there is something to reap. */
int handover_fd(struct handover *handover);

/*
 * Hands over fn(arg), whose result becomes the status. Returns the id; -EAGAIN (the queue is full),
 * -ENOBUFS (too much is not reaped), -ENOTSUP (cannot be guarded, or cannot be ended by
 * @finish_by; NULL: no such time).
 */
int64_t handover_submit(struct handover *handover, int (*fn)(void *arg), void *arg, unsigned flags,
	const struct timespec *finish_by);

/*
 * Asks all work to end early: queued it ends at once, running it sees handover_cancelled(). From
 * now on submit fails.
 */
void handover_abandon(struct handover *handover);

/* Inside the work: whether it should end. */
bool handover_cancelled(void);

/* Up to @n ends. When it returns 0 the descriptor is no longer readable. */
size_t handover_reap(struct handover *handover, struct handover_end *out, size_t n);

/* Up to @n figures; returns how many. */
size_t handover_figures(struct handover *handover, struct handover_figure *out, size_t n);

/*
 * The processors on which the workers were when they started; returns how many workers there are.
 */
int handover_cpus(struct handover *handover, void *cpu_set);

#endif
