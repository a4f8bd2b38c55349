/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pthread_exit() in the program's code other than jobs: in callbacks on every kind of thread, in a
 * job that its submitter runs, in hooks. The thread or the call may be gone; the job it was about
 * ends once, its slot is free again, and the pool works and can be destroyed. So it is with
 * callbacks that lie on a stack which a fault takes away. Jobs of other pools never lie on one.
 */
#define _GNU_SOURCE
#include "guard_support.h"

#include <sched.h>
#include <unistd.h>

TestSuite(exits, .timeout = 100);

static struct gate told = GATE_INIT, destroyed = GATE_INIT;
static struct filch_completion told_of;

static void tell(const struct filch_completion *c)
{
	told_of = *c;
	gate_raise(&told);
}

static void tell_and_leave(const struct filch_completion *c)
{
	tell(c);
	pthread_exit(NULL);
}

static struct filch_submit telling(void (*callback)(const struct filch_completion *c))
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.on_complete = callback;
	return how;
}

/* A pool whose one or two workers are @held, with one more job queued if @full. */
static struct gate started = GATE_INIT, release = GATE_INIT;

static int hold(void *arg)
{
	(void)arg;
	gate_raise(&started);
	gate_wait(&release, 1);
	return 5;
}

static const struct filch_submit detached = { .size = sizeof detached,
	.flags = FILCH_JOB_DETACHED };

static struct filch_pool *held_pool(bool full)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *made = NULL;

	config.workers = 1;
	config.queue_capacity = full ? 1 : 8;
	config.jobs_max = 8;
	EQ(filch_pool_create(&made, &config), 0);
	cr_assert(filch_submit(made, hold, NULL, &detached) > 0);
	gate_wait(&started, 1);
	if (full)
		cr_assert(filch_submit(made, answer, NULL, &detached) > 0);
	return made;
}

static void let_go_and_end(void)
{
	struct timespec patience = filch_after(UINT64_C(20000000000));

	gate_raise(&release);
	EQ(filch_pool_drain(pool, &patience), 0);
	end();
}

/* --- callbacks on workers --------------------------------------------- */

static void leave_in_callbacks(uint64_t flags)
{
	const struct filch_submit how = telling(tell_and_leave);
	struct filch_config config = FILCH_CONFIG_INIT;
	int before = gate_count(&told), threads;

	config.workers = 1;
	config.queue_capacity = config.jobs_max = 4; /* a slot that were kept would be missed */
	config.flags = flags;
	EQ(filch_pool_create(&pool, &config), 0);
	threads = test_threads();
	for (int i = 1; i <= 20; i++) {
		struct timespec patience = filch_after(UINT64_C(20000000000));

		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
		EQ(filch_pool_drain(pool, &patience), 0);
		EQ(gate_count(&told), before + i);
		EQ(told_of.status, 42);
		EQ(told_of.flags, 0);
	}
	still_works();
	UNTIL(stats().replaced == 20 && test_threads() == threads);
	EQ(stats().given_up, 20);
	end();
	EQ(gate_count(&told), before + 20);
}

static void still_works_unguarded(void)
{
	int64_t id = filch_submit(pool, answer, NULL, NULL);

	cr_assert(id > 0);
	EQ(completion_of(id).status, 42);
}

Test(exits, a_callback_that_leaves_its_worker_ends_its_job)
{
	const struct filch_submit how = telling(tell_and_leave);
	struct timespec patience = filch_after(UINT64_C(20000000000));

	pool = pool_of(1, 0);
	for (int i = 1; i <= 20; i++) {
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
		EQ(filch_pool_drain(pool, &patience), 0);
		EQ(gate_count(&told), i);
	}
	still_works_unguarded();
	UNTIL(stats().replaced == 20);
	end();
	EQ(gate_count(&told), 20);
}

Test(exits, so_does_one_in_a_guarding_pool)
{
	NEEDS_GUARDS();
	leave_in_callbacks(FILCH_POOL_GUARD);
}

static int64_t queued_id;

static int cancels_one_whose_callback_leaves(void *arg)
{
	(void)arg;
	(void)filch_cancel(pool, queued_id);
	return 3; /* not reached */
}

Test(exits, a_job_in_whose_cancel_a_callback_leaves_is_cancelled_with_its_thread)
{
	struct filch_submit how = telling(tell_and_leave), urgent = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	int64_t id = 0;

	pool = held_pool(false);
	queued_id = filch_submit(pool, answer, NULL, &how);
	urgent.lane = FILCH_LANE_URGENT;
	/* the second cannot be the look at which it is the other lane's turn */
	for (int i = 0; i < 2; i++)
		id = filch_submit(pool, cancels_one_whose_callback_leaves, NULL, &urgent);
	cr_assert(queued_id > 0 && id > 0);
	gate_raise(&release);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(gate_count(&told), 1);
	cr_assert(told_of.id == queued_id);
	let_go_and_end();
	EQ(gate_count(&told), 1);
}

/* --- on other threads ------------------------------------------------- */

static void *cancel_it(void *id)
{
	(void)filch_cancel(pool, *(int64_t *)id);
	return pool; /* not reached */
}

static void *abandon_it(void *unused)
{
	(void)unused;
	return filch_pool_shutdown(pool, FILCH_ABANDON, NULL) ? NULL : pool; /* not reached */
}

static void *destroy_it(void *unused)
{
	(void)unused;
	(void)filch_pool_destroy(pool);
	gate_raise(&destroyed);
	return pool;
}

static void on_a_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;
	void *result = pool;

	EQ(pthread_create(&thread, NULL, body, arg), 0);
	EQ(pthread_join(thread, &result), 0);
	cr_assert(!result, "the callback has not left the thread");
}

Test(exits, a_callback_that_leaves_the_cancelling_thread_ends_its_job)
{
	const struct filch_submit how = telling(tell_and_leave);

	pool = held_pool(false);
	for (int i = 1; i <= 40; i++) {
		int64_t id;

		id = filch_submit(pool, answer, NULL, &how);
		cr_assert(id > 0, "%d: %lld", i, (long long)id); /* -ENOBUFS if slots were kept */
		on_a_thread(cancel_it, &id);
		EQ(gate_count(&told), i);
		EQ(told_of.status, -ECANCELED);
		EQ(filch_cancel(pool, id), -ESRCH);
	}
	let_go_and_end();
	EQ(gate_count(&told), 40);
}

static void left_in_an_end(void *(*body)(void *))
{
	const struct filch_submit how = telling(tell_and_leave);

	pool = held_pool(false);
	for (int i = 0; i < 3; i++)
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	for (int i = 1; i <= 3; i++) {
		on_a_thread(body, NULL);
		EQ(gate_count(&told), i);
	}
	EQ(filch_submit(pool, answer, NULL, NULL), -ESHUTDOWN);
	let_go_and_end();
	EQ(gate_count(&told), 3);
}

Test(exits, a_callback_that_leaves_in_a_shutdown_leaves_the_pool_to_be_destroyed)
{
	left_in_an_end(abandon_it);
}

Test(exits, a_callback_that_leaves_in_a_destroy_leaves_the_pool_to_be_destroyed)
{
	left_in_an_end(destroy_it);
}

static int leaves(void *arg)
{
	pthread_exit(arg);
}

static struct filch_submit here;

static void *submit_and_run_here(void *fn)
{
	filch_job_fn *job = *(filch_job_fn **)fn;

	return filch_submit(pool, job, NULL, &here) > 0 ? pool : NULL; /* not reached */
}

Test(exits, a_job_that_leaves_its_submitters_thread_is_cancelled)
{
	static filch_job_fn *leaving = leaves, *staying = answer;

	pool = held_pool(true);
	here.when_full = FILCH_CALLER_RUNS;
	here.size = sizeof here;
	for (int i = 1; i <= 20; i++) {
		/* on the thread that leaves: it must not do so once more */
		here.on_complete = tell;
		on_a_thread(submit_and_run_here, &leaving);
		EQ(gate_count(&told), i);
		EQ(told_of.status, -ECANCELED);
		EQ(told_of.flags, FILCH_DONE_EXITED);
		EQ(told_of.worker, -1);
	}
	here.on_complete = tell_and_leave; /* the job stays, its callback leaves */
	on_a_thread(submit_and_run_here, &staying);
	EQ(told_of.status, 42);
	let_go_and_end();
	EQ(gate_count(&told), 21);
}

/* --- hooks ------------------------------------------------------------ */

static int starts, stops;

static void leave_in_start(void *arg, int worker)
{
	__atomic_fetch_add(&starts, 1, __ATOMIC_RELAXED);
	(void)worker;
	pthread_exit(arg);
}

static void leave_in_stop(void *arg, int worker)
{
	__atomic_fetch_add(&stops, 1, __ATOMIC_RELAXED);
	(void)worker;
	pthread_exit(arg);
}

static void leave_in_hooks(uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	int threads = test_threads(), s = starts;
	int64_t id;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | flags;
	config.on_worker_start = leave_in_start;
	config.on_worker_stop = leave_in_stop;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(starts, s + 2);
	still_works_unguarded();
	/* its thread's successor calls the hook too, and that one's does not */
	id = filch_submit(pool, leaves, NULL, NULL);
	EQ(completion_of(id).status, -ECANCELED);
	/* three hooks and a job */
	UNTIL(stats().replaced == 4 && __atomic_load_n(&starts, __ATOMIC_RELAXED) == s + 3);
	for (int i = 0; i < 20; i++)
		still_works_unguarded();
	end();
	EQ(starts, s + 3);
	UNTIL(test_threads() == threads);
}

Test(exits, a_hook_that_leaves_ends_itself_and_not_the_worker)
{
	for (int i = 1; i <= 20; i++) {
		leave_in_hooks(i % 2 || !TEST_HAS_GUARDS ? 0 : FILCH_POOL_GUARD);
		EQ(stops, 2 * i);
	}
}

/* --- and a destroy meanwhile ------------------------------------------ */

static struct gate second_start = GATE_INIT, may_leave = GATE_INIT;

/* The hook of the first thread returns; that of the next says so, waits, and leaves. */
static void leave_in_the_second_start(void *arg, int worker)
{
	(void)worker;
	if (__atomic_add_fetch(&starts, 1, __ATOMIC_RELAXED) == 1)
		return;
	gate_raise(&second_start);
	gate_wait(&may_leave, 1);
	pthread_exit(arg);
}

static void destroyed_in_the_second_start(uint64_t flags)
{
	const struct filch_submit how = telling(tell_and_leave);
	struct filch_config config = FILCH_CONFIG_INIT;
	int threads = test_threads();
	pthread_t ender;
	void *ended;

	starts = 0;
	config.workers = 1;
	config.flags = flags;
	config.on_worker_start = leave_in_the_second_start;
	EQ(filch_pool_create(&pool, &config), 0);
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	gate_wait(&second_start, 1);
	EQ(pthread_create(&ender, NULL, destroy_it, NULL), 0);
	usleep(20000); /* time for a destroy that does not wait to go wrong */
	EQ(gate_count(&destroyed), 0);
	gate_raise(&may_leave);
	EQ(pthread_join(ender, &ended), 0);
	EQ(starts, 2);
	UNTIL(test_threads() == threads);
}

Test(exits, a_destroy_waits_for_a_hook_that_leaves_in_the_place_of_a_callback_that_left)
{
	destroyed_in_the_second_start(0);
}

Test(exits, so_does_one_of_a_guarding_pool)
{
	NEEDS_GUARDS();
	destroyed_in_the_second_start(FILCH_POOL_GUARD);
}

static void destroyed_as_a_callback_leaves(uint64_t flags)
{
	const struct filch_submit how = telling(tell_and_leave);
	int threads = test_threads();

	for (unsigned i = 1; i <= 400; i++) {
		pool = pool_of(1, flags | FILCH_POOL_NO_PIN);
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
		gate_wait(&told, (int)i);
		for (volatile unsigned spin = i * 16 % 4096; spin; spin--)
			;
		end();
	}
	UNTIL(test_threads() == threads);
}

Test(exits, a_destroy_waits_for_the_thread_that_a_last_callback_leaves)
{
	destroyed_as_a_callback_leaves(0);
}

static int until_told(void *arg)
{
	(void)arg;
	while (!filch_job_cancelled())
		sched_yield();
	return 7;
}

static void cancel_and_leave(void *arg, const struct filch_stuck *stuck)
{
	__atomic_fetch_add(&starts, 1, __ATOMIC_RELAXED);
	EQ(filch_cancel(pool, stuck->id), 0);
	pthread_exit(arg);
}

Test(exits, the_watchdogs_callback_may_leave_and_the_next_job_is_told_all_the_same)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.flags = TEST_HAS_GUARDS ? FILCH_POOL_GUARD : 0;
	config.watchdog_ns = 5000000;
	config.on_stuck = cancel_and_leave;
	EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 1; i <= 5; i++) {
		EQ(completion_of(filch_submit(pool, until_told, NULL, NULL)).status, 7);
		EQ(starts, i);
	}
	EQ(completion_of(filch_submit(pool, leaves, NULL, NULL)).status, -ECANCELED);
	still_works_unguarded(); /* so a thread was put on the seat */
	end();
}

/* --- tasks of no job -------------------------------------------------- */

static struct gate stolen = GATE_INIT;

FILCH_VOID_TASK(leaves_when_stolen)
{
	gate_raise(&stolen);
	pthread_exit(NULL);
}

FILCH_VOID_TASK(joins_one_that_leaves)
{
	FILCH_SPAWN(kid, leaves_when_stolen);
	gate_wait(&stolen, 1);
	FILCH_SYNC(kid);
}

static void join_one_that_leaves(const struct filch_completion *c)
{
	(void)FILCH_RUN(NULL, NULL, joins_one_that_leaves);
	tell(c);
}

static int callback_joins_one_that_leaves(void *unused)
{
	const struct filch_submit how = telling(join_one_that_leaves);

	(void)unused;
	alarm(20);
	pool = pool_of(2, FILCH_POOL_GUARD);
	if (filch_submit(pool, answer, NULL, &how) < 0)
		return 98;
	return filch_pool_drain(pool, NULL) ? 97 : 7;
}

Test(exits, a_stolen_task_of_a_callback_that_leaves_ends_the_program_with_a_message)
{
	char text[4096];
	int status;

	NEEDS_GUARDS();
	status = in_child(callback_joins_one_that_leaves, NULL, text, sizeof text);
	cr_assert(strstr(text, "tasks of a callback or worker hook"), "status %#x, said: %s",
		(unsigned)status, text);
	cr_assert(
		WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %#x", (unsigned)status);
}

/* --- stacks that are given up ----------------------------------------- */

FILCH_VOID_TASK(faults_when_stolen)
{
	gate_raise(&stolen);
	(void)fall_ill(NULL_STORE);
}

FILCH_VOID_TASK(joins_one_that_faults)
{
	FILCH_SPAWN(kid, faults_when_stolen);
	gate_wait(&stolen, 1);
	FILCH_SYNC(kid); /* does not return */
}

static void join_one_that_faults(const struct filch_completion *c)
{
	tell(c);
	gate_raise(&release); /* a thief */
	(void)FILCH_RUN(NULL, NULL, joins_one_that_faults);
	gate_raise(&told);
}

static int cancels_one_of_its_own(void *arg)
{
	const struct filch_submit how = telling(join_one_that_faults);
	int64_t id = filch_submit(pool, answer, NULL, &how);

	(void)arg;
	gate_wait(&started, 1);
	cr_assert(id > 0);
	(void)filch_cancel(pool, id);
	return 3;
}

Test(exits, a_callback_on_a_stack_that_a_fault_takes_away_has_ended_its_job)
{
	struct timespec patience = filch_after(UINT64_C(20000000000));

	begin(2, 0);
	cr_assert(filch_submit(pool, hold, NULL, &detached) > 0);
	gate_wait(&started, 1);
	ended_by(guarded(cancels_one_of_its_own, NULL), SIGSEGV);
	EQ(filch_pool_drain(pool, &patience), 0);
	EQ(gate_count(&told), 1);
	EQ(stats().given_up, 2);
	still_works();
	end();
}

/* The same, and another callback became due in the one that does not return. */
static _Atomic int lost_tid, due_tid;
static struct filch_pool *due_in;

static void is_due(const struct filch_completion *c)
{
	EQ(c->status, -ECANCELED);
	due_tid = gettid();
	due_in = filch_pool_current();
	gate_raise(&told);
}

static void makes_one_due(const struct filch_completion *c)
{
	struct filch_submit how = telling(is_due);
	int64_t id = filch_submit(pool, answer, NULL, &how);

	EQ(filch_cancel(pool, id), 0);
	EQ(gate_count(&told), 0); /* it waits for the end of this one */
	lost_tid = gettid();
	join_one_that_faults(c);
}

static int cancels_one_that_makes_one_due(void *arg)
{
	const struct filch_submit how = telling(makes_one_due);
	int64_t id = filch_submit(pool, answer, NULL, &how);

	cr_assert(id > 0);
	(void)filch_cancel(pool, id);
	return arg != NULL;
}

Test(exits, a_callback_that_is_due_on_a_stack_that_a_fault_takes_away_runs_elsewhere)
{
	struct timespec patience = filch_after(UINT64_C(20000000000));

	begin(2, 0);
	cr_assert(filch_submit(pool, hold, NULL, &detached) > 0);
	gate_wait(&started, 1);
	ended_by(guarded(cancels_one_that_makes_one_due, NULL), SIGSEGV);
	EQ(filch_pool_drain(pool, &patience), 0);
	EQ(gate_count(&told), 2);
	cr_assert(lost_tid && due_tid && lost_tid != due_tid, "on the lost thread");
	cr_assert(due_in == pool, "on no worker");
	still_works();
	end();
}

static struct filch_pool *other;

/* Submits to a pool that is full, then in a hook, a job and a callback of a worker that guards. */
static int64_t refusals[4], accepted;

static void try_in_a_hook(void *arg, int worker)
{
	(void)arg;
	(void)worker;
	refusals[0] = filch_submit(other, answer, NULL, &here);
}

static void try_in_a_callback(const struct filch_completion *c)
{
	refusals[3] = filch_submit(other, answer, NULL, &here);
	tell(c);
}

static int try_in_a_job(void *arg)
{
	const struct filch_job_spec spec = { .fn = answer };

	(void)arg;
	refusals[1] = filch_submit(other, answer, NULL, &here);
	refusals[2] = filch_submit_batch(other, &spec, 1, &here, NULL);
	accepted = filch_submit(pool, answer, NULL, &here); /* its own pool's is queued */
	return 0;
}

static void refused_on_a_worker_that_guards(void)
{
	struct filch_submit how = telling(try_in_a_callback);
	struct filch_config config = FILCH_CONFIG_INIT;
	int before = gate_count(&told);

	memset(refusals, 0, sizeof refusals);
	config.workers = 1;
	config.flags = FILCH_POOL_GUARD;
	config.on_worker_start = try_in_a_hook;
	EQ(filch_pool_create(&pool, &config), 0);
	cr_assert(filch_submit(pool, try_in_a_job, NULL, &how) > 0);
	gate_wait(&told, before + 1);
	for (int i = 0; i < 4; i++)
		EQ(refusals[i], -EINVAL);
	cr_assert(accepted > 0);
	still_works();
	end();
}

Test(exits, a_worker_of_a_guarding_pool_runs_no_job_of_another_pool_inline)
{
	NEEDS_GUARDS();
	here = detached;
	here.when_full = FILCH_CALLER_RUNS;
	other = held_pool(true);
	refused_on_a_worker_that_guards();
	pool = other;
	let_go_and_end();
	other = pool_of(1, 0); /* nor is one queued where there is room */
	refused_on_a_worker_that_guards();
	pool = other;
	still_works_unguarded();
	EQ(stats().jobs, 1);
	end();
}

/* --- where they do run ------------------------------------------------ */

static int submits_to_the_other(void *arg)
{
	struct filch_submit how = telling(tell);

	(void)arg;
	how.when_full = FILCH_CALLER_RUNS;
	return filch_submit(other, answer, NULL, &how) > 0 ? 6 : 0;
}

static int leaves_from_the_other(void *arg)
{
	struct filch_submit how = telling(tell);

	(void)arg;
	how.when_full = FILCH_CALLER_RUNS;
	return filch_submit(other, leaves, NULL, &how) > 0; /* not reached */
}

/* In a pool that does not guard; its thread takes both jobs along if it is left. */
Test(exits, a_worker_of_another_pool_runs_them_and_may_be_left_in_one)
{
	struct filch_completion c;

	other = held_pool(true);
	pool = pool_of(1, 0);
	EQ(completion_of(filch_submit(pool, submits_to_the_other, NULL, NULL)).status, 6);
	EQ(gate_count(&told), 1);
	EQ(told_of.status, 42);
	for (int i = 2; i <= 20; i++) {
		EQ(filch_wait(
			   pool, filch_submit(pool, leaves_from_the_other, NULL, NULL), NULL, &c),
			0);
		EQ(c.status, -ECANCELED);
		EQ(gate_count(&told), i);
		EQ(told_of.status, -ECANCELED);
		EQ(told_of.flags, FILCH_DONE_EXITED);
	}
	still_works_unguarded();
	end();
	pool = other;
	let_go_and_end();
}
