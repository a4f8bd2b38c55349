/* SPDX-License-Identifier: Apache-2.0 */
/* sim: costs and policies by their names. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

void sim_costs_init(struct sim_costs *costs)
{
#define SIM_COST(name, value, meaning) .name = (value),
	*costs = (struct sim_costs){ SIM_COSTS_LIST(SIM_COST) };
#undef SIM_COST
}

void sim_costs_two_cores(struct sim_costs *costs)
{
	costs->look_near = 5;
	costs->walk = 3;
	costs->raise = 2;
	costs->raised = 0;
	costs->fence_cpu = 0;
	costs->interrupt = 0;
	costs->latency = 30000;
}

bool sim_costs_set(struct sim_costs *costs, const char *text)
{
	const struct {
		const char *name;
		uint64_t *at;
	} known[] = {
#define SIM_COST(name, value, meaning) { #name, &costs->name },
		SIM_COSTS_LIST(SIM_COST)
#undef SIM_COST
	};
	const char *equals = strchr(text, '=');
	char *end;

	if (!equals || equals[1] < '0' || equals[1] > '9')
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strlen(known[i].name) != (size_t)(equals - text) ||
			strncmp(known[i].name, text, (size_t)(equals - text)) != 0)
			continue;
		*known[i].at = strtoull(equals + 1, &end, 10);
		return !*end && *known[i].at < 1000000000;
	}
	return false;
}

bool sim_policy_set(struct sim_policy *policy, const char *name)
{
	const struct {
		const char *name;
		bool *at;
	} known[] = {
		{ "thief-only", &policy->thief_only },
		{ "shallow", &policy->shallow },
		{ "no-park", &policy->no_park },
		{ "wake-two", &policy->wake_two },
		{ "chain", &policy->chain },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].name, name) == 0)
			return *known[i].at = true;
	return false;
}
