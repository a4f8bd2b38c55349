/* SPDX-License-Identifier: Apache-2.0 */
/* cpuset: see cpuset.h. Nothing here keeps state. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/cpuset.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/number.h"

#define WORDS (sizeof(struct filchi_cpuset) / sizeof(unsigned long))

uint32_t filchi_cpuset_count(const struct filchi_cpuset *set)
{
	uint32_t count = 0;

	for (size_t i = 0; i < WORDS; i++)
		count += (uint32_t)__builtin_popcountl(set->word[i]);
	return count;
}

bool filchi_cpuset_holds(const struct filchi_cpuset *set, const struct filchi_cpuset *part)
{
	for (size_t i = 0; i < WORDS; i++)
		if (part->word[i] & ~set->word[i])
			return false;
	return true;
}

void filchi_cpuset_and(struct filchi_cpuset *set, const struct filchi_cpuset *other)
{
	for (size_t i = 0; i < WORDS; i++)
		set->word[i] &= other->word[i];
}

/* Reads one item, "3" or "3-5", and moves @text behind it. False when there is none. */
static bool item(const char **text, uint64_t *first, uint64_t *last)
{
	if (!filchi_number(text, FILCHI_CPUS_MAX - 1, first))
		return false;
	*last = *first;
	if (**text != '-')
		return true;
	++*text;
	return filchi_number(text, FILCHI_CPUS_MAX - 1, last) && *last >= *first;
}

int filchi_cpuset_parse(const char *text, struct filchi_cpuset *set)
{
	struct filchi_cpuset read = { { 0 } };
	uint64_t first, last;

	if (!text)
		return -EINVAL;
	for (;;) {
		if (!item(&text, &first, &last))
			return -EINVAL;
		for (uint64_t cpu = first; cpu <= last; cpu++)
			filchi_cpuset_add(&read, (uint32_t)cpu);
		if (*text == '\0')
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	*set = read;
	return 0;
}

void filchi_cpuset_print(const struct filchi_cpuset *set, FILE *out)
{
	const char *comma = "";

	for (uint32_t cpu = 0; cpu < FILCHI_CPUS_MAX; cpu++) {
		uint32_t last = cpu;

		if (!filchi_cpuset_has(set, cpu))
			continue;
		while (filchi_cpuset_has(set, last + 1))
			last++;
		if (last == cpu)
			fprintf(out, "%s%u", comma, cpu);
		else
			fprintf(out, "%s%u-%u", comma, cpu, last);
		comma = ",";
		cpu = last;
	}
	if (*comma == '\0')
		fputs("none", out);
}

int filchi_cpuset_of_thread(pid_t tid, struct filchi_cpuset *set)
{
	memset(set, 0, sizeof(*set));
	return sched_getaffinity(tid, sizeof(set->word), (cpu_set_t *)(void *)set->word) ? -errno
											 : 0;
}

int filchi_cpuset_affinity(struct filchi_cpuset *set)
{
	return filchi_cpuset_of_thread(0, set);
}
