/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containment: a guarded job that faults is aborted whole, and the worker lives on in a new thread.
 *
 * The steps, on the thread that faulted (docs/jobs.md says why in this order):
 *
 *   1 the handler, on the signal stack: the fault is the job's if it was raised by the processor (si_code > 0) while code of a
 *     guarded job ran on a worker of a guarding pool. It notes signal and address and changes the context it will return to: to
 *     retire(), on the refuge, a stack of the library's own. Anything else goes where it would have gone without us.
 *   2 each part on the stack (shared.h): its job is marked dead, with the first fault, and its cancel flag raised; a stolen task's
 *     word becomes "lost", and a worker that sleeps for it is woken: it will give up its own stack in the same way.
 *   3 the tasks in the deque are withdrawn, by CAS on top like any steal. What was stolen runs to its end: the frames that it
 *     reads and writes stay where they are.
 *   4 the deque is put in order, and each part leaves its crew. Who brings the count of a dead job to 0 completes it.
 *   5 the warden is told: it starts a new thread on the seat.
 *   6 the old thread sleeps until its jobs are complete: only then does nobody touch its stack. It returns to that stack's first
 *     frame and exits, and the warden joins it and unmaps.
 *
 * By rule 3, and because a guarded job is never run on top of other frames, all that lies on a stack with a fault on top is of one job.
 *
 * pthread_exit() in a job is the same without 1: the frames have been unwound by then, so that nothing spawned may be left unsynced.
 *
 * Rejected: siglongjmp out of the handler (it would run on over frames that thieves still use); a stack of its own for every job (a
 * program's own view of its stack, sanitizers and debuggers would all have to be told); exiting on the refuge (pthread_exit() runs
 * the cleanup handlers of the lost frames).
 */
#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include "chain.h"

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
#define UNSANITIZED __attribute__((no_sanitize("address")))
#else
#define UNPOISON(p, size) ((void)0)
#define UNSANITIZED
#endif

#define PAGE 4096u
#define ROOM (4 * PAGE) /* of stack, for any call of the library but those that make or end a pool */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned guarding; /* pools that want the handlers */

/* The shift of this thread, if it is one of a guarding pool; initial-exec: a signal handler reads it. */
static _Thread_local struct filchi_shift *here __attribute__((tls_model("initial-exec")));

UNSANITIZED __attribute__((noinline)) void filchi_guard_touch_now(void *out, size_t size)
{
	volatile char room[ROOM], *byte = out;

	for (size_t i = ROOM; i; i -= PAGE / 4) /* downwards: no step is longer than the guard page */
		room[i - 1] = 0;
	(void)room[0];
	for (size_t i = 0; i < size; i += PAGE)
		byte[i] = byte[i];
	if (size)
		byte[size - 1] = byte[size - 1];
}

/* --- giving up --------------------------------------------------------------------------------------------------------------- */

void filchi_guard_tell(struct filch_pool *pool)
{
	(void)filchi_fetch_add_acq_rel(&pool->news, 2);
	filchi_futex_wake(&pool->news, INT_MAX); /* the warden, and a destroy that waits */
}

/* Of several faults of one job the first counts. The caller is inside, so the job is not completed before it has written. */
static void mark_dead(struct filchi_job *job, const struct filchi_shift *shift)
{
	if (!filchi_crew_abort(&job->crew))
		return;
	job->fault_signal = (uint8_t)shift->signal;
	job->fault_address = shift->address;
	if (shift->signal)
		(void)filchi_fetch_add_acq_rel(&shift->worker->pool->outside.faults, 1);
}

bool filchi_guard_abort(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;
	struct filchi_shift *shift = w->shift;

	for (uint32_t i = 0; i < shift->parts; i++)
		if (!shift->part[i].crew)
			filch_misuse("a thread was lost that ran tasks of a completion callback or a worker hook", "of no job");
	here = NULL;
	filchi_worker_set_self(NULL);
	(void)filchi_fetch_add_seq_cst(&pool->parting, 1); /* before the last job can complete, and the pool be destroyed */
	filchi_callbacks_lost();
	shift->runs = filchi_foreign_forget();
	filchi_store_relaxed(&shift->listed, shift->runs != NULL);
	filchi_store_relaxed(&shift->user, 0);
	for (uint32_t i = shift->parts; i--;) {
		struct filchi_part *part = &shift->part[i];
		struct filchi_job *job = filchi_job_of(part->crew);
		int joiner;

		part->id = job->id;
		mark_dead(job, shift);
		(void)filchi_job_flag(&pool->jobs, job, part->id, FILCHI_JOB_CANCEL);
		joiner = part->task ? filchi_task_lose(part->task, &pool->marks) : -1;
		if (joiner >= 0 && joiner != (int)w->id)
			(void)filchi_worker_wake(pool, filchi_worker_at(pool, (uint32_t)joiner));
	}
	(void)filchi_fetch_add_acq_rel(&pool->outside.given_up, 1); /* counted before the job can be seen complete */
	(void)filchi_deque_withdraw(&w->deque);
	while (filchi_load_relaxed(&w->deque.depth))
		filchi_segment_close(&w->deque);
	filchi_store_release(&w->awaits, 0);
	w->clock = 0;
	for (uint32_t i = shift->parts; i--;) {
		struct filchi_crew *crew = shift->part[i].crew;

		if (filchi_crew_leave(crew)) {
			filchi_job_of(crew)->after = shift->completes;
			shift->completes = filchi_job_of(crew);
		}
	}
	if (!pool->has_warden)
		return true;
	shift->next = filchi_load_acquire(&pool->lost);
	while (!filchi_cas_acq_rel(&pool->lost, &shift->next, shift))
		;
	filchi_guard_tell(pool); /* w is another thread's from here on */
	return false;
}

#if FILCHI_GUARD_SUPPORTED

#define FAULTS 4
static void on_fault(int signal_number, siginfo_t *info, void *context);
#define FAULT(number) { .signal = (number), .flags = SA_ONSTACK | SA_RESTART, .ours = on_fault }
static struct filchi_chain fault[FAULTS] = { FAULT(SIGSEGV), FAULT(SIGBUS), FAULT(SIGFPE), FAULT(SIGILL) };

/* On the refuge. The sanitizer knows nothing of this stack, nor that we leave it for good. */
UNSANITIZED __attribute__((noreturn)) static void retire(struct filchi_shift *shift)
{
	struct filch_pool *pool = shift->worker->pool;

	(void)filchi_guard_abort(shift->worker);
	for (uint32_t i = shift->parts; i--;)
		(void)filchi_job_await(&pool->jobs, filchi_job_find(&pool->jobs, shift->part[i].id), shift->part[i].id, NULL);
	/* the list of the other pools' jobs lies on this stack: they are complete once the next thread has been through it */
	while (filchi_load_acquire(&shift->listed))
		(void)filchi_futex_wait(&shift->listed, 1, NULL);
	filchi_store_release(&shift->leaving, 1);
	filchi_guard_tell(pool);
	UNPOISON((char *)shift->stack, shift->stack_size);
	__builtin_longjmp(shift->back, 1);
}

/* Where the refuge begins, as a function finds its stack: the return address is none. */
UNSANITIZED static uintptr_t refuge_top(const struct filchi_shift *shift)
{
	uintptr_t top = (((uintptr_t)shift->refuge + shift->refuge_size) & ~(uintptr_t)15) - 24;

	*(uintptr_t *)top = 0;
	return top;
}

UNSANITIZED void filchi_guard_give_up(struct filchi_worker *w)
{
	struct filchi_shift *shift = w->shift;

	if (!shift->has_back)
		filch_misuse("a task was lost that a worker hook waits for", "of no job");
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "jmp *%1"
			 :
			 : "a"(refuge_top(shift)), "c"(retire), "D"(shift) /* fixed: none may lie in rbp, which goes before the jump */
			 : "memory");
	__builtin_unreachable();
}

UNSANITIZED bool filchi_guard_run(struct filchi_shift *shift, void (*body)(struct filchi_worker *w))
{
	if (__builtin_setjmp(shift->back))
		return false;
	shift->has_back = true;
	body(shift->worker);
	shift->has_back = false;
	return true;
}

/* --- the handlers ------------------------------------------------------------------------------------------------------------ */

/* What would have happened without us. */
static void pass_on(int signal_number, siginfo_t *info, void *context)
{
	unsigned i = 0;

	while (i + 1 < FAULTS && fault[i].signal != signal_number)
		i++;
	filchi_chain_pass(&fault[i], info, context);
}

/* Whether the fault of this thread is a guarded job's: its own code was running, and not a callback's or another pool's job. */
static bool is_contained(const siginfo_t *info, struct filchi_shift *shift)
{
	struct filchi_crew *crew;

	if (info->si_code <= 0 || (info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO) || !shift ||
	    !filchi_load_relaxed(&shift->user) || filchi_foreign_here() || filchi_in_callback())
		return false;
	crew = shift->parts ? shift->part[shift->parts - 1].crew : NULL;
	return crew && filchi_load_relaxed(&filchi_job_of(crew)->state) & FILCHI_JOB_GUARDED;
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
	struct filchi_shift *shift = here;
	ucontext_t *uc = context;

	if (!is_contained(info, shift)) {
		pass_on(signal_number, info, context);
		return;
	}
	filchi_store_relaxed(&shift->user, 0); /* a fault in what follows is ours, not the job's */
	shift->signal = (uint64_t)signal_number;
	shift->address = (uint64_t)(uintptr_t)info->si_addr;
	uc->uc_mcontext.gregs[REG_RSP] = (greg_t)refuge_top(shift);
	uc->uc_mcontext.gregs[REG_RBP] = 0;
	uc->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)shift;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)retire;
	uc->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)0x40500; /* alignment checks, direction, single step */
	if (uc->uc_mcontext.fpregs) {
		uc->uc_mcontext.fpregs->cwd = 0x37f; /* as a thread starts: all exceptions masked */
		uc->uc_mcontext.fpregs->swd = 0;
		uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
	}
}

int filchi_guard_install(void)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; !guarding && i < FAULTS; i++)
		filchi_chain_install(&fault[i]);
	guarding++;
	pthread_mutex_unlock(&lock);
	return 0;
}

void filchi_guard_remove(void)
{
	pthread_mutex_lock(&lock);
	if (!--guarding)
		for (unsigned i = 0; i < FAULTS; i++)
			filchi_chain_remove(&fault[i]);
	pthread_mutex_unlock(&lock);
}

size_t filchi_guard_signal_size(void)
{
	long least = sysconf(_SC_MINSIGSTKSZ);

	return (size_t)(least > 4096 ? least : 4096) + 12288; /* what the processor's state needs, and a handler of the application's */
}

void filchi_guard_enter(struct filchi_shift *shift)
{
	const stack_t on = { .ss_sp = shift->refuge, .ss_size = shift->signal_size };

	sigaltstack(&on, &shift->signal_before);
	here = shift;
}

void filchi_guard_leave(struct filchi_shift *shift)
{
	here = NULL;
	sigaltstack(&shift->signal_before, NULL);
}

#else /* no way to change stacks */

void filchi_guard_give_up(struct filchi_worker *w)
{
	(void)w;
	filch_misuse("a task of a job was lost with its thread", "of a job");
}

bool filchi_guard_run(struct filchi_shift *shift, void (*body)(struct filchi_worker *w))
{
	body(shift->worker);
	return true;
}

int filchi_guard_install(void)
{
	return -ENOTSUP;
}

void filchi_guard_remove(void)
{
}

size_t filchi_guard_signal_size(void)
{
	return 0;
}

void filchi_guard_enter(struct filchi_shift *shift)
{
	(void)shift;
}

void filchi_guard_leave(struct filchi_shift *shift)
{
	(void)shift;
}

#endif

void filchi_guard_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

void filchi_guard_after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

void filchi_guard_in_child(void)
{
	here = NULL;
	guarding = 0; /* inherited pools cannot be destroyed; our handlers stay where they are */
	pthread_mutex_unlock(&lock);
}
