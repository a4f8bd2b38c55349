/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipeline of three steps over a bounded number of batches: one reads in order, the middle one
 * runs on many workers, the last one writes in order. The shape of read mappers again. Here the
 * middle step is a job, the order is that of a completion queue, and its capacity is the bound.
 * Several pipelines share one pool.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "pools.h"

/* --- the shape ---------------------------------------------------------- */

/*
 * Step 0 returns a new batch, or NULL at the end; step 1 what it makes of one; step 2 takes that.
 * Steps 0 and 2 are called in order, by one thread each.
 */
struct kt_pipeline {
	struct filch_pool *pool;
	struct filch_cq *cq;
	void *(*step)(void *shared, int step, void *batch);
	void *shared;
};

struct kt_batch {
	const struct kt_pipeline *pipeline;
	void *batch;
};

static int kt_middle(void *arg)
{
	struct kt_batch *b = arg;

	b->batch = b->pipeline->step(b->pipeline->shared, 1, b->batch);
	return 0;
}

static void *kt_read(void *arg)
{
	const struct kt_pipeline *p = arg;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	void *batch;

	how.cq = p->cq;
	how.flags = FILCH_JOB_WAIT_CQ;
	do {
		struct kt_batch *b = malloc(sizeof *b);

		CHECK(b, "no memory");
		batch = p->step(p->shared, 0, NULL);
		*b = (struct kt_batch){ p, batch };
		/* the end goes the same way, and so comes last */
		how.user = batch ? NULL : b;
		CHECK(filch_submit(p->pool, kt_middle, b, &how) > 0, "refused");
	} while (batch);
	return NULL;
}

static void kt_pipeline(struct filch_pool *pool, uint32_t at_once,
	void *(*step)(void *shared, int step, void *batch), void *shared)
{
	struct kt_pipeline p = { .pool = pool, .step = step, .shared = shared };
	struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;
	struct filch_completion done;
	pthread_t reader;
	bool end;

	config.flags = FILCH_CQ_ORDERED;
	config.capacity = at_once;
	CHECK_EQ(filch_cq_create_with(&p.cq, &config), 0);
	CHECK_EQ(pthread_create(&reader, NULL, kt_read, &p), 0);
	do {
		struct kt_batch *b;

		CHECK_EQ(filch_cq_wait(p.cq, &done, 1, NULL), 1);
		b = done.arg;
		end = done.user != NULL;
		if (!end)
			(void)step(shared, 2, b->batch);
		free(b);
	} while (!end);
	pthread_join(reader, NULL);
	CHECK_EQ(filch_cq_destroy(p.cq), 0);
}

/* --- a program of that shape ------------------------------------------- */

enum { AT_ONCE = 12 };

struct batch {
	uint64_t number, sum;
};

struct stream {
	uint64_t n, read, written;
	_Atomic int64_t out, out_most; /* batches that were read and not yet written */
	_Atomic uint64_t middle, overtaken;
	_Atomic uint64_t newest; /* that the middle step has done */
};

static uint64_t work_of(uint64_t number)
{
	uint64_t sum = number;

	/* of uneven length, so that batches overtake each other */
	for (uint64_t i = 0; i < number * number % 3000; i++)
		sum = sum * UINT64_C(6364136223846793005) + i;
	return sum;
}

static void *step(void *shared, int number, void *batch)
{
	struct stream *s = shared;
	struct batch *b = batch;
	uint64_t newest;
	int64_t out;

	switch (number) {
	case 0:
		if (s->read == s->n)
			return NULL;
		out = atomic_fetch_add(&s->out, 1) + 1;
		if (out > s->out_most)
			s->out_most = out;
		b = malloc(sizeof *b);
		CHECK(b, "no memory");
		b->number = s->read++;
		return b;
	case 1:
		if (!b)
			return NULL;
		b->sum = work_of(b->number);
		atomic_fetch_add(&s->middle, 1);
		newest = s->newest;
		s->overtaken += b->number < newest;
		if (b->number > newest)
			s->newest = b->number;
		return b;
	default:
		CHECK_EQ(b->number, s->written);
		CHECK_EQ(b->sum, work_of(b->number));
		s->written++;
		atomic_fetch_sub(&s->out, 1);
		free(b);
		return NULL;
	}
}

static struct filch_pool *pool;

static void *run_one(void *arg)
{
	kt_pipeline(pool, AT_ONCE, step, arg);
	return NULL;
}

static void pipelines_write_in_the_order_they_have_read(void)
{
	enum { PIPELINES = 3 };
	uint64_t overtaken = 0;

	pool = pool_open(4, 0);
	for (int round = 0; round < 100 && !overtaken; round++) {
		struct stream stream[PIPELINES] = { 0 };
		pthread_t thread[PIPELINES];

		test_watchdog(120);
		for (int i = 0; i < PIPELINES; i++) {
			stream[i].n = test_scaled(20000);
			CHECK_EQ(pthread_create(&thread[i], NULL, run_one, &stream[i]), 0);
		}
		for (int i = 0; i < PIPELINES; i++) {
			pthread_join(thread[i], NULL);
			CHECK_EQ(stream[i].written, stream[i].n);
			CHECK_EQ(stream[i].middle, stream[i].n);
			/* one that the reader holds, and one that the writer does */
			CHECK(stream[i].out_most <= AT_ONCE + 2, "%lld out at once",
				(long long)stream[i].out_most);
			overtaken += stream[i].overtaken;
		}
	}
	printf("    overtaken in the middle: %llu\n", (unsigned long long)overtaken);
	CHECK(overtaken, "no batch overtook another");
	pool_close(pool);
}

int main(void)
{
	test_case("pipelines write in the order they have read",
		pipelines_write_in_the_order_they_have_read);
	return test_finish("kt_pipeline");
}
