/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: 0 = default, unknown flags are refused. base/import.h has what an older or a
 * newer program gets.
 */
#include "pool/config.h"

#include <errno.h>

#include "base/environment.h"
#include "base/import.h"

#define KNOWN_FLAGS                                                           \
	(FILCH_POOL_NO_PIN | FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_USE_SMT |  \
		FILCH_POOL_NO_SEARCH | FILCH_POOL_CALLER | FILCH_POOL_GUARD | \
		FILCH_POOL_BLOCK_SIGNALS | FILCH_POOL_PIN | FILCH_POOL_FOLLOW_QUOTA)
#define CONFIG_SIZE_V1 96 /* of the first release; never changes */

#define QUEUE_DEFAULT 4096u
#define QUEUE_MAX     (1u << 20)
#define JOBS_MAX      (1u << 22)
#define DEQUE_DEFAULT 1024u
#define DEQUE_MAX     (1u << 24)
/* ns: about what a wake-up costs, so that a park is never dearer than twice the search */
#define SEARCH_DEFAULT 20000u
#define STACK_DEFAULT  (UINT64_C(8) << 20)
#define STACK_MIN      (UINT64_C(128) << 10)
#define STACK_MAX      (UINT64_C(1) << 40)

/* A number of nanoseconds from the environment beats the configuration. */
static void heed_environment(struct filch_config *config, FILE *notes)
{
	if (!filchi_env_number(FILCHI_ENV_SEARCH_NS, UINT32_MAX, &config->search_ns, notes))
		return;
	if (config->search_ns)
		config->flags &= ~FILCH_POOL_NO_SEARCH;
	else
		config->flags |= FILCH_POOL_NO_SEARCH;
}

static uint32_t round_up(uint32_t n)
{
	uint32_t power = 2;

	while (power < n)
		power *= 2;
	return power;
}

/* Whether each field is in its range; 0 is always in it. */
static bool in_range(const struct filch_config *c)
{
	return !(c->flags & ~KNOWN_FLAGS) && !c->reserved && c->workload <= FILCH_WORKLOAD_IO &&
	       c->queue_capacity <= QUEUE_MAX && c->jobs_max <= JOBS_MAX &&
	       c->deque_capacity <= DEQUE_MAX && c->stack_bytes <= STACK_MAX &&
	       (!c->stack_bytes || c->stack_bytes >= STACK_MIN);
}

/* Whether the fields go together. */
static bool consistent(const struct filch_config *c)
{
	if (c->flags & FILCH_POOL_GUARD && c->flags & FILCH_POOL_CALLER)
		return false; /* the caller's own stack is not ours to give up */
	if (c->flags & FILCH_POOL_PIN && c->flags & FILCH_POOL_NO_PIN)
		return false;
	return !c->on_stuck || c->watchdog_ns; /* else it would never be called */
}

static void fill_in(struct filch_config *c)
{
	if (!c->stack_bytes)
		c->stack_bytes = STACK_DEFAULT;
	if (!c->queue_capacity)
		c->queue_capacity = QUEUE_DEFAULT;
	if (!c->jobs_max)
		c->jobs_max = 4 * c->queue_capacity;
	c->deque_capacity = round_up(c->deque_capacity ? c->deque_capacity : DEQUE_DEFAULT);
	if (!c->search_ns)
		c->search_ns = SEARCH_DEFAULT;
	if (!c->name)
		c->name = "filch";
}

int filchi_config_import(struct filch_config *to, const struct filch_config *from, FILE *notes)
{
	int error = 0;

	*to = (struct filch_config)FILCH_CONFIG_INIT;
	if (from)
		error = filchi_import(to, sizeof *to, from, CONFIG_SIZE_V1);
	if (error)
		return error;
	if (!in_range(to) || !consistent(to))
		return -EINVAL;
	fill_in(to);
	heed_environment(to, notes);
	return 0;
}
