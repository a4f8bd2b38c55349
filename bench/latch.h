/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A count-down latch for bare jobs: the last of them wakes the driver.
 *
 * The one atomic counter of the benchmarks. It is shared by every worker and costs every contestant
 * the same, as the reference count of a real program would. C11 atomics, because this is user code;
 * the library's own are in two files of its own.
 */
#ifndef BENCH_LATCH_H
#define BENCH_LATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct bench_latch {
	atomic_uint_fast64_t left;
	pthread_mutex_t lock;
	pthread_cond_t zero;
	int open;
};

static inline void bench_latch_init(struct bench_latch *l, uint64_t count)
{
	atomic_init(&l->left, count);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->zero, NULL);
	l->open = 0;
}

/*
 * Release for what the job wrote; acquire so that the last one has seen all of it and passes it on
 * through the mutex.
 */
static inline void bench_latch_count(struct bench_latch *l)
{
	if (atomic_fetch_sub_explicit(&l->left, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_lock(&l->lock);
	l->open = 1;
	pthread_cond_signal(&l->zero);
	pthread_mutex_unlock(&l->lock);
}

static inline void bench_latch_wait(struct bench_latch *l)
{
	pthread_mutex_lock(&l->lock);
	while (!l->open)
		pthread_cond_wait(&l->zero, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static inline void bench_latch_destroy(struct bench_latch *l)
{
	pthread_cond_destroy(&l->zero);
	pthread_mutex_destroy(&l->lock);
}

#endif
