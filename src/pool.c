/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's life: create, drain, shut down, destroy.
 *
 * Create makes everything in an order in which each step can be undone, then starts the workers and waits until each has made its
 * deque on its own core. A thread that cannot be started means fewer workers: the seats behind it stay empty, which thieves see as
 * empty deques, and the report says so. A thread that is lost later is replaced (seat.c). Destroy closes, completes, stops, joins,
 * lets guests leave, and frees in reverse.
 *
 * fork(): the child has the memory but not the threads. A handler in the child moves a generation on, which every call compares.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "membarrier.h"
#include "submit.h"
#include "warden.h"
#include "watchdog.h"

#define PAGE 4096u

/* --- fork -------------------------------------------------------------------------------------------------------------------- */

static filch_atomic_u32 fork_generation;

static void in_child(void)
{
	filchi_store_relaxed(&fork_generation, filchi_load_relaxed(&fork_generation) + 1);
	filchi_worker_set_self(NULL);
	(void)filchi_foreign_forget();
	filchi_jobs_after_fork(true);
	filchi_cqs_after_fork(true);
	filchi_guard_in_child();
	filchi_watchdog_in_child();
}

static void before_fork(void)
{
	filchi_watchdog_before_fork();
	filchi_guard_before_fork();
	filchi_cqs_before_fork();
	filchi_jobs_before_fork();
}

static void in_parent(void)
{
	filchi_jobs_after_fork(false);
	filchi_cqs_after_fork(false);
	filchi_guard_after_fork();
	filchi_watchdog_after_fork();
}

/* At the start of the program, not with the first pool: a fork that has begun runs only the handlers it found. */
__attribute__((constructor)) static void watch_forks(void)
{
	(void)pthread_atfork(before_fork, in_parent, in_child);
}

bool filchi_forked(const struct filch_pool *pool)
{
	return pool->fork_generation != filchi_load_relaxed(&fork_generation);
}

/* --- create ------------------------------------------------------------------------------------------------------------------ */

static int note(struct filch_pool *pool, const char *line)
{
	size_t old = strlen(pool->plan->reasons), more = strlen(line);
	char *text = realloc(pool->plan->reasons, old + more + 1);

	if (!text)
		return -ENOMEM;
	memcpy(text + old, line, more + 1);
	pool->plan->reasons = text;
	return 0;
}

/* Of the variables that are 0 or 1, those that are neither. FILCH_NO_PIN is placement's. */
static void note_words(struct filch_pool *pool)
{
	const char *fence = getenv("FILCH_MEMBARRIER"), *verbose = getenv("FILCH_VERBOSE");

	if (fence && strcmp(fence, "0") && strcmp(fence, "1"))
		(void)note(pool, "FILCH_MEMBARRIER is neither 0 nor 1: ignored\n");
	if (verbose && strcmp(verbose, "0") && strcmp(verbose, "1"))
		(void)note(pool, "FILCH_VERBOSE is neither 0 nor 1: ignored\n");
}

/* The fields that are right before the worker's own thread runs. */
static void worker_init(struct filch_pool *pool, uint32_t i)
{
	struct filchi_worker *w = filchi_worker_at(pool, i);

	w->pool = pool;
	w->id = i;
	filchi_sleeper_init(&w->sleeper);
	filchi_victim_init(&w->victim, pool->plan, i, filchi_now() ^ (uint64_t)i << 32);
}

/* A hook of worker 0 of a pool with FILCH_POOL_CALLER, on the calling thread. */
static void call_hook(struct filch_pool *pool, void (*hook)(void *arg, int worker))
{
	struct filchi_worker *outer = filchi_worker_self();

	if (!hook)
		return;
	filchi_worker_set_self(pool->first);
	hook(pool->config.hook_arg, 0);
	filchi_worker_set_self(outer);
}

/* The creating thread takes seat 0: it has a stack of its own, a deque is all it needs. */
static int start_caller(struct filch_pool *pool)
{
	struct filchi_worker *w = pool->first;
	pthread_attr_t attr;
	void *stack;
	size_t size;

	if (!filchi_worker_make_deque(w))
		return -ENOMEM;
	if (!pthread_getattr_np(pthread_self(), &attr)) {
		if (!pthread_attr_getstack(&attr, &stack, &size))
			w->stack_low = filchi_seat_low_mark(stack, size);
		pthread_attr_destroy(&attr);
	}
	pool->caller = pthread_self();
	pool->has_caller = true;
	call_hook(pool, pool->config.on_worker_start);
	return 0;
}

static void join_workers(struct filch_pool *pool)
{
	filchi_warden_stop(pool);
	if (pool->has_caller)
		call_hook(pool, pool->config.on_worker_stop);
	filchi_store_then_fence(&pool->stop, 1);
	for (uint32_t i = 0; i < pool->workers; i++)
		(void)filchi_worker_wake(pool, filchi_worker_at(pool, i));
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (w->shift)
			filchi_seat_join(w->shift);
	}
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (w->has_deque)
			filchi_deque_destroy(&w->deque);
	}
	if (pool->guards)
		filchi_guard_remove();
}

/* Starts the workers; 0 or the error that left none, or one without memory. */
static int start_workers(struct filch_pool *pool)
{
	uint32_t first = 0, i;
	int error = 0;

	if (pool->guards || pool->config.watchdog_ns) {
		error = filchi_warden_start(pool);
		if (error)
			return -error;
	}
	if (pool->config.flags & FILCH_POOL_CALLER) {
		error = start_caller(pool);
		if (error)
			return error;
		first = 1;
	}
	for (i = first; i < pool->workers; i++) {
		error = filchi_seat_start(filchi_worker_at(pool, i));
		if (error)
			break;
	}
	if (!i)
		return -error;
	if (i < pool->workers) {
		char line[128];

		pool->running = i;
		snprintf(line, sizeof line, "%u of %u workers: thread %u could not be started: %s\n", i, pool->workers, i,
			 strerrordesc_np(error));
		(void)note(pool, line);
	}
	for (uint32_t ready; (ready = filchi_load_acquire(&pool->ready)) < i - first;)
		(void)filchi_futex_wait(&pool->ready, ready, NULL);
	for (i = first; i < pool->running; i++)
		if (filchi_worker_at(pool, i)->no_memory)
			return -ENOMEM;
	return 0;
}

static int make_plan(struct filch_pool *pool)
{
	const struct filchi_place_request request = {
		.workers = pool->config.workers,
		.workload = pool->config.workload,
		.reserve_cores = pool->config.reserve_cores,
		.flags = pool->config.flags,
		.cpuset = pool->config.cpuset,
	};

	return filchi_plan_make(&request, &pool->plan);
}

int filch_pool_create(struct filch_pool **out, const struct filch_config *config)
{
	struct filch_config own;
	struct filch_pool *pool;
	const char *text, *verbose;
	uint32_t slots;
	int error;

	if (!out)
		return -EINVAL;
	error = filchi_config_import(&own, config, &text);
	if (error)
		return error;
	pool = aligned_alloc(FILCH_CACHELINE, sizeof *pool);
	if (!pool)
		return -ENOMEM;
	memset((void *)pool, 0, sizeof *pool);
	pool->config = own;
	pool->config.cpuset = NULL; /* the caller's string; placement has it below */
	pool->fork_generation = filchi_load_relaxed(&fork_generation);
	pool->search_ns = own.search_ns;
	pool->no_search = own.flags & FILCH_POOL_NO_SEARCH;
	pool->name = strdup(own.name);
	error = -ENOMEM;
	if (!pool->name)
		goto no_name;
	pool->config.name = pool->name;
	pool->config.cpuset = own.cpuset;
	error = make_plan(pool);
	pool->config.cpuset = NULL;
	if (error)
		goto no_plan;
	if (text)
		(void)note(pool, text);
	pool->workers = pool->plan->workers;
	pool->running = pool->workers;
	note_words(pool);
	pool->fenced = !filchi_membarrier_register();
	if (pool->fenced)
		(void)note(pool, filchi_membarrier_unwanted() ? "FILCH_MEMBARRIER=0: spawns and syncs carry full fences\n" :
								"membarrier(2) is refused: spawns and syncs carry full fences\n");
	error = -ENOMEM;
	pool->pin_error = malloc(pool->workers * sizeof pool->pin_error[0]);
	if (!pool->pin_error)
		goto no_pins;
	for (uint32_t i = 0; i < pool->workers; i++)
		pool->pin_error[i] = FILCHI_PIN_PENDING;
	pool->stride = (sizeof(struct filchi_worker) + PAGE - 1) / PAGE * PAGE;
	pool->map_size = pool->stride * pool->workers;
	pool->first = mmap(NULL, pool->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pool->first == MAP_FAILED)
		goto no_workers;
	pool->marks = (struct filchi_marks){ .base = (uintptr_t)pool->first, .stride = pool->stride, .size = pool->map_size };
	error = filchi_jobs_init(&pool->jobs, own.jobs_max, pool->workers + 64, &slots);
	if (error)
		goto no_jobs;
	error = filchi_injector_init(&pool->injector, slots, own.queue_capacity);
	if (error)
		goto no_injector;
	filchi_idle_init(&pool->idle);
	for (uint32_t i = 0; i < pool->workers; i++)
		worker_init(pool, i);
	pool->guards = own.flags & FILCH_POOL_GUARD;
	error = pool->guards ? filchi_guard_install() : 0;
	if (error) {
		pool->guards = false;
		goto no_threads;
	}
	error = start_workers(pool);
	if (error)
		goto no_threads;
	*out = pool;
	verbose = getenv("FILCH_VERBOSE");
	if (verbose && !strcmp(verbose, "1"))
		(void)filch_pool_describe(pool, stderr, FILCH_TEXT);
	return 0;
no_threads:
	join_workers(pool);
	filchi_injector_destroy(&pool->injector);
no_injector:
	filchi_jobs_destroy(&pool->jobs);
no_jobs:
	munmap(pool->first, pool->map_size);
no_workers:
	free(pool->pin_error);
no_pins:
	filchi_plan_free(pool->plan);
no_plan:
	free(pool->name);
no_name:
	free(pool);
	return error;
}

/* --- drain, shut down, destroy ----------------------------------------------------------------------------------------------- */

/* Calls that wait for the pool's work may not be made by what does that work. */
static int check_outside(struct filch_pool *pool)
{
	struct filchi_worker *w = filchi_worker_self();

	if (!pool)
		return -EINVAL;
	if (filchi_forked(pool))
		return -ECHILD;
	if (pool->has_warden && pthread_equal(pool->warden, pthread_self()))
		return -EDEADLK; /* on_stuck: it would wait for itself */
	return (w && w->pool == pool) || filchi_job_in_callback(&pool->jobs) || filchi_runs_job_of(pool) ? -EDEADLK : 0;
}

static bool is_pending(uint64_t s)
{
	return FILCHI_JOB_STATE(s) >= FILCHI_JOB_QUEUED && FILCHI_JOB_STATE(s) <= FILCHI_JOB_FINISHING;
}

/*
 * Cancels what has not started, then raises the flag of what runs: in this order, or a job that heeds its flag would make way for
 * one that is still to be cancelled.
 */
void filchi_pool_cancel_all(struct filch_pool *pool)
{
	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < pool->jobs.slots; i++) {
			struct filchi_job *job = &pool->jobs.slot[i];
			uint64_t s = filchi_load_acquire(&job->state);
			int64_t id = filchi_job_id_of(&pool->jobs, job, s);

			if (!is_pending(s))
				continue;
			if (pass == 0)
				(void)filchi_cancel_queued(pool, job, id);
			else
				(void)filchi_job_flag(&pool->jobs, job, id, FILCHI_JOB_CANCEL);
		}
	}
}

/* Waits until every job that is unfinished now has finished. */
static int await_all(struct filch_pool *pool, const struct timespec *deadline)
{
	filchi_run_queued_as_caller(pool, deadline); /* in their order */
	for (uint32_t i = 0; i < pool->jobs.slots; i++) {
		struct filchi_job *job = &pool->jobs.slot[i];
		uint64_t s = filchi_load_acquire(&job->state);

		if (is_pending(s)) {
			int64_t id = filchi_job_id_of(&pool->jobs, job, s);
			int error;

			filchi_run_as_caller(pool, job, id, deadline);
			error = filchi_job_await(&pool->jobs, job, id, deadline);
			if (error)
				return error;
		}
	}
	return 0;
}

/* The same as a guest; on the creator of a FILCH_POOL_CALLER pool callbacks and jobs run in here, and may leave the thread. */
static int await_as_guest(struct filch_pool *pool, const struct timespec *deadline)
{
	int error;

	filchi_guest_in(pool);
	pthread_cleanup_push(filchi_guest_left, pool);
	error = await_all(pool, deadline);
	pthread_cleanup_pop(1);
	return error;
}

int filch_pool_drain(struct filch_pool *pool, const struct timespec *deadline)
{
	int error = check_outside(pool);

	if (error)
		return error;
	if (!filchi_deadline_ok(deadline))
		return -EINVAL;
	if (filchi_caller_is_away(pool))
		return -EDEADLK;
	return await_as_guest(pool, deadline);
}

void filchi_pool_close(struct filch_pool *pool)
{
	/*
	 * FENCE S2   set closing -> scan the slots          pairs with: S1 in filchi_submit_one()
	 * Ensures, without, weaker: see S1. Blocked submitters see the flag when the word they sleep on changes.
	 * Checked:   tests/stress/shutdown.c
	 */
	filchi_store_then_fence(&pool->closing, 1);
	FILCH_HOOK(closing_set);
	filchi_injector_close(&pool->injector);
}

int filch_pool_shutdown(struct filch_pool *pool, int mode, const struct timespec *deadline)
{
	int error = check_outside(pool);

	if (error)
		return error;
	if ((mode != FILCH_DRAIN && mode != FILCH_ABANDON) || !filchi_deadline_ok(deadline))
		return -EINVAL;
	if (mode == FILCH_DRAIN && filchi_caller_is_away(pool))
		return -EDEADLK;
	filchi_pool_close(pool);
	if (mode == FILCH_ABANDON)
		filchi_pool_cancel_all(pool); /* the program's code, in callbacks: no guest yet, for it may leave the thread */
	return await_as_guest(pool, deadline);
}

int filch_pool_destroy(struct filch_pool *pool)
{
	int error = check_outside(pool);
	uint32_t guests;

	if (error)
		return error;
	filchi_pool_close(pool);
	filchi_pool_cancel_all(pool);
	(void)await_all(pool, NULL);
	if (!(filchi_load_acquire(&pool->guests) & FILCHI_GUESTS_AWAITED)) /* else a destroy before this one was left in a hook */
		(void)filchi_fetch_add_seq_cst(&pool->guests, FILCHI_GUESTS_AWAITED);
	while ((guests = filchi_load_acquire(&pool->guests)) != FILCHI_GUESTS_AWAITED)
		(void)filchi_futex_wait(&pool->guests, guests, NULL);
	join_workers(pool);
	filchi_injector_destroy(&pool->injector);
	filchi_jobs_destroy(&pool->jobs);
	munmap(pool->first, pool->map_size);
	free(pool->pin_error);
	filchi_plan_free(pool->plan);
	free(pool->name);
	free(pool);
	return 0;
}

/* --- asking ------------------------------------------------------------------------------------------------------------------ */

int filch_pool_workers(const struct filch_pool *pool)
{
	return pool ? (int)pool->running : -EINVAL;
}

struct filch_pool *filch_pool_current(void)
{
	struct filchi_worker *w = filchi_worker_self();

	return w ? w->pool : NULL;
}

int filch_worker_id(void)
{
	struct filchi_worker *w = filchi_worker_self();

	return w ? (int)w->id : -1;
}

int filch_pool_describe(const struct filch_pool *pool, FILE *out, int format)
{
	struct filch_pool *p = (struct filch_pool *)(uintptr_t)pool; /* read only, the loads want them plain */
	struct filchi_plan plan;
	uint32_t vacant;
	char *text = NULL;
	int error;

	if (!pool || !out)
		return -EINVAL;
	plan = *pool->plan;
	vacant = filchi_load_acquire(&p->vacant);
	if (vacant) {
		if (asprintf(&text, "%s%u of %u workers lost and not replaced: %s\n", plan.reasons, vacant, pool->running,
			     strerrordesc_np((int)filchi_load_relaxed(&p->vacant_error))) < 0)
			return -ENOMEM;
		plan.reasons = text;
	}
	error = filchi_plan_write(&plan, out, format, &(struct filchi_pin_state){ .error = pool->pin_error, .workers = pool->running });
	free(text);
	return error;
}

struct timespec filch_after(uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)(ns / UINT64_C(1000000000)); /* 584 years at the most: added apart, neither can overflow */
	t.tv_nsec += (long)(ns % UINT64_C(1000000000));
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}
