/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker is a seat: a number, a deque, a core, a place among the victims. The thread on it may be
 * lost (a fault of a guarded job, pthread_exit() in a job). Then another takes the seat, and to
 * everybody else it is the same worker. What belongs to the thread alone is in its thread object.
 *
 * Every guarding pool has a service thread, which starts new threads, and an attendant, which joins
 * old ones: the thread that is lost may hold any lock, malloc's above all. Without a service thread
 * only pthread_exit() loses a thread. That one starts its successor itself, and the successor joins
 * it.
 */
#define _GNU_SOURCE
#include "pool/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/libc.h"
#include "calls/close.h"
#include "calls/submit.h"
#include "core/elastic.h"
#include "core/errand.h"

#define PAGE 4096u
/* below each stack, of addresses only: a frame that is larger may step over it */
#define GUARD_BYTES (UINT64_C(64) << 10)
/* what may be left of a stack when something new is started on it, at the least ... */
#define STACK_RESERVE (UINT64_C(32) << 10)
#define STACK_SHARE   8u                   /* ... and an eighth of it if that is more */
#define REFUGE        (UINT64_C(64) << 10) /* for giving up a stack; with the sanitizers' frames */
/* the ids of the jobs given up with it: one at most for each segment */
#define ABORTED_BYTES (FILCHI_SEGMENTS * sizeof(int64_t))

size_t filchi_stack_mapped(const struct filch_pool *pool)
{
	return (size_t)((pool->config.stack_bytes + PAGE - 1) / PAGE * PAGE + GUARD_BYTES);
}

uintptr_t filchi_stack_low_mark(const void *stack, size_t size)
{
	size_t reserve = size / STACK_SHARE > STACK_RESERVE ? size / STACK_SHARE : STACK_RESERVE;

	return (uintptr_t)stack + reserve;
}

/* --- the thread ------------------------------------------------------- */

static void retired(void *arg)
{
	struct filch_pool *pool = arg;

	(void)filchi_fetch_sub_seq_cst(&pool->retiring, 1);
	filchi_fault_tell(pool);
}

/* The program has ended the thread by pthread_exit(). What lay on its stack is unwound. */
static void quit(void *arg)
{
	struct filchi_worker *w = arg;
	struct filchi_thread *thread = w->thread;

	if (filchi_forked(w->pool))
		return; /* a child ends its own thread: seat and jobs are the parent's */
	if (filch_load_relaxed(&thread->leaving))
		return; /* a callback that is called below has left this thread once more */
#if FILCH_DEBUG >= 1
	if (!filchi_deque_seems_empty(&w->deque))
		filch_misuse("pthread_exit() with a spawn unsynced", "of a job");
#endif
	for (uint32_t i = 0; i < filch_load_relaxed(&w->deque.depth); i++)
		if (w->deque.segment[i].task && !w->pool->guards)
			filch_misuse("pthread_exit() in a stolen task, without FILCH_POOL_GUARD",
				"of a job");
	/*
	 * The program has left its thread, not the library. What follows may call a callback, and
	 * that may leave this thread once more: then this is not done again.
	 */
	filchi_store_release(&thread->leaving, 1);
	if (w->pool->guards)
		filchi_fault_leave(thread);
	if (filchi_fault_abort(w)) {
		pthread_cleanup_push(retired, w->pool);
		filchi_thread_replace(w, thread);
		pthread_cleanup_pop(1);
	}
}

/* What @from, lost, has left is for @to. */
static void inherit(struct filchi_thread *to, struct filchi_thread *from)
{
	to->completes = from->completes;
	to->due = from->due;
	to->start_hook_called = from->start_hook_called;
}

/*
 * Calls the callbacks and completes the aborted jobs that a thread has inherited. A callback that
 * leaves this thread does not end this: it is its own cleanup handler, and goes on where it was.
 */
static void complete_all(void *arg)
{
	struct filchi_thread *thread = arg;
	struct filch_pool *pool = thread->worker->pool;
	struct filchi_job *job;

	pthread_cleanup_push(complete_all, thread);
	while (!filchi_forked(pool) && (job = thread->due)) { /* a child: in a callback */
		thread->due = filch_load_relaxed(&job->after);
		filchi_job_call_due(job);
	}
	while (!filchi_forked(pool) && (job = thread->completes)) {
		thread->completes = filch_load_relaxed(&job->after);
		filchi_worker_deliver(pool, job);
	}
	pthread_cleanup_pop(0);
}

static void complete_and_work(struct filchi_worker *w)
{
	complete_all(w->thread);
	filchi_worker_work(w);
	filchi_blocking_mend(w); /* nobody has looked after its last job */
}

static void work_until_the_end(struct filchi_worker *w)
{
	struct filchi_thread *thread = w->thread;
	bool worked;

	pthread_cleanup_push(quit, w);
	worked = filchi_fault_run(thread, complete_and_work);
	pthread_cleanup_pop(0);
	if (thread->refuge)
		filchi_fault_leave(thread);
	if (worked && w->pool->config.on_worker_stop)
		w->pool->config.on_worker_stop(w->pool->config.hook_arg, (int)w->id);
	if (filchi_forked(w->pool))
		filchi_child_end(0);
}

static void count_ready(struct filch_pool *pool)
{
	filch_tsan_release(&pool->ready); /* what the start hook has written */
	(void)filchi_fetch_add_acq_rel(&pool->ready, 1);
	filchi_futex_wake(&pool->ready, 1);
}

/*
 * The program has left its thread in the start hook: that ends the hook, and another thread takes
 * the seat, without a second one.
 */
static void quit_hook(void *arg)
{
	struct filchi_worker *w = arg;
	struct filch_pool *pool = w->pool;
	struct filchi_thread *thread = w->thread;
	bool first = thread->first;

	thread->start_hook_called = true;
	quit(w); /* and both are another thread's */
	if (first)
		/* only now: until then the creator waits, and nobody destroys the pool */
		count_ready(pool);
}

static void *thread_main(void *arg)
{
	struct filchi_worker *w = arg;
	struct filch_pool *pool = w->pool;
	struct filchi_thread *thread = w->thread, *old = thread->next;
	char name[16];
	int ignored;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
	thread->control = filchi_cpu_control();
	thread->first_frame = __builtin_frame_address(0);
	snprintf(name, sizeof name, "%.9s/%u", pool->name, w->id);
	(void)pthread_setname_np(pthread_self(), name);
	filchi_worker_set_self(w);
	w->pin_watch = (struct filchi_pin_watch){ .looked_at = 0 };
	thread->tid = gettid();
	filch_store_relaxed(&w->tid, (uint32_t)thread->tid);
	filchi_store_release(&w->runs_on, (uint64_t)(uintptr_t)pthread_self());
	(void)filchi_plan_pin(
		pool->plan, w->id, thread->first ? &pool->pin_error[w->id] : &ignored);
	if (thread->first)
		w->no_memory = !filchi_worker_make_deque(w);
	if (pool->guards)
		filchi_fault_enter(thread);
	if (old) { /* our predecessor, which has made us and leaves */
		thread->next = NULL;
		filchi_thread_join(old);
	}
	pthread_cleanup_push(quit_hook, w);
	if (!w->no_memory && !thread->start_hook_called && pool->config.on_worker_start)
		pool->config.on_worker_start(pool->config.hook_arg, (int)w->id);
	pthread_cleanup_pop(0);
	if (filchi_forked(pool))
		filchi_child_end(0);
	filchi_cpu_control_restore(thread->control);
	thread->start_hook_called = false;
	if (pool->guards)
		filchi_fault_begin(thread);
	if (thread->is_retiring) { /* the hook, which may leave the thread once more, is over */
		thread->is_retiring = false;
		retired(pool);
	}
	if (thread->first)
		count_ready(pool);
	if (!w->no_memory)
		work_until_the_end(w);
	else if (pool->guards) /* the creator, seeing it, ends the pool */
		filchi_fault_leave(thread);
	return NULL;
}

/* --- starting --------------------------------------------------------- */

void filchi_thread_free(struct filchi_thread *thread)
{
	size_t size = thread->stack_size + GUARD_BYTES;

	if (thread->in_malloc) /* the C library's list leads through what is above */
		size = ((uintptr_t)thread->first_frame & ~(uintptr_t)(PAGE - 1)) -
		       (uintptr_t)thread->stack;
	if (thread->stack)
		munmap(thread->stack, size);
	if (thread->refuge) /* and the object lies in there */
		munmap(thread->refuge - GUARD_BYTES,
			GUARD_BYTES + thread->refuge_size + ABORTED_BYTES + sizeof *thread);
	else
		free(thread);
}

/*
 * What a thread of a guarding pool has for being given up, and its object: a thread that was lost
 * inside malloc must not hold up what makes its successor. A handler of the program's may use up
 * the signal stack: it meets pages without access.
 */
static struct filchi_thread *thread_with_refuge(void)
{
	size_t signal_size = (filchi_fault_signal_size() + PAGE - 1) / PAGE * PAGE;
	size_t refuge_size = signal_size + REFUGE;
	struct filchi_thread *thread;
	size_t size = refuge_size + ABORTED_BYTES + sizeof *thread;
	char *map = mmap(NULL, GUARD_BYTES + size, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	map += GUARD_BYTES;
	if (mprotect(map, size, PROT_READ | PROT_WRITE)) {
		munmap(map - GUARD_BYTES, GUARD_BYTES + size);
		return NULL;
	}
	thread = (struct filchi_thread *)(void *)(map + refuge_size + ABORTED_BYTES);
	thread->signal_size = signal_size;
	thread->refuge_size = refuge_size;
	thread->refuge = map;
	thread->aborted = (int64_t *)(void *)(map + refuge_size);
	return thread;
}

static struct filchi_thread *thread_new(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;
	struct filchi_thread *thread =
		pool->guards ? thread_with_refuge() : calloc(1, sizeof *thread);

	if (!thread)
		return NULL;
	thread->worker = w;
	thread->first = !w->has_deque;
	/*
	 * pages without access below the stack: an overflow faults instead of writing into
	 * somebody's memory
	 */
	thread->stack_size = (size_t)((pool->config.stack_bytes + PAGE - 1) / PAGE * PAGE);
	thread->stack = mmap(NULL, thread->stack_size + GUARD_BYTES, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (thread->stack == MAP_FAILED)
		thread->stack = NULL;
	thread->lowest = (char *)thread->stack + GUARD_BYTES;
	if (thread->stack && !mprotect(thread->lowest, thread->stack_size, PROT_READ | PROT_WRITE))
		return thread;
	filchi_thread_free(thread);
	return NULL;
}

void filchi_thread_signals(
	const struct filch_pool *pool, enum filchi_thread_kind kind, sigset_t *signals)
{
	*signals = pool->signals;
	if (kind == FILCHI_THREAD_OWN ||
		(kind != FILCHI_THREAD_FREE && pool->config.flags & FILCH_POOL_BLOCK_SIGNALS)) {
		sigfillset(signals);
		sigdelset(signals, SIGABRT);
		sigdelset(signals, SIGPROF);
	}
	/* faults: a blocked one ends the process without asking its handler */
	for (const int *s = (const int[]){ SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, 0 };
		*s; s++)
		sigdelset(signals, *s);
	if ((kind == FILCHI_THREAD_WORKER || kind == FILCHI_THREAD_FREE) &&
		pool->config.watchdog_ns)
		sigdelset(signals, SIGURG); /* how the watchdog asks where a worker is */
}

void filchi_thread_block(const struct filch_pool *pool, enum filchi_thread_kind kind)
{
	sigset_t signals;

	filchi_thread_signals(pool, kind, &signals);
	(void)pthread_sigmask(SIG_SETMASK, &signals, NULL);
}

/*
 * @lost: the thread whose jobs the new one completes, or NULL. @predecessor: the thread that it
 *        joins; NULL if the attendant does.
 */
static int start(
	struct filchi_worker *w, struct filchi_thread *lost, struct filchi_thread *predecessor)
{
	struct filch_pool *pool = w->pool;
	struct filchi_thread *old = w->thread, *thread = thread_new(w);
	pthread_attr_t attr;
	sigset_t signals;
	int error;

	if (!thread)
		return ENOMEM;
	error = pthread_attr_init(&attr);
	if (error)
		goto no_attr;
	filchi_thread_signals(pool, FILCHI_THREAD_WORKER, &signals);
	if (lost)
		inherit(thread, lost);
	thread->next = predecessor;
	if (!thread->first) {
		thread->is_retiring = true;
		(void)filchi_fetch_add_seq_cst(&pool->retiring, 1);
	}
	w->thread = thread;
	filchi_store_release(&w->stack_at, (uint64_t)(uintptr_t)thread->stack);
	w->stack_low =
		filchi_stack_low_mark((char *)thread->stack + GUARD_BYTES, thread->stack_size);
	error = pthread_attr_setstack(
		&attr, (char *)thread->stack + GUARD_BYTES, thread->stack_size);
	if (!error)
		error = filchi_thread_create(&thread->handle, &attr, &signals, thread_main, w);
	pthread_attr_destroy(&attr);
	if (error) {
		w->thread = old;
		filchi_store_release(&w->stack_at, old ? (uint64_t)(uintptr_t)old->stack : 0);
		if (thread->is_retiring)
			(void)filchi_fetch_sub_seq_cst(&pool->retiring, 1);
		goto no_attr;
	}
	/* the thread may be gone already: a start hook that leaves its thread loses it at once */
	return 0;
no_attr:
	filchi_thread_free(thread);
	return error;
}

int filchi_thread_start(struct filchi_worker *w)
{
	return start(w, NULL, NULL);
}

bool filchi_thread_try_join(struct filchi_thread *thread)
{
	return !pthread_tryjoin_np(thread->handle, NULL);
}

/*
 * The kernel has cleared the C library's word for the thread, and left its stacks, before it
 * forgets the number. Should another thread have got that since, this is asked once more.
 */
bool filchi_thread_is_there(const struct filchi_thread *thread)
{
	return !syscall(SYS_tgkill, getpid(), thread->tid, 0) || errno != ESRCH;
}

void filchi_thread_join(struct filchi_thread *thread)
{
	pthread_join(thread->handle, NULL);
	filchi_thread_free(thread);
}

/* --- replacing -------------------------------------------------------- */

/* Likewise its own cleanup handler. */
static void cancel_all(void *pool)
{
	pthread_cleanup_push(cancel_all, pool);
	filchi_pool_cancel_all(pool);
	pthread_cleanup_pop(0);
}

void filchi_thread_replace(struct filchi_worker *w, struct filchi_thread *lost)
{
	struct filch_pool *pool = w->pool;
	struct filchi_thread rest = { .worker = w };
	bool is_last;
	int error;

	filchi_blocking_forget(w);
	error = start(w, lost, pool->has_service ? NULL : lost);
	if (!error) {
		(void)filchi_fetch_add_acq_rel(&pool->external.replaced, 1);
		return;
	}
	inherit(&rest, lost);
	if (pool->has_service)
		w->thread = NULL;
	filch_store_relaxed(&pool->vacant_error, (uint32_t)error);
	filch_store_relaxed(&pool->fill_at, filchi_now() + FILCHI_FILL_NS);
	is_last =
		filchi_fetch_add_seq_cst(&pool->vacant, 1) + 1 == pool->running - pool->has_caller;
	filchi_errands_vacant(w, true); /* before others can put a thread here */
	/* without a service thread its thread stays, for its successor or destroy to join */
	filchi_store_release(&w->vacant, 1);
	filchi_elastic_review(pool); /* another may run in its place */
	if (is_last)
		filchi_pool_close(pool);
	if (pool->has_service)
		filchi_thread_block(pool, FILCHI_THREAD_CALLBACK);
	filchi_errands_decline(w);
	complete_all(&rest);
	if (is_last)
		cancel_all(pool);
	if (pool->has_service)
		filchi_thread_block(pool, FILCHI_THREAD_OWN);
}

static void fill(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;

	if (!filchi_load_acquire(&w->vacant) || start(w, NULL, w->thread))
		return;
	filchi_errands_vacant(w, false); /* before the replacement is told of */
	filch_store_relaxed(&w->vacant, 0);
	(void)filchi_fetch_sub_seq_cst(&pool->vacant, 1);
	(void)filchi_fetch_add_acq_rel(&pool->external.replaced, 1);
	filchi_elastic_review(pool);
}

void filchi_thread_fill(struct filch_pool *pool)
{
	const uint64_t now = filchi_now();

	if (now < filch_load_relaxed(&pool->fill_at) || pthread_mutex_trylock(&pool->seats))
		return;
	filch_store_relaxed(&pool->fill_at, now + FILCHI_FILL_NS);
	for (uint32_t i = 0; i < pool->workers && !pool->fills_no_more; i++)
		fill(filchi_worker_at(pool, i));
	pthread_mutex_unlock(&pool->seats);
}

void filchi_thread_fill_no_more(struct filch_pool *pool)
{
	pthread_mutex_lock(&pool->seats);
	pool->fills_no_more = true;
	pthread_mutex_unlock(&pool->seats);
}
