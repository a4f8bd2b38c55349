/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guarded jobs: each fault in the job itself, in a stolen task, while joining, while others hold
 * tasks of it; what is refused.
 */
#define _GNU_SOURCE
#include "guard_support.h"

#include <sched.h>

TestSuite(guard, .init = NULL);

static int ill(void *arg)
{
	return fall_ill((enum ailment)(intptr_t)arg);
}

static void each_fault_on(uint32_t workers)
{
	begin(workers, 0);
	for (intptr_t a = 0; a < AILMENTS; a++) {
		struct filch_completion c = completion_of(guarded(ill, (void *)a));

		cr_assert(c.status == -EFAULT && c.flags == FILCH_DONE_FAULT &&
				  c.detail[0] == (uint64_t)signal_of[a],
			"ailment %d: status %d, flags %llu, signal %llu", (int)a, c.status,
			(unsigned long long)c.flags, (unsigned long long)c.detail[0]);
		if (a == PAST_THE_END)
			EQ(c.detail[1], (uintptr_t)two_pages + 4096);
		if (a == PAST_THE_FILE)
			EQ(c.detail[1], (uintptr_t)short_file);
		still_works();
	}
	EQ(stats().faults, AILMENTS);
	EQ(stats().given_up, AILMENTS);
	end();
}

Test(guard, each_fault_ends_its_job_and_not_the_process)
{
	each_fault_on(2);
}

Test(guard, one_worker_survives_each_fault_too)
{
	each_fault_on(1);
}

/* --- tasks ------------------------------------------------------------ */

static struct gate stolen = GATE_INIT, fault_now = GATE_INIT, other_done = GATE_INIT;
static pthread_t thief;

FILCH_VOID_TASK(ill_when_told, (int, ailment))
{
	thief = pthread_self();
	gate_raise(&stolen);
	gate_wait(&fault_now, 1);
	if (fall_ill((enum ailment)ailment)) /* used, or the compiler leaves the division out */
		gate_raise(&other_done);
}

FILCH_TASK(int, waits_for_a_thief, (int, ailment), (bool, early))
{
	FILCH_SPAWN(kid, ill_when_told, ailment);
	gate_wait(&stolen, 1);
	cr_assert(!pthread_equal(thief, pthread_self()));
	if (early)
		gate_raise(&fault_now);
	FILCH_SYNC(kid); /* does not return */
	gate_raise(&other_done);
	return 1;
}

static int job_that_waits(void *arg)
{
	int result = 0;

	EQ(FILCH_RUN(NULL, &result, waits_for_a_thief, (int)(intptr_t)arg, true), 0);
	return result;
}

static int in_a_scope(void *arg)
{
	return filch_scope(NULL, NULL, job_that_waits, arg);
}

static int in_two_scopes(void *arg)
{
	return filch_scope(NULL, NULL, in_a_scope, arg);
}

static int ill_in_a_scope(void *arg)
{
	return filch_scope(NULL, NULL, ill, arg);
}

static int ill_in_two_scopes(void *arg)
{
	return filch_scope(NULL, NULL, ill_in_a_scope, arg);
}

Test(guard, a_fault_inside_scopes_ends_its_job)
{
	begin(2, 0);
	for (int i = 0; i < 3; i++)
		ended_by(guarded(ill_in_two_scopes, (void *)(intptr_t)DIVISION), SIGFPE);
	EQ(stats().given_up, 3);
	ended_by(guarded(in_two_scopes, (void *)(intptr_t)DIVISION), SIGFPE);
	EQ(gate_count(&other_done), 0);
	EQ(stats().given_up, 5);
	still_works();
	end();
}

Test(guard, a_fault_in_a_stolen_task_ends_the_job_and_its_join_does_not_return)
{
	begin(2, 0);
	ended_by(guarded(job_that_waits, (void *)(intptr_t)DIVISION), SIGFPE);
	EQ(gate_count(&other_done), 0);
	EQ(stats().faults, 1);
	EQ(stats().given_up, 2);
	still_works();
	end();
}

static int job_that_waits_long(void *arg)
{
	int result = 0;

	EQ(FILCH_RUN(NULL, &result, waits_for_a_thief, (int)(intptr_t)arg, false), 0);
	return result;
}

Test(guard, a_joiner_that_sleeps_is_woken_and_given_up)
{
	uint64_t parks;
	int64_t id;

	begin(2, FILCH_POOL_NO_SEARCH);
	parks = stats().parks;
	id = guarded(job_that_waits_long, (void *)(intptr_t)NULL_STORE);
	gate_wait(&stolen, 1);
	UNTIL(stats().parks > parks && stats().asleep == 1);
	gate_raise(&fault_now);
	ended_by(id, SIGSEGV);
	EQ(gate_count(&other_done), 0);
	EQ(stats().given_up, 2);
	still_works();
	end();
}

/* The spawner faults while a thief works in its frame. */
struct piece {
	int in[64], out[64];
};

static int saw_cancel;

FILCH_VOID_TASK(works_in_the_frame, (struct piece *, p))
{
	gate_raise(&stolen);
	gate_wait(&fault_now, 1);
	UNTIL(filch_job_cancelled());
	saw_cancel = 1;
	for (int i = 0; i < 64; i++)
		p->out[i] = p->in[i];
	gate_raise(&other_done);
}

FILCH_VOID_TASK(never_runs, (int *, count))
{
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

static int lost_tasks;

FILCH_VOID_TASK(faults_beside_a_thief)
{
	struct piece p;

	for (int i = 0; i < 64; i++)
		p.in[i] = i;
	FILCH_SPAWN(kid, works_in_the_frame, &p);
	gate_wait(&stolen, 1);
	FILCH_SPAWN(a, never_runs, &lost_tasks);
	FILCH_SPAWN(b, never_runs, &lost_tasks);
	gate_raise(&fault_now);
	(void)fall_ill(NULL_STORE);
	FILCH_SYNC(b);
	FILCH_SYNC(a);
	FILCH_SYNC(kid);
}

static int job_faults_beside_a_thief(void *arg)
{
	(void)arg;
	return FILCH_RUN(NULL, NULL, faults_beside_a_thief);
}

Test(guard, what_was_stolen_runs_to_its_end_in_the_lost_frames_and_what_was_not_is_withdrawn)
{
	begin(2, 0);
	ended_by(guarded(job_faults_beside_a_thief, NULL), SIGSEGV);
	EQ(gate_count(&other_done), 1); /* complete only after the thief was out */
	EQ(saw_cancel, 1);
	/*
	 * the replaced thread may have stolen one of them before the fault, at most: with two
	 * workers the thief was busy
	 */
	EQ(lost_tasks, 0);
	EQ(stats().given_up, 1);
	still_works();
	end();
}

/* --- loops ------------------------------------------------------------ */

static void inner_body(size_t b, size_t e, void *arg)
{
	for (size_t i = b; i < e; i++)
		if (i == 77 && *(size_t *)arg == 33)
			(void)fall_ill(PAST_THE_END);
}

static void outer_body(size_t b, size_t e, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++) {
		size_t me = i;
		(void)filch_for(NULL, 0, 100, 1, inner_body, &me);
	}
}

static int nested_loops(void *arg)
{
	return filch_for(NULL, 0, 64, 1, outer_body, arg);
}

Test(guard, a_fault_in_nested_loops)
{
	for (uint32_t workers = 1; workers <= 8; workers *= 2) {
		begin(workers, 0);
		for (int i = 0; i < 20; i++)
			ended_by(guarded(nested_loops, NULL), SIGSEGV);
		EQ(stats().faults, 20);
		still_works();
		end();
	}
}

/* --- completions ------------------------------------------------------ */

static struct gate told = GATE_INIT;
static struct filch_completion told_of;
static int told_worker;

static void tell(const struct filch_completion *c)
{
	told_of = *c;
	told_worker = filch_worker_id();
	gate_raise(&told);
}

Test(guard, a_callback_is_told_once_on_the_seat_that_faulted)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	begin(1, 0);
	how.flags = FILCH_JOB_GUARD;
	how.on_complete = tell;
	how.user = &how;
	id = filch_submit(pool, ill, (void *)(intptr_t)BAD_INSTRUCTION, &how);
	cr_assert(id > 0);
	gate_wait(&told, 1);
	EQ(told_of.id, id);
	EQ(told_of.status, -EFAULT);
	EQ(told_of.detail[0], SIGILL);
	EQ((intptr_t)told_of.user, (intptr_t)&how);
	EQ(told_worker, 0);
	still_works();
	end();
	EQ(gate_count(&told), 1);
}

Test(guard, a_detached_job_frees_its_slot)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_config config = FILCH_CONFIG_INIT;

	NEEDS_GUARDS();
	cr_assert(ill_begin());
	config.workers = 1;
	config.jobs_max = 4;
	config.queue_capacity = 4;
	config.flags = FILCH_POOL_GUARD;
	EQ(filch_pool_create(&pool, &config), 0);
	how.flags = FILCH_JOB_GUARD | FILCH_JOB_DETACHED;
	for (int i = 0; i < 20; i++) {
		int64_t id;

		UNTIL((id = filch_submit(pool, ill, (void *)(intptr_t)NULL_STORE, &how)) !=
			-ENOBUFS);
		cr_assert(id > 0);
	}
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(stats().faults, 20);
	end();
}

Test(guard, a_pool_may_be_destroyed_while_its_jobs_fault)
{
	for (int i = 0; i < 20; i++) {
		begin(2, 0);
		for (int j = 0; j < 8; j++)
			(void)guarded(ill, (void *)(intptr_t)NULL_STORE);
		end();
	}
}

/* --- faults in calls of the library ----------------------------------- */

static struct filch_cq *cq;
static int64_t finished;
static int accepted;

static struct filch_completion *nowhere(void)
{
	/* the first is there, those that follow are not */
	return (struct filch_completion *)(void *)((char *)two_pages + 4096 - 96);
}

static int reaps_into_nowhere(void *arg)
{
	(void)arg;
	return filch_cq_reap(cq, nowhere(), 8);
}

static int waits_into_nowhere(void *arg)
{
	(void)arg;
	return filch_wait(pool, finished, NULL, nowhere() + 1);
}

static int counts(void *arg)
{
	(void)arg;
	return __atomic_fetch_add(&accepted, 1, __ATOMIC_RELAXED);
}

static int submits_with_ids_nowhere(void *arg)
{
	const struct filch_job_spec spec[2] = { { .fn = counts }, { .fn = counts } };

	(void)arg;
	return (int)filch_submit_batch(pool, spec, 2, NULL, (int64_t *)(void *)(nowhere() + 1));
}

/* The last of them lies on the page's end, and so many of its bytes are there. */
static int submits_too_short_an_array(void *there)
{
	const size_t n = 20, size = sizeof(struct filch_job_spec);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	char *at = (char *)two_pages + 4096 - (n - 1) * size - (uintptr_t)there;

	how.flags = FILCH_JOB_DETACHED;
	for (size_t i = 0; i < n; i++) {
		const struct filch_job_spec spec = { .fn = counts };

		memcpy(at + i * size, &spec, i + 1 < n ? size : (uintptr_t)there);
	}
	return (int)filch_submit_batch(pool, (void *)at, n, &how, NULL);
}

Test(guard, of_a_batch_whose_array_ends_early_nothing_is_taken)
{
	const struct timespec patience = filch_after(UINT64_C(20000000000));

	begin(2, 0);
	for (uintptr_t there = 0; there < sizeof(struct filch_job_spec); there += 8)
		ended_by(guarded(submits_too_short_an_array, (void *)there), SIGSEGV);
	EQ(filch_pool_drain(pool, &patience), 0);
	EQ(accepted, 0);
	still_works();
	end();
}

Test(guard, a_pointer_that_leads_nowhere_is_the_jobs_fault_and_loses_nothing)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c[8];
	int got = 0;

	begin(2, 0);
	EQ(filch_cq_create(&cq, 8), 0);
	how.cq = cq;
	for (int i = 0; i < 5; i++)
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	ended_by(guarded(reaps_into_nowhere, NULL), SIGSEGV);
	for (int n; (n = filch_cq_reap(cq, c, 8)) > 0;)
		got += n;
	EQ(got, 5);
	for (int i = 0; i < 8; i++) /* and every place is free again */
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_destroy(cq), 0);
	finished = filch_submit(pool, answer, NULL, NULL);
	EQ(filch_pool_drain(pool, NULL), 0);
	ended_by(guarded(waits_into_nowhere, NULL), SIGSEGV);
	EQ(completion_of(finished).status, 42);
	ended_by(guarded(submits_with_ids_nowhere, NULL), SIGSEGV);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(accepted, 0);
	EQ(stats().faults, 3);
	still_works();
	end();
}

/* Submits at every depth; @pad moves the place at which the stack ends, from round to round. */
static __attribute__((noinline)) int submits_for_ever(intptr_t pad)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	volatile char room[8];

	how.flags = FILCH_JOB_DETACHED;
	how.when_full = FILCH_TRY;
	room[0] = (char)pad;
	if (filch_submit(pool, answer, NULL, &how) == 0)
		return room[0];
	return submits_for_ever(pad + 1) + room[0];
}

static int submits_from_a_full_stack(void *arg)
{
	volatile char pad[16 * (1 + (uintptr_t)arg)];

	pad[0] = 1;
	return submits_for_ever(0) + pad[0];
}

Test(guard, a_stack_that_overflows_into_a_submit_keeps_no_slot)
{
	enum { SLOTS = 64 };
	struct filch_config config = FILCH_CONFIG_INIT;

	NEEDS_GUARDS();
	cr_assert(ill_begin());
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_GUARD;
	config.jobs_max = config.queue_capacity = SLOTS;
	config.stack_bytes = ILL_STACK;
	EQ(filch_pool_create(&pool, &config), 0);
	for (uintptr_t i = 0; i < 64; i++) {
		ended_by(guarded(submits_from_a_full_stack, (void *)i), SIGSEGV);
		EQ(filch_pool_drain(pool, NULL), 0);
	}
	/*
	 * none is reaped, so each has a slot of its own; one that was just left may be a moment
	 * late
	 */
	for (int i = 0; i < SLOTS; i++) {
		int64_t id;

		/* for ever, if a slot is lost */
		UNTIL((id = filch_submit(pool, answer, NULL, NULL)) != -ENOBUFS);
		cr_assert(id > 0, "slot %d of %d: %lld", i, SLOTS, (long long)id);
	}
	EQ(filch_submit(pool, answer, NULL, NULL), -ENOBUFS);
	EQ(stats().faults, 64);
	end();
}

/* The first push of a job wakes the sleeper beside it: here with @left bytes of stack left. */
FILCH_VOID_TASK(small)
{
}

FILCH_TASK(int, spawns_on_what_is_left, (char *, end), (intptr_t, left))
{
	volatile char used[(char *)__builtin_frame_address(0) - end - left];

	used[0] = 1;
	FILCH_SPAWN(kid, small);
	FILCH_SYNC(kid);
	return used[0];
}

static int job_spawns_on_what_is_left(void *left)
{
	pthread_attr_t attr;
	int result = 0;
	size_t size;
	void *end;

	EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	EQ(pthread_attr_getstack(&attr, &end, &size), 0);
	EQ(pthread_attr_destroy(&attr), 0);
	(void)FILCH_RUN(NULL, &result, spawns_on_what_is_left, end, (intptr_t)left);
	return result;
}

Test(guard, a_stack_that_ends_in_a_spawn_loses_no_wake)
{
	uint64_t faults = 0;

	if (ILL_SANITIZED)
		cr_skip_test("a sanitizer has its own use for the stack's end");
	begin(2, FILCH_POOL_NO_SEARCH);
	for (intptr_t left = 0; left < 24576; left += left < 1024 ? 8 : 1024) {
		struct filch_completion c;

		UNTIL(stats().asleep == 2);
		c = completion_of(guarded(job_spawns_on_what_is_left, (void *)left));
		cr_assert(c.status == 1 || (c.status == -EFAULT && c.detail[0] == SIGSEGV));
		faults += c.status != 1;
		still_works();
	}
	EQ(stats().faults, faults);
	cr_assert(faults > 10, "%d faults", (int)faults);
	end();
}

/* --- refused ---------------------------------------------------------- */

Test(guard, a_pool_that_cannot_guard_is_refused)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.flags = FILCH_POOL_GUARD;
	EQ(filch_pool_create(&pool, &config), TEST_HAS_GUARDS ? 0 : -ENOTSUP);
	if (TEST_HAS_GUARDS)
		end();
}

Test(guard, what_cannot_be_guarded_is_refused)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	const struct filch_job_spec spec = { .fn = answer };
	struct filch_pool *plain = NULL, *none = NULL;
	int64_t id;

	NEEDS_GUARDS();
	config.flags = FILCH_POOL_GUARD | FILCH_POOL_CALLER;
	EQ(filch_pool_create(&none, &config), -EINVAL);
	EQ(filch_pool_create(&plain, NULL), 0);
	how.flags = FILCH_JOB_GUARD;
	EQ(filch_submit(plain, answer, NULL, &how), -EINVAL);
	EQ(filch_submit_batch(plain, &spec, 1, &how, &id), -EINVAL);
	begin(1, 0);
	how.when_full = FILCH_CALLER_RUNS;
	EQ(filch_submit(pool, answer, NULL, &how), -EINVAL);
	how.when_full = FILCH_TRY;
	how.flags = FILCH_JOB_GUARD | UINT64_C(8);
	EQ(filch_submit(pool, answer, NULL, &how), -EINVAL);
	end();
	EQ(filch_pool_destroy(plain), 0);
}

/* --- waiting in a job for a guarded one ------------------------------- */

static int waits_for_a_queued_one(void *arg)
{
	int64_t id = guarded(ill, arg);
	int error = filch_wait(pool, id, NULL, NULL);

	*(int64_t *)&told_of.id = id;
	return error;
}

Test(guard, a_wait_on_a_worker_for_a_guarded_job_that_is_queued_is_refused)
{
	int64_t id;

	begin(1, 0);
	id = filch_submit(pool, waits_for_a_queued_one, (void *)(intptr_t)NULL_STORE, NULL);
	EQ(completion_of(id).status, -EDEADLK);
	ended_by(told_of.id, SIGSEGV); /* the id has stayed valid */
	EQ(stats().jobs_nested, 0);
	end();
}

static int ill_when_the_other_waits(void *arg)
{
	gate_raise(&stolen);
	gate_wait(&fault_now, 1);
	return ill(arg);
}

static int waits_for_a_running_one(void *arg)
{
	struct filch_completion c;
	int64_t id = guarded(ill_when_the_other_waits, arg);

	gate_wait(&stolen, 1);
	gate_raise(&fault_now);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	return c.status;
}

Test(guard, a_wait_on_a_worker_for_a_guarded_job_that_runs_gets_its_end)
{
	int64_t id;

	begin(2, 0);
	id = filch_submit(pool, waits_for_a_running_one, (void *)(intptr_t)NULL_STORE, NULL);
	EQ(completion_of(id).status, -EFAULT);
	EQ(stats().given_up, 1);
	end();
}

static int waits_for_a_plain_one(void *arg)
{
	int64_t id = filch_submit(pool, answer, NULL, NULL);
	struct filch_completion c;

	cr_assert(id > 0);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, 42);
	return ill(arg);
}

Test(guard, a_guarded_job_may_wait_for_a_plain_one_and_then_fault)
{
	begin(1, 0);
	ended_by(guarded(waits_for_a_plain_one, (void *)(intptr_t)NULL_STORE), SIGSEGV);
	EQ(stats().jobs_nested, 1);
	still_works();
	end();
}
