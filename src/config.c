/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: size first, 0 = default, unknown flags refused, an unknown tail must be zero. So an old program keeps working on
 * a new library, and a new program on an old library gets an error instead of a silently ignored wish.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_FLAGS (FILCH_POOL_NO_PIN | FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_USE_SMT | FILCH_POOL_NO_SEARCH | FILCH_POOL_CALLER | \
		     FILCH_POOL_GUARD)
#define CONFIG_SIZE_V1 96 /* of the first release; never changes */

#define QUEUE_DEFAULT 4096u
#define QUEUE_MAX     (1u << 20)
#define JOBS_MAX      (1u << 22)
#define DEQUE_DEFAULT 1024u
#define DEQUE_MAX     (1u << 24)
#define SEARCH_DEFAULT 20000u /* ns: about what a wake-up costs, so that a park is never dearer than twice the search */
#define STACK_DEFAULT (UINT64_C(8) << 20)
#define STACK_MIN     (UINT64_C(128) << 10)
#define STACK_MAX     (UINT64_C(1) << 40)

/* A number of nanoseconds from the environment beats the configuration; a malformed one is ignored and reported. */
static const char *search_from_env(uint32_t *search_ns, uint64_t *flags)
{
	const char *text = getenv("FILCH_SEARCH_NS");
	unsigned long value;
	char *end;

	if (!text)
		return NULL;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || value > UINT32_MAX)
		return "FILCH_SEARCH_NS is not a number of nanoseconds below 2^32: ignored\n";
	*search_ns = (uint32_t)value;
	if (value)
		*flags &= ~FILCH_POOL_NO_SEARCH;
	else
		*flags |= FILCH_POOL_NO_SEARCH;
	return NULL;
}

static uint32_t round_up(uint32_t n)
{
	uint32_t power = 2;

	while (power < n)
		power *= 2;
	return power;
}

int filchi_config_import(struct filch_config *to, const struct filch_config *from, const char **note)
{
	*to = (struct filch_config)FILCH_CONFIG_INIT;
	*note = NULL;
	if (from) {
		if (from->size < CONFIG_SIZE_V1)
			return -EINVAL;
		for (size_t i = sizeof *to; i < from->size; i++)
			if (((const unsigned char *)from)[i])
				return -E2BIG; /* a newer caller asks for something we do not know */
		memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
		to->size = sizeof *to;
	}
	if (to->flags & ~KNOWN_FLAGS || to->reserved || to->workload > FILCH_WORKLOAD_IO || to->queue_capacity > QUEUE_MAX ||
	    to->jobs_max > JOBS_MAX || to->deque_capacity > DEQUE_MAX)
		return -EINVAL;
	if (to->flags & FILCH_POOL_GUARD && to->flags & FILCH_POOL_CALLER)
		return -EINVAL; /* the caller's own stack is not ours to give up */
	if (to->on_stuck && !to->watchdog_ns)
		return -EINVAL; /* it would never be called */
	if (!to->stack_bytes)
		to->stack_bytes = STACK_DEFAULT;
	if (to->stack_bytes < STACK_MIN || to->stack_bytes > STACK_MAX)
		return -EINVAL;
	if (!to->queue_capacity)
		to->queue_capacity = QUEUE_DEFAULT;
	if (!to->jobs_max)
		to->jobs_max = 4 * to->queue_capacity;
	to->deque_capacity = round_up(to->deque_capacity ? to->deque_capacity : DEQUE_DEFAULT);
	if (!to->search_ns)
		to->search_ns = SEARCH_DEFAULT;
	*note = search_from_env(&to->search_ns, &to->flags);
	if (!to->name)
		to->name = "filch";
	return 0;
}
