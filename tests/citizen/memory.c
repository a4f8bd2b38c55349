/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an idle pool and its workers hold of memory: pages of its own that were written. Printed,
 * and bounded: docs/limits.md states the bounds.
 *
 * usage: citizen.memory [WORKERS]    prints what a pool of so many workers holds
 */
#include <string.h>

#include "pools.h"

/* The page size, the allocator and the compiler have their say; a tenth of what it once was. */
#define POOL_MOST   (UINT64_C(320) << 10)
#define WORKER_MOST (UINT64_C(40) << 10)

/* Bytes of private pages that were written. */
static uint64_t dirty(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	unsigned long long kib = 0;
	char line[256];
	bool found = false;

	if (!f)
		test_skip("there is no /proc/self/smaps_rollup");
	while (!found && fgets(line, sizeof line, f))
		found = sscanf(line, "Private_Dirty: %llu kB", &kib) == 1;
	(void)fclose(f);
	CHECK(found, "Private_Dirty");
	return kib << 10;
}

/* What is held more with an idle pool of @workers than before. */
static uint64_t held_by(uint32_t workers)
{
	uint64_t before, with;
	struct filch_pool *pool;

	(void)dirty(); /* what the reading itself needs */
	before = dirty();
	pool = pool_open(workers, 0);
	while (pool_stats(pool).asleep != workers)
		sched_yield();
	with = dirty();
	CHECK_EQ(filch_pool_destroy(pool), 0);
	return with > before ? with - before : 0;
}

static void an_idle_pool_holds_little(void)
{
	uint64_t held = held_by(2);

	printf("an idle pool of two workers, the first of the process: %llu KiB\n",
		(unsigned long long)held >> 10);
	CHECK(held <= POOL_MOST, "%llu bytes", (unsigned long long)held);
	CHECK(held >= 4096, "%llu bytes: nothing was measured", (unsigned long long)held);
}

static void a_worker_holds_little(void)
{
	uint64_t few = held_by(2), many = held_by(34), each = many > few ? (many - few) / 32 : 0;

	printf("each worker: %llu KiB\n", (unsigned long long)each >> 10);
	CHECK(each <= WORKER_MOST, "%llu bytes", (unsigned long long)each);
	CHECK(each >= 4096, "%llu bytes: nothing was measured", (unsigned long long)each);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		printf("%llu KiB\n",
			(unsigned long long)held_by((uint32_t)strtoul(argv[1], NULL, 10)) >> 10);
		return test_finish("memory");
	}
	if (TEST_SANITIZED)
		test_skip("sanitizers have memory of their own");
	test_watchdog(60);
	test_case("an idle pool holds little", an_idle_pool_holds_little);
	test_case("a worker holds little", a_worker_holds_little);
	return test_finish("memory");
}
