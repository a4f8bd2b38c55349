/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FILCH_SERIAL: a pool of one worker on which a spawned task runs at its spawn. So all tasks of a
 * job run in the order in which a program without spawns would run them.
 *
 * Every push goes the slow way there, and every sync too, since its task has run. So a trace of
 * such a pool measures what no other can: the span of a job, as if each task had its own core.
 * `path` is how far the running strand is from the job's beginning on the longest way to it:
 *   - a task begins where its spawn is
 *   - what follows the spawn begins there as well
 *   - after the sync the later of both ends counts
 * The same is kept a second time with a burden on each spawn of the way: what a wake and a steal
 * cost (Cilkview: He, Leiserson and Leiserson 2010).
 */
#ifndef FILCHI_SERIAL_H
#define FILCHI_SERIAL_H

#include "core/types.h"

#define FILCHI_SERIAL_BURDEN_NS UINT64_C(5000) /* about a steal from a worker on another core */

struct filchi_serial;

/* NULL: no memory. */
struct filchi_serial *filchi_serial_new(void);
void filchi_serial_free(struct filchi_serial *s);

/* The worker, in a traced pool: a job begins, or ends. One on top of another is a part of that. */
void filchi_serial_begin(struct filchi_serial *s);
void filchi_serial_end(struct filchi_serial *s);

/* Runs a task at its spawn. */
void filchi_serial_spawn(struct filchi_worker *w, struct filch_task *task);

/*
 * A chunk of a loop begins, @items = 0, or has ended. A loop of one worker is not divided, so that
 * its items run in their order. What counts is that it could be: the span grows by one item's time.
 */
void filchi_serial_piece(struct filchi_serial *s, size_t items);

/* A sync of such a task. */
void filchi_serial_join(struct filchi_serial *s, const struct filch_task *task);

#endif
