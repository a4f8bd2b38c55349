/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog: reports each job that has run longer than filch_config.watchdog_ns, once.
 *
 * It asks workers nothing and costs them nothing. Twice per limit the warden reads what thieves read anyway: the lowest segment of each
 * worker's stack, and the state word of the job it names. A job that is RUNNING under the same id at two looks has run all the time
 * between. It is reported when it has been seen for the limit, so between the limit and one and a half limits after its start.
 * A job nested under another one's wait is reported as the one that waits: the trace shows the rest.
 *
 * The trace is taken by the worker itself, in a handler of SIGURG, a signal whose default is to be ignored; only workers of pools with
 * a limit have it unblocked, and it is sent to a stuck worker alone. backtrace() takes no lock there with glibc 2.35 and later
 * (dl_find_object); it is called once in advance, which loads what it needs. A blocking call that the signal interrupts is restarted,
 * or, if it is one of those that never are (poll, nanosleep), returns EINTR. A worker that does not answer in ANSWER_NS
 * is reported without a trace.
 *
 * Rejected: unwinding from outside (needs libunwind or a second process); frame pointers (most code is compiled without).
 */
#define _GNU_SOURCE
#include "watchdog.h"

#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "chain.h"

#define FRAMES 48
#define ANSWER_NS UINT64_C(200000000)

enum { IDLE, ASKED, WRITING, DONE, STATES };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of `watching` and of who stands below our handler */
static unsigned watching;

/*
 * The question: static, since the answer may come after the pool is gone; its state, and above it its number. One that was not answered
 * in time may reach its thread when another has been asked: so only the thread that is asked answers, and only the question it has read.
 */
static filch_atomic_u32 answer_state;
static filch_atomic_u64 asked_thread;
static void *answer_frame[FRAMES];
static int answer_frames;
static filch_atomic_u32 asking; /* one question at a time in the process; no mutex, since a forked child must take it from who is gone */

static void on_question(int signal_number, siginfo_t *info, void *context);
static struct filchi_chain urgent = { .signal = SIGURG, .flags = SA_RESTART | SA_ONSTACK, .is_ignored = true, .ours = on_question };

static void on_question(int signal_number, siginfo_t *info, void *context)
{
	uint32_t asked = filchi_load_acquire(&answer_state);
	int error = errno;

	(void)signal_number;
	if (info->si_code != SI_QUEUE || info->si_pid != getpid() || info->si_value.sival_ptr != (void *)&answer_state) {
		filchi_chain_pass(&urgent, info, context);
	} else if (asked % STATES == ASKED && filchi_load_relaxed(&asked_thread) == (uint64_t)(uintptr_t)pthread_self() &&
		   filchi_cas_acq_rel(&answer_state, &asked, asked - ASKED + WRITING)) {
		answer_frames = backtrace(answer_frame, FRAMES);
		filchi_store_release(&answer_state, asked - ASKED + DONE);
		filchi_futex_wake(&answer_state, 1);
	}
	errno = error;
}

void filchi_watchdog_install(void)
{
	void *ignored[1];

	(void)backtrace(ignored, 1);
	pthread_mutex_lock(&lock);
	if (!watching++)
		filchi_chain_install(&urgent);
	pthread_mutex_unlock(&lock);
}

void filchi_watchdog_remove(void)
{
	pthread_mutex_lock(&lock);
	if (!--watching)
		filchi_chain_remove(&urgent);
	pthread_mutex_unlock(&lock);
}

/* The frames of @w's thread in answer_frame; how many. The caller is the one who asks. */
static int trace(struct filchi_worker *w)
{
	struct timespec deadline = filch_after(ANSWER_NS);
	uint32_t number = (filchi_load_relaxed(&answer_state) / STATES + 1) * STATES, state;

	if (!w->shift)
		return 0;
	filchi_store_relaxed(&asked_thread, (uint64_t)(uintptr_t)w->shift->thread);
	filchi_store_release(&answer_state, number + ASKED);
	if (pthread_sigqueue(w->shift->thread, SIGURG, (union sigval){ .sival_ptr = (void *)&answer_state }))
		deadline.tv_sec = deadline.tv_nsec = 0;
	while ((state = filchi_load_acquire(&answer_state)) != number + DONE) {
		bool open = state == number + ASKED;

		if (filchi_futex_wait(&answer_state, state, open ? &deadline : NULL) == -ETIMEDOUT && open &&
		    filchi_cas_acq_rel(&answer_state, &state, number + IDLE))
			return 0;
	}
	filchi_store_release(&answer_state, number + IDLE);
	return answer_frames;
}

static void report(struct filch_pool *pool, struct filchi_worker *w, struct filchi_watch *watch, uint64_t now)
{
	struct filch_stuck stuck = { .id = watch->id, .run_ns = now - watch->since, .worker = (int32_t)w->id };
	void *frame[FRAMES];

	watch->told = true;
	(void)filchi_fetch_add_acq_rel(&pool->outside.stuck, 1);
	if (!pool->config.on_stuck)
		return;
	while (filchi_exchange_acq_rel(&asking, 1))
		(void)filchi_futex_wait(&asking, 1, NULL);
	stuck.frames = (uint32_t)trace(w);
	memcpy(frame, answer_frame, stuck.frames * sizeof frame[0]);
	filchi_store_release(&asking, 0);
	filchi_futex_wake(&asking, 1);
	stuck.frame = frame;
	pool->config.on_stuck(pool->config.hook_arg, &stuck);
}

/* The id of the job at the bottom of @w's stack, if it runs; else 0. */
static int64_t job_of(struct filch_pool *pool, struct filchi_worker *w)
{
	struct filchi_crew *crew = filchi_load_acquire(&w->deque.depth) ? filchi_load_relaxed(&w->deque.segment[0].crew) : NULL;
	uint64_t s;

	if (!crew)
		return 0;
	s = filchi_load_acquire(&filchi_job_of(crew)->state);
	return FILCHI_JOB_STATE(s) == FILCHI_JOB_RUNNING ? filchi_job_id_of(&pool->jobs, filchi_job_of(crew), s) : 0;
}

void filchi_watchdog_look(struct filch_pool *pool, struct filchi_watch *watch)
{
	uint64_t now = filchi_now();

	for (uint32_t i = 0; i < pool->running; i++) {
		int64_t id = job_of(pool, filchi_worker_at(pool, i));

		if (id != watch[i].id)
			watch[i] = (struct filchi_watch){ .id = id, .since = now };
		/* several workers may be at one job: its age is the greatest known, and it is told of once */
		for (uint32_t j = 0; id && j < pool->running; j++) { /* behind i: as of the last look */
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

/* A question goes on over a fork, which need not wait for its answer: the child has neither who asks nor who is asked. */
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
	filchi_store_relaxed(&answer_state, filchi_load_relaxed(&answer_state) / STATES * STATES + IDLE);
	filchi_store_relaxed(&asking, 0);
	watching = 0; /* inherited pools cannot be destroyed; our handler stays where it is */
	pthread_mutex_unlock(&lock);
}
