/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A right program, compiled with -fsanitize=thread and run on the ordinary library. All its data is
 * plain, and shared only as filch's headers allow. Each part is one way in which data changes
 * hands.
 *
 * usage: right PART ROUNDS; exits with 0 if the part exists and every value in it was right.
 */
#include <filch/filch.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAVES = 128, ITEMS = 3000, JOBS = 6 };

static struct filch_pool *pool;
static struct filch_cq *queue;
static long given[LEAVES], made[LEAVES], items[ITEMS];

#define NEED(e)                                                         \
	do {                                                            \
		if (!(e)) {                                             \
			fprintf(stderr, "line %d: %s\n", __LINE__, #e); \
			exit(1);                                        \
		}                                                       \
	} while (0)

/* so long that the other worker comes to steal */
static void dawdle(void)
{
	for (volatile int i = 0; i < 300; i++)
		;
}

/* --- tasks ------------------------------------------------------------ */

/* A spawner writes what its child reads, and reads what the child has written. */
FILCH_VOID_TASK(halve, (int, low), (int, high))
{
	int middle = low + (high - low) / 2;

	if (high - low == 1) {
		dawdle();
		made[low] = given[low] + 7;
		return;
	}
	for (int i = middle; i < high; i++)
		given[i]++;
	FILCH_SPAWN(right, halve, middle, high);
	FILCH_CALL(halve, low, middle);
	FILCH_SYNC(right);
	for (int i = middle; i < high; i++)
		made[i] *= 2;
}

static void nested(void)
{
	memset(given, 0, sizeof given);
	NEED(!FILCH_RUN(pool, NULL, halve, 0, LEAVES));
	for (int i = 0; i < LEAVES; i++) {
		long want = given[i] + 7;

		for (int low = 0, high = LEAVES; high - low > 1;) {
			int middle = low + (high - low) / 2;

			if (i >= middle) {
				want *= 2;
				low = middle;
			} else {
				high = middle;
			}
		}
		NEED(made[i] == want);
	}
}

/* What a task returns, by value. */
struct pair {
	long a, b;
};
FILCH_TASK(struct pair, count, (const long *, from), (int, n))
{
	struct pair x, y;

	if (n == 1) {
		dawdle();
		return (struct pair){ *from, 1 };
	}
	FILCH_SPAWN(half, count, from + n / 2, n - n / 2);
	x = FILCH_CALL(count, from, n / 2);
	y = FILCH_SYNC(half);
	return (struct pair){ x.a + y.a, x.b + y.b };
}

static void values(void)
{
	struct pair all;

	for (int i = 0; i < LEAVES; i++)
		given[i] = i;
	NEED(!FILCH_RUN(pool, &all, count, given, LEAVES));
	NEED(all.a == LEAVES * (LEAVES - 1) / 2 && all.b == LEAVES);
}

/* A chain of more spawns than a deque has room for at first: pushes go the slow way. */
FILCH_VOID_TASK(mark, (long *, at), (long, value))
{
	*at = value;
}
FILCH_VOID_TASK(deep, (int, n))
{
	if (!n)
		return;
	items[n] = n;
	FILCH_SPAWN(one, mark, &items[n], n + 1);
	dawdle();
	FILCH_CALL(deep, n - 1);
	FILCH_SYNC(one);
	items[n]++;
}

static void chain(void)
{
	NEED(!FILCH_RUN(pool, NULL, deep, 600));
	for (int i = 1; i <= 600; i++)
		NEED(items[i] == i + 2);
}

/* The untyped form. */
struct frame {
	struct filch_task task;
	long x;
};
static void twice(struct filch_worker *worker, filch_index index, struct filch_task *task)
{
	struct frame *frame = (struct frame *)(void *)task;

	(void)worker, (void)index;
	dawdle();
	frame->x *= 2;
}
static int untyped_job(void *arg)
{
	long *sum = arg;
	struct filch_context here;
	struct frame frame[LEAVES];

	NEED(!filch_context_here(&here));
	for (int i = 0; i < LEAVES; i++) {
		frame[i].x = i;
		filch_fork(&here, &frame[i].task, twice);
	}
	for (int i = LEAVES; i--;) {
		filch_join(&here, &frame[i].task, twice);
		*sum += frame[i].x;
	}
	return 0;
}

static void untyped(void)
{
	long sum = 0;
	int64_t id = filch_submit(pool, untyped_job, &sum, NULL);

	NEED(id > 0 && !filch_wait(pool, id, NULL, NULL));
	NEED(sum == LEAVES * (LEAVES - 1));
}

/* --- jobs ------------------------------------------------------------- */

struct letter {
	long asked, answer;
};

static struct letter *letter(long asked)
{
	struct letter *l = malloc(sizeof *l);

	NEED(l);
	l->asked = asked;
	l->answer = 0;
	return l;
}

static int reply(void *arg)
{
	struct letter *l = arg;

	l->answer = l->asked + 1;
	return 0;
}

static void check_letter(struct letter *l)
{
	NEED(l->answer == l->asked + 1);
	free(l);
}

static void by_id(void)
{
	struct letter *l[JOBS];
	int64_t id[JOBS];

	for (int i = 0; i < JOBS; i++) {
		l[i] = letter(i);
		id[i] = filch_submit(pool, reply, l[i], NULL);
		NEED(id[i] > 0);
	}
	for (int i = 0; i < JOBS; i++) {
		NEED(!filch_wait(pool, id[i], NULL, NULL));
		check_letter(l[i]);
	}
}

static void batch(void)
{
	struct filch_job_spec spec[JOBS];
	int64_t id[JOBS];

	memset(spec, 0, sizeof spec);
	for (int i = 0; i < JOBS; i++) {
		spec[i].fn = reply;
		spec[i].arg = letter(i);
	}
	NEED(filch_submit_batch(pool, spec, JOBS, NULL, id) == JOBS);
	for (int i = 0; i < JOBS; i++) {
		NEED(!filch_wait(pool, id[i], NULL, NULL));
		check_letter(spec[i].arg);
	}
}

static void send_to_queue(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.cq = queue;
	for (int i = 0; i < JOBS; i++)
		NEED(filch_submit(pool, reply, letter(i), &how) > 0);
}

static void queue_wait(void)
{
	struct filch_completion done[JOBS];

	send_to_queue();
	for (int got = 0; got < JOBS;) {
		int n = filch_cq_wait(queue, done, JOBS, NULL);

		NEED(n > 0);
		for (int i = 0; i < n; i++)
			check_letter(done[i].arg);
		got += n;
	}
}

static void queue_poll(void)
{
	struct pollfd fd = { .fd = filch_cq_fd(queue), .events = POLLIN };
	struct filch_completion done[JOBS];

	NEED(fd.fd >= 0);
	send_to_queue();
	for (int got = 0; got < JOBS;) {
		int n = filch_cq_reap(queue, done, JOBS);

		NEED(n >= 0);
		for (int i = 0; i < n; i++)
			check_letter(done[i].arg);
		got += n;
		if (!n)
			NEED(poll(&fd, 1, 10000) == 1);
	}
}

static struct letter *called_with;
static void on_complete(const struct filch_completion *done)
{
	__atomic_store_n(&called_with, (struct letter *)done->arg, __ATOMIC_RELEASE);
}

static void callback(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct letter *l;

	how.on_complete = on_complete;
	called_with = NULL;
	NEED(filch_submit(pool, reply, letter(3), &how) > 0);
	while (!(l = __atomic_load_n(&called_with, __ATOMIC_ACQUIRE)))
		;
	check_letter(l);
}

static void drain(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct letter *l[JOBS];

	how.flags = FILCH_JOB_DETACHED;
	for (int i = 0; i < JOBS; i++) {
		l[i] = letter(i);
		NEED(filch_submit(pool, reply, l[i], &how) > 0);
	}
	NEED(!filch_pool_drain(pool, NULL));
	for (int i = 0; i < JOBS; i++)
		check_letter(l[i]);
}

/* What a thread has written before it cancels is the cancelled job's to read. */
static int until_cancelled(void *arg)
{
	struct letter *l = arg;

	while (!filch_job_cancelled())
		;
	l->answer = l->asked + 1;
	return 0;
}

static void cancel(void)
{
	struct letter *l = letter(0);
	int64_t id = filch_submit(pool, until_cancelled, l, NULL);

	NEED(id > 0);
	l->asked = 41;
	NEED(filch_cancel(pool, id) >= 0);
	if (filch_wait(pool, id, NULL, NULL) || !l->answer)
		l->answer = l->asked + 1; /* it was cancelled before it began */
	check_letter(l);
}

/* --- hooks and lost threads ------------------------------------------- */

static long started[2], used;

static void note_start(void *arg, int worker)
{
	started[worker] += *(long *)arg;
}

/* What start hooks have written is the creator's to read. */
static void hooks(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *own;
	long step = 3;

	memset(started, 0, sizeof started);
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_NO_PIN;
	config.on_worker_start = note_start;
	config.hook_arg = &step;
	NEED(!filch_pool_create(&own, &config));
	NEED(started[0] == 3 && started[1] == 3);
	step = 4;
	NEED(!filch_pool_destroy(own));
}

static int use_and_leave(void *arg)
{
	started[filch_worker_id()]++;
	if (arg)
		pthread_exit(arg);
	used++;
	return 0;
}

/* So is a worker's own data its next thread's, and that one's start hook's. */
static void scratch_of(uint64_t flags, uint64_t limit)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *own;
	long step = 1;
	int error;

	started[0] = used = 0;
	config.workers = 1;
	config.flags = FILCH_POOL_NO_PIN | flags;
	config.watchdog_ns = limit;
	config.on_worker_start = note_start;
	config.hook_arg = &step;
	error = filch_pool_create(&own, &config);
	if (flags && error)
		return; /* guards are for x86-64 */
	NEED(!error);
	for (int i = 0; i < 3; i++) {
		int64_t id = filch_submit(own, use_and_leave, &step, NULL);

		NEED(id > 0 && !filch_wait(own, id, NULL, NULL));
		id = filch_submit(own, use_and_leave, NULL, NULL);
		NEED(id > 0 && !filch_wait(own, id, NULL, NULL));
	}
	NEED(used == 3 && started[0] == 10);
	NEED(!filch_pool_destroy(own));
}

static void scratch(void)
{
	scratch_of(0, 0);
	scratch_of(0, 1000000000);
	scratch_of(FILCH_POOL_GUARD, 0);
}

static int told;

static void on_stuck(void *arg, const struct filch_stuck *stuck)
{
	const struct letter *l = stuck->arg;

	(void)arg;
	NEED(l->asked == 5);
	__atomic_store_n(&told, 1, __ATOMIC_RELEASE);
}

static int reply_late(void *arg)
{
	while (!__atomic_load_n(&told, __ATOMIC_ACQUIRE))
		(void)poll(NULL, 0, 1);
	return reply(arg);
}

/* What was written before a submit is on_stuck's to read, and the frames that it gets. */
static void stuck(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *own;

	config.workers = 1;
	config.flags = FILCH_POOL_NO_PIN;
	config.watchdog_ns = 2000000;
	config.on_stuck = on_stuck;
	NEED(!filch_pool_create(&own, &config));
	for (int i = 0; i < 2; i++) {
		struct letter *l = letter(5);
		int64_t id;

		__atomic_store_n(&told, 0, __ATOMIC_RELEASE);
		id = filch_submit(own, reply_late, l, NULL);
		NEED(id > 0 && !filch_wait(own, id, NULL, NULL));
		check_letter(l);
	}
	NEED(!filch_pool_destroy(own));
}

/* --- loops ------------------------------------------------------------ */

static void triple(size_t b, size_t e, void *arg)
{
	long *v = arg;

	for (size_t i = b; i < e; i++)
		v[i] = v[i] * 3 + 1;
}

static void loop(void)
{
	for (int i = 0; i < ITEMS; i++)
		items[i] = i;
	NEED(!filch_for(pool, 0, ITEMS, 16, triple, items));
	for (int i = 0; i < ITEMS; i++)
		NEED(items[i] == i * 3L + 1);
}

static void add_up(size_t b, size_t e, void *acc, void *arg)
{
	for (size_t i = b; i < e; i++)
		*(long *)acc += ((const long *)arg)[i];
}
static void add(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(long *)acc += *(const long *)right;
}

static void reduce(void)
{
	const long zero = 0;
	long sum = 0;

	for (int i = 0; i < ITEMS; i++)
		items[i] = i;
	for (size_t grain = 0; grain <= 32; grain += 32) {
		NEED(!filch_reduce(
			pool, 0, ITEMS, grain, sizeof sum, &zero, add_up, add, items, &sum));
		NEED(sum == ITEMS * (ITEMS - 1L) / 2);
	}
}

static void prefix(size_t b, size_t e, void *acc, bool write, void *arg)
{
	long *v = arg;

	for (size_t i = b; i < e; i++) {
		*(long *)acc += i;
		if (write)
			v[i] = *(long *)acc;
	}
}

static void scan(void)
{
	const long zero = 0;
	long sum = 0;

	NEED(!filch_scan(pool, 0, ITEMS, 32, sizeof sum, &zero, prefix, add, items, &sum));
	for (long i = 0; i < ITEMS; i++)
		NEED(items[i] == i * (i + 1) / 2);
}

static int compare(const void *a, const void *b, void *arg)
{
	long x = *(const long *)a, y = *(const long *)b;

	(void)arg;
	return (x > y) - (x < y);
}

static void sort(void)
{
	static long many[20 * ITEMS];
	const long n = sizeof many / sizeof many[0];

	for (long i = 0; i < n; i++)
		many[i] = i * 7919 % n;
	NEED(!filch_sort(pool, many, (size_t)n, sizeof many[0], compare, NULL));
	for (long i = 1; i < n; i++)
		NEED(many[i - 1] <= many[i]);
}

static const struct {
	const char *name;
	void (*run)(void);
} parts[] = { { "nested", nested }, { "values", values }, { "chain", chain },
	{ "untyped", untyped }, { "by_id", by_id }, { "batch", batch },
	{ "queue_wait", queue_wait }, { "queue_poll", queue_poll }, { "callback", callback },
	{ "drain", drain }, { "cancel", cancel }, { "hooks", hooks }, { "scratch", scratch },
	{ "stuck", stuck }, { "loop", loop }, { "reduce", reduce }, { "scan", scan },
	{ "sort", sort } };

int main(int argc, char **argv)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	bool ran = false;

	NEED(argc == 3);
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_NO_PIN;
	NEED(!filch_pool_create(&pool, &config) && !filch_cq_create(&queue, 0));
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (strcmp(argv[1], parts[i].name) != 0)
			continue;
		for (int n = atoi(argv[2]); n > 0; n--)
			parts[i].run();
		ran = true;
	}
	NEED(!filch_pool_destroy(pool) && !filch_cq_destroy(queue));
	return !ran;
}
