/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job from idle: from its submit to its first instruction, and to its submitter's return, for
 * each way of being told of its end, and for submitters that sleep, spin or go on.
 *
 * Contestants: filch with workers that are bound to their cores, and with FILCH_POOL_NO_PIN; the
 * baseline (a mutex and condition variables) likewise. One worker a core. All pools of a round
 * stand side by side and sleep, so that each meets the same machine; ways and contestants take
 * turns.
 *
 * Before each submit the submitter sleeps so long that all workers park and idle cores halt.
 *
 * Not good for: the cost of a hand-over between threads that are awake (filch-bench, trip hot).
 */
#define _GNU_SOURCE
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <filch/filch.h>

#include "baseline/baseline.h"
#include "number.h"
#include "stats.h"

#define ROUNDS_MAX     101
#define ROUNDS_DEFAULT 7
#define TRIPS          100
#define PAUSE_NS       2000000
#define GOES_ON_NS     300000

enum way { BY_ID, BY_RUN, BY_CQ, BY_DESCRIPTOR, BY_CALLBACK, BY_SEMAPHORE, SPINS, GOES_ON, WAYS };

static const char *const way_name[WAYS] = { "id", "FILCH_RUN", "completion queue",
	"descriptor under epoll", "callback", "a semaphore of its own", "a flag, it spins",
	"a flag, it goes on" };

struct contestant {
	const char *name;
	struct filch_pool *pool; /* filch, or */
	struct base_pool *base;  /* the baseline */
	struct filch_cq *cq;
	struct base_cq *base_cq;
	int epoll;
	size_t n[WAYS];
	double start[WAYS][ROUNDS_MAX * TRIPS], back[WAYS][ROUNDS_MAX * TRIPS];
};

static struct contestant contestants[] = { { .name = "filch" }, { .name = "filch, not bound" },
	{ .name = "baseline" }, { .name = "baseline, not bound" } };
#define CONTESTANTS (sizeof contestants / sizeof contestants[0])

static double started;
static atomic_bool done;
static sem_t told;
static int event; /* the baseline's descriptor */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int job(void *way)
{
	started = now();
	switch ((enum way)(uintptr_t)way) {
	case BY_SEMAPHORE:
		(void)sem_post(&told);
		break;
	case SPINS:
	case GOES_ON:
		atomic_store(&done, true);
		break;
	default:
		break;
	}
	return 0;
}

FILCH_VOID_TASK(task, (int, way))
{
	(void)way;
	started = now();
}

static void by_callback(const struct filch_completion *completion)
{
	(void)completion;
	(void)sem_post(&told);
}

static void base_task(struct base_worker *worker, struct base_task *ran)
{
	(void)worker;
	(void)ran;
	started = now();
}

/* The baseline has no descriptor and no callbacks: what a program would write there itself. */
static int base_event_job(void *way)
{
	(void)way;
	started = now();
	return eventfd_write(event, 1) ? -1 : 0;
}

static int base_callback_job(void *way)
{
	(void)way;
	started = now();
	return sem_post(&told);
}

/* Waits for what the job does, as the program of that way would. */
static int wait_here(enum way way, double since)
{
	if (way == BY_SEMAPHORE || way == BY_CALLBACK)
		return sem_wait(&told);
	while (way == GOES_ON && now() - since < GOES_ON_NS * 1e-9)
		;
	while (!atomic_load(&done))
		;
	return 0;
}

static int wait_descriptor(int epoll)
{
	struct epoll_event got;

	return epoll_wait(epoll, &got, 1, -1) == 1 ? 0 : -1;
}

static int trip_filch(struct contestant *c, enum way way, double since)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion completion;
	int64_t id;
	int n = 0;

	if (way == BY_RUN)
		return FILCH_RUN(c->pool, NULL, task, 0);
	if (way == BY_CQ || way == BY_DESCRIPTOR)
		how.cq = c->cq;
	else if (way == BY_CALLBACK)
		how.on_complete = by_callback;
	else if (way != BY_ID)
		how.flags = FILCH_JOB_DETACHED;
	id = filch_submit(c->pool, job, (void *)(uintptr_t)way, &how);
	if (id < 0)
		return (int)id;
	switch (way) {
	case BY_ID:
		return filch_wait(c->pool, id, NULL, NULL);
	case BY_CQ:
		return filch_cq_wait(c->cq, &completion, 1, NULL) == 1 ? 0 : -1;
	case BY_DESCRIPTOR:
		while (!n) {
			if (wait_descriptor(c->epoll))
				return -1;
			while ((id = filch_cq_reap(c->cq, &completion, 1)) > 0)
				n++;
		}
		return 0;
	default:
		return wait_here(way, since);
	}
}

static int trip_base(struct contestant *c, enum way way, double since)
{
	const struct base_submit detached = { .flags = BASE_DETACHED },
				 to_cq = { .cq = c->base_cq };
	struct base_completion completion;
	struct base_task ran;
	eventfd_t value;
	int64_t id;

	switch (way) {
	case BY_ID:
		id = base_submit(c->base, job, (void *)(uintptr_t)way, NULL);
		return id < 0 ? (int)id : base_wait(c->base, id, NULL);
	case BY_RUN:
		return base_run(c->base, &ran, base_task);
	case BY_CQ:
		id = base_submit(c->base, job, (void *)(uintptr_t)way, &to_cq);
		return id < 0 || base_cq_wait(c->base_cq, &completion, 1) != 1;
	case BY_DESCRIPTOR:
		id = base_submit(c->base, base_event_job, NULL, &detached);
		return id < 0 || wait_descriptor(c->epoll) || eventfd_read(event, &value);
	case BY_CALLBACK:
		id = base_submit(c->base, base_callback_job, NULL, &detached);
		break;
	default:
		id = base_submit(c->base, job, (void *)(uintptr_t)way, &detached);
	}
	return id < 0 ? (int)id : wait_here(way, since);
}

static int measure(struct contestant *c, enum way way)
{
	for (int i = 0; i < TRIPS; i++) {
		double since;
		int error;

		(void)nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
		atomic_store(&done, false);
		since = now();
		error = c->pool ? trip_filch(c, way, since) : trip_base(c, way, since);
		if (error) {
			fprintf(stderr, "told: %s, %s: %d\n", c->name, way_name[way], error);
			return error;
		}
		c->back[way][c->n[way]] = now() - since;
		c->start[way][c->n[way]++] = started - since;
	}
	return 0;
}

/* Every CPU that the program may use, one for each worker of the baseline. */
static int cpus_here(int *cpu, int most)
{
	cpu_set_t set;
	int n = 0;

	if (sched_getaffinity(0, sizeof set, &set))
		return 0;
	for (size_t i = 0; i < CPU_SETSIZE && n < most; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = (int)i;
	return n;
}

static int open_all(void)
{
	struct epoll_event in = { .events = EPOLLIN };
	static int cpu[CPU_SETSIZE];
	int cores = cpus_here(cpu, CPU_SETSIZE);

	event = eventfd(0, EFD_NONBLOCK);
	if (event < 0 || sem_init(&told, 0, 0))
		return -1;
	for (size_t i = 0; i < CONTESTANTS; i++) {
		struct contestant *c = &contestants[i];
		struct filch_config config = FILCH_CONFIG_INIT;
		struct base_config base = { .workers = cores, .cpus = i % 2 ? NULL : cpu };
		int error, fd = event;

		c->epoll = epoll_create1(0);
		config.flags = i % 2 ? FILCH_POOL_NO_PIN : 0;
		if (i < 2) {
			error = filch_pool_create(&c->pool, &config);
			error = error ? error : filch_cq_create(&c->cq, 0);
			fd = error ? -1 : filch_cq_fd(c->cq);
		} else {
			error = base_pool_create(&c->base, &base);
			error = error ? error : base_cq_create(&c->base_cq, c->base, 16);
		}
		if (error || c->epoll < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &in))
			return -1;
	}
	return 0;
}

static int close_all(void)
{
	int error = 0;

	for (size_t i = 0; i < CONTESTANTS; i++) {
		struct contestant *c = &contestants[i];

		if (c->pool) {
			error |= filch_pool_destroy(c->pool);
			error |= filch_cq_destroy(c->cq);
		} else {
			error |= base_cq_destroy(c->base_cq);
			base_pool_destroy(c->base);
		}
		(void)close(c->epoll);
	}
	(void)close(event);
	return error;
}

static void print(enum way way)
{
	for (size_t i = 0; i < CONTESTANTS; i++) {
		struct contestant *c = &contestants[i];
		double *start = c->start[way], *back = c->back[way];
		size_t n = c->n[way];

		printf("| %s | %s | %.1f | %.1f | %.1f | %.1f |\n", way_name[way], c->name,
			bench_percentile(start, n, 0.5) * 1e6,
			bench_percentile(start, n, 0.99) * 1e6,
			bench_percentile(back, n, 0.5) * 1e6,
			bench_percentile(back, n, 0.99) * 1e6);
	}
}

int main(int count, char **arg)
{
	double rounds = ROUNDS_DEFAULT;

	if (count > 2 || (count == 2 && !bench_number("ROUNDS", arg[1], strlen(arg[1]), true, 1,
						ROUNDS_MAX, &rounds)))
		return 2;
	if (open_all()) {
		fprintf(stderr, "told: a pool cannot be made\n");
		return 1;
	}
	for (int round = 0; round < (int)rounds; round++)
		for (enum way way = 0; way < WAYS; way++)
			for (size_t i = 0; i < CONTESTANTS; i++)
				if (measure(&contestants[i], way))
					return 1;
	printf("%d trips of each way, %d ms apart; us from the submit\n", (int)rounds * TRIPS,
		PAUSE_NS / 1000000);
	printf("| told by | | start p50 | p99 | back p50 | p99 |\n|---|---|---|---|---|---|\n");
	for (enum way way = 0; way < WAYS; way++)
		print(way);
	return close_all() != 0;
}
