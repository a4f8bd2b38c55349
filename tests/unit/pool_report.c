/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool, what it says about itself: the report as text and as well-formed JSON, pins that are what
 * the report says they are, and the counters in structures of any size.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include "unit.h"

#include <ctype.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static char *describe(struct filch_pool *pool, int format)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out);
	EQ(filch_pool_describe(pool, out, format), 0);
	fclose(out);
	cr_assert(size > 0);
	return text;
}

/* --- JSON: a reader that takes well-formed text only; NULL where it is not --- */

static const char *blank(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

static const char *value(const char *s);

static const char *string(const char *s)
{
	if (*s++ != '"')
		return NULL;
	while (*s != '"') {
		if ((unsigned char)*s < ' ' || (*s == '\\' && !strchr("\"\\/bfnrt", *++s)))
			return NULL;
		s++;
	}
	return s + 1;
}

static const char *members(const char *s, char last, bool named)
{
	s = blank(s + 1);
	if (*s == last)
		return s + 1;
	for (;;) {
		if (named) {
			s = string(blank(s));
			if (!s || *(s = blank(s)) != ':')
				return NULL;
			s++;
		}
		s = value(s);
		if (!s)
			return NULL;
		s = blank(s);
		if (*s == last)
			return s + 1;
		if (*s++ != ',')
			return NULL;
	}
}

static const char *value(const char *s)
{
	static const char *const words[] = { "true", "false", "null" };
	char *end;

	s = blank(s);
	if (*s == '{')
		return members(s, '}', true);
	if (*s == '[')
		return members(s, ']', false);
	if (*s == '"')
		return string(s);
	for (int i = 0; i < 3; i++)
		if (!strncmp(s, words[i], strlen(words[i])))
			return s + strlen(words[i]);
	if (*s != '-' && !isdigit((unsigned char)*s))
		return NULL;
	(void)strtod(s, &end);
	return end;
}

static bool is_json(const char *text)
{
	const char *end = value(text);

	return end && !*blank(end);
}

Test(pool_report, the_reader_of_these_tests_tells_json_from_what_is_not)
{
	cr_assert(is_json("{\"a\":[1,-2.5,{}],\"b\":\"x\\\"y\",\"c\":[],\"d\":true}\n"));
	static const char *const bad[] = { "{", "[1,]", "{\"a\":}", "{a:1}", "[1 2]", "\"x",
		"{} {}", "" };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		cr_assert(!is_json(bad[i]), "%s", bad[i]);
}

Test(pool_report, the_json_report_is_json_and_has_a_seat_for_each_worker)
{
	for (uint32_t workers = 1; workers <= 9; workers += 4) {
		struct filch_pool *pool = pool_of(workers, 0);
		char *text = describe(pool, FILCH_JSON), wanted[64];
		const char *at = text;
		int seats = 0;

		cr_assert(is_json(text), "%s", text);
		snprintf(wanted, sizeof wanted, "{\"workers\":%u,", workers);
		cr_assert(!strncmp(text, wanted, strlen(wanted)), "%s", text);
		while ((at = strstr(at, "\"cpu\":"))) {
			seats++;
			at++;
		}
		EQ(seats, workers);
		cr_assert(strstr(text, "\"reasons\":[\n  \""), "a report gives a reason: %s", text);
		free(text);
		EQ(filch_pool_destroy(pool), 0);
	}
}

Test(pool_report, the_text_report_says_why)
{
	struct filch_pool *pool = pool_of(3, 0);
	char *text = describe(pool, FILCH_TEXT);

	cr_assert(strstr(text, "reasons\n  "), "%s", text);
	cr_assert(strstr(text, "seats\n"), "%s", text);
	cr_assert(strstr(text, "steal order\n"), "%s", text);
	free(text);
	EQ(filch_pool_destroy(pool), 0);
}

static void expect_note(const char *name, const char *value, const char *line)
{
	struct filch_pool *pool;
	char *text;

	setenv(name, value, 1);
	pool = pool_of(1, 0);
	unsetenv(name);
	text = describe(pool, FILCH_TEXT);
	if (line)
		cr_assert(strstr(text, line), "%s=%s: %s", name, value, text);
	else
		cr_assert(!strstr(text, name), "%s=%s: %s", name, value, text);
	free(text);
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool_report, what_the_environment_asks_for_in_vain_is_told_and_what_it_gets_is_its_own_doing)
{
	expect_note(
		"FILCH_MEMBARRIER", "no", "ignored: FILCH_MEMBARRIER=\"no\": it may be 0 or 1\n");
	expect_note("FILCH_MEMBARRIER", "0",
		"FILCH_MEMBARRIER=0: spawns and syncs carry full fences\n");
	expect_note("FILCH_MEMBARRIER", "1", NULL);
	expect_note("FILCH_VERBOSE", "2", "ignored: FILCH_VERBOSE=\"2\": it may be 0 or 1\n");
	expect_note("FILCH_VERBOSE", "0", NULL);
	expect_note("FILCH_LIVE", "yes", "ignored: FILCH_LIVE=\"yes\": it may be 0 or 1\n");
	expect_note("FILCH_LIVE", "1", NULL);
	expect_note("FILCH_SEARCH_NS", "soon",
		"ignored: FILCH_SEARCH_NS=\"soon\": it may be a number from 0 to 4294967295\n");
	expect_note("FILCH_NO_PIN", "yes", "ignored: FILCH_NO_PIN=\"yes\": it may be 0 or 1\n");
}

static int made, described_before;

static int describes_while_it_is_made(void *arg)
{
	(void)arg;
	for (bool last = false; !last;) {
		last = __atomic_load_n(&made, __ATOMIC_ACQUIRE);
		free(describe(filch_pool_current(), FILCH_TEXT));
		__atomic_fetch_add(&described_before, !last, __ATOMIC_RELAXED);
	}
	return 0;
}

static void submits_a_describer(void *arg, int worker)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.flags = FILCH_JOB_DETACHED;
	if (!worker)
		cr_assert(filch_submit(
				  filch_pool_current(), describes_while_it_is_made, arg, &how) > 0);
}

Test(pool_report, a_job_may_ask_for_it_while_the_pool_is_made)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	char *text;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.on_worker_start = submits_a_describer;
	setenv("FILCH_MEMBARRIER", "0", 1); /* there is something to add in the end */
	for (int i = 0; i < 50 || !__atomic_load_n(&described_before, __ATOMIC_RELAXED); i++) {
		__atomic_store_n(&made, 0, __ATOMIC_RELAXED);
		EQ(filch_pool_create(&pool, &config), 0);
		text = describe(pool, FILCH_TEXT);
		cr_assert(strstr(text, "FILCH_MEMBARRIER=0"), "%s", text);
		free(text);
		__atomic_store_n(&made, 1, __ATOMIC_RELEASE);
		EQ(filch_pool_destroy(pool), 0);
	}
}

static unsigned calls_done;

static void *calls_while_it_is_cancelled(void *unused)
{
	FILE *null = fopen("/dev/null", "w");
	struct filch_pool *pool;

	cr_assert(null);
	EQ(pthread_cancel(pthread_self()), 0);
	EQ(filch_pool_create(&pool, NULL), 0);
	calls_done++;
	EQ(filch_pool_describe(pool, null, FILCH_JSON), 0);
	calls_done++;
	EQ(filch_pool_destroy(pool), 0);
	calls_done++;
	pthread_testcancel();
	calls_done++;
	return unused;
}

Test(pool_report, a_thread_is_not_cancelled_in_it_nor_in_making_and_ending_a_pool)
{
	pthread_t thread;
	void *result;

	EQ(pthread_create(&thread, NULL, calls_while_it_is_cancelled, NULL), 0);
	EQ(pthread_join(thread, &result), 0);
	EQ(calls_done, 3);
	cr_assert(result == PTHREAD_CANCELED);
}

Test(pool_report, a_report_that_cannot_be_written_is_an_error)
{
	struct filch_pool *pool = pool_of(1, 0);
	FILE *full = fopen("/dev/full", "w");

	EQ(filch_pool_describe(NULL, NULL, FILCH_TEXT), -EINVAL);
	EQ(filch_pool_describe(pool, NULL, FILCH_TEXT), -EINVAL);
	EQ(filch_pool_describe(pool, stderr, 2), -EINVAL);
	EQ(filch_pool_describe(pool, stderr, -1), -EINVAL);
	cr_assert(full);
	setvbuf(full, NULL, _IONBF, 0);
	EQ(filch_pool_describe(pool, full, FILCH_TEXT), -EIO);
	EQ(filch_pool_describe(pool, full, FILCH_JSON), -EIO);
	fclose(full);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- pins ------------------------------------------------------------- */

static cpu_set_t mask_of[64];

static void note_mask(void *arg, int worker)
{
	(void)arg;
	if (sched_getaffinity(0, sizeof mask_of[worker], &mask_of[worker]))
		abort();
}

/* The number after "@key": in the seat of @worker. */
static long seat_of(const char *json, int worker, const char *key)
{
	char wanted[64];
	const char *at;

	snprintf(wanted, sizeof wanted, "{\"worker\":%d,\"cpu\"", worker);
	at = strstr(json, wanted);
	cr_assert(at, "no seat of worker %d", worker);
	at = strstr(at, key);
	cr_assert(at);
	return strtol(at + strlen(key) + 2, NULL, 10);
}

static struct filch_pool *noting_pool(uint32_t workers, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	config.workers = workers;
	config.flags = flags;
	config.on_worker_start = note_mask;
	EQ(filch_pool_create(&pool, &config), 0);
	return pool;
}

Test(pool_report, each_worker_sits_on_the_one_cpu_that_the_report_says)
{
	unsetenv("FILCH_NO_PIN");
	for (int round = 0; round < 2; round++) {
		struct filch_pool *pool =
			round ? noting_pool(5, FILCH_POOL_OVERSUBSCRIBE) : noting_pool(0, 0);
		char *json = describe(pool, FILCH_JSON);
		cpu_set_t ours;

		EQ(sched_getaffinity(0, sizeof ours, &ours), 0);
		for (int i = 0; i < filch_pool_workers(pool); i++) {
			long cpu = seat_of(json, i, "cpu");

			EQ(seat_of(json, i, "error"), 0);
			EQ(CPU_COUNT(&mask_of[i]), 1);
			cr_assert(CPU_ISSET((size_t)cpu, &mask_of[i]),
				"worker %d is not on cpu %ld", i, cpu);
			cr_assert(CPU_ISSET((size_t)cpu, &ours), "cpu %ld is not ours to use", cpu);
		}
		free(json);
		EQ(filch_pool_destroy(pool), 0);
	}
}

Test(pool_report, unpinned_workers_go_where_the_process_may_go)
{
	struct filch_pool *pool = noting_pool(3, FILCH_POOL_NO_PIN | FILCH_POOL_OVERSUBSCRIBE);
	char *json = describe(pool, FILCH_JSON);
	cpu_set_t ours;

	EQ(sched_getaffinity(0, sizeof ours, &ours), 0);
	for (int i = 0; i < 3; i++) {
		cr_assert(CPU_EQUAL(&ours, &mask_of[i]), "worker %d", i);
		EQ(seat_of(json, i, "cpu"), -1);
	}
	cr_assert(strstr(json, "\"pin\":false"));
	free(json);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- counters --------------------------------------------------------- */

FILCH_TASK(int, leaf, (struct gate *, g))
{
	gate_raise(g);
	return 1;
}

FILCH_TASK(int, is_stolen, (struct gate *, g))
{
	FILCH_SPAWN(a, leaf, g);
	gate_wait(g, 1);
	return FILCH_SYNC(a);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

Test(pool_report, counters_count)
{
	struct filch_pool *pool = pool_of(2, FILCH_POOL_NO_SEARCH);
	struct filch_stats s = FILCH_STATS_INIT;

	for (int i = 0; i < 10; i++) {
		struct gate g = GATE_INIT;

		EQ(FILCH_RUN(pool, NULL, is_stolen, &g), 0);
		EQ(filch_wait(pool, filch_submit(pool, nothing, NULL, NULL), NULL, NULL), 0);
	}
	while (s.asleep < 2) /* quiet */
		EQ(filch_pool_stats(pool, &s), 0);
	EQ(s.jobs, 20);
	EQ(s.steals, 10);
	EQ(s.queued, 0);
	EQ(s.asleep, 2);
	cr_assert(s.parks > 0 && s.wakes > 0, "parks %llu, wakes %llu", (unsigned long long)s.parks,
		(unsigned long long)s.wakes);
	EQ(s.jobs_nested + s.expired + s.cancelled + s.inlined + s.grows, 0);
	EQ(s.size, sizeof s);
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool_report, counters_fit_structures_of_older_and_newer_programs)
{
	struct {
		struct filch_stats s;
		uint64_t tail[3];
	} newer;
	struct filch_pool *pool = pool_of(1, 0);
	struct filch_stats s;

	EQ(filch_wait(pool, filch_submit(pool, nothing, NULL, NULL), NULL, NULL), 0);
	memset(&s, 0xff, sizeof s);
	s.size = offsetof(struct filch_stats, jobs) + sizeof s.jobs;
	EQ(filch_pool_stats(pool, &s), 0);
	EQ(s.jobs, 1);
	EQ(s.jobs_nested, UINT64_MAX); /* beyond the size: not ours to write */
	EQ(s.size, offsetof(struct filch_stats, jobs) + sizeof s.jobs);
	s.size = sizeof s.size;
	s.steals = 99;
	EQ(filch_pool_stats(pool, &s), 0);
	EQ(s.steals, 99);
	memset(&newer, 0xff, sizeof newer);
	newer.s.size = sizeof newer;
	EQ(filch_pool_stats(pool, &newer.s), 0);
	EQ(newer.s.jobs, 1);
	EQ(newer.tail[0] | newer.tail[1] | newer.tail[2], 0); /* what this library does not count */
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool_report, counters_without_a_pool_or_a_size_are_refused)
{
	struct filch_pool *pool = pool_of(1, 0);
	struct filch_stats s = FILCH_STATS_INIT;

	EQ(filch_pool_stats(NULL, NULL), -EINVAL);
	EQ(filch_pool_stats(pool, NULL), -EINVAL);
	s.size = 0;
	EQ(filch_pool_stats(pool, &s), -EINVAL);
	EQ(filch_pool_destroy(pool), 0);
}
