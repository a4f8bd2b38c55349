/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget: how much CPU time the cgroups above this process allow, in thousandths of a CPU.
 *
 * The quota that counts is the smallest one on the way from our own cgroup to the root of what is
 * mounted. A limit on a parent binds its children without showing in their files. Both hierarchies
 * are read, since both may be there at once:
 *
 *   - v2: cpu.max, "200000 100000", or "max 100000" for none
 *   - v1: cpu.cfs_quota_us, 200000, or -1 for none; with cpu.cfs_period_us beside it
 *
 * Where we are comes from <proc>/self/cgroup, where the hierarchies are mounted from
 * <proc>/self/mountinfo. Both roots are parameters, so that a recorded machine can be read from a
 * directory. A mount point below /sys is looked up below the given sys root.
 *
 * What must stay true: reading a budget never fails.
 *
 *   - A file that cannot be read or understood counts as no limit. A note says which file and why.
 *   - A file that is missing in a directory that is there means: the controller is off at that
 *     level. That is normal, and not mentioned.
 *   - The answer is taken afresh on each call: quotas change at run time.
 *
 * Rejected: cpu.weight and cpu.shares (a share of what others leave, not a limit), and sizing by
 *           averaging over levels.
 */
#ifndef FILCHI_BUDGET_H
#define FILCHI_BUDGET_H

#include <stdint.h>
#include <stdio.h>

/* Where the kernel's files are looked up. NULL members mean "/proc" and "/sys". */
struct filchi_roots {
	const char *proc;
	const char *sys;
};

struct filchi_budget {
	uint64_t milli; /* thousandths of a CPU, at least 1; 0: no quota was found */
	/* "cpu.max=200000/100000 at /kube/pod", or "no cgroup quota": never empty */
	char reason[320];
};

/* What it allows in whole CPUs, at least 1; UINT32_MAX without a quota. */
static inline uint32_t filchi_budget_whole(const struct filchi_budget *budget)
{
	uint64_t whole = budget->milli / 1000;

	if (!budget->milli || whole > UINT32_MAX)
		return UINT32_MAX;
	return whole ? (uint32_t)whole : 1;
}

/*
 * Reads the budget of the calling process into @budget. Each thing that could not be read adds one
 * line to @notes (ended by a newline; control characters in paths are replaced). @roots and @notes
 * may be NULL. Returns 0 or -ENOMEM.
 */
int filchi_budget_read(const struct filchi_roots *roots, struct filchi_budget *budget, FILE *notes);

#endif
