/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order: pipelines side by side over one pool. Each has a feeder, jobs of uneven length on any
 * worker, and a writer that reaps in order from a queue which bounds the memory. Submits wait for
 * room in the queue, or are refused and leave no gap; jobs are cancelled; a pipeline is flushed and
 * ended while the others run.
 *
 * Ledgers: every number of a pipeline is written once, and each writer sees them in order. Counted:
 * jobs that ended before an earlier one, submits that waited for room, refusals, cancellations.
 *
 * timeout: 200
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include <struct/cq_cells.h>

#include "ledger.h"
#include "pools.h"

#define PIPELINES 3u
#define CAPACITY  13u
#define LAPS      4u /* a pipeline ends and begins anew so often */

struct pipeline {
	struct filch_cq *cq;
	struct ledger written;
	uint64_t n;
	_Atomic uint64_t ended; /* the highest number whose job has ended */
	bool by_descriptor;
	pthread_t feeder, writer;
};

static struct filch_pool *pool;
static struct {
	_Atomic uint64_t overtaken, waited, refused, cancelled;
} met;

struct item {
	struct pipeline *of;
	uint64_t number;
	bool ran;
};

static int work(void *arg)
{
	struct item *item = arg;
	uint64_t last = item->of->ended;

	for (volatile uint64_t i = ledger_mix(item->number) % 512; i; i--)
		;
	item->ran = true;
	while (last < item->number &&
		!atomic_compare_exchange_weak(&item->of->ended, &last, item->number))
		;
	if (last > item->number)
		met.overtaken++;
	return 1;
}

static void *feed(void *arg)
{
	struct pipeline *p = arg;

	for (uint64_t number = 0; number < p->n;) {
		struct item *item = malloc(sizeof *item);
		struct filch_submit how = FILCH_SUBMIT_INIT;
		int64_t id;

		CHECK(item, "%d", errno);
		*item = (struct item){ .of = p, .number = number };
		how.cq = p->cq;
		how.flags = FILCH_JOB_WAIT_CQ;
		how.when_full = number % 7 == 3 ? FILCH_TRY : FILCH_BLOCK;
		id = filch_submit(pool, work, item, &how);
		if (id < 0) {
			CHECK_EQ(id, -EAGAIN);
			met.refused++;
			free(item);
			sched_yield();
			continue;
		}
		if (number % 64 == 5 && filch_cancel(pool, id) == 0)
			met.cancelled++;
		number++;
	}
	return NULL;
}

/* A writer that looks for it finds the feeder waiting for room, sooner or later. */
static void look_for_a_waiting_submit(struct pipeline *p)
{
	met.waited += filchi_load_acquire(&p->cq->blocked) > 0;
}

static void *write_in_order(void *arg)
{
	struct pipeline *p = arg;
	struct filch_completion c[8];
	struct pollfd fd = { .fd = p->by_descriptor ? filch_cq_fd(p->cq) : -1, .events = POLLIN };

	for (uint64_t next = 0; next < p->n;) {
		int got;

		if (p->by_descriptor) {
			got = filch_cq_reap(p->cq, c, 8);
			if (!got)
				CHECK(poll(&fd, 1, -1) == 1, "%d", errno);
		} else {
			got = filch_cq_wait(p->cq, c, 1 + next % 8, NULL);
			CHECK(got > 0, "%d", got);
		}
		look_for_a_waiting_submit(p);
		for (int i = 0; i < got; i++) {
			struct item *item = c[i].arg;

			CHECK(item->of == p, "%p", (void *)item->of);
			CHECK_EQ(item->number, next);
			CHECK_EQ(c[i].status, item->ran ? 1 : -ECANCELED);
			ledger_enter(&p->written, next++);
			free(item);
		}
	}
	return NULL;
}

/* One pipeline, LAPS times: its own queue each time, flushed and destroyed at the end. */
static void *run_pipeline(void *arg)
{
	struct pipeline *p = arg;

	for (unsigned lap = 0; lap < LAPS; lap++) {
		struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;

		config.flags = FILCH_CQ_ORDERED;
		config.capacity = CAPACITY;
		CHECK_EQ(filch_cq_create_with(&p->cq, &config), 0);
		p->ended = 0;
		ledger_open(&p->written, p->n);
		CHECK_EQ(pthread_create(&p->feeder, NULL, feed, p), 0);
		CHECK_EQ(pthread_create(&p->writer, NULL, write_in_order, p), 0);
		CHECK_EQ(pthread_join(p->feeder, NULL), 0);
		CHECK_EQ(pthread_join(p->writer, NULL), 0);
		CHECK_EQ(filch_cq_destroy(p->cq), 0);
		ledger_close(&p->written);
	}
	return NULL;
}

static bool covered(void)
{
	return met.overtaken && met.waited && met.refused && met.cancelled;
}

static void pipelines_of(uint64_t n)
{
	struct pipeline p[PIPELINES] = { 0 };
	pthread_t thread[PIPELINES];

	pool = pool_open(4, 0);
	for (unsigned i = 0; i < PIPELINES; i++) {
		p[i].n = n / LAPS + 1;
		p[i].by_descriptor = i == 1;
		CHECK_EQ(pthread_create(&thread[i], NULL, run_pipeline, &p[i]), 0);
	}
	for (unsigned i = 0; i < PIPELINES; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	pool_close(pool);
}

static void each_pipeline_keeps_its_order(void)
{
	for (unsigned round = 0; round < 1 || (!covered() && round < 100); round++) {
		test_watchdog(150);
		pipelines_of(test_scaled(40000));
	}
	printf("    %llu ended before an earlier one, %llu times a submit waited, %llu refused, "
	       "%llu cancelled\n",
		(unsigned long long)met.overtaken, (unsigned long long)met.waited,
		(unsigned long long)met.refused, (unsigned long long)met.cancelled);
	CHECK(covered(), "not all was met");
}

int main(void)
{
	pools_begin();
	test_case("each pipeline keeps its order", each_pipeline_keeps_its_order);
	return test_finish("order");
}
