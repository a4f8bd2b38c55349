/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures that begin with their own size, of programs older and newer than the library: each
 * public one, with a page behind it that may not be touched.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <sys/mman.h>

#include <base/import.h>

#define PAGE 4096u

/* @size bytes, zero but for their first word, @size itself; behind them is nothing. */
static void *at_the_edge(size_t size)
{
	char *page =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert(page != MAP_FAILED && size <= PAGE && size % 8 == 0);
	EQ(mprotect(page + PAGE, PAGE, PROT_NONE), 0);
	memcpy(page + PAGE - size, &size, sizeof size);
	return page + PAGE - size;
}

static void away(void *sized)
{
	EQ(munmap((void *)((uintptr_t)sized & ~(uintptr_t)(PAGE - 1)), 2 * PAGE), 0);
}

static void set_last_byte(void *sized, size_t size)
{
	((unsigned char *)sized)[size - 1] = 1;
}

/* --- import ----------------------------------------------------------- */

struct now {
	size_t size;
	uint64_t first, second, third;
};

/* What is to be seen of @size bytes, whose words after the first are 11, 12 ... */
static void expect_import(size_t size)
{
	struct now to = { sizeof to, 1, 2, 3 };
	uint64_t *from = at_the_edge(size);

	for (size_t i = 1; i < size / 8; i++)
		from[i] = 10 + i;
	EQ(filchi_import(&to, sizeof to, from, 16), size < 16 ? -EINVAL : 0);
	EQ(to.size, sizeof to);
	EQ(to.first, size >= 16 ? 11 : 1);
	EQ(to.second, size >= 24 ? 12 : 2);
	EQ(to.third, size >= 32 ? 13 : 3);
	away(from);
}

Test(import, an_older_structure_leaves_the_rest_at_its_defaults)
{
	for (size_t size = 8; size <= sizeof(struct now); size += 8)
		expect_import(size);
}

Test(import, a_newer_structure_may_ask_for_nothing_new)
{
	for (size_t more = 8; more <= 256; more += 8) {
		struct now to = { sizeof to, 1, 2, 3 };
		size_t size = sizeof to + more;
		struct now *from = at_the_edge(size);

		from->third = 33;
		EQ(filchi_import(&to, sizeof to, from, 16), 0);
		EQ(to.third, 33);
		from->third = 34;
		set_last_byte(from, size);
		EQ(filchi_import(&to, sizeof to, from, 16), -E2BIG);
		EQ(to.third, 33);
		away(from);
	}
}

Test(import, a_size_that_nothing_has_is_not_believed)
{
	const size_t sizes[] = { 0, 1, 7, 4097, SIZE_MAX / 2, SIZE_MAX };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct now to = { sizeof to, 1, 2, 3 };
		size_t *from = at_the_edge(8);

		*from = sizes[i];
		EQ(filchi_import(&to, sizeof to, from, 16), sizes[i] < 16 ? -EINVAL : -E2BIG);
		EQ(to.first, 1);
		EQ(filchi_export(from, &to, sizeof to), -EINVAL);
		EQ(*from, sizes[i]);
		away(from);
	}
}

/* --- each public structure -------------------------------------------- */

Test(import, a_configuration_of_any_size_since_the_first_makes_a_pool)
{
	for (size_t size = 8; size <= sizeof(struct filch_config) + 64; size += 8) {
		struct filch_config *config = at_the_edge(size);
		struct filch_pool *pool;

		if (size >= 96) {
			config->workers = 1;
			EQ(filch_pool_create(&pool, config), 0);
			EQ(filch_pool_workers(pool), 1);
			EQ(filch_pool_destroy(pool), 0);
		} else {
			EQ(filch_pool_create(&pool, config), -EINVAL);
		}
		if (size > sizeof *config) {
			set_last_byte(config, size);
			EQ(filch_pool_create(&pool, config), -E2BIG);
		}
		away(config);
	}
}

static int answer(void *arg)
{
	(void)arg;
	return 42;
}

Test(import, a_submit_of_any_size_since_the_first_is_accepted)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_job_spec spec = { .fn = answer };
	struct filch_completion c;
	struct filch_pool *pool;

	config.workers = 1;
	EQ(filch_pool_create(&pool, &config), 0);
	for (size_t size = 8; size <= sizeof(struct filch_submit) + 64; size += 8) {
		struct filch_submit *how = at_the_edge(size);
		int64_t id = filch_submit(pool, answer, NULL, how);

		if (size >= 64) {
			cr_assert(id > 0, "%zu: %lld", size, (long long)id);
			EQ(filch_wait(pool, id, NULL, &c), 0);
			EQ(c.status, 42);
			EQ(filch_submit_batch(pool, &spec, 1, how, &id), 1);
			EQ(filch_wait(pool, id, NULL, &c), 0);
		} else {
			EQ(id, -EINVAL);
			EQ(filch_submit_batch(pool, &spec, 1, how, &id), -EINVAL);
		}
		if (size > sizeof *how) {
			set_last_byte(how, size);
			EQ(filch_submit(pool, answer, NULL, how), -E2BIG);
			EQ(filch_submit_batch(pool, &spec, 1, how, &id), -E2BIG);
		}
		away(how);
	}
	EQ(filch_pool_destroy(pool), 0);
}

static int all_stats(const struct filch_pool *pool, void *out)
{
	return filch_pool_stats(pool, out);
}

static int lane_stats(const struct filch_pool *pool, void *out)
{
	return filch_pool_lane_stats(pool, FILCH_LANE_NORMAL, out);
}

/* @whole is a structure of @size that @read has filled: others get what they have room for. */
static void expect_prefixes(const struct filch_pool *pool,
	int (*read)(const struct filch_pool *pool, void *out), const void *whole, size_t size)
{
	for (size_t mine = 8; mine <= size + 64; mine += 8) {
		unsigned char *out = at_the_edge(mine);
		size_t both = mine < size ? mine : size;

		memset(out + 8, 0x55, mine - 8);
		EQ(read(pool, out), 0);
		EQ(*(size_t *)(void *)out, mine);
		EQ(memcmp(out + 8, (const char *)whole + 8, both - 8), 0);
		for (size_t i = both; i < mine; i++)
			EQ(out[i], 0);
		away(out);
	}
}

Test(import, statistics_fill_what_the_program_has_room_for)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_stats s = FILCH_STATS_INIT;
	struct filch_lane_stats lane = FILCH_LANE_STATS_INIT;
	struct filch_pool *pool;

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER; /* nobody else counts */
	EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 0; i < 3; i++)
		cr_assert(filch_submit(pool, answer, NULL, NULL) > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_pool_stats(pool, &s), 0);
	EQ(s.jobs, 3);
	expect_prefixes(pool, all_stats, &s, sizeof s);
	EQ(filch_pool_lane_stats(pool, FILCH_LANE_NORMAL, &lane), 0);
	EQ(lane.completed, 3);
	expect_prefixes(pool, lane_stats, &lane, sizeof lane);
	EQ(filch_pool_destroy(pool), 0);
}
