/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpuset: a set of CPUs named by their operating system index, and its text form "0-3,8".
 *
 * Plain data of fixed size, so that it is copied by assignment and can never fail to be allocated.
 * The words are `unsigned long` because the kernel's own mask has that layout: the affinity calls
 * read and write it in place. 8192 is the largest CONFIG_NR_CPUS of Linux; a CPU beyond it is not
 * representable and is left out by callers.
 *
 * Rejected:
 *   - hwloc's bitmaps: unbounded, allocated, and every file above topology.c would know hwloc
 *   - cpu_set_t: 1024 CPUs, or a size to carry along everywhere
 */
#ifndef FILCHI_CPUSET_H
#define FILCHI_CPUSET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define FILCHI_CPUS_MAX    8192u
#define FILCHI_CPUSET_BITS ((uint32_t)(sizeof(unsigned long) * CHAR_BIT))

struct filchi_cpuset {
	unsigned long word[FILCHI_CPUS_MAX / (sizeof(unsigned long) * CHAR_BIT)];
};

/* Adds @cpu. A CPU that cannot be represented is ignored. */
static inline void filchi_cpuset_add(struct filchi_cpuset *set, uint32_t cpu)
{
	if (cpu < FILCHI_CPUS_MAX)
		set->word[cpu / FILCHI_CPUSET_BITS] |= 1ul << (cpu % FILCHI_CPUSET_BITS);
}

/* Whether @cpu is a member; false for any CPU that cannot be represented. */
static inline bool filchi_cpuset_has(const struct filchi_cpuset *set, uint32_t cpu)
{
	return cpu < FILCHI_CPUS_MAX &&
	       (set->word[cpu / FILCHI_CPUSET_BITS] >> (cpu % FILCHI_CPUSET_BITS) & 1ul);
}

/* How many members @set has. */
uint32_t filchi_cpuset_count(const struct filchi_cpuset *set);

/* Whether every member of @part is in @set. */
bool filchi_cpuset_holds(const struct filchi_cpuset *set, const struct filchi_cpuset *part);

/* Leaves in @set only what is in @other too. */
void filchi_cpuset_and(struct filchi_cpuset *set, const struct filchi_cpuset *other);

/*
 * Reads the Linux list format: decimal CPUs and ascending ranges, separated by single commas
 * ("0-3,8"). Overlaps are allowed. Returns 0, or -EINVAL with @set untouched for anything else:
 *
 *   - NULL, an empty text, an empty item, trailing text
 *   - a blank, a sign
 *   - a descending range, a CPU of FILCHI_CPUS_MAX or above
 */
int filchi_cpuset_parse(const char *text, struct filchi_cpuset *set);

/* Writes @set in the same format; "none" when it is empty. Errors are left in @out's error flag. */
void filchi_cpuset_print(const struct filchi_cpuset *set, FILE *out);

/*
 * The calling thread's affinity mask, as the kernel will honour it. Returns 0 or -errno.
 * A child process inherits it, so this is also what taskset, Slurm and mpirun have set.
 */
int filchi_cpuset_affinity(struct filchi_cpuset *set);

/* The same of any thread, by its number in the kernel. */
int filchi_cpuset_of_thread(pid_t tid, struct filchi_cpuset *set);

#endif
