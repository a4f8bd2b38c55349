/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guards and the rest of the process: the application's handlers, the default action where no guard
 * is, signals that are sent and not raised; pthread_exit() in jobs; threads that cannot be
 * replaced. Each case that ends a process forks it first.
 */
#define _GNU_SOURCE
#include "guard_support.h"

#include <dlfcn.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/resource.h>

static int ill(void *arg)
{
	return fall_ill((enum ailment)(intptr_t)arg);
}

/* --- the application's handlers --------------------------------------- */

static sigjmp_buf back;
static volatile sig_atomic_t handled, handled_code;
static void *volatile handled_at;

static void applications(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	handled = signal_number;
	handled_code = info->si_code;
	handled_at = info->si_addr;
	if (info->si_code > 0)
		siglongjmp(back, 1);
}

static void applications_old(int signal_number)
{
	handled = signal_number;
	siglongjmp(back, 1);
}

static struct sigaction install(int signal_number, int flags)
{
	struct sigaction ours, old;

	memset(&ours, 0, sizeof ours);
	sigemptyset(&ours.sa_mask);
	sigaddset(&ours.sa_mask, SIGUSR1);
	ours.sa_flags = flags;
	if (flags & SA_SIGINFO)
		ours.sa_sigaction = applications;
	else
		ours.sa_handler = applications_old;
	EQ(sigaction(signal_number, &ours, &old), 0);
	return old;
}

Test(guard_app, a_fault_outside_jobs_reaches_the_applications_handler)
{
	(void)install(SIGSEGV, SA_SIGINFO);
	(void)install(SIGFPE, 0);
	begin(1, 0);
	if (!sigsetjmp(back, 1))
		(void)fall_ill(PAST_THE_END);
	EQ(handled, SIGSEGV);
	EQ((uintptr_t)handled_at, (uintptr_t)two_pages + 4096);
	if (!sigsetjmp(back, 1))
		handled = fall_ill(DIVISION);
	EQ(handled, SIGFPE);
	/* and jobs are contained beside it */
	handled = 0;
	ended_by(guarded(ill, (void *)(intptr_t)NULL_STORE), SIGSEGV);
	EQ(handled, 0);
	end();
}

Test(guard_app, a_signal_that_was_sent_reaches_the_applications_handler_even_inside_a_guarded_job)
{
	(void)install(SIGSEGV, SA_SIGINFO);
	begin(1, 0);
	EQ(pthread_kill(pthread_self(), SIGSEGV), 0);
	EQ(handled, SIGSEGV);
	cr_assert(handled_code <= 0);
	end();
}

static int sends_to_itself(void *arg)
{
	(void)arg;
	handled = 0;
	EQ(raise(SIGSEGV), 0);
	return handled;
}

Test(guard_app, raise_in_a_guarded_job_is_no_fault)
{
	(void)install(SIGSEGV, SA_SIGINFO);
	begin(1, 0);
	EQ(completion_of(guarded(sends_to_itself, NULL)).status, SIGSEGV);
	cr_assert(handled_code <= 0);
	EQ(stats().faults, 0);
	end();
}

Test(guard_app, the_applications_handlers_are_as_they_were_when_the_last_guarding_pool_is_gone)
{
	struct filch_pool *first;
	struct sigaction now;

	(void)install(SIGBUS, SA_SIGINFO);
	EQ(sigaction(SIGSEGV, NULL, &now), 0);
	void (*before)(int) = now.sa_handler;

	begin(1, 0);
	first = pool;
	EQ(sigaction(SIGBUS, NULL, &now), 0);
	cr_assert(now.sa_sigaction != applications);
	begin(1, 0);
	EQ(filch_pool_destroy(first), 0);
	ended_by(guarded(ill, (void *)(intptr_t)PAST_THE_FILE), SIGBUS);
	end();
	EQ(sigaction(SIGBUS, NULL, &now), 0);
	cr_assert(now.sa_sigaction == applications && now.sa_flags & SA_SIGINFO &&
		  sigismember(&now.sa_mask, SIGUSR1) == 1);
	EQ(sigaction(SIGSEGV, NULL, &now), 0);
	cr_assert(now.sa_handler == before);
}

Test(guard_app, a_handler_that_the_application_puts_on_top_is_left_alone)
{
	struct sigaction now;

	begin(1, 0);
	(void)install(SIGILL, SA_SIGINFO);
	end();
	EQ(sigaction(SIGILL, NULL, &now), 0);
	cr_assert(now.sa_sigaction == applications);
}

/* --- the default action ----------------------------------------------- */

struct death {
	bool guards, guarded, outside, sent;
	int ailment;
};

static int dies(void *arg)
{
	const struct death *d = arg;
	const struct rlimit no_core = { 0, 0 };
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	setrlimit(RLIMIT_CORE, &no_core);
	for (int i = 0; i < AILMENTS; i++)
		signal(signal_of[i], SIG_DFL);
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | (d->guards ? FILCH_POOL_GUARD : 0);
	config.stack_bytes = ILL_STACK;
	if (!ill_begin() || filch_pool_create(&pool, &config))
		return 98;
	if (d->sent)
		return kill(getpid(), signal_of[d->ailment]) ? 97 : (sleep(5), 96);
	if (d->outside)
		return fall_ill((enum ailment)d->ailment);
	how.flags = d->guarded ? FILCH_JOB_GUARD : 0;
	id = filch_submit(pool, ill, (void *)(intptr_t)d->ailment, &how);
	if (id < 0 || filch_wait(pool, id, NULL, NULL))
		return 97;
	return filch_pool_destroy(pool) ? 96 : 7;
}

static void dies_by(struct death d, int signal_number)
{
	char text[4096];
	int status;

	if (d.guards)
		NEEDS_GUARDS();
	if (!ill_is_possible((enum ailment)d.ailment))
		return;
	status = in_child(dies, &d, text, sizeof text);

#if defined(UNIT_ADDRESS_SANITIZER)
	/* with a report, or by a signal of its own */
	cr_assert(WIFEXITED(status) || WIFSIGNALED(status));
	cr_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 7, "%s", text);
	if (!WIFSIGNALED(status))
		return;
#endif
	cr_assert(WIFSIGNALED(status), "ailment %d: status %#x %s", d.ailment, status, text);
	EQ(WTERMSIG(status), signal_number);
}

Test(guard_app, an_unguarded_job_in_a_guarding_pool_keeps_the_default_action)
{
	for (int a = 0; a < AILMENTS; a++)
		dies_by((struct death){ .guards = true, .ailment = a }, signal_of[a]);
}

Test(guard_app, a_pool_without_guards_changes_nothing)
{
	for (int a = 0; a < AILMENTS; a++)
		dies_by((struct death){ .ailment = a }, signal_of[a]);
}

Test(guard_app, a_fault_outside_jobs_keeps_the_default_action)
{
	dies_by((struct death){ .guards = true, .outside = true, .ailment = NULL_STORE }, SIGSEGV);
	dies_by((struct death){ .guards = true, .outside = true, .ailment = DIVISION }, SIGFPE);
}

Test(guard_app, a_signal_that_was_sent_keeps_the_default_action)
{
	dies_by((struct death){ .guards = true, .sent = true, .ailment = NULL_STORE }, SIGSEGV);
	dies_by((struct death){ .guards = true, .sent = true, .ailment = BAD_INSTRUCTION }, SIGILL);
}

static void faulty_callback(const struct filch_completion *c)
{
	(void)c;
	(void)fall_ill(NULL_STORE);
}

static int faults_in_a_callback(void *arg)
{
	const struct rlimit no_core = { 0, 0 };
	struct filch_submit how = FILCH_SUBMIT_INIT;

	(void)arg;
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGSEGV, SIG_DFL);
	begin(1, 0);
	how.flags = FILCH_JOB_GUARD;
	how.on_complete = faulty_callback;
	if (filch_submit(pool, answer, NULL, &how) < 0 || filch_pool_drain(pool, NULL))
		return 98;
	return 7;
}

Test(guard_app, a_fault_in_a_completion_callback_is_not_the_jobs)
{
	char text[4096];
	int status;

	NEEDS_GUARDS();
	status = in_child(faults_in_a_callback, NULL, text, sizeof text);

#if defined(UNIT_ADDRESS_SANITIZER)
	cr_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 7, "%s", text);
#else
	cr_assert(WIFSIGNALED(status), "status %#x", status);
	EQ(WTERMSIG(status), SIGSEGV);
#endif
}

/* --- pthread_exit ----------------------------------------------------- */

static int cleaned;

static void clean(void *arg)
{
	++*(int *)arg;
}

static int leaves(void *arg)
{
	pthread_cleanup_push(clean, &cleaned);
	pthread_exit(arg);
	pthread_cleanup_pop(0);
	return 0;
}

static void exits_in(uint32_t workers, uint64_t flags, uint64_t job_flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int threads;

	if (flags & FILCH_POOL_GUARD)
		NEEDS_GUARDS();
	cleaned = 0;
	config.workers = workers;
	config.flags = flags | FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&pool, &config), 0);
	threads = test_threads();
	how.flags = job_flags;
	for (int i = 1; i <= 20; i++) {
		int64_t id = filch_submit(pool, leaves, NULL, &how), next;
		struct filch_completion c;

		cr_assert(id > 0);
		c = completion_of(id);
		EQ(c.status, -ECANCELED);
		EQ(c.flags, FILCH_DONE_EXITED);
		EQ(cleaned, i);
		next = filch_submit(pool, answer, NULL, NULL);
		cr_assert(next > 0);
		EQ(completion_of(next).status, 42);
	}
	UNTIL(test_threads() == threads && stats().replaced == 20);
	EQ(stats().given_up, 20);
	EQ(stats().faults, 0);
	end();
}

Test(guard_app, a_job_that_exits_its_thread_is_cancelled_and_the_worker_replaced)
{
	exits_in(1, 0, 0);
	exits_in(2, 0, 0);
}

Test(guard_app, so_it_is_in_a_guarding_pool_guarded_or_not)
{
	exits_in(1, FILCH_POOL_GUARD, 0);
	exits_in(2, FILCH_POOL_GUARD, FILCH_JOB_GUARD);
}

static struct gate stolen = GATE_INIT;

FILCH_VOID_TASK(exits_when_stolen)
{
	gate_raise(&stolen);
	pthread_exit(NULL);
}

FILCH_TASK(int, joins_one_that_exits)
{
	FILCH_SPAWN(kid, exits_when_stolen);
	gate_wait(&stolen, 1);
	FILCH_SYNC(kid);
	return 1;
}

static int job_joins_one_that_exits(void *arg)
{
	int result = 0;

	(void)arg;
	EQ(FILCH_RUN(NULL, &result, joins_one_that_exits), 0);
	return result;
}

Test(guard_app, a_stolen_task_that_exits_its_thread_ends_its_job_in_a_guarding_pool)
{
	struct filch_completion c;
	int64_t id;

	begin(2, 0);
	id = filch_submit(pool, job_joins_one_that_exits, NULL, NULL);
	cr_assert(id > 0);
	c = completion_of(id);
	EQ(c.status, -ECANCELED);
	EQ(c.flags, FILCH_DONE_EXITED);
	EQ(stats().given_up, 2);
	still_works();
	end();
}

/* --- threads that cannot be replaced ---------------------------------- */

static bool no_threads;
static int refused;

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
	static __typeof__(&pthread_create) real;

	if (!real) {
		void *found = dlsym(RTLD_NEXT, "pthread_create");
		memcpy((void *)&real, (void *)&found, sizeof real);
	}
	if (__atomic_load_n(&no_threads, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
		return EAGAIN;
	}
	return real(thread, attr, body, arg);
}

static bool report_says(const char *what)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool found;

	EQ(filch_pool_describe(pool, out, FILCH_TEXT), 0);
	fclose(out);
	found = strstr(text, what);
	free(text);
	return found;
}

static int count_each(void *arg, int worker)
{
	(void)worker;
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* What each worker is to run runs on so many. */
static void each_runs_on(int workers, int error)
{
	int n = 0;

	EQ(filch_pool_each(pool, count_each, &n), error);
	EQ(n, workers);
}

Test(guard_app, a_thread_that_cannot_be_replaced_leaves_fewer_and_is_tried_again)
{
	begin(2, 0);
	__atomic_store_n(&no_threads, true, __ATOMIC_RELEASE);
	ended_by(guarded(ill, (void *)(intptr_t)NULL_STORE), SIGSEGV);
	UNTIL(report_says("1 of 2 workers lost and not replaced"));
	EQ(stats().replaced, 0);
	still_works(); /* on the other */
	each_runs_on(1, -ENOBUFS);
	each_runs_on(1, -ENOBUFS);
	__atomic_store_n(&no_threads, false, __ATOMIC_RELEASE);
	ended_by(guarded(ill, (void *)(intptr_t)NULL_STORE), SIGSEGV);
	UNTIL(stats().replaced == 2);
	cr_assert(!report_says("lost"));
	still_works();
	each_runs_on(2, 0);
	end();
}

static struct gate go = GATE_INIT;

static int ill_when_told(void *arg)
{
	gate_wait(&go, 1);
	return ill(arg);
}

static int ran_on;

static void *call_each(void *arg)
{
	*(int *)arg = filch_pool_each(pool, count_each, &ran_on);
	return NULL;
}

Test(guard_app, a_call_that_waits_for_a_thread_that_is_lost_and_not_replaced_is_told)
{
	pthread_t thread;
	int64_t id;
	int error = 77;

	begin(2, 0);
	id = guarded(ill_when_told, (void *)(intptr_t)NULL_STORE);
	UNTIL(stats().jobs == 1);
	EQ(pthread_create(&thread, NULL, call_each, &error), 0);
	UNTIL(__atomic_load_n(&ran_on, __ATOMIC_SEQ_CST) == 1); /* on the other */
	__atomic_store_n(&no_threads, true, __ATOMIC_RELEASE);
	gate_raise(&go);
	ended_by(id, SIGSEGV);
	EQ(pthread_join(thread, NULL), 0);
	EQ(error, -ENOBUFS);
	EQ(ran_on, 1);
	end();
}

Test(guard_app, when_no_thread_is_left_what_is_queued_is_cancelled_and_the_pool_is_closed)
{
	int64_t id, queued[8];

	begin(1, 0);
	id = guarded(ill_when_told, (void *)(intptr_t)NULL_STORE);
	for (int i = 0; i < 8; i++)
		queued[i] = guarded(answer, NULL);
	__atomic_store_n(&no_threads, true, __ATOMIC_RELEASE);
	gate_raise(&go);
	ended_by(id, SIGSEGV);
	for (int i = 0; i < 8; i++)
		EQ(completion_of(queued[i]).status, -ECANCELED);
	EQ(filch_submit(pool, answer, NULL, NULL), -ESHUTDOWN);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(gate_count(&go), 1);
	end();
	cr_assert(refused > 0);
}

/* --- fork ------------------------------------------------------------- */

__attribute__((unused)) static int faults_alone(void *arg)
{
	const struct rlimit no_core = { 0, 0 };

	(void)arg;
	setrlimit(RLIMIT_CORE, &no_core);
	return fall_ill(NULL_STORE);
}

__attribute__((unused)) static int forks(void *arg)
{
	int status = -1;
	pid_t child = fork();

	(void)arg;
	if (!child)
		_exit(faults_alone(NULL));
	EQ(waitpid(child, &status, 0), child);
	return status;
}

Test(guard_app, a_child_forked_in_a_guarded_job_is_not_guarded)
{
#if defined(UNIT_ADDRESS_SANITIZER)
	cr_skip_test("the sanitizer's report in a child forked beside threads may not end");
#else
	int status;

	signal(SIGSEGV, SIG_DFL);
	begin(1, 0);
	status = completion_of(guarded(forks, NULL)).status;
	cr_assert(WIFSIGNALED(status), "status %#x", status);
	EQ(WTERMSIG(status), SIGSEGV);
	EQ(stats().faults, 0);
	end();
#endif
}
