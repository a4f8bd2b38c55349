/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 0/1 knapsack by branch and bound, after the Cilk distribution's example: a task per decision,
 * items by value per weight, and a best value shared by all that prunes what cannot beat it. The
 * best begins with what greed packs. The result, the best value, is the same in every run and is
 * checked.
 *
 * Not good for: ratios between single runs. How many tasks there are depends on who finds a better
 * value when, serially too (a spawned branch is entered first by a plain call, last by a scheduler
 * that leaves it to thieves): the number of the last run is shown and is not checked, and time per
 * task is the figure to compare.
 */
#include "bench.h"
#include BENCH_BACKEND

#define ITEMS_MAX 64

struct item {
	uint32_t weight, value;
};

static struct item item[ITEMS_MAX];
static uint32_t items;
static uint64_t best __attribute__((aligned(128)));

static inline void raise_best(uint64_t value)
{
	uint64_t seen = __atomic_load_n(&best, __ATOMIC_RELAXED);

	while (value > seen && !__atomic_compare_exchange_n(
				       &best, &seen, value, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* Decides about item @i and all after it, with @room left and @value packed. Returns tasks. */
BENCH_TASK(uint64_t, decide, (uint32_t, i), (uint64_t, room), (uint64_t, value))
{
	uint64_t tasks = 1;

	if (i == items) {
		raise_best(value);
		return 1;
	}
	/* What would fit if items could be cut, all as dear by weight as this one. */
	if (value + room * item[i].value / item[i].weight <=
		__atomic_load_n(&best, __ATOMIC_RELAXED))
		return 1;
	BENCH_SPAWN(without, decide, i + 1, room, value);
	if (item[i].weight <= room)
		tasks += BENCH_CALL(decide, i + 1, room - item[i].weight, value + item[i].value);
	return tasks + BENCH_SYNC(without);
}

/*
 * @n items, dearest by weight first: value and weight are correlated, which makes the search long.
 *    Returns their weight.
 */
static uint64_t draw_items(uint32_t n, uint64_t seed)
{
	uint64_t weight = 0;

	items = n;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t x = bench_splitmix64(1000 * seed + i);
		struct item drawn = { 500 + (uint32_t)(x % 1000), 0 };
		uint32_t at = i;

		drawn.value = drawn.weight + (uint32_t)(x >> 32) % 100;
		weight += drawn.weight;
		for (; at > 0 && (uint64_t)item[at - 1].value * drawn.weight <
					 (uint64_t)drawn.value * item[at - 1].weight;
			at--)
			item[at] = item[at - 1];
		item[at] = drawn;
	}
	return weight;
}

/*
 * arg: items (at most ITEMS_MAX), seed; half of their weight fits. value: the best value. tasks:
 * counted, differs from run to run. The catalogue's seeds are ones with which the order of the
 * branches matters little and the best is raised once or twice.
 */
int BENCH_ENTRY(knapsack)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	uint64_t tasks = 0,
		 capacity = draw_items((uint32_t)size->arg[0], (uint64_t)size->arg[1]) / 2,
		 room = capacity, greedy = 0;

	for (uint32_t i = 0; i < items; i++)
		if (item[i].weight <= room) {
			room -= item[i].weight;
			greedy += item[i].value;
		}
	__atomic_store_n(&best, greedy, __ATOMIC_RELAXED);

	int err = BENCH_RUN(engine, &tasks, decide, 0u, capacity, 0ul);

	*out = (struct bench_outcome){ .value = { best }, .tasks = tasks };
	return err;
}
