/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that pause, and occupy no worker meanwhile: each asks a timer to finish it at a time, defers
 * its end, and returns. A retry after a while, or a rate limit, is the same. One thread serves all
 * timers.
 */
#include <filch/filch.h>
#include <pthread.h>
#include <stdio.h>

enum { PAUSES = 100 };

struct pause {
	uint64_t ns;
	struct timespec due;
	int64_t id;
	struct pause *next; /* due later */
};

static struct filch_pool *pool;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* by the clock of deadlines, CLOCK_MONOTONIC */
static struct pause *first;
static bool over;

static bool is_before(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* The job. */
static int pause_for(void *arg)
{
	struct pause *p = arg, **at = &first;

	p->id = filch_job_defer(); /* before the timer can know of it */
	p->due = filch_after(p->ns);
	pthread_mutex_lock(&lock);
	while (*at && !is_before(p->due, (*at)->due))
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void *timer(void *failures)
{
	pthread_mutex_lock(&lock);
	while (!over) {
		struct pause *p = first;

		if (!p) {
			pthread_cond_wait(&changed, &lock);
		} else if (is_before(filch_after(0), p->due)) {
			(void)pthread_cond_timedwait(&changed, &lock, &p->due);
		} else {
			first = p->next;
			pthread_mutex_unlock(&lock); /* a callback would run in the finish */
			if (filch_job_finish(pool, p->id, 0))
				*(int *)failures += 1;
			pthread_mutex_lock(&lock);
		}
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	static struct pause pause[PAUSES];
	static int64_t id[PAUSES];
	struct timespec begin = filch_after(0), end;
	pthread_condattr_t monotonic;
	pthread_t thread;
	int failures = 0, early = 0;

	if (pthread_condattr_init(&monotonic) ||
		pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) ||
		pthread_cond_init(&changed, &monotonic) || filch_pool_create(&pool, NULL) ||
		pthread_create(&thread, NULL, timer, &failures))
		return 1;
	for (int i = 0; i < PAUSES; i++) {
		pause[i].ns = UINT64_C(20000000) + (uint64_t)(i * 37 % PAUSES) * 300000;
		id[i] = filch_submit(pool, pause_for, &pause[i], NULL);
		if (id[i] < 0)
			return 1;
	}
	for (int i = 0; i < PAUSES; i++) {
		struct filch_completion done;

		if (filch_wait(pool, id[i], NULL, &done) || done.status)
			failures++;
		else if (is_before(filch_after(0), pause[i].due))
			early++;
	}
	end = filch_after(0);
	pthread_mutex_lock(&lock);
	over = true;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	printf("%d pauses of 20 to 50 ms within %lld ms, %d early, %d failures\n", PAUSES,
		(long long)(end.tv_sec - begin.tv_sec) * 1000 +
			(end.tv_nsec - begin.tv_nsec) / 1000000,
		early, failures);
	return filch_pool_destroy(pool) || early || failures;
}
