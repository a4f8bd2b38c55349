/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace: what a trace says is what happened. Its events are counted against the counters; small
 * rings keep the newest events and count the others; traces begin and end while workers work; pools
 * that end meanwhile are in it, a child of fork() is not; FILCH_TRACE, FILCH_SERIAL and FILCH_SEED.
 *
 * The files are read as filch-trace reads them.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>

#include "core/types.h"
#include "fib.h"
#include "pools.h"
#include "tools/trace_look.h"
#include "tools/trace_write.h"

static char path[64];

static void start(uint32_t events)
{
	struct filch_trace_config config = FILCH_TRACE_CONFIG_INIT;

	config.file = path;
	config.events = events;
	CHECK_EQ(filch_trace_start(&config), 0);
}

/* Ends the trace, and reads it. */
static void stop(struct trace *trace, struct look *look)
{
	CHECK_EQ(filch_trace_stop(), 0);
	CHECK(trace_read(trace, path), "%s", trace->why);
	CHECK(look_at(look, trace), "no memory");
}

static void forget(struct trace *trace, struct look *look)
{
	look_free(look);
	trace_free(trace);
}

static int spin_a_little(void *arg)
{
	uint64_t since = test_now();

	filch_trace_begin("inner");
	while (test_now() - since < 2000)
		;
	filch_trace_end();
	(void)arg;
	return 0;
}

static void add(size_t b, size_t e, void *arg)
{
	_Atomic uint64_t *sum = arg;

	*sum += e - b;
}

static int submit_and_wait(void *arg)
{
	struct filch_pool *pool = filch_pool_current();
	struct filch_completion c;
	int64_t id = filch_submit(pool, spin_a_little, arg, NULL);

	CHECK(id > 0, "%d", (int)id);
	return filch_wait(pool, id, NULL, &c);
}

/*
 * A worker counts as asleep before its last look, and as parked after it. One that is woken between
 * the two does not count as parked, so the wait for that has an end.
 */
static void until_parked(struct filch_pool *pool)
{
	uint64_t workers = (uint64_t)filch_pool_workers(pool);

	pool_until_asleep(pool, workers);
	for (unsigned quiet = 0, turns = 0; quiet < 1000 && turns < 100000; turns++) {
		struct filch_stats s = pool_stats(pool);

		quiet = s.asleep == workers && s.parks >= s.wakes + workers ? quiet + 1 : 0;
		sched_yield();
	}
}

/* Something of everything; with pauses, so that workers park. */
static void work(struct filch_pool *pool)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	_Atomic uint64_t sum = 0;
	int64_t id[50];
	long r;

	how.name = "named \"so\"";
	CHECK_EQ(FILCH_RUN(pool, &r, fib, 18), 0);
	CHECK_EQ(r, 2584);
	for (int i = 0; i < 50; i++) {
		id[i] = filch_submit(pool, i % 5 ? spin_a_little : submit_and_wait, NULL, &how);
		CHECK(id[i] > 0, "%d", (int)id[i]);
	}
	for (int i = 0; i < 50; i++)
		CHECK_EQ(filch_wait(pool, id[i], NULL, &c), 0);
	CHECK_EQ(filch_for(pool, 0, 10000, 0, add, &sum), 0);
	CHECK_EQ(sum, 10000);
	until_parked(pool);
}

/* Every kind of event with its counter, for the whole and by worker. */
static void compare(const struct look *look, const struct filch_stats *s)
{
	CHECK_EQ(look->jobs, s->jobs);
	CHECK_EQ(look->steals, s->steals);
	CHECK_EQ(look->parks, s->parks);
	CHECK_EQ(look->wakes, s->wakes);
	for (size_t i = 0; i < look->workers; i++) {
		const struct trace_track *t = look->worker[i].track;
		uint64_t jobs = 0, steals = 0, parks = 0;

		CHECK_EQ(t->lost, 0);
		for (size_t j = 0; j < t->count; j++) {
			jobs += t->event[j].kind == TRACE_JOB;
			steals += t->event[j].kind == TRACE_TASK && t->event[j].from >= 0;
			parks += t->event[j].kind == TRACE_PARK;
		}
		CHECK_EQ(jobs, t->jobs);
		CHECK_EQ(steals, t->steals);
		CHECK_EQ(parks, t->parks);
	}
}

/* All of the time of each worker is told, once, and the critical path fills the run. */
static void check_times(const struct look *look)
{
	for (size_t i = 0; i < look->workers; i++) {
		const struct look_worker *w = &look->worker[i];
		int64_t at = 0;

		for (size_t j = 0; j < w->count; j++) {
			CHECK_EQ(w->piece[j].from, at);
			at = w->piece[j].to;
		}
		CHECK_EQ(at, look->trace->ns);
	}
	CHECK(look->span > 0 && look->span <= look->work, "span %lld, work %lld",
		(long long)look->span, (long long)look->work);
	CHECK(look->burdened >= look->span, "%lld and %lld", (long long)look->burdened,
		(long long)look->span);
	CHECK(look->steps > 0, "no critical path");
	for (size_t i = 0; i < look->steps; i++)
		CHECK(look->step[i].to >= look->step[i].from, "step %zu", i);
	CHECK(look->path[0] + look->path[1] + look->path[2] <= look->trace->ns, "it is longer");
}

static void events_agree_with_the_counters(void)
{
	uint64_t compared = 0;

	pools_begin();
	for (uint32_t i = 0; compared < test_scaled(8) || !pools_sum.steals; i++) {
		struct filch_stats s, then;
		struct filch_pool *pool;
		struct trace trace;
		struct look look;
		FILE *out;

		start(0);
		pool = pool_open(2 + i % 3, 0);
		work(pool);
		s = pool_stats(pool);
		stop(&trace, &look);
		then = pool_stats(pool);
		/* else a worker was about to sleep, or to wake, while the trace ended */
		if (then.parks == s.parks && then.wakes == s.wakes) {
			compare(&look, &s);
			compared++;
		}
		check_times(&look);
		out = fopen("/dev/null", "we");
		CHECK(out, "%d", errno);
		trace_write_stat(&look, out);
		trace_write_page(&look, "a <title>", out);
		fclose(out);
		forget(&trace, &look);
		pool_close(pool);
	}
	POOLS_COVER(steals);
	POOLS_COVER(jobs_nested);
	POOLS_COVER(wakes);
}

/* The creator as worker 0, and a pool that is gone before the trace ends. */
static void pools_that_end_are_in_it(void)
{
	struct filch_stats s;
	struct filch_pool *pool;
	struct trace trace;
	struct look look;
	long r;

	start(0);
	pool = pool_open(2, FILCH_POOL_CALLER);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(FILCH_RUN(pool, &r, fib, 10), 0);
	s = pool_stats(pool);
	pool_close(pool);
	stop(&trace, &look);
	CHECK_EQ(look.workers, 2);
	CHECK_EQ(look.jobs, s.jobs);
	CHECK_EQ(look.jobs, 100);
	CHECK(look.worker[0].ns[LOOK_AWAY] > 0, "the creator was never away");
	forget(&trace, &look);
}

static void small_rings_keep_the_newest(void)
{
	struct filch_pool *pool = pool_open(1, 0);
	struct filch_completion c;
	struct trace trace;
	struct look look;

	start(64);
	for (int i = 0; i < 2000; i++) {
		int64_t id = filch_submit(pool, spin_a_little, NULL, NULL);

		CHECK(id > 0, "%d", (int)id);
		CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	}
	stop(&trace, &look);
	CHECK_EQ(look.worker[0].track->jobs, 2000);
	/* four events a job: their beginnings and ends, and those of the spans */
	CHECK(look.jobs >= 8 && look.jobs <= 17, "%llu jobs", (unsigned long long)look.jobs);
	CHECK(look.worker[0].track->lost >= 2000 * 4 - 64, "%llu lost",
		(unsigned long long)look.worker[0].track->lost);
	CHECK(look.worker[0].track->event[look.worker[0].track->count - 1].end > look.trace->ns / 2,
		"the oldest were kept");
	forget(&trace, &look);
	pool_close(pool);
}

static _Atomic bool over;
static _Atomic uint64_t submitted;

static void *submit_on(void *arg)
{
	const struct filch_submit how = { .size = sizeof how, .flags = FILCH_JOB_DETACHED };

	while (!over) {
		filch_trace_begin("outside");
		submitted += filch_submit(arg, spin_a_little, NULL, &how) > 0;
		filch_trace_end();
	}
	return NULL;
}

static void traces_begin_and_end_under_way(void)
{
	struct filch_pool *pool = pool_open(3, 0);
	pthread_t thread[3];
	uint64_t jobs = 0, submits = 0;

	over = false;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, submit_on, pool), 0);
	for (uint32_t i = 0; i < test_scaled(16) || jobs <= 100 || submits <= 100; i++) {
		uint64_t until = submitted + 200;
		struct trace trace;
		struct look look;

		start(i % 2 ? 256 : 0);
		CHECK_EQ(filch_pool_live(pool, i / 2 % 2), 0);
		while (submitted < until)
			sched_yield();
		stop(&trace, &look);
		jobs += look.jobs;
		submits += look.submits;
		forget(&trace, &look);
	}
	over = true;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	CHECK_EQ(filch_pool_live(pool, 0), 0);
	pool_close(pool);
}

static void names_are_in_it(void)
{
	struct filch_pool *pool = pool_open(2, 0);
	bool job = false, span = false, outside = false;
	struct trace trace;
	struct look look;

	start(0);
	filch_trace_begin("of main");
	work(pool);
	filch_trace_end();
	stop(&trace, &look);
	for (size_t i = 0; i < trace.count; i++) {
		const struct trace_track *t = &trace.track[i];

		for (size_t j = 0; j < t->count; j++) {
			const struct trace_event *e = &t->event[j];

			job |= e->kind == TRACE_JOB && !strcmp(e->name, "named \\\"so\\\"");
			span |= e->kind == TRACE_SPAN && t->is_worker && !strcmp(e->name, "inner");
			outside |= e->kind == TRACE_SPAN && !t->is_worker &&
				   !strcmp(e->name, "of main");
		}
	}
	CHECK(job && span && outside, "%d %d %d", job, span, outside);
	forget(&trace, &look);
	pool_close(pool);
}

static void misuse_is_refused(void)
{
	struct filch_trace_config config = FILCH_TRACE_CONFIG_INIT;

	CHECK_EQ(filch_trace_stop(), -ENOENT);
	CHECK_EQ(filch_trace_start(NULL), -EINVAL);
	CHECK_EQ(filch_trace_start(&config), -EINVAL);
	config.file = "/nonexistent/trace";
	CHECK_EQ(filch_trace_start(&config), -ENOENT);
	config.file = path;
	config.events = (1u << 24) + 1;
	CHECK_EQ(filch_trace_start(&config), -EINVAL);
	config.events = 0;
	config.reserved = 1;
	CHECK_EQ(filch_trace_start(&config), -EINVAL);
	config.reserved = 0;
	config.size = 4;
	CHECK_EQ(filch_trace_start(&config), -EINVAL);
	start(0);
	config.size = sizeof config;
	CHECK_EQ(filch_trace_start(&config), -EALREADY);
	CHECK_EQ(filch_trace_stop(), 0);
	CHECK_EQ(filch_trace_stop(), -ENOENT);
	filch_trace_begin("nowhere"); /* without a trace nothing comes of it */
	filch_trace_end();
}

static void a_child_has_no_trace(void)
{
	struct filch_pool *pool;
	struct trace trace;
	struct look look;
	int status;
	pid_t pid;

	start(0);
	pool = pool_open(2, 0);
	work(pool);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0, "%d", errno);
	if (!pid) {
		filch_trace_begin("child");
		_exit(filch_trace_stop() == -ENOENT ? 0 : 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	stop(&trace, &look);
	CHECK(look.jobs > 50, "%llu", (unsigned long long)look.jobs);
	forget(&trace, &look);
	pool_close(pool);
}

/* --- the environment, in this program started once more ---------------- */

static int order[64];
static int ordered;

FILCH_VOID_TASK(step, (int, depth), (int, number))
{
	order[ordered++] = number;
	if (depth) {
		FILCH_SPAWN(a, step, depth - 1, 2 * number);
		FILCH_SPAWN(b, step, depth - 1, 2 * number + 1);
		FILCH_SYNC(b);
		FILCH_SYNC(a);
	}
}

FILCH_VOID_TASK(spin_for, (uint64_t, ns))
{
	uint64_t since = test_now();

	while (test_now() - since < ns)
		;
}

FILCH_VOID_TASK(four, (uint64_t, ns))
{
	FILCH_SPAWN(a, spin_for, ns);
	FILCH_SPAWN(b, spin_for, ns);
	FILCH_SPAWN(c, spin_for, ns);
	FILCH_CALL(spin_for, ns);
	FILCH_SYNC(c);
	FILCH_SYNC(b);
	FILCH_SYNC(a);
}

static void spin_each(size_t b, size_t e, void *arg)
{
	uint64_t since = test_now();

	while (test_now() - since < (e - b) * 5000000)
		;
	(void)arg;
}

/* Writes what it has seen to its standard output, and leaves its pool as it is. */
static void be_other(void)
{
	struct filch_pool *pool = filch_pool_default();

	CHECK_EQ(FILCH_RUN(pool, NULL, step, 3, 1), 0);
	CHECK_EQ(FILCH_RUN(pool, NULL, four, 20000000), 0);
	CHECK_EQ(filch_for(pool, 0, 8, 1, spin_each, NULL), 0);
	printf("%d workers, seed %llu:", filch_pool_workers(pool), (unsigned long long)pool->seed);
	for (int i = 0; i < ordered; i++)
		printf(" %d", order[i]);
	printf("\n");
}

static void run_other(const char *variables, char *said, size_t room)
{
	char command[256];
	size_t n;
	FILE *in;

	snprintf(command, sizeof command, "env %s FILCH_TRACE=%s /proc/%d/exe --other", variables,
		path, (int)getpid());
	in = popen(command, "re");
	CHECK(in, "%d", errno);
	n = fread(said, 1, room - 1, in);
	said[n] = '\0';
	CHECK_EQ(pclose(in), 0);
}

static void serial_is_in_the_order_of_the_program(void)
{
	struct trace trace;
	struct look look;
	char said[1024];

	run_other("FILCH_SERIAL=1 FILCH_WORKERS=2 FILCH_SEED=7", said, sizeof said);
	CHECK(strstr(said, "1 workers, seed 7: 1 2 4 8 9 5 10 11 3 6 12 13 7 14 15\n"), "%s", said);
	/* at its exit the process has written the trace */
	CHECK(trace_read(&trace, path), "%s", trace.why);
	CHECK(look_at(&look, &trace), "no memory");
	CHECK_EQ(look.jobs, 3);
	CHECK_EQ(look.serial_jobs, 3);
	CHECK_EQ(look.serial_spawns, 14 + 3);
	/*
	 * four pieces of 20 ms, and eight of 5 ms, one after another; the spans are those
	 * of one of each, and of whatever else the machine has done meanwhile
	 */
	CHECK(look.serial_work >= 120000000, "%llu", (unsigned long long)look.serial_work);
	CHECK(look.serial_span >= 25000000 && look.serial_span <= look.serial_work - 90000000,
		"%llu of %llu", (unsigned long long)look.serial_span,
		(unsigned long long)look.serial_work);
	CHECK(look.serial_burdened >= look.serial_span + 5000, "%llu",
		(unsigned long long)look.serial_burdened);
	forget(&trace, &look);
}

static void the_environment_begins_a_trace(void)
{
	struct trace trace;
	struct look look;
	char said[1024];

	run_other("FILCH_TRACE_EVENTS=1000", said, sizeof said);
	CHECK(trace_read(&trace, path), "%s", trace.why);
	CHECK(look_at(&look, &trace), "no memory");
	CHECK_EQ(look.jobs, 3);
	CHECK_EQ(look.serial_jobs, 0);
	forget(&trace, &look);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--other")) {
		test_case("it is in the order that its environment asks for", be_other);
		return test_finish("other");
	}
	test_watchdog(120);
	snprintf(path, sizeof path, "/tmp/filch-trace-test.%d", (int)getpid());
	test_case("events agree with the counters", events_agree_with_the_counters);
	test_case("pools that end are in it", pools_that_end_are_in_it);
	test_case("small rings keep the newest events", small_rings_keep_the_newest);
	test_case("traces begin and end while workers work", traces_begin_and_end_under_way);
	test_case("names of jobs and spans are in it", names_are_in_it);
	test_case("misuse is refused", misuse_is_refused);
	test_case("a child of fork() has no trace", a_child_has_no_trace);
	test_case("FILCH_SERIAL runs tasks in the order of the program, and measures the span",
		serial_is_in_the_order_of_the_program);
	test_case("FILCH_TRACE begins a trace", the_environment_begins_a_trace);
	unlink(path);
	return test_finish("trace");
}
