/* SPDX-License-Identifier: Apache-2.0 */
/*
 * being told that a completion is there: the descriptor of a queue is readable when it should be
 * and written no more often than it must; filch_cq_wait() sleeps, times out, and refuses to where
 * it could be for ever.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <struct/cq_cells.h>

static struct filch_cq *cq;

static void begin_cq(uint32_t workers, uint32_t capacity)
{
	begin(workers, 0, 0);
	EQ(filch_cq_create(&cq, capacity), 0);
}

static void end_cq(void)
{
	end();
	EQ(filch_cq_destroy(cq), 0);
}

/* One more completion in the queue, put and told: the pool is drained. */
static void put_one(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.cq = cq;
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
}

static int reap(size_t n)
{
	struct filch_completion c[16];

	return filch_cq_reap(cq, c, n);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int got = poll(&p, 1, 0);

	cr_assert(got >= 0 && (p.revents & ~POLLIN) == 0, "%d %#x", got, (unsigned)p.revents);
	return got;
}

static _Atomic uint64_t written;

void __real_filchi_notify_write_fd(struct filchi_notifier *notifier);
void __wrap_filchi_notify_write_fd(struct filchi_notifier *notifier);

/* The linker leads every call in here: CMakeLists.txt. */
void __wrap_filchi_notify_write_fd(struct filchi_notifier *notifier)
{
	written++;
	__real_filchi_notify_write_fd(notifier);
}

/* How often the descriptor of this test's queue has been written. */
static uint64_t rings(void)
{
	return written;
}

/* --- the descriptor --------------------------------------------------- */

Test(cq_fd, is_one_eventfd_that_is_not_inherited_and_does_not_block)
{
	int before = test_descriptors(), fd;

	begin_cq(1, 4);
	EQ(test_descriptors(), before); /* made at the first call */
	fd = filch_cq_fd(cq);
	cr_assert(fd >= 0);
	EQ(filch_cq_fd(cq), fd);
	EQ(test_descriptors(), before + 1);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	end_cq();
	EQ(test_descriptors(), before);
}

Test(cq_fd, is_readable_exactly_while_something_is_there)
{
	int fd;

	begin_cq(1, 16);
	fd = filch_cq_fd(cq);
	cr_assert(!readable(fd), "a new queue is empty");
	EQ(reap(1), 0);
	cr_assert(!readable(fd));
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 3; i++) {
			put_one();
			cr_assert(readable(fd));
		}
		EQ(reap(2), 2);
		cr_assert(readable(fd), "one is left");
		EQ(reap(2), 1);
		EQ(reap(2), 0);
		cr_assert(!readable(fd), "reaped until 0");
	}
	end_cq();
}

Test(cq_fd, is_readable_from_the_start_if_something_is_there)
{
	begin_cq(1, 4);
	put_one();
	cr_assert(readable(filch_cq_fd(cq)));
	EQ(reap(4), 1);
	EQ(reap(4), 0);
	cr_assert(!readable(filch_cq_fd(cq)));
	put_one();
	cr_assert(readable(filch_cq_fd(cq)));
	end_cq();
}

Test(cq_fd, is_written_once_per_edge_and_not_while_the_reader_reaps)
{
	begin_cq(1, 16);
	cr_assert(filch_cq_fd(cq) >= 0);
	EQ(rings(), 0);
	for (unsigned round = 1; round <= 10; round++) {
		put_one();
		EQ(rings(), round);
		/* the reader takes each as it comes, and never finds the queue empty */
		for (int i = 0; i < 10; i++) {
			put_one();
			EQ(reap(1), 1);
		}
		EQ(reap(16), 1);
		put_one(); /* it has taken the last, but has not seen that it was */
		EQ(rings(), round);
		EQ(reap(16), 1);
		EQ(reap(16), 0);
		EQ(reap(16), 0); /* looks in vain ring nothing either */
		EQ(rings(), round);
	}
	end_cq();
}

Test(cq_fd, costs_nothing_until_it_is_asked_for)
{
	begin_cq(1, 4);
	for (int i = 0; i < 10; i++) {
		EQ(reap(4), 0);
		put_one();
		EQ(reap(4), 1);
	}
	EQ(rings(), 0);
	end_cq();
}

/*
 * A job cancelled from here puts its completion on this thread: no other thread is needed for an
 * edge.
 */
Test(cq_fd, wakes_a_thread_in_poll)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct pollfd p = { .events = POLLIN };

	begin_cq(2, 4);
	p.fd = filch_cq_fd(cq);
	how.cq = cq;
	for (int i = 0; i < 1000; i++) {
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
		do
			EQ(poll(&p, 1, -1), 1);
		while (!reap(4)); /* the ring of the last round may have come late */
		while (reap(4))
			;
	}
	end_cq();
}

static int without_descriptors(void *arg)
{
	struct rlimit none = { 0, 0 }, some = { 64, 64 };
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	struct filch_config config = FILCH_CONFIG_INIT;
	int fd;

	(void)arg;
	alarm(60);
	config.workers = 1;
	if (filch_pool_create(&pool, &config) || filch_cq_create(&cq, 4))
		return 1;
	if (getrlimit(RLIMIT_NOFILE, &some))
		return 2;
	none.rlim_max = some.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &none) || filch_cq_fd(cq) != -EMFILE)
		return 3;
	how.cq = cq;
	/* it works without */
	if (filch_submit(pool, answer, NULL, &how) <= 0 || filch_cq_wait(cq, &c, 1, NULL) != 1)
		return 4;
	if (setrlimit(RLIMIT_NOFILE, &some))
		return 5;
	fd = filch_cq_fd(cq);
	if (fd < 0 || filch_pool_destroy(pool) || filch_cq_destroy(cq))
		return 6;
	return 0;
}

Test(cq_fd, that_cannot_be_had_is_an_error_and_nothing_else)
{
	char text[4096];
	int status = in_child(without_descriptors, NULL, text, sizeof text);

	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x: %s", (unsigned)status,
		text);
}

/* --- waiting ---------------------------------------------------------- */

Test(cq_wait, takes_what_is_there_however_late_it_is)
{
	struct timespec past = { 0, 1 };
	struct filch_completion c[4];

	begin_cq(1, 4);
	EQ(filch_cq_wait(cq, c, 4, &past), -ETIMEDOUT);
	put_one();
	put_one();
	EQ(filch_cq_wait(cq, c, 1, &past), 1);
	EQ(filch_cq_wait(cq, c, 4, &past), 1);
	EQ(filch_cq_wait(cq, c, 4, &past), -ETIMEDOUT);
	end_cq();
}

static void nothing_of_it(int signal)
{
	(void)signal;
}

static void *interrupt(void *arg)
{
	pthread_t *whom = arg;

	for (int i = 0; i < 20; i++) {
		pthread_kill(*whom, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

Test(cq_wait, ends_at_its_deadline_and_not_for_a_signal)
{
	struct sigaction handler = { .sa_handler = nothing_of_it }; /* no SA_RESTART */
	struct filch_completion c;
	struct timespec soon;
	pthread_t me = pthread_self(), thread;

	begin_cq(1, 4);
	EQ(sigaction(SIGUSR1, &handler, NULL), 0);
	soon = filch_after(30000000);
	EQ(pthread_create(&thread, NULL, interrupt, &me), 0);
	EQ(filch_cq_wait(cq, &c, 1, &soon), -ETIMEDOUT);
	cr_assert(test_now() >= (uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec);
	EQ(pthread_join(thread, NULL), 0);
	end_cq();
}

static void *wait_for_one(void *arg)
{
	struct filch_completion c;

	*(int *)arg = filch_cq_wait(cq, &c, 1, NULL);
	return NULL;
}

static uint32_t sleepers(void)
{
	return FILCHI_NOTIFY_SLEEPERS(filchi_load_acquire(&cq->notifier.state)) /
	       FILCHI_NOTIFY_SLEEPER;
}

Test(cq_wait, sleepers_are_told_one_for_each_completion)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	pthread_t thread[4];
	int got[4] = { 0 };

	begin_cq(1, 8);
	hold_worker(&h);
	how.cq = cq;
	for (int i = 0; i < 4; i++)
		EQ(pthread_create(&thread[i], NULL, wait_for_one, &got[i]), 0);
	while (sleepers() < 4)
		sched_yield();
	EQ(filch_cq_destroy(cq), -EBUSY); /* not under them */
	for (int i = 0; i < 4; i++)
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	let_go(&h);
	for (int i = 0; i < 4; i++) {
		EQ(pthread_join(thread[i], NULL), 0);
		EQ(got[i], 1);
	}
	EQ(sleepers(), 0);
	end_cq();
}

/* --- where one may not wait ------------------------------------------- */

static int wait_in_a_job(void *arg)
{
	struct filch_completion c;

	(void)arg;
	return filch_cq_wait(cq, &c, 1, NULL);
}

Test(cq_wait, in_a_job_takes_what_is_there_and_does_not_sleep)
{
	begin_cq(1, 4);
	EQ(wait_status(filch_submit(pool, wait_in_a_job, NULL, NULL)), -EDEADLK);
	put_one();
	EQ(wait_status(filch_submit(pool, wait_in_a_job, NULL, NULL)), 1);
	end_cq();
}

static int waited;

static void wait_in_a_callback(const struct filch_completion *completion)
{
	struct filch_completion c;

	waited = filch_cq_wait(cq, &c, 1, NULL);
	tell(completion);
}

Test(cq_wait, in_a_callback_does_not_sleep_whichever_thread_it_is_on)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;

	begin_cq(1, 4);
	how.on_complete = wait_in_a_callback;
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	gate_wait(&told, 1);
	EQ(waited, -EDEADLK);
	hold_worker(&h);
	waited = 0;
	EQ(filch_cancel(pool, filch_submit(pool, answer, NULL, &how)), 0); /* here */
	EQ(waited, -EDEADLK);
	let_go(&h);
	put_one();
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	gate_wait(&told, 3);
	EQ(waited, 1);
	end_cq();
}

/* --- a thread that is cancelled ---------------------------------------- */

static int defer(void *unused)
{
	(void)unused;
	return filch_job_defer() > 0 ? 0 : -1;
}

enum { CANCELS, FINISHES, RUNS_IT, ABANDONS, ENDS_THE_QUEUE, KINDS };

struct doomed {
	int kind;
	int64_t id;
	bool came_back;
};

/* Its cancellation is pending when it calls, and must not act before the call is over. */
static void *call_while_cancelled(void *arg)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct doomed *d = arg;

	how.cq = cq;
	how.when_full = FILCH_CALLER_RUNS;
	EQ(pthread_cancel(pthread_self()), 0);
	switch (d->kind) {
	case CANCELS:
		EQ(filch_cancel(pool, d->id), 0);
		break;
	case FINISHES:
		EQ(filch_job_finish(pool, d->id, 42), 0);
		break;
	case RUNS_IT:
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
		break;
	case ABANDONS: /* it waits for the held job, until its deadline */
		EQ(filch_pool_shutdown(pool, FILCH_ABANDON, &(struct timespec){ 0, 1 }),
			-ETIMEDOUT);
		break;
	default:
		EQ(filch_cq_destroy(cq), 0);
	}
	d->came_back = true;
	pthread_testcancel();
	return NULL;
}

Test(cq_wait, no_call_that_puts_a_completion_is_a_cancellation_point)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct doomed d = { .kind = kind };
		struct filch_submit how = FILCH_SUBMIT_INIT;
		struct hold h = HOLD_INIT;
		pthread_t thread;
		void *result;
		int fd;

		begin(1, 1, 0);
		EQ(filch_cq_create(&cq, 4), 0);
		fd = filch_cq_fd(cq);
		cr_assert(fd >= 0);
		how.cq = cq;
		if (kind == FINISHES) {
			d.id = filch_submit(pool, defer, NULL, &how);
			/* its worker is done with it once it runs the next */
			EQ(wait_status(filch_submit(pool, answer, NULL, NULL)), 42);
		}
		hold_worker(&h);
		if (kind == CANCELS || kind == ABANDONS || kind == RUNS_IT)
			cr_assert((d.id = filch_submit(
					   pool, answer, NULL, kind == RUNS_IT ? NULL : &how)) > 0);
		EQ(reap(16), 0); /* armed */
		EQ(pthread_create(&thread, NULL, call_while_cancelled, &d), 0);
		EQ(pthread_join(thread, &result), 0);
		cr_assert(d.came_back && result == PTHREAD_CANCELED, "kind %d", kind);
		if (kind != ENDS_THE_QUEUE) {
			cr_assert(readable(fd));
			EQ(reap(16), 1);
		}
		let_go(&h);
		end();
		if (kind != ENDS_THE_QUEUE)
			EQ(filch_cq_destroy(cq), 0);
	}
}
