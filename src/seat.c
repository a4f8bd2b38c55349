/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker is a seat: a number, a deque, a core, a place among the victims. The thread on it may be lost (a fault of a guarded job,
 * pthread_exit() in a job); then another takes the seat, and to everybody else it is the same worker. What belongs to the thread alone
 * is its shift: the stack, the refuge, the parts it runs.
 *
 * With a warden, which every guarding pool has, it is that thread which starts new ones and joins old ones: the thread that is lost may
 * hold any lock, malloc's above all. Without one only pthread_exit() loses a thread; that one starts its successor itself, and
 * the successor joins it.
 */
#define _GNU_SOURCE
#include "seat.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "submit.h"

#define PAGE 4096u
#define GUARD_BYTES (UINT64_C(64) << 10) /* below a stack, of addresses only: a frame that is larger may step over it */
#define STACK_RESERVE (UINT64_C(32) << 10) /* what may be left of a stack when something new is started on it, at the least ... */
#define STACK_SHARE 8u                     /* ... and an eighth of it if that is more */
#define REFUGE (UINT64_C(64) << 10)        /* for giving up a stack; with the sanitizers' frames */

uintptr_t filchi_seat_low_mark(const void *stack, size_t size)
{
	size_t reserve = size / STACK_SHARE > STACK_RESERVE ? size / STACK_SHARE : STACK_RESERVE;

	return (uintptr_t)stack + reserve;
}

/* --- the thread -------------------------------------------------------------------------------------------------------------- */

static void parted(void *arg)
{
	struct filch_pool *pool = arg;

	(void)filchi_fetch_sub_seq_cst(&pool->parting, 1);
	filchi_guard_tell(pool);
}

/* The program has ended the thread by pthread_exit(). What lay on its stack is unwound. */
static void quit(void *arg)
{
	struct filchi_worker *w = arg;
	struct filchi_shift *shift = w->shift;

	if (filchi_load_relaxed(&shift->leaving))
		return; /* a callback that is called below has left this thread once more */
#if FILCH_DEBUG >= 1
	if (!filchi_deque_seems_empty(&w->deque))
		filch_misuse("pthread_exit() with a spawn unsynced", "of a job");
#endif
	for (uint32_t i = 0; i < shift->parts; i++)
		if (shift->part[i].task && !w->pool->guards)
			filch_misuse("pthread_exit() in a stolen task, in a pool without FILCH_POOL_GUARD", "of a job");
	(void)filchi_foreign_forget(); /* their frames are unwound, and their handlers have run */
	/* the program has left its thread, not the library: what it was called for it leaves as it is */
	filchi_store_release(&shift->leaving, 1);
	if (w->pool->guards)
		filchi_guard_leave(shift);
	if (filchi_guard_abort(w)) {
		pthread_cleanup_push(parted, w->pool);
		filchi_seat_replace(w, shift);
		pthread_cleanup_pop(1);
	}
}

/* What thread @to completes of what @from, lost, has left. */
static void inherit(struct filchi_shift *to, struct filchi_shift *from)
{
	to->completes = from->completes;
	to->heir_to = filchi_load_relaxed(&from->listed) ? from : from->heir_to;
	to->hooked = from->hooked;
}

static void pay_guest(struct filchi_shift *shift)
{
	struct filch_pool *pool = shift->owes;

	shift->owes = NULL;
	if (pool)
		filchi_guest_out(pool);
}

/*
 * Jobs of other pools that @lost ran: their loops may have pieces stolen that read what is theirs, and count in the jobs of this pool
 * beneath. So they are over when those are. On the warden's thread nobody waits: a last part may need the warden to be completed.
 */
static void await_parts(const struct filchi_shift *heir, const struct filchi_shift *lost)
{
	struct filchi_jobs *jobs = &heir->worker->pool->jobs;

	for (uint32_t i = heir->part ? lost->parts : 0; i--;)
		(void)filchi_job_await(jobs, filchi_job_find(jobs, lost->part[i].id), lost->part[i].id, NULL);
}

/*
 * Completes what a shift has inherited: aborted jobs, and jobs of other pools that a lost thread ran. A callback that leaves this thread
 * does not end this: it is its own cleanup handler, and goes on where it was.
 */
static void complete_all(void *arg)
{
	struct filchi_shift *shift = arg, *lost;
	struct filchi_job *job;

	pthread_cleanup_push(complete_all, shift);
	while ((job = shift->completes)) {
		shift->completes = job->after;
		filchi_worker_deliver(shift->worker->pool, job);
	}
	pay_guest(shift);
	while ((lost = shift->heir_to)) {
		await_parts(shift, lost);
		while (lost->runs) {
			const struct filchi_foreign run = *lost->runs;

			lost->runs = run.outer;
			if (!run.job)
				continue; /* what hid those below it */
			shift->owes = run.pool;
			filchi_worker_abandon(run.pool, run.job);
			pay_guest(shift);
		}
		shift->heir_to = lost->heir_to;
		filchi_store_release(&lost->listed, 0);
		filchi_futex_wake(&lost->listed, 1); /* an address only */
	}
	pthread_cleanup_pop(0);
}

static void complete_and_work(struct filchi_worker *w)
{
	complete_all(w->shift);
	filchi_worker_work(w);
}

static void work_until_the_end(struct filchi_worker *w)
{
	struct filchi_shift *shift = w->shift;
	bool worked;

	pthread_cleanup_push(quit, w);
	worked = filchi_guard_run(shift, complete_and_work);
	pthread_cleanup_pop(0);
	if (shift->refuge)
		filchi_guard_leave(shift);
	if (worked && w->pool->config.on_worker_stop)
		w->pool->config.on_worker_stop(w->pool->config.hook_arg, (int)w->id);
}

static void count_ready(struct filch_pool *pool)
{
	(void)filchi_fetch_add_acq_rel(&pool->ready, 1);
	filchi_futex_wake(&pool->ready, 1);
}

/* The program has left its thread in the start hook: that ends the hook, and another thread takes the seat, without a second one. */
static void quit_hook(void *arg)
{
	struct filchi_worker *w = arg;
	struct filch_pool *pool = w->pool;
	struct filchi_shift *shift = w->shift;
	bool first = shift->first;

	shift->hooked = true;
	quit(w); /* and both are another thread's */
	if (first)
		count_ready(pool); /* only now: until then the creator waits, and nobody destroys the pool */
}

static void *seat_main(void *arg)
{
	struct filchi_worker *w = arg;
	struct filch_pool *pool = w->pool;
	struct filchi_shift *shift = w->shift, *old = shift->next;
	char name[16];
	int ignored;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
	snprintf(name, sizeof name, "%.9s/%u", pool->name, w->id);
	(void)pthread_setname_np(pthread_self(), name);
	filchi_worker_set_self(w);
	(void)filchi_plan_pin(pool->plan, w->id, shift->first ? &pool->pin_error[w->id] : &ignored);
	if (shift->first)
		w->no_memory = !filchi_worker_make_deque(w);
	if (pool->guards)
		filchi_guard_enter(shift);
	if (old) { /* our predecessor, which has made us and leaves */
		shift->next = NULL;
		filchi_seat_join(old);
	}
	pthread_cleanup_push(quit_hook, w);
	if (!w->no_memory && !shift->hooked && pool->config.on_worker_start)
		pool->config.on_worker_start(pool->config.hook_arg, (int)w->id);
	pthread_cleanup_pop(0);
	shift->hooked = false;
	if (shift->first)
		count_ready(pool);
	if (!w->no_memory)
		work_until_the_end(w);
	else if (pool->guards) /* the creator, seeing it, ends the pool */
		filchi_guard_leave(shift);
	return NULL;
}

/* --- starting ---------------------------------------------------------------------------------------------------------------- */

static void shift_free(struct filchi_shift *shift)
{
	if (shift->stack)
		munmap(shift->stack, shift->stack_size + GUARD_BYTES);
	if (shift->refuge)
		munmap(shift->refuge, shift->refuge_size);
	free(shift->part);
	free(shift);
}

static struct filchi_shift *shift_new(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;
	struct filchi_shift *shift = calloc(1, sizeof *shift);

	if (!shift)
		return NULL;
	shift->worker = w;
	shift->first = !w->has_deque;
	shift->part = malloc(FILCHI_PARTS * sizeof shift->part[0]);
	/* pages without access below the stack: an overflow faults instead of writing into somebody's memory */
	shift->stack_size = (size_t)((pool->config.stack_bytes + PAGE - 1) / PAGE * PAGE);
	shift->stack = mmap(NULL, shift->stack_size + GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1,
			    0);
	if (shift->stack == MAP_FAILED)
		shift->stack = NULL;
	if (pool->guards) {
		shift->signal_size = (filchi_guard_signal_size() + PAGE - 1) / PAGE * PAGE;
		shift->refuge_size = shift->signal_size + REFUGE;
		shift->refuge = mmap(NULL, shift->refuge_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (shift->refuge == MAP_FAILED)
			shift->refuge = NULL;
	}
	if (shift->part && shift->stack && !pool->guards == !shift->refuge &&
	    !mprotect((char *)shift->stack + GUARD_BYTES, shift->stack_size, PROT_READ | PROT_WRITE))
		return shift;
	shift_free(shift);
	return NULL;
}

/* @lost: whose work the new thread completes, or NULL. @predecessor: which it joins; NULL if that is the warden's to do. */
static int start(struct filchi_worker *w, struct filchi_shift *lost, struct filchi_shift *predecessor)
{
	struct filch_pool *pool = w->pool;
	struct filchi_shift *old = w->shift, *shift = shift_new(w);
	pthread_attr_t attr;
	sigset_t signals;
	int error;

	if (!shift)
		return ENOMEM;
	error = pthread_attr_init(&attr);
	if (error)
		goto no_attr;
	/* the application's signals are for the application's threads; faults and profiling stay */
	sigfillset(&signals);
	for (const int *s = (const int[]){ SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF, 0 }; *s; s++)
		sigdelset(&signals, *s);
	if (pool->config.watchdog_ns)
		sigdelset(&signals, SIGURG); /* how the watchdog asks where a worker is */
	if (lost)
		inherit(shift, lost);
	shift->next = predecessor;
	w->shift = shift;
	w->stack_low = filchi_seat_low_mark((char *)shift->stack + GUARD_BYTES, shift->stack_size);
	error = pthread_attr_setstack(&attr, (char *)shift->stack + GUARD_BYTES, shift->stack_size);
	if (!error)
		error = pthread_attr_setsigmask_np(&attr, &signals);
	if (!error)
		error = pthread_create(&shift->thread, &attr, seat_main, w);
	pthread_attr_destroy(&attr);
	if (error) {
		w->shift = old;
		goto no_attr;
	}
	return 0; /* the shift may be gone already: a start hook that leaves its thread loses it at once */
no_attr:
	shift_free(shift);
	return error;
}

int filchi_seat_start(struct filchi_worker *w)
{
	return start(w, NULL, NULL);
}

void filchi_seat_join(struct filchi_shift *shift)
{
	pthread_join(shift->thread, NULL);
	shift_free(shift);
}

/* --- replacing --------------------------------------------------------------------------------------------------------------- */

/* Likewise its own cleanup handler. */
static void cancel_all(void *pool)
{
	pthread_cleanup_push(cancel_all, pool);
	filchi_pool_cancel_all(pool);
	pthread_cleanup_pop(0);
}

void filchi_seat_replace(struct filchi_worker *w, struct filchi_shift *lost)
{
	struct filch_pool *pool = w->pool;
	int error = start(w, lost, pool->has_warden ? NULL : lost);
	struct filchi_shift rest = { .worker = w };

	if (!error) {
		(void)filchi_fetch_add_acq_rel(&pool->outside.replaced, 1);
		return;
	}
	inherit(&rest, lost);
	if (pool->has_warden)
		w->shift = NULL;
	w->vacant = true; /* without a warden its shift stays, for destroy to join */
	filchi_store_relaxed(&pool->vacant_error, (uint32_t)error);
	if (filchi_fetch_add_seq_cst(&pool->vacant, 1) + 1 == pool->running - pool->has_caller) {
		filchi_pool_close(pool);
		complete_all(&rest);
		cancel_all(pool);
		return;
	}
	complete_all(&rest);
}

void filchi_seat_fill(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;

	if (!w->vacant || filchi_load_relaxed(&pool->stop) || start(w, NULL, NULL))
		return;
	w->vacant = false;
	(void)filchi_fetch_sub_seq_cst(&pool->vacant, 1);
	(void)filchi_fetch_add_acq_rel(&pool->outside.replaced, 1);
}
