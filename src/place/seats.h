/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seats: how much each CPU is in use by threads that are bound to some CPUs: the workers of this
 * process's pools, and such threads of the user's other processes. A pool that is smaller than the
 * machine takes its seats where least is.
 *
 * Its own pools a process counts itself. Of others it reads what the kernel says of their threads,
 * /proc/N/task and sched_getaffinity(2). So nothing is published, nothing is left behind by a
 * process that is killed, and threads of other libraries count as well.
 *
 * Two processes that look at the same time would choose the same. So a lock is held from the look
 * until the new workers are bound: flock(2) on the directory /proc, which those share that see each
 * other's processes. It is waited for WAIT_NS at the most.
 *
 * What must stay true: all of it is advice. What cannot be read, locked or waited for counts as
 * unused, and is no error.
 *
 * Rejected: docs/adr/0022.
 */
#ifndef FILCHI_SEATS_H
#define FILCHI_SEATS_H

#include "place/cpuset.h"

#define FILCHI_LOAD_ONE 1000u /* of a thread that may run on one CPU alone, there */

struct filchi_loads {
	uint32_t cpu[FILCHI_CPUS_MAX];
	/* how many threads were counted: workers of this process, threads of others */
	uint32_t ours, others;
};

/*
 * From here on other processes that look wait, for a while. False: that could not be had. Each hold
 * that was had ends with a let_go. Any thread.
 */
bool filchi_seats_hold(void);
void filchi_seats_let_go(void);

/*
 * Adds what other processes use. A thread is shared out evenly over the CPUs of its mask. One that
 * may run on all of @allowed says nothing of where it is, and is left out; so is one that has no
 * other mask than its process. Stops after a time.
 */
void filchi_seats_look(const struct filchi_cpuset *allowed, struct filchi_loads *loads);

/* Adds the workers of this process. Seats are chosen and taken between lock and unlock. */
void filchi_seats_lock(void);
void filchi_seats_own(struct filchi_loads *loads);
void filchi_seats_take(uint32_t cpu);
void filchi_seats_give_back(uint32_t cpu);
void filchi_seats_unlock(void);

/* Held over a fork; the child has no worker. */
void filchi_seats_before_fork(void);
void filchi_seats_after_fork(void);
void filchi_seats_in_child(void);

#endif
