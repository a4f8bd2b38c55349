/* SPDX-License-Identifier: Apache-2.0 */
/*
 * victim: see victim.h. The generator is splitmix64 (Steele, Lea, Flood 2014): any seed is good, 64
 * bits of state, no zero state to avoid. A number below n is taken from the upper 32 bits by
 * multiplication (Lemire 2019) without the rejection step: with n below 2^11 the bias is under
 * 2^-21.
 */
#include "place/victim.h"

/* The next 64 random bits. */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* Enters the next tier, which is never empty: draws where to begin and which way to go. */
static void enter(struct filchi_victim *v)
{
	uint64_t bits = draw(&v->rng);

	v->begin = v->tier ? v->tier_end[v->tier - 1] : 0;
	v->end = v->tier_end[v->tier];
	v->left = (uint16_t)(v->end - v->begin);
	v->at = (uint16_t)(v->begin + ((bits >> 32) * v->left >> 32));
	v->backwards = bits & 1;
	v->tier++;
}

void filchi_victim_init(
	struct filchi_victim *v, const struct filchi_plan *plan, uint32_t worker, uint64_t seed)
{
	uint64_t mix = worker;

	*v = (struct filchi_victim){
		.order = plan->order + (size_t)worker * (plan->workers - 1),
		.tier_end = plan->tier_end + (size_t)worker * FILCHI_TIERS,
		.tiers = plan->tiers[worker],
		.rng = seed ^ draw(&mix), /* workers with one seed start far apart */
	};
}

void filchi_victim_round(struct filchi_victim *v)
{
	v->tier = 0;
	v->left = 0;
}

int filchi_victim_next(struct filchi_victim *v)
{
	int victim;

	if (!v->left) {
		if (v->tier == v->tiers)
			return -1;
		enter(v);
	}
	v->left--;
	victim = v->order[v->at];
	if (v->backwards)
		v->at = v->at == v->begin ? (uint16_t)(v->end - 1) : (uint16_t)(v->at - 1);
	else
		v->at = v->at + 1 == v->end ? v->begin : (uint16_t)(v->at + 1);
	return victim;
}
