/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snippets of docs/from-other-libraries.md for those who come from GThreadPool, libuv's queue,
 * zstd's POOL, kt_for, Cilk and Lace: the same small programs with filch.
 */
#include <errno.h>
#include <filch/filch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { ITEMS = 1000, LINES = 64 };

static atomic_long sum;

/* --- GThreadPool ------------------------------------------------------- */

static int add_item(void *item)
{
	atomic_fetch_add(&sum, *(long *)item);
	return 0;
}

static int push_all(long *item, size_t n)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.flags = FILCH_JOB_DETACHED; /* nobody asks for the result of one */
	for (size_t i = 0; i < n; i++) {
		int64_t id = filch_submit(NULL, add_item, &item[i], &how);

		if (id < 0)
			return (int)id;
	}
	return filch_pool_drain(
		filch_pool_default(), NULL); /* as g_thread_pool_free(p, FALSE, TRUE) */
}

/* --- POOL_* of zstd ---------------------------------------------------- */

struct pool {
	struct filch_pool *filch;
};

static int pool_create(struct pool *p, uint32_t threads, uint32_t queue)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = threads;
	config.queue_capacity = queue;
	config.flags = FILCH_POOL_OVERSUBSCRIBE; /* so many threads, whatever cores there are */
	return filch_pool_create(&p->filch, &config);
}

/* 0; or -EAGAIN, and the caller does something else first. */
static int pool_try_add(struct pool *p, filch_job_fn *fn, void *arg)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	how.flags = FILCH_JOB_DETACHED;
	how.when_full = FILCH_TRY; /* FILCH_BLOCK is POOL_add() */
	id = filch_submit(p->filch, fn, arg, &how);
	return id < 0 ? (int)id : 0;
}

static int pool_free(struct pool *p)
{
	int error = filch_pool_shutdown(p->filch, FILCH_DRAIN, NULL); /* POOL_joinJobs() */

	return error ? error : filch_pool_destroy(p->filch);
}

/* --- uv_queue_work ----------------------------------------------------- */

struct work {
	long in, out;
};

static int work_cb(void *arg)
{
	struct work *w = arg;

	w->out = w->in * w->in;
	return 0;
}

/* On the loop's thread, when filch_cq_fd() is readable: uv_poll_start() watches it. */
static long after_work(struct filch_cq *cq)
{
	struct filch_completion done[16];
	long squares = 0;
	int n;

	while ((n = filch_cq_reap(cq, done, 16)) > 0)
		for (int i = 0; i < n; i++) /* status -ECANCELED: uv_cancel() came in time */
			squares += done[i].status ? 0 : ((struct work *)done[i].arg)->out;
	return squares;
}

/* --- kt_for ------------------------------------------------------------ */

struct lines {
	const char *line[LINES];
	size_t length[LINES];
	size_t longest[1024]; /* of each worker */
};

static void measure(size_t begin, size_t end, void *data)
{
	struct lines *l = data;
	size_t *longest = &l->longest[filch_worker_id()]; /* kt_for()'s tid */

	for (size_t i = begin; i < end; i++) {
		l->length[i] = strlen(l->line[i]);
		if (l->length[i] > *longest)
			*longest = l->length[i];
	}
}

/* --- Cilk and Lace ----------------------------------------------------- */

FILCH_TASK(int, fib, (int, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	int b = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + b;
}

int main(void)
{
	static long item[ITEMS];
	static struct lines lines;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct work work[16];
	struct pool pool;
	size_t longest = 0;
	long squares = 0;
	int result = 0, error;

	for (int i = 0; i < ITEMS; i++)
		item[i] = i;
	if (push_all(item, ITEMS) || atomic_load(&sum) != (long)ITEMS * (ITEMS - 1) / 2)
		return 1;

	atomic_store(&sum, 0);
	if (pool_create(&pool, 2, 8))
		return 1;
	for (int i = 0; i < ITEMS; i++) {
		while ((error = pool_try_add(&pool, add_item, &item[i])) == -EAGAIN)
			;
		if (error)
			return 1;
	}
	if (pool_free(&pool) || atomic_load(&sum) != (long)ITEMS * (ITEMS - 1) / 2)
		return 1;

	if (filch_cq_create(&how.cq, 0))
		return 1;
	for (int i = 0; i < 16; i++) {
		work[i].in = i;
		if (filch_submit(NULL, work_cb, &work[i], &how) < 0)
			return 1;
	}
	if (filch_pool_drain(filch_pool_default(), NULL))
		return 1;
	squares = after_work(how.cq);
	if (filch_cq_destroy(how.cq) || squares != 1240)
		return 1;

	for (int i = 0; i < LINES; i++)
		lines.line[i] = i == 7 ? "a longer one" : "short";
	error = filch_for(NULL, 0, LINES, 1, measure, &lines);
	for (int i = 0; i < 1024; i++)
		longest = lines.longest[i] > longest ? lines.longest[i] : longest;
	if (error || longest != 12)
		return 1;

	error = FILCH_RUN(NULL, &result, fib, 20);
	if (error || result != 6765)
		return 1;
	printf("%ld, %zu, %d: as the others\n", squares, longest, result);
	return filch_pool_destroy(filch_pool_default());
}
