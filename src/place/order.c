/* SPDX-License-Identifier: Apache-2.0 */
/* order: see order.h. */
#include "place/order.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The groups of @core from the smallest to the machine; of equal ones the first in enum
 * filchi_level. Returns how many.
 */
static uint32_t levels_of(const struct filchi_core *core, uint8_t level[FILCHI_LEVELS])
{
	uint32_t n = 0;

	for (uint8_t l = 0; l < FILCHI_LEVELS; l++) {
		uint32_t at = n;

		if (core->group[l] < 0)
			continue;
		for (; at && core->size[level[at - 1]] > core->size[l]; at--)
			level[at] = level[at - 1];
		level[at] = l;
		n++;
	}
	return n;
}

/* The order of worker @w, and its tiers: a bucket sort of the others. @tier: room, [workers]. */
static void fill_row(
	struct filchi_plan *plan, const struct filchi_core *const *core, uint32_t w, uint8_t *tier)
{
	const uint32_t n = plan->workers;
	const struct filchi_core *mine = core[w];
	uint16_t *row = plan->order + (size_t)w * (n - 1);
	uint16_t *end = plan->tier_end + (size_t)w * FILCHI_TIERS;
	uint8_t *name = plan->tier_level + (size_t)w * FILCHI_TIERS;
	uint8_t level[FILCHI_LEVELS];
	uint32_t levels = levels_of(mine, level), filled = 0;

	for (uint32_t o = 0; o < n; o++) {
		for (tier[o] = 0; tier[o] < levels - 1; tier[o]++)
			if (mine->group[level[tier[o]]] == core[o]->group[level[tier[o]]])
				break;
	}
	for (uint32_t r = 0; r < levels; r++) {
		uint32_t before = filled;

		for (uint32_t i = 1; i < n; i++) {
			uint32_t o = w + i < n ? w + i : w + i - n;

			if (tier[o] == r)
				row[filled++] = (uint16_t)o;
		}
		if (filled == before)
			continue;
		name[plan->tiers[w]] = level[r];
		end[plan->tiers[w]++] = (uint16_t)filled;
	}
}

int filchi_order_make(struct filchi_plan *plan, const struct filchi_core *const *core)
{
	const uint32_t n = plan->workers;
	uint8_t *tier = calloc(n, sizeof(*tier));

	plan->order = calloc((size_t)n * (n - 1) + 1, sizeof(*plan->order));
	plan->tier_end = calloc((size_t)n * FILCHI_TIERS, sizeof(*plan->tier_end));
	plan->tier_level = calloc((size_t)n * FILCHI_TIERS, sizeof(*plan->tier_level));
	plan->tiers = calloc(n, sizeof(*plan->tiers));
	if (!tier || !plan->order || !plan->tier_end || !plan->tier_level || !plan->tiers) {
		free(tier);
		return -ENOMEM;
	}
	for (uint32_t w = 0; w < n; w++)
		fill_row(plan, core, w, tier);
	free(tier);
	return 0;
}
