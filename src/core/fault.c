/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containment: a guarded job that faults is aborted whole, and the worker lives on in a new thread.
 *
 * The steps, on the thread that faulted (docs/jobs.md says why in this order):
 *
 *   1 The handler, on the signal stack. The fault is the job's if the processor raised it (si_code
 *     > 0) while code of a guarded job ran on a worker of a guarding pool. Then the handler notes
 *     signal and address. It changes the context it will return to: to retire(), on the refuge, a
 *     stack of the library's own. Anything else goes where it would have gone without us.
 *   2 For each segment of the deque, which is all that lies on the stack: its job is marked dead,
 *     with the first fault, and its cancel flag raised. The word of a stolen task becomes
 *     "orphaned", and a worker that sleeps for it is woken. That one will give up its own stack in
 *     the same way.
 *   3 The tasks in the deque are withdrawn, by CAS on top like any steal. What was stolen runs to
 *     its end: the frames that it reads and writes stay where they are.
 *   4 The deque is put in order, and each segment's work leaves its team. Whoever brings the count
 *     of a dead job to 0 completes it.
 *   5 The service thread is woken, and starts a new thread on the seat.
 *   6 The old thread sleeps until its jobs are complete: only then does nobody touch its stack. It
 *     ends by the system call. The attendant joins it and unmaps.
 *
 * The lost thread runs no more of the program's code: no destructor, no cleanup handler, no signal
 * handler. Any of these may need what the fault has left locked, or half written. So it does not
 * come back to the C library, whose own end of a thread takes malloc's locks besides.
 *
 *   - The kernel clears the thread's id and wakes the joiner, which is all that a join waits for.
 *     It also gives robust mutexes back.
 *   - One that was lost in malloc is not joined: the C library frees what it had, and holds its
 *     own lock meanwhile, without which no thread can be made. Its pages that the C library knows
 *     of stay.
 *   - The C library goes on counting it as running, so the last thread of a process whose main()
 *     has left by pthread_exit() does not call exit().
 *   - ThreadSanitizer waits for an end that it has seen: under it the thread returns to its
 *     stack's first frame and ends in order.
 *
 * All that lies on a stack with a fault on top is of one job. That follows from rule 3, and because
 * a guarded job is never run on top of other frames. No inline job lies there either:
 * filch_submit() refuses one of another pool on a worker of a guarding pool.
 *
 * pthread_exit() in a job is the same without 1: the frames have been unwound by then, so that
 * nothing spawned may be left unsynced.
 *
 * Rejected:
 *   - siglongjmp out of the handler: it would run on over frames that thieves still use
 *   - a stack of its own for every job: a program's own view of its stack, sanitizers and debuggers
 *     would all have to be told
 *   - exiting on the refuge: pthread_exit() runs the cleanup handlers of the lost frames
 *   - returning to the first frame: destructors of thread-specific data run, and may wait for a
 *     lock that the thread holds itself
 */
#define _GNU_SOURCE
#include "core/fault.h"

#include "core/group_wait.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/sigchain.h"

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#if defined(ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#define UNPOISON(p, size) __asan_unpoison_memory_region((p), (size))
#define UNSANITIZED       __attribute__((no_sanitize("address")))
#else
#define UNPOISON(p, size) ((void)0)
#define UNSANITIZED
#endif

#define PAGE 4096u
/* of stack, for any call of the library but those that make or end a pool */
#define ROOM (4 * PAGE)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned guarding; /* pools that want the handlers */

UNSANITIZED __attribute__((noinline)) void filchi_fault_touch_now(void *out, size_t size)
{
	volatile char room[ROOM], *below = room, *byte = out;

	filchi_cpu_flags_clear();
	/* hides that it is an array: a compiler that sees all of its bytes keeps the few touched */
	__asm__ volatile("" : "+r"(below));
	/* downwards: no step is longer than the guard page */
	for (size_t i = ROOM; i; i -= PAGE / 4)
		below[i - 1] = 0;
	(void)below[0];
	for (size_t i = 0; i < size; i += PAGE)
		byte[i] = byte[i];
	if (size)
		byte[size - 1] = byte[size - 1];
}

/* --- giving up -------------------------------------------------------- */

void filchi_fault_tell(struct filch_pool *pool)
{
	(void)filchi_fetch_add_acq_rel(&pool->service_word, 2);
	/* the service thread, and a destroy that waits */
	filchi_futex_wake(&pool->service_word, INT_MAX);
}

static void count_retiring(struct filchi_thread *thread)
{
	if (!thread->is_retiring)
		(void)filchi_fetch_add_seq_cst(&thread->worker->pool->retiring, 1);
	thread->is_retiring = true;
}

void filchi_fault_left(void)
{
	const struct filchi_worker *w = filchi_worker_self();

	if (w && w->thread)
		count_retiring(w->thread);
}

/*
 * Of several faults of one job the first counts. The caller is inside, so the job is not completed
 * before this is written.
 */
static void mark_dead(struct filchi_job *job, const struct filchi_thread *thread)
{
	if (!filchi_team_abort(&job->team))
		return;
	job->fault_signal = (uint8_t)thread->signal;
	job->fault_address = thread->address;
	if (thread->signal)
		(void)filchi_fetch_add_acq_rel(&thread->worker->pool->external.faults, 1);
}

/* The job of this segment, and the task if it was one, will not be done. */
static void abort_segment(struct filchi_worker *w, struct filchi_segment *segment)
{
	struct filch_pool *pool = w->pool;
	struct filchi_thread *thread = w->thread;
	struct filchi_job *job = filchi_job_of(filch_load_relaxed(&segment->team));
	int64_t id = job->id; /* the segment counts in its team, so the id is still this job's */
	int joiner;

	if (thread->aborted &&
		(!thread->aborted_count || thread->aborted[thread->aborted_count - 1] != id))
		thread->aborted[thread->aborted_count++] = id;
	mark_dead(job, thread);
	(void)filchi_job_flag(&pool->jobs, job, id, FILCHI_JOB_CANCEL);
	joiner = segment->task ? filchi_task_orphan(segment->task, &pool->marks) : -1;
	if (joiner >= 0 && joiner != (int)w->id)
		(void)filchi_worker_wake(pool, filchi_worker_at(pool, (uint32_t)joiner));
}

void filchi_fault_abort_above(struct filchi_worker *w, uint32_t depth)
{
	struct filchi_segment *segment = w->deque.segment;
	const uint32_t top = filch_load_relaxed(&w->deque.depth);

	filch_store_relaxed(&w->thread->user, 0);
	for (uint32_t i = top; i-- > depth;) {
		if (filchi_segment_is_scope(&segment[i]))
			continue;
		if (segment[i].task && !w->pool->guards)
			filch_misuse("pthread_exit() in a stolen task, without FILCH_POOL_GUARD",
				"of a job");
		abort_segment(w, &segment[i]);
	}
	while (filch_load_relaxed(&w->deque.depth) > depth) {
		if (filchi_this_thread.context &&
			!filchi_segment_is_scope(filchi_segment_top(
				&w->deque))) /* a WORK one of ours: others have left */
			filchi_context_leave(filchi_this_thread.context);
		filchi_segment_close(&w->deque);
	}
	/* the segments are closed, but their entries still ours */
	for (uint32_t i = top; i-- > depth;) {
		struct filchi_team *team = filch_load_relaxed(&segment[i].team);

		if (!filchi_segment_is_scope(&segment[i]) && filchi_team_leave(team))
			filchi_worker_deliver(w->pool, filchi_job_of(team));
	}
}

bool filchi_fault_abort(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;
	struct filchi_thread *thread = w->thread;
	struct filchi_segment *segment = w->deque.segment;
	const uint32_t depth = filch_load_relaxed(&w->deque.depth);

	for (uint32_t i = 0; i < depth; i++)
		if (!filch_load_relaxed(&segment[i].team))
			filch_misuse("a thread was lost in tasks of a callback or worker hook",
				"of no job");
	filchi_this_thread.guarded = NULL;
	filchi_worker_set_self(NULL);
	/* before the last job can complete, and the pool be destroyed */
	count_retiring(thread);
	thread->due = filchi_contexts_lost();
	filch_store_relaxed(&thread->user, 0);
	for (uint32_t i = depth; i--;)
		if (!filchi_segment_is_scope(&segment[i]))
			abort_segment(w, &segment[i]);
	/* counted before the job can be seen complete */
	(void)filchi_fetch_add_acq_rel(&pool->external.given_up, 1);
	(void)filchi_deque_withdraw(&w->deque);
	while (filch_load_relaxed(&w->deque.depth))
		filchi_segment_close(&w->deque);
	filchi_awaits_remove(&pool->awaits, w->id);
	filchi_store_release(&w->awaits, 0);
	filchi_group_wait_lost(w);
	filchi_store_release(&w->runs_on, 0);
	w->clock = 0;
	/* the segments are closed, but their entries still ours: the seat is not taken yet */
	for (uint32_t i = depth; i--;) {
		struct filchi_team *team = filch_load_relaxed(&segment[i].team);

		if (!filchi_segment_is_scope(&segment[i]) && filchi_team_leave(team)) {
			filch_store_relaxed(&filchi_job_of(team)->after, thread->completes);
			thread->completes = filchi_job_of(team);
		}
	}
	if (!pool->has_service)
		return true;
	filch_tsan_release(&pool->dead_threads); /* what the seat's next thread may read */
	thread->next = filchi_load_acquire(&pool->dead_threads);
	while (!filchi_cas_acq_rel(&pool->dead_threads, &thread->next, thread))
		;
	filchi_fault_tell(pool); /* w is another thread's from here on */
	return false;
}

#if FILCHI_FAULT_SUPPORTED

#include <malloc.h>

#define FAULTS 4
/* the least signal stack, where the system does not tell */
#define LEAST_SIGNAL_STACK UINT64_C(4096)
/* for a handler of the application's: to print a trace, or of a language's runtime */
#define HANDLER_ROOM (UINT64_C(64) << 10)
/* from 32 on: setuid() of another thread must reach all */
#if defined(__GLIBC__)
#define C_LIBRARYS_SIGNALS (3ul << 31)
#else
#define C_LIBRARYS_SIGNALS (7ul << 31)
#endif
FILCHI_SIGNAL_ENTRY(on_fault, filchi_fault_handle)
#define FAULT(number)                                                                  \
	{                                                                              \
		.signal = (number), .flags = SA_ONSTACK | SA_RESTART, .ours = on_fault \
	}
static struct filchi_sigchain fault[FAULTS] = { FAULT(SIGSEGV), FAULT(SIGBUS), FAULT(SIGFPE),
	FAULT(SIGILL) };

/*
 * A fault inside malloc leaves an arena locked for good. Once there are no more to be had, threads
 * share them, and the next such fault takes one that the program's other threads use.
 */
#define ARENAS 4096
/* glibc's malloc.c is compiled as one: its code before the first function that can be named */
#define MALLOC_BEFORE (UINT64_C(24) << 10)
#define MALLOC_BEHIND UINT64_C(512) /* and of the last one */
#define MALLOC_WHOLE  (UINT64_C(64) << 10)

/* Defined where ThreadSanitizer is in the process, whoever brought it. */
extern void __tsan_init(void) __attribute__((weak));

/* All signals but those of faults: one in what follows is a bug, and should be seen. */
static void fill_but_faults(sigset_t *set)
{
	sigfillset(set);
	for (unsigned i = 0; i < FAULTS; i++)
		sigdelset(set, fault[i].signal);
}

/* sigdelset() knows nothing of these. */
static void leave_to_the_c_library(sigset_t *set)
{
	unsigned long first;

	memcpy(&first, set, sizeof first);
	first &= ~C_LIBRARYS_SIGNALS;
	memcpy(set, &first, sizeof first);
}

/* The end of a lost thread. */
UNSANITIZED __attribute__((noreturn)) static void vanish(struct filchi_thread *thread)
{
	/* to its top: what is mapped there next may be another thread's object */
	UNPOISON(thread->lowest, thread->stack_size);
	if (__tsan_init)
		__builtin_longjmp(thread->back, 1);
	for (;;)
		(void)syscall(SYS_exit, 0);
}

/* On the refuge. The sanitizer knows nothing of this stack, nor that we leave it for good. */
UNSANITIZED __attribute__((noreturn)) static void retire(struct filchi_thread *thread)
{
	struct filch_pool *pool = thread->worker->pool;
	sigset_t signals;

	fill_but_faults(&signals);
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
	(void)filchi_fault_abort(thread->worker);
	for (uint32_t i = 0; i < thread->aborted_count; i++)
		(void)filchi_job_await(&pool->jobs,
			filchi_job_find(&pool->jobs, thread->aborted[i]), thread->aborted[i], NULL);
	filchi_store_release(&thread->leaving, 1);
	filchi_fault_tell(pool);
	vanish(thread);
}

/* Where the refuge begins, as a function finds its stack: the return address is none. */
UNSANITIZED static uintptr_t refuge_top(const struct filchi_thread *thread)
{
	uintptr_t top = (((uintptr_t)thread->refuge + thread->refuge_size) & ~(uintptr_t)15) - 24;

	*(uintptr_t *)top = 0;
	return top;
}

UNSANITIZED void filchi_fault_give_up(struct filchi_worker *w)
{
	struct filchi_thread *thread = w->thread;

	if (!thread->has_back)
		filch_misuse("a task was lost that a worker hook waits for", "of no job");
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "jmp *%1"
			 :
			 /* fixed: none may lie in rbp, which goes before the jump */
			 : "a"(refuge_top(thread)), "c"(retire), "D"(thread)
			 : "memory");
	__builtin_unreachable();
}

UNSANITIZED bool filchi_fault_run(
	struct filchi_thread *thread, void (*body)(struct filchi_worker *w))
{
	if (__builtin_setjmp(thread->back))
		return false;
	thread->has_back = true;
	body(thread->worker);
	thread->has_back = false;
	return true;
}

/* --- malloc ----------------------------------------------------------- */

static uintptr_t malloc_begin, malloc_end; /* equal: not known */

static void find_malloc(void)
{
	const uintptr_t at[] = { (uintptr_t)malloc, (uintptr_t)free, (uintptr_t)calloc,
		(uintptr_t)realloc, (uintptr_t)memalign, (uintptr_t)malloc_trim,
		(uintptr_t)malloc_usable_size, (uintptr_t)mallopt, (uintptr_t)malloc_info };
	uintptr_t first = at[0], last = at[0];

	for (size_t i = 1; i < sizeof at / sizeof at[0]; i++) {
		first = at[i] < first ? at[i] : first;
		last = at[i] > last ? at[i] : last;
	}
	if (last - first > MALLOC_WHOLE)
		return; /* some are not glibc's */
	malloc_begin = first - MALLOC_BEFORE;
	malloc_end = last + MALLOC_BEHIND;
}

static bool is_malloc(uintptr_t code)
{
	return code >= malloc_begin && code < malloc_end;
}

/*
 * Whether the thread may be inside malloc: it was there, or in a function that copies or clears for
 * it. These have no frame, so the return address is the first word. Further up may lie what is left
 * of earlier calls. On another stack, a signal's, nothing is known.
 */
UNSANITIZED static bool is_in_malloc(
	const struct filchi_thread *thread, uintptr_t code, uintptr_t stack)
{
	if (__tsan_init || malloc_begin == malloc_end)
		return false; /* it is joined, and has ended in order */
	if (is_malloc(code) || stack < (uintptr_t)thread->stack ||
		stack >= (uintptr_t)thread->first_frame)
		return true;
	/* below it: an overflow */
	return stack >= (uintptr_t)thread->lowest && is_malloc(*(const uintptr_t *)stack);
}

/*
 * Until there are so many, each thread gets an arena of its own. Never against the program: a
 * bound that is set by M_ARENA_MAX goes before this one, and the environment is asked.
 */
static void allow_arenas(void)
{
	const char *tunables = getenv("GLIBC_TUNABLES");

	if (!getenv("MALLOC_ARENA_TEST") &&
		!(tunables && strstr(tunables, "glibc.malloc.arena_test")))
		(void)mallopt(M_ARENA_TEST, ARENAS);
}

/* --- the handlers ----------------------------------------------------- */

/* What would have happened without us. */
static void pass_on(int signal_number, siginfo_t *info, void *context, bool from_kernel)
{
	unsigned i = 0;

	while (i + 1 < FAULTS && fault[i].signal != signal_number)
		i++;
	filchi_sigchain_pass(&fault[i], info, context, from_kernel);
}

/*
 * Whether the fault of this thread is a guarded job's: its own code was running, and no callback's,
 * nor on top of one.
 */
static bool is_contained(const siginfo_t *info, struct filchi_thread *thread)
{
	struct filchi_team *team;

	if (info->si_code <= 0 || (info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO) ||
		!thread || !filch_load_relaxed(&thread->user) || filchi_this_thread.context)
		return false;
	team = filchi_segment_team(&thread->worker->deque);
	return team && filch_load_relaxed(&filchi_job_of(team)->state) & FILCHI_JOB_GUARDED;
}

void filchi_fault_handle(int signal_number, siginfo_t *info, void *context, bool from_kernel)
{
	struct filchi_thread *thread = filchi_this_thread.guarded;
	ucontext_t *uc = context;

	if (!is_contained(info, thread)) {
		pass_on(signal_number, info, context, from_kernel);
		return;
	}
	filch_store_relaxed(&thread->user, 0); /* a fault in what follows is ours, not the job's */
	thread->signal = (uint64_t)signal_number;
	thread->address = (uint64_t)(uintptr_t)info->si_addr;
	thread->in_malloc = is_in_malloc(thread, (uintptr_t)uc->uc_mcontext.gregs[REG_RIP],
		(uintptr_t)uc->uc_mcontext.gregs[REG_RSP]);
	fill_but_faults(&uc->uc_sigmask);
	leave_to_the_c_library(&uc->uc_sigmask);
	uc->uc_mcontext.gregs[REG_RSP] = (greg_t)refuge_top(thread);
	uc->uc_mcontext.gregs[REG_RBP] = 0;
	uc->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)thread;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)retire;
	/* alignment checks, direction, single step */
	uc->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)0x40500;
	if (uc->uc_mcontext.fpregs) {
		uc->uc_mcontext.fpregs->cwd = 0x37f; /* as a thread starts: all exceptions masked */
		uc->uc_mcontext.fpregs->swd = 0;
		uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
	}
}

int filchi_fault_install(void)
{
	static bool allowed;
	stack_t now;
	int error = sigaltstack(NULL, &now) ? errno : 0;
	unsigned i = 0;

	pthread_mutex_lock(&lock);
	while (!error && !guarding && i < FAULTS) {
		error = filchi_sigchain_install(&fault[i]);
		i += !error;
	}
	if (!error && !allowed) {
		find_malloc();
		allow_arenas();
	}
	allowed |= !error; /* once: the program may set another */
	if (!error)
		guarding++;
	else
		while (i)
			filchi_sigchain_remove(&fault[--i]);
	pthread_mutex_unlock(&lock);
	return -error;
}

void filchi_fault_remove(void)
{
	pthread_mutex_lock(&lock);
	if (!--guarding)
		for (unsigned i = 0; i < FAULTS; i++)
			filchi_sigchain_remove(&fault[i]);
	pthread_mutex_unlock(&lock);
}

size_t filchi_fault_signal_size(void)
{
	size_t least = getauxval(FILCHI_AT_MINSIGSTKSZ); /* 0: of an older kernel */

	if (least < LEAST_SIGNAL_STACK)
		least = LEAST_SIGNAL_STACK;
	/* what the processor's state needs, and a handler; at least what is usual */
	return 3 * least > HANDLER_ROOM ? 4 * least : least + HANDLER_ROOM;
}

void filchi_fault_enter(struct filchi_thread *thread)
{
	const stack_t on = { .ss_sp = thread->refuge, .ss_size = thread->signal_size };

	sigaltstack(&on, &thread->signal_before);
	filchi_this_thread.guarded = thread;
}

void filchi_fault_begin(struct filchi_thread *thread)
{
	pthread_sigmask(SIG_SETMASK, NULL, &thread->signals);
	for (unsigned i = 0; i < FAULTS; i++)
		sigdelset(&thread->signals, fault[i].signal);
}

/*
 * Its faults can be delivered, and there is a stack to do it on. Where nothing lies on its own
 * stack the rest of its mask is as it began, too. A frame that goes on may have blocked something.
 */
static void make_fit(struct filchi_worker *w)
{
	const struct filchi_thread *thread = w->thread;
	const stack_t on = { .ss_sp = thread->refuge, .ss_size = thread->signal_size };
	sigset_t faults;

	if (!filch_load_relaxed(&w->deque.depth)) {
		pthread_sigmask(SIG_SETMASK, &thread->signals, NULL);
	} else {
		sigemptyset(&faults);
		for (unsigned i = 0; i < FAULTS; i++)
			sigaddset(&faults, fault[i].signal);
		pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
	}
	sigaltstack(&on, NULL);
}

void filchi_fault_leave(struct filchi_thread *thread)
{
	filchi_this_thread.guarded = NULL;
	sigaltstack(&thread->signal_before, NULL);
}

void filchi_worker_arm(struct filchi_worker *w, struct filchi_team *team)
{
	struct filchi_thread *thread = w->thread;
	struct filchi_job *job = team ? filchi_job_of(team) : NULL;
	int64_t id = job && filch_load_relaxed(&job->state) & FILCHI_JOB_GUARDED ? job->id : 0;

	if (id && id != thread->armed_for && !thread->is_fit)
		make_fit(w);
	thread->is_fit = false; /* code of the program runs now */
	thread->armed_for = id;
}

void filchi_worker_rest(struct filchi_worker *w)
{
	struct filchi_thread *thread = w->thread;

	if (!thread->armed_for)
		return;
	make_fit(w);
	thread->is_fit = true;
	thread->armed_for = 0;
}

#else /* no way to change stacks */

void filchi_worker_arm(struct filchi_worker *w, struct filchi_team *team)
{
	(void)w;
	(void)team;
}

void filchi_worker_rest(struct filchi_worker *w)
{
	(void)w;
}

void filchi_fault_give_up(struct filchi_worker *w)
{
	(void)w;
	filch_misuse("a task of a job was lost with its thread", "of a job");
}

bool filchi_fault_run(struct filchi_thread *thread, void (*body)(struct filchi_worker *w))
{
	body(thread->worker);
	return true;
}

int filchi_fault_install(void)
{
	return -ENOTSUP;
}

void filchi_fault_remove(void)
{
}

size_t filchi_fault_signal_size(void)
{
	return 0;
}

void filchi_fault_enter(struct filchi_thread *thread)
{
	(void)thread;
}

void filchi_fault_begin(struct filchi_thread *thread)
{
	(void)thread;
}

void filchi_fault_leave(struct filchi_thread *thread)
{
	(void)thread;
}

#endif

void filchi_fault_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

void filchi_fault_after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

void filchi_fault_in_child(void)
{
	guarding = 0; /* inherited pools cannot be destroyed; our handlers stay where they are */
	pthread_mutex_unlock(&lock);
}
