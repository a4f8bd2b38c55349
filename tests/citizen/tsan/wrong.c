/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races that a ThreadSanitizer must report, though it sees nothing of the library's insides. Each
 * part has two accesses in two threads with nothing between them that orders them. `met` only makes
 * sure that both happen, and at about the same time; it is relaxed, and so orders nothing.
 *
 * usage: wrong PART
 */
#include <filch/filch.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

static struct filch_pool *pool;
static struct filch_cq *queue;
static long raced;
static int met;

static void arrive(void)
{
	__atomic_fetch_add(&met, 1, __ATOMIC_RELAXED);
}

static void meet(int n)
{
	while (__atomic_load_n(&met, __ATOMIC_RELAXED) < n)
		(void)poll(NULL, 0, 1);
}

/* A child and its spawner write, before the sync. */
FILCH_VOID_TASK(child, (long, x))
{
	raced = x;
	arrive();
}
FILCH_VOID_TASK(spawner, (long, x))
{
	FILCH_SPAWN(a, child, x);
	meet(1);
	raced = x + 1;
	FILCH_SYNC(a);
}
static bool before_sync(void)
{
	return !FILCH_RUN(pool, NULL, spawner, 1);
}

/* Two children of one spawner write. */
FILCH_VOID_TASK(brother, (long, x))
{
	arrive();
	meet(2);
	raced += x;
}
FILCH_VOID_TASK(mother, (long, x))
{
	FILCH_SPAWN(a, brother, x);
	FILCH_CALL(brother, x);
	FILCH_SYNC(a);
}
static bool two_children(void)
{
	return !FILCH_RUN(pool, NULL, mother, 1);
}

static int write_job(void *arg)
{
	*(long *)arg = 1;
	arrive();
	return 0;
}

/* The submitter goes on to write what it has handed over. */
static bool after_submit(void)
{
	int64_t id = filch_submit(pool, write_job, &raced, NULL);

	meet(1);
	raced = 2;
	return id > 0 && !filch_wait(pool, id, NULL, NULL);
}

/* The submitter has not waited for what it reads. */
static bool unawaited(void)
{
	int64_t id = filch_submit(pool, write_job, &raced, NULL);

	meet(1);
	return id > 0 && raced >= 0 && !filch_wait(pool, id, NULL, NULL);
}

/* The same of a completion that is in its queue and not reaped. */
static bool unreaped(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion done;

	how.cq = queue;
	if (filch_submit(pool, write_job, &raced, &how) < 0)
		return false;
	meet(1);
	return raced >= 0 && filch_cq_wait(queue, &done, 1, NULL) == 1;
}

/* Two jobs write. */
static int add_job(void *arg)
{
	arrive();
	meet(2);
	++*(long *)arg;
	return 0;
}
static bool two_jobs(void)
{
	int64_t a = filch_submit(pool, add_job, &raced, NULL),
		b = filch_submit(pool, add_job, &raced, NULL);

	return a > 0 && b > 0 && !filch_wait(pool, a, NULL, NULL) &&
	       !filch_wait(pool, b, NULL, NULL);
}

/* A callback writes what another thread reads. */
static void on_complete(const struct filch_completion *done)
{
	(void)done;
	raced = 1;
	arrive();
}
static int nothing(void *arg)
{
	(void)arg;
	return 0;
}
static bool from_callback(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.on_complete = on_complete;
	if (filch_submit(pool, nothing, NULL, &how) < 0)
		return false;
	meet(1);
	return raced >= 0;
}

/* Bodies of one loop add to one sum. */
static void add_bodies(size_t b, size_t e, void *arg)
{
	arrive();
	meet(2);
	*(long *)arg += (long)(e - b);
}
static bool loop_sum(void)
{
	return !filch_for(pool, 0, 2, 1, add_bodies, &raced);
}

/* Bodies of a reduction write beside their accumulator. */
static void fold(size_t b, size_t e, void *acc, void *arg)
{
	*(long *)acc += (long)(e - b);
	arrive();
	meet(2);
	++*(long *)arg;
}
static void join(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(long *)acc += *(const long *)right;
}
static bool beside_accumulator(void)
{
	const long zero = 0;
	long sum = 0;

	return !filch_reduce(pool, 0, 2, 1, sizeof sum, &zero, fold, join, &raced, &sum);
}

static const struct {
	const char *name;
	bool (*run)(void);
} parts[] = { { "before_sync", before_sync }, { "two_children", two_children },
	{ "after_submit", after_submit }, { "unawaited", unawaited }, { "unreaped", unreaped },
	{ "two_jobs", two_jobs }, { "from_callback", from_callback }, { "loop_sum", loop_sum },
	{ "beside_accumulator", beside_accumulator } };

int main(int argc, char **argv)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	bool ran = false;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_NO_PIN;
	if (argc != 2 || filch_pool_create(&pool, &config) || filch_cq_create(&queue, 0))
		return 2;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (!strcmp(argv[1], parts[i].name))
			ran = parts[i].run();
	if (filch_pool_destroy(pool) || filch_cq_destroy(queue))
		return 2;
	return ran ? 0 : 2;
}
