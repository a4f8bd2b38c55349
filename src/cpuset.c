/* SPDX-License-Identifier: Apache-2.0 */
/* cpuset: see cpuset.h. Nothing here keeps state. */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include "cpuset.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#define WORDS (sizeof(struct filchi_cpuset) / sizeof(unsigned long))

uint32_t filchi_cpuset_count(const struct filchi_cpuset *set)
{
	uint32_t count = 0;

	for (size_t i = 0; i < WORDS; i++)
		count += (uint32_t)__builtin_popcountl(set->word[i]);
	return count;
}

void filchi_cpuset_and(struct filchi_cpuset *set, const struct filchi_cpuset *other)
{
	for (size_t i = 0; i < WORDS; i++)
		set->word[i] &= other->word[i];
}

/* Reads one decimal number below FILCHI_CPUS_MAX and moves @text behind it. False when there is none. */
static bool number(const char **text, uint32_t *value)
{
	const char *s = *text;
	uint32_t v = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (uint32_t)(*s - '0');
		if (v >= FILCHI_CPUS_MAX)
			return false;
	}
	*text = s;
	*value = v;
	return true;
}

int filchi_cpuset_parse(const char *text, struct filchi_cpuset *set)
{
	struct filchi_cpuset read = { { 0 } };
	uint32_t first, last;

	if (!text)
		return -EINVAL;
	for (;;) {
		if (!number(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-') {
			text++;
			if (!number(&text, &last) || last < first)
				return -EINVAL;
		}
		for (uint32_t cpu = first; cpu <= last; cpu++)
			filchi_cpuset_add(&read, cpu);
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

int filchi_cpuset_affinity(struct filchi_cpuset *set)
{
	memset(set, 0, sizeof(*set));
	return sched_getaffinity(0, sizeof(set->word), (cpu_set_t *)(void *)set->word) ? -errno : 0;
}
