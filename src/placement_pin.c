/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: gives a worker the CPU of its seat, and remembers that it was we who did. See placement.h.
 *
 * The kernel refuses a CPU that the cgroup's cpuset does not allow, and silently narrows a mask to what it allows: so what was
 * asked for is read back. A failure leaves the thread where it was, and is an answer, not an end: a pool works unpinned too.
 *
 * What must stay true: the memory of a pin is believed only while the thread still has exactly the mask that we gave it. A
 * user who moves a worker afterwards has said what he wants.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include "placement.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

/* What filchi_plan_pin did to this thread: the mask it gave, and the mask of the plan it did so by. */
static _Thread_local struct {
	bool pinned;
	struct filchi_cpuset to;
	struct filchi_cpuset from;
} here;

int filchi_pin_mask(struct filchi_cpuset *mask, bool *widened)
{
	*widened = false;
	if (filchi_cpuset_affinity(mask))
		return -EIO;
	if (here.pinned && !memcmp(&here.to, mask, sizeof(here.to)) && memcmp(&here.from, mask, sizeof(here.from))) {
		*mask = here.from;
		*widened = true;
	}
	return 0;
}

/* Gives the calling thread exactly the mask @set, and asks the kernel whether it has it. Returns 0 or -errno. */
static int apply(const struct filchi_cpuset *set)
{
	struct filchi_cpuset now;
	int err;

	if (sched_setaffinity(0, sizeof(set->word), (const cpu_set_t *)(const void *)set->word))
		return -errno;
	err = filchi_cpuset_affinity(&now);
	if (err)
		return err;
	return memcmp(&now, set, sizeof(now)) ? -EIO : 0;
}

int filchi_plan_pin(const struct filchi_plan *plan, uint32_t worker, int *error)
{
	struct filchi_cpuset one = { { 0 } };
	int err = 0;

	if (worker >= plan->workers) {
		err = -EINVAL;
	} else if (plan->simulated) {
		err = 0;
	} else if (!plan->pin) {
		err = plan->widen ? apply(&plan->affinity) : 0;
	} else {
		filchi_cpuset_add(&one, (uint32_t)plan->seat[worker].pu);
		err = apply(&one);
		here.pinned = !err;
		here.to = one;
		here.from = plan->affinity;
	}
	if (error)
		*error = err;
	return err;
}
