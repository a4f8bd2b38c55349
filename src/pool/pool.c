/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's life: create, drain, shut down, destroy.
 *
 * Create is a list of steps; the last one starts the workers and waits until each has made its
 * deque on its own core. A thread that cannot be started means fewer workers: the seats behind it
 * stay empty, which thieves see as empty deques, and the report says so. A thread that is lost
 * later is replaced (thread.c). Destroy closes, completes, lets clients leave, and ends as a create
 * that has failed: one function takes a pool apart, however much of it there is.
 *
 * fork(): the child has the memory but not the threads. A handler in the child moves a generation
 * on, which every call compares.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/environment.h"
#include "base/fork.h"
#include "base/libc.h"
#include "base/map.h"
#include "base/membarrier.h"
#include "calls/close.h"
#include "calls/submit.h"
#include "core/elastic.h"
#include "core/errand.h"
#include "core/given.h"
#include "core/live_words.h"
#include "core/serial.h"
#include "place/topology.h"
#include "pool/attendant.h"
#include "pool/config.h"
#include "pool/live.h"
#include "pool/making.h"
#include "pool/service.h"
#include "pool/timer.h"
#include "pool/tracing.h"
#include "pool/watchdog.h"
#include "struct/closing.h"

#define PAGE 4096u

/* --- fork ------------------------------------------------------------- */

static void in_child(void)
{
	filchi_fork_count();
	filchi_pin_in_child();
	filchi_seats_in_child();
	filchi_this_thread_forked();
	filchi_abroad_in_child();
	filchi_jobs_after_fork();
	filchi_cqs_after_fork();
	filchi_closing_after_fork();
	filchi_fault_in_child();
	filchi_watchdog_in_child();
	filchi_default_in_child();
	filchi_live_in_child();
	filchi_trace_in_child();
}

static void before_fork(void)
{
	filchi_this_thread.forks = true;
	filchi_trace_before_fork();
	filchi_live_before_fork();
	filchi_seats_before_fork();
	filchi_watchdog_before_fork();
	filchi_fault_before_fork();
	filchi_closing_before_fork();
	filchi_cqs_before_fork();
	filchi_jobs_before_fork();
	filchi_abroad_before_fork();
}

static void in_parent(void)
{
	filchi_abroad_after_fork();
	filchi_jobs_after_fork();
	filchi_cqs_after_fork();
	filchi_closing_after_fork();
	filchi_fault_after_fork();
	filchi_watchdog_after_fork();
	filchi_seats_after_fork();
	filchi_live_after_fork();
	filchi_trace_after_fork();
	filchi_this_thread.forks = false;
}

/*
 * At the start of the program, not with the first pool: a fork that has begun runs only the
 * handlers it found. With the first pool where that comes even earlier, in a constructor of the
 * program's that the static library's follow. The handlers of the topology are always the first.
 */
__attribute__((constructor(101))) static void watch_forks(void)
{
	static filch_atomic_u32 watched;
	uint32_t no = 0;

	filchi_topology_guard_fork();
	if (filchi_cas_acq_rel(&watched, &no, 1))
		(void)pthread_atfork(before_fork, in_parent, in_child);
}

/* --- create ----------------------------------------------------------- */

/* A pool in the making; each step fills a part of it. */
struct making {
	const struct filch_config *from;
	struct filch_pool *pool;
	bool of_process;    /* the default pool */
	const char *cpuset; /* the caller's string, which the pool does not keep */
	uint32_t job_slots;
	FILE *notes; /* writes `note`: lines to be told behind the plan's reasons */
	char *note;  /* the pool has them from describe() on */
	size_t note_size;
};

/* The fields that are right before the worker's own thread runs. */
static void worker_init(struct filch_pool *pool, uint32_t i)
{
	struct filchi_worker *w = filchi_worker_at(pool, i);

	w->pool = pool;
	w->id = w->rank = i;
	filch_store_relaxed(&w->heed_at,
		pool->config.flags & FILCH_POOL_GUARD ? FILCHI_HEED_EACH : FILCHI_HEED_NONE);
	filchi_sleeper_init(&w->sleeper);
	filchi_victim_init(&w->victim, pool->plan, i, pool->seed ^ (uint64_t)i << 32);
}

/* A hook of worker 0 of a pool with FILCH_POOL_CALLER, on the calling thread. */
static void call_hook(struct filch_pool *pool, void (*hook)(void *arg, int worker))
{
	struct filchi_worker *outer = filchi_worker_self();

	if (!hook)
		return;
	filchi_worker_set_self(pool->first);
	hook(pool->config.hook_arg, 0);
	if (filchi_forked(pool)) /* a child is no worker */
		return;
	filchi_blocking_mend(pool->first);
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
			w->stack_low = filchi_stack_low_mark(stack, size);
		pthread_attr_destroy(&attr);
	}
	pool->caller = pthread_self();
	filch_store_relaxed(&w->tid, (uint32_t)gettid());
	pool->has_caller = true;
	call_hook(pool, pool->config.on_worker_start);
	return 0;
}

/* Ends every thread there is, and what they worked on. */
static void join_workers(struct filch_pool *pool)
{
	filchi_store_then_fence(&pool->stop, 1);
	for (uint32_t i = 0; i < pool->workers; i++)
		(void)filchi_worker_wake(pool, filchi_worker_at(pool, i));
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (w->thread)
			filchi_thread_join(w->thread);
	}
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (w->has_deque)
			filchi_deque_destroy(&w->deque);
	}
	if (pool->guards)
		filchi_fault_remove();
}

/*
 * Takes a pool apart, or as much of one as there is: what was not made is zero. 0; or -ECHILD in
 * the child of a fork in a hook, which leaves it alone.
 */
static int pool_free(struct filch_pool *pool)
{
	if (!pool)
		return 0;
	if (pool->first) {
		filchi_live_end(pool);
		filchi_thread_fill_no_more(pool);
		filchi_timer_stop(pool);
		filchi_service_stop(pool);
		if (pool->has_caller)
			call_hook(pool, pool->config.on_worker_stop);
		if (filchi_forked(pool))
			return -ECHILD;
		join_workers(pool);
		filchi_trace_end(pool);
		filchi_serial_free(pool->first->serial);
		munmap(pool->first, pool->map_size);
		filchi_unmap(filch_load_relaxed(&pool->live_words),
			pool->workers * sizeof(struct filchi_live_words));
	}
	if (pool->has_injector)
		filchi_injector_destroy(&pool->injector);
	if (pool->has_jobs)
		filchi_jobs_destroy(&pool->jobs);
	free(pool->pin_error);
	free(filch_load_relaxed(&pool->notes));
	filchi_plan_free(pool->plan);
	free(pool->name);
	free(pool);
	return 0;
}

static int make_pool(struct making *m)
{
	struct filch_pool *pool = aligned_alloc(FILCH_CACHELINE, sizeof *pool);

	if (!pool)
		return -ENOMEM;
	memset((void *)pool, 0, sizeof *pool);
	(void)pthread_mutex_init(&pool->seats, NULL);
	(void)pthread_mutex_init(&pool->timer_lock, NULL);
	pool->fill = filchi_thread_fill;
	pool->start_timer = filchi_timer_start;
	m->pool = pool;
	m->notes = open_memstream(&m->note, &m->note_size);
	return m->notes ? 0 : -ENOMEM;
}

static int take_config(struct making *m)
{
	struct filch_pool *pool = m->pool;
	int error = filchi_config_import(&pool->config, m->from, m->notes);

	if (error)
		return error;
	pool->fork_generation = filchi_fork_generation();
	pool->control = filchi_cpu_control();
	(void)pthread_sigmask(SIG_SETMASK, NULL, &pool->signals);
	filchi_thread_signals(pool, FILCHI_THREAD_FREE, &pool->free_signals);
	pool->search_ns = pool->config.search_ns;
	pool->no_search = pool->config.flags & FILCH_POOL_NO_SEARCH;
	m->cpuset = pool->config.cpuset;
	pool->config.cpuset = NULL;
	pool->name = strdup(pool->config.name);
	pool->config.name = pool->name;
	return pool->name ? 0 : -ENOMEM;
}

static int make_plan(struct making *m)
{
	struct filch_pool *pool = m->pool;
	const struct filchi_place_request request = {
		.workers = pool->config.workers,
		.workload = pool->config.workload,
		.reserve_cores = pool->config.reserve_cores,
		.workers_max = pool->config.workers_max,
		.spares = pool->config.spares,
		.flags = pool->config.flags,
		.cpuset = m->cpuset,
		.of_process = m->of_process,
	};
	int error = filchi_plan_make(&request, &pool->plan);

	if (error)
		return error;
	pool->workers = pool->running = pool->plan->workers;
	pool->is_serial = pool->plan->is_serial;
	pool->config.workers_max = pool->plan->seated;
	pool->config.spares = pool->plan->workers - pool->plan->seated;
	filchi_elastic_init(pool, pool->plan->at_first,
		pool->config.flags & FILCH_POOL_FOLLOW_QUOTA ? pool->plan->quota : UINT32_MAX);
	return 0;
}

static int choose_fences(struct making *m)
{
	struct filch_pool *pool = m->pool;
	bool wanted = true;

	(void)filchi_env_switch(FILCHI_ENV_MEMBARRIER, &wanted, m->notes);
	pool->fenced = !filchi_membarrier_register();
	if (pool->fenced)
		fprintf(m->notes, "%s: spawns and syncs carry full fences\n",
			wanted ? "membarrier(2) is refused" : "FILCH_MEMBARRIER=0");
	return 0;
}

static int map_workers(struct making *m)
{
	struct filch_pool *pool = m->pool;
	uint32_t seed;
	void *map;

	pool->pin_error = malloc(pool->workers * sizeof pool->pin_error[0]);
	if (!pool->pin_error)
		return -ENOMEM;
	for (uint32_t i = 0; i < pool->workers; i++)
		pool->pin_error[i] = FILCHI_PIN_PENDING;
	pool->stride = (sizeof(struct filchi_worker) + PAGE - 1) / PAGE * PAGE;
	pool->map_size = pool->stride * pool->workers;
	map = mmap(
		NULL, pool->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	pool->first = map;
	pool->marks = (struct filchi_marks){
		.base = (uintptr_t)map, .stride = pool->stride, .size = pool->map_size
	};
	pool->seed = filchi_env_number(FILCHI_ENV_SEED, UINT32_MAX, &seed, m->notes) ? seed
										     : filchi_now();
	for (uint32_t i = 0; i < pool->workers; i++)
		worker_init(pool, i);
	if (pool->is_serial) {
		pool->first->serial = filchi_serial_new();
		if (!pool->first->serial)
			return -ENOMEM;
	}
	filchi_idle_init(&pool->idle);
	filchi_heavy_init(&pool->heavy);
	filchi_awaits_init(&pool->awaits);
	filchi_errands_init(pool);
	return 0;
}

static int make_jobs(struct making *m)
{
	struct filch_pool *pool = m->pool;
	int error = filchi_jobs_init(
		&pool->jobs, pool->config.jobs_max, pool->workers + 64, &m->job_slots);

	pool->has_jobs = !error;
	pool->jobs.tell = filchi_worker_told;
	pool->jobs.left = filchi_fault_left;
	pool->jobs.hold = filchi_after_hold;
	pool->jobs.release = filchi_after_release;
	pool->jobs.let_next = filchi_group_let_next;
	return error;
}

static int make_injector(struct making *m)
{
	struct filch_pool *pool = m->pool;
	int error =
		filchi_injector_init(&pool->injector, m->job_slots, pool->config.queue_capacity);

	pool->has_injector = !error;
	return error;
}

static int catch_faults(struct making *m)
{
	struct filch_pool *pool = m->pool;
	int error;

	if (!(pool->config.flags & FILCH_POOL_GUARD))
		return 0;
	error = filchi_fault_install();
	pool->guards = !error;
	filch_store_relaxed(&pool->heeds, error ? 0 : FILCHI_HEEDS_GUARDS);
	return error;
}

static int start_service(struct making *m)
{
	struct filch_pool *pool = m->pool;

	return pool->guards || pool->config.watchdog_ns ||
			       pool->config.flags & FILCH_POOL_FOLLOW_QUOTA
		       ? -filchi_service_start(pool)
		       : 0;
}

/* FILCH_LIVE=1: its workers count their time from the beginning. */
static int heed_live(struct making *m)
{
	bool live = false;

	(void)filchi_env_switch(FILCHI_ENV_LIVE, &live, m->notes);
	return live ? filchi_live_prepare(m->pool) : 0;
}

/* It is one of the pools of the process from now on, and traced if they are. */
static int join_pools(struct making *m)
{
	return filchi_trace_join(m->pool, m->notes);
}

/* Waits for the threads of workers @first to running to start; -ENOMEM if one has no deque. */
static int await_started(struct filch_pool *pool, uint32_t first)
{
	for (uint32_t ready; (ready = filchi_load_acquire(&pool->ready)) < pool->running - first;)
		(void)filchi_futex_wait(&pool->ready, ready, NULL);
	filch_tsan_acquire(&pool->ready);
	for (uint32_t i = first; i < pool->running; i++)
		if (filchi_worker_at(pool, i)->no_memory)
			return -ENOMEM;
	return 0;
}

/* As many as can be started: an error is the one that left none. */
static int start_workers(struct making *m)
{
	struct filch_pool *pool = m->pool;
	uint32_t first = 0, i;
	int error = 0;

	if (pool->config.flags & FILCH_POOL_CALLER) {
		error = start_caller(pool);
		if (error)
			return error;
		if (filchi_forked(pool)) /* in its hook */
			return -ECHILD;
		first = 1;
	}
	for (i = first; i < pool->workers; i++) {
		error = filchi_thread_start(filchi_worker_at(pool, i));
		if (error)
			break;
	}
	if (!i)
		return -error;
	if (i < pool->workers) {
		fprintf(m->notes, "%u of %u workers: thread %u could not be started: %s\n", i,
			pool->workers, i, filchi_error_text(error));
		pool->running = i;
		filchi_elastic_review(pool);
	}
	return await_started(pool, first);
}

/* A start hook's job may be describing the pool: it sees all of them, or none. */
static void add_notes(struct making *m)
{
	if (fflush(m->notes))
		return; /* without memory they are not told */
	(void)fclose(m->notes);
	m->notes = NULL;
	filchi_store_release(&m->pool->notes, m->note);
	m->note = NULL;
}

/* The last step, which cannot fail. */
static int describe(struct making *m)
{
	bool verbose = false;

	filchi_plan_settled(m->pool->plan);
	filchi_live_begin(m->pool, m->notes);
	(void)filchi_env_switch(FILCHI_ENV_VERBOSE, &verbose, m->notes);
	add_notes(m);
	if (verbose)
		(void)filch_pool_describe(m->pool, stderr, FILCH_TEXT);
	return 0;
}

static int create_pool(struct filch_pool **out, const struct filch_config *config, bool of_process)
{
	static int (*const step[])(struct making * m) = { make_pool, take_config, make_plan,
		choose_fences, map_workers, make_jobs, make_injector, catch_faults, heed_live,
		join_pools, start_service, start_workers, describe };
	struct making m = { .from = config, .of_process = of_process };
	int error = 0;

	if (!out)
		return -EINVAL;
	error = filchi_this_thread_forks();
	if (error)
		return error;
	watch_forks();
	for (size_t i = 0; !error && i < sizeof step / sizeof step[0]; i++)
		error = step[i](&m);
	if (m.notes)
		(void)fclose(m.notes);
	free(m.note);
	if (error == -ECHILD)
		return error; /* it has threads in the parent */
	if (error)
		(void)pool_free(m.pool);
	else
		*out = m.pool;
	return error;
}

/* --- drain, shut down, destroy ---------------------------------------- */

/* Calls that wait for the pool's work may not be made by what does that work. */
static int check_external(struct filch_pool *pool)
{
	struct filchi_worker *w = filchi_worker_self();

	if (!pool)
		return -EINVAL;
	if (filchi_forked(pool))
		return -ECHILD;
	if (filchi_this_thread_forks())
		return -EDEADLK;
	if (filchi_attendant_is_here(pool))
		return -EDEADLK; /* on_stuck: it would wait for itself */
	return (w && w->pool == pool) || filchi_in_callback_of(pool) ||
			       filchi_in_inline_job_of(pool)
		       ? -EDEADLK
		       : 0;
}

/* Waits until every job that is unfinished now has finished. */
static int await_all(
	struct filch_pool *pool, const struct timespec *deadline, enum filchi_stay_kind kind)
{
	uint32_t begun;

	filchi_run_queued_as_caller(pool, deadline); /* in their order */
	if (filchi_forked(pool)) /* in a job that has run here, or in a callback */
		return -ECHILD;
	begun = filchi_jobs_begun(&pool->jobs);
	for (uint32_t i = 0; i < begun; i++) {
		struct filchi_job *job = filchi_jobs_at(&pool->jobs, begun, i);
		uint64_t s = filchi_load_acquire(&job->state);

		if (filchi_job_is_pending(s)) {
			int64_t id = filchi_job_id_of(&pool->jobs, job, s);
			int error;

			filchi_run_as_caller(pool, job, id, deadline);
			if (filchi_forked(pool))
				return -ECHILD;
			error = filchi_sleep_as_client(pool, job, id, deadline, kind);
			if (error)
				return error;
		}
		filch_tsan_acquire(&job->state); /* all that the job has written */
	}
	return 0;
}

/*
 * The same as a client; on the creator of a FILCH_POOL_CALLER pool callbacks and jobs run in here,
 * and may leave the thread.
 */
static int await_as_client(struct filch_pool *pool, const struct timespec *deadline)
{
	int error;

	filchi_client_in(pool);
	pthread_cleanup_push(filchi_client_exited, pool);
	error = await_all(pool, deadline, FILCHI_STAY_WAIT);
	pthread_cleanup_pop(1);
	return error;
}

int filch_pool_drain(struct filch_pool *pool, const struct timespec *deadline)
{
	int error = check_external(pool);

	if (error)
		return error;
	if (!filchi_deadline_ok(deadline))
		return -EINVAL;
	if (filchi_caller_is_away(pool))
		return -EDEADLK;
	return await_as_client(pool, deadline);
}

int filch_pool_shutdown(struct filch_pool *pool, int mode, const struct timespec *deadline)
{
	int error = check_external(pool);

	if (error)
		return error;
	if ((mode != FILCH_DRAIN && mode != FILCH_ABANDON) || !filchi_deadline_ok(deadline))
		return -EINVAL;
	if (mode == FILCH_DRAIN && filchi_caller_is_away(pool))
		return -EDEADLK;
	filchi_pool_close(pool);
	if (mode == FILCH_ABANDON)
		/* the program's code, in callbacks: no client yet, for it may leave the thread */
		filchi_pool_cancel_all(pool);
	return await_as_client(pool, deadline);
}

static int destroy_pool(struct filch_pool *pool)
{
	int error = check_external(pool);
	uint32_t clients;
	bool forked;

	if (error)
		return error;
	filchi_default_forget(pool);
	filchi_pool_close(pool);
	filchi_pool_cancel_all(pool);
	filchi_client_in(pool);
	pthread_cleanup_push(filchi_client_exited, pool);
	forked = await_all(pool, NULL, FILCHI_STAY_FIRM) != 0;
	pthread_cleanup_pop(1);
	if (forked)
		return -ECHILD; /* without a deadline there is no other error */
	/* else a destroy before this one was left in a hook */
	if (!(filchi_load_acquire(&pool->clients_inside) & FILCHI_CLIENTS_AWAITED))
		(void)filchi_fetch_add_seq_cst(&pool->clients_inside, FILCHI_CLIENTS_AWAITED);
	while ((clients = filchi_load_acquire(&pool->clients_inside)) != FILCHI_CLIENTS_AWAITED)
		(void)filchi_futex_wait(&pool->clients_inside, clients, NULL);
	return pool_free(pool);
}

/* --- asking ----------------------------------------------------------- */

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

/*
 * A thread that is cancelled in one of these would leave a lock held, or a pool in two halves. It
 * ends at its next cancellation point instead.
 */
int filchi_pool_make(struct filch_pool **out, const struct filch_config *config, bool of_process)
{
	int before, error;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	error = create_pool(out, config, of_process);
	(void)pthread_setcancelstate(before, &before);
	return error;
}

int filch_pool_create(struct filch_pool **out, const struct filch_config *config)
{
	return filchi_pool_make(out, config, false);
}

int filch_pool_destroy(struct filch_pool *pool)
{
	int before, error;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	error = destroy_pool(pool);
	(void)pthread_setcancelstate(before, &before);
	return error;
}
