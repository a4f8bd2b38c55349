/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog: reports each job that has run longer than filch_config.watchdog_ns, once.
 *
 * It asks workers nothing and costs them nothing. Twice per limit the attendant reads what
 * thieves read anyway: the lowest segment of each worker's stack, and the state word of the job it
 * names. A job that is RUNNING under the same id at two looks has run all the time between. It is
 * reported when it has been seen for the limit: at the latest one and a half limits after its
 * start. A job nested under another one's wait is reported as the one that waits. The trace shows
 * the rest.
 *
 * The trace is taken by the worker itself, in a handler of SIGURG.
 *
 *   - The default of that signal is to be ignored. Only workers of pools with a limit have it
 *     unblocked, and it is sent to a stuck worker alone.
 *   - backtrace() is called once in advance, which loads what it needs. After that it takes no lock
 *     with glibc 2.35 and later (dl_find_object), unless a JIT has registered frames with a libgcc
 *     before 13. Should it hang for that, the worker does, but not the attendant: the answer is
 *     waited for no longer than ANSWER_NS, and no question is asked until it has come.
 *   - A blocking call that the signal interrupts is restarted. Those that never are (poll,
 *     nanosleep) return EINTR.
 *   - A worker that does not answer in ANSWER_NS is reported without a trace.
 *
 * Rejected: unwinding from outside (needs libunwind or a second process); frame pointers (most code
 *           is compiled without).
 */
#define _GNU_SOURCE
#include "pool/watchdog.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "base/libc.h"
#include "base/sigchain.h"
#include "pool/thread.h"

#define FRAMES    48
#define ANSWER_NS UINT64_C(200000000)

/* LATE: the answer was waited for in vain, and may still be written */
enum { IDLE, ASKED, WRITING, DONE, LATE, STATES };

/* of `watching`, and of the handler below ours */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned watching;

/*
 * The question: its state, and above that its number. Static, since the answer may come after the
 * pool is gone. A question that was not answered in time may reach its thread when another has been
 * asked. So only the thread that is asked answers, and only the question it has read.
 */
static filch_atomic_u32 answer_state;
static filch_atomic_u64 asked_thread;
static void *answer_frame[FRAMES];
static int answer_frames;
/*
 * One question at a time in the process. No mutex: a forked child must take it from a thread that
 * is gone.
 */
static filch_atomic_u32 asking;

FILCHI_SIGNAL_ENTRY(on_question, filchi_watchdog_answer)
static struct filchi_sigchain urgent = {
	.signal = SIGURG, .flags = SA_RESTART | SA_ONSTACK, .is_ignored = true, .ours = on_question
};

void filchi_watchdog_answer(int signal_number, siginfo_t *info, void *context, bool from_kernel)
{
	uint32_t asked = filchi_load_acquire(&answer_state);
	int error = errno;

	(void)signal_number;
	if (!filchi_signal_is_ours(info, (void *)&answer_state)) {
		filchi_sigchain_pass(&urgent, info, context, from_kernel);
	} else if (asked % STATES == ASKED &&
		   filch_load_relaxed(&asked_thread) == (uint64_t)(uintptr_t)pthread_self() &&
		   filchi_cas_acq_rel(&answer_state, &asked, asked - ASKED + WRITING)) {
		filch_tsan_acquire(&answer_state);
		answer_frames = filchi_backtrace(answer_frame, FRAMES);
		filch_tsan_release(&answer_state); /* the C library's part of it may be seen */
		asked += WRITING - ASKED;
		if (!filchi_cas_acq_rel(&answer_state, &asked, asked - WRITING + DONE))
			filchi_store_release(&answer_state, asked - LATE + IDLE);
		filchi_futex_wake(&answer_state, 1);
	}
	errno = error;
}

int filchi_watchdog_install(void)
{
	void *ignored[1];
	int error = 0;

	(void)filchi_backtrace(ignored, 1);
	pthread_mutex_lock(&lock);
	if (!watching)
		error = filchi_sigchain_install(&urgent);
	if (!error)
		watching++;
	pthread_mutex_unlock(&lock);
	return error;
}

void filchi_watchdog_remove(void)
{
	pthread_mutex_lock(&lock);
	if (!--watching)
		filchi_sigchain_remove(&urgent);
	pthread_mutex_unlock(&lock);
}

/* Fills answer_frame with the frames of @w's thread; how many. The caller holds `asking`. */
static int trace(struct filchi_worker *w)
{
	struct timespec deadline = filch_after(ANSWER_NS);
	uint32_t number = (filch_load_relaxed(&answer_state) / STATES + 1) * STATES, state;
	uint64_t thread = filchi_load_acquire(&w->runs_on);

	if (!thread || filchi_load_acquire(&answer_state) % STATES == LATE)
		return 0;
	filch_store_relaxed(&asked_thread, thread);
	filch_tsan_release(&answer_state);
	filchi_store_release(&answer_state, number + ASKED);
	if (filchi_signal_thread((pthread_t)thread, SIGURG, (void *)&answer_state))
		deadline.tv_sec = deadline.tv_nsec = 0;
	while ((state = filchi_load_acquire(&answer_state)) != number + DONE) {
		uint32_t given_up = number + (state == number + ASKED ? IDLE : LATE);

		if (filchi_futex_wait(&answer_state, state, &deadline) == -ETIMEDOUT &&
			filchi_cas_acq_rel(&answer_state, &state, given_up))
			return 0;
	}
	filch_tsan_acquire(&answer_state);
	filchi_store_release(&answer_state, number + IDLE);
	return answer_frames;
}

static void report(
	struct filch_pool *pool, struct filchi_worker *w, struct filchi_watch *watch, uint64_t now)
{
	struct filch_stuck stuck = {
		.id = watch->id, .run_ns = now - watch->since, .worker = (int32_t)w->id
	};
	struct filchi_job_origin origin = { 0 };
	void *frame[FRAMES];

	/* false: it has just ended, and may be told of all the same */
	(void)filchi_job_peek(
		&pool->jobs, filchi_job_find(&pool->jobs, watch->id), watch->id, &origin);
	watch->told = true;
	(void)filchi_fetch_add_acq_rel(&pool->external.stuck, 1);
	if (!pool->config.on_stuck)
		return;
	while (filchi_exchange_acq_rel(&asking, 1))
		(void)filchi_futex_wait(&asking, 1, NULL);
	filch_tsan_acquire(&asking);
	stuck.frames = (uint32_t)trace(w);
	memcpy(frame, answer_frame, stuck.frames * sizeof frame[0]);
	filch_tsan_release(&asking);
	filchi_store_release(&asking, 0);
	filchi_futex_wake(&asking, 1);
	stuck.frame = frame;
	stuck.fn = origin.fn;
	stuck.arg = origin.arg;
	stuck.user = origin.user;
	filchi_thread_block(pool, FILCHI_THREAD_CALLBACK);
	pool->config.on_stuck(pool->config.hook_arg, &stuck);
	filchi_thread_block(pool, FILCHI_THREAD_OWN);
	if (filchi_forked(pool))
		filchi_child_end(0);
}

/* The id of the job at the bottom of @w's stack, if it runs; else 0. */
static int64_t job_of(struct filch_pool *pool, struct filchi_worker *w)
{
	struct filchi_team *team = filchi_load_acquire(&w->deque.depth)
					   ? filch_load_relaxed(&w->deque.segment[0].team)
					   : NULL;
	uint64_t s;

	if (!team)
		return 0;
	s = filchi_load_acquire(&filchi_job_of(team)->state);
	return FILCHI_JOB_STATE(s) == FILCHI_JOB_RUNNING
		       ? filchi_job_id_of(&pool->jobs, filchi_job_of(team), s)
		       : 0;
}

void filchi_watchdog_look(struct filch_pool *pool, struct filchi_watch *watch)
{
	uint64_t now = filchi_now();

	/* also those that were not started: the creator may still be counting them */
	for (uint32_t i = 0; i < pool->workers; i++) {
		int64_t id = job_of(pool, filchi_worker_at(pool, i));

		if (id != watch[i].id)
			watch[i] = (struct filchi_watch){ .id = id, .since = now };
		/*
		 * Several workers may be at one job: its age is the greatest known, and it is told
		 * of once. What lies behind i is as of the last look.
		 */
		for (uint32_t j = 0; id && j < pool->workers; j++) {
			if (watch[j].id != id)
				continue;
			if (watch[j].since < watch[i].since)
				watch[i].since = watch[j].since;
			watch[i].told |= watch[j].told;
		}
		if (id && !watch[i].told && now - watch[i].since >= pool->config.watchdog_ns)
			report(pool, filchi_worker_at(pool, i), &watch[i], now);
	}
}

/*
 * A question goes on over a fork, which need not wait for its answer: the child has neither of the
 * two threads.
 */
void filchi_watchdog_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

void filchi_watchdog_after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

void filchi_watchdog_in_child(void)
{
	filch_store_relaxed(
		&answer_state, filch_load_relaxed(&answer_state) / STATES * STATES + IDLE);
	filch_store_relaxed(&asking, 0);
	watching = 0; /* inherited pools cannot be destroyed; our handler stays where it is */
	pthread_mutex_unlock(&lock);
}
