/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of the application's above and below those of the guard, which call each other in a
 * circle; and what a guard has around a thread: pages below its stack, its signal stack, another
 * pool's job in its frames.
 */
#define _GNU_SOURCE
#define ALL_NEED_GUARDS
#include "guard_support.h"

#include <dlfcn.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/resource.h>

/* --- handlers that chain ---------------------------------------------- */

#define REPORTERS 2

static struct sigaction found[REPORTERS]; /* what each found when it was installed, and calls */
/* shared with the parent: how often, and in which order */
static volatile char *called;

static void report(int i, int signal_number, siginfo_t *info, void *context)
{
	if (called[0] > 20)
		_exit(99);
	called[1 + called[0]++] = (char)('1' + i);
	if (found[i].sa_flags & SA_SIGINFO)
		found[i].sa_sigaction(signal_number, info, context);
	else if (found[i].sa_handler == SIG_DFL)
		signal(signal_number, SIG_DFL);
}

static void report_1(int signal_number, siginfo_t *info, void *context)
{
	report(0, signal_number, info, context);
}

static void report_2(int signal_number, siginfo_t *info, void *context)
{
	report(1, signal_number, info, context);
}

static void put_on_top(int i, int signal_number)
{
	static void (*const handler[REPORTERS])(int, siginfo_t *, void *) = { report_1, report_2 };
	struct sigaction ours;

	memset(&ours, 0, sizeof ours);
	ours.sa_sigaction = handler[i];
	ours.sa_flags = SA_SIGINFO;
	sigemptyset(&ours.sa_mask);
	sigaction(signal_number, &ours, &found[i]);
}

/*
 * A guarding pool; each reporter then goes on top, the pool goes, and another comes. The last pool
 * lives if @pools is odd.
 */
static int circle(void *pools)
{
	const struct rlimit no_core = { 0, 0 };
	struct filch_config config = FILCH_CONFIG_INIT;
	int n = *(int *)pools;

	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGSEGV, SIG_DFL);
	config.workers = 1;
	config.flags = FILCH_POOL_GUARD;
	for (int i = 0; i < n; i++) {
		if (filch_pool_create(&pool, &config))
			return 98;
		if (i < REPORTERS)
			put_on_top(i, SIGSEGV);
		if (i + 1 < n && filch_pool_destroy(pool))
			return 97;
	}
	if (ill_begin())
		(void)fall_ill(NULL_STORE);
	return 96;
}

static void reported_in(int pools, const char *order)
{
	char text[4096];
	int status;

	called = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(called != MAP_FAILED);
	status = in_child(circle, &pools, text, sizeof text);
	cr_assert_str_eq(
		(const char *)&called[1], order, "%d pools: %s", pools, (const char *)&called[1]);
	cr_assert(WIFSIGNALED(status), "%d pools: status %#x %s", pools, status, text);
	EQ(WTERMSIG(status), SIGSEGV);
}

Test(guard_chain, a_crash_reporter_that_chains_is_called_once_for_a_fault)
{
	reported_in(1, "1");  /* above the first */
	reported_in(2, "21"); /* one above each */
	reported_in(3, "21"); /* below the third */
	reported_in(5, "21");
}

static sigjmp_buf back;
static volatile sig_atomic_t handled;

static void jumps(int signal_number)
{
	handled += signal_number == SIGSEGV;
	siglongjmp(back, 1);
}

__attribute__((noinline)) static int ill_at(int depth)
{
	volatile char pad[512];

	pad[0] = (char)depth;
	return (depth ? ill_at(depth - 1) : fall_ill(NULL_STORE)) + pad[0];
}

Test(guard_chain, a_handler_that_jumps_out_is_called_for_the_next_fault_too_wherever_that_is)
{
	static const int depth[] = { 0, 9, 3, 3, 20, 0 };

	signal(SIGSEGV, jumps);
	begin(1, 0);
	for (unsigned i = 0; i < sizeof depth / sizeof depth[0]; i++) {
		if (!sigsetjmp(back, 1))
			(void)ill_at(depth[i]);
		EQ(handled, i + 1);
	}
	end();
}

/* --- below a stack ---------------------------------------------------- */

#define GUARD_BYTES (UINT64_C(64) << 10)
#define FRAME       (48 << 10)

static uintptr_t stack_base;
static bool is_apart; /* what lies below the stack is without access */

__attribute__((noinline, no_sanitize("thread"), no_sanitize("address"))) static int deep(
	volatile char *outer)
{
	volatile char here[FRAME];

	here[0] = (char)(outer[0] + 1); /* of the whole frame the farthest byte alone */
	return outer[0] == here[0] ? 0 : deep(here) + here[0];
}

/* Whether the pages from @begin to @end are mapped, without access. */
static bool is_without_access(uintptr_t begin, uintptr_t end)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512], access[5];

	cr_assert(maps);
	while (begin < end && fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx %4s", &from, &to, access) == 3 && begin >= from &&
			begin < to)
			begin = strcmp(access, "---p") ? UINTPTR_MAX : to;
	fclose(maps);
	return begin >= end && begin != UINTPTR_MAX;
}

static int runs_over(void *arg)
{
	pthread_attr_t attr;
	volatile char start = 0;
	void *stack;
	size_t size;

	(void)arg;
	EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	EQ(pthread_attr_getstack(&attr, &stack, &size), 0);
	pthread_attr_destroy(&attr);
	stack_base = (uintptr_t)stack;
	is_apart = is_without_access(stack_base - GUARD_BYTES, stack_base);
	return deep(&start);
}

Test(guard_chain, a_large_frame_does_not_step_over_the_end_of_a_stack)
{
	struct filch_completion c;

	begin(1, 0);
	for (int i = 0; i < 10; i++) {
		c = completion_of(guarded(runs_over, NULL));
		EQ(c.status, -EFAULT);
		EQ(c.detail[0], SIGSEGV);
		cr_assert(is_apart);
		cr_assert(c.detail[1] < stack_base && c.detail[1] >= stack_base - GUARD_BYTES,
			"%#llx, and the stack begins at %#llx", (unsigned long long)c.detail[1],
			(unsigned long long)stack_base);
	}
	end();
}

/* --- the signal stack ------------------------------------------------- */

struct started {
	void *(*body)(void *);
	void *arg;
};

static _Atomic int left_with_another;

static void *compare(void *arg)
{
	struct started s = *(struct started *)arg;
	stack_t before, after;
	void *result;

	free(arg);
	sigaltstack(NULL, &before);
	result = s.body(s.arg);
	sigaltstack(NULL, &after);
	if (before.ss_sp != after.ss_sp || before.ss_flags != after.ss_flags)
		left_with_another++;
	return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
	static __typeof__(&pthread_create) real;
	struct started *s = malloc(sizeof *s);

	if (!real) {
		void *it = dlsym(RTLD_NEXT, "pthread_create");
		memcpy((void *)&real, (void *)&it, sizeof real);
	}
	if (!s)
		return EAGAIN;
	*s = (struct started){ body, arg };
	return real(thread, attr, compare, s);
}

/* Bytes of address space that the process has. */
static uint64_t address_space(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!statm || fscanf(statm, "%lu", &pages) != 1)
		abort();
	fclose(statm);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

__attribute__((unused)) static int has_no_room_for_a_deque(void *arg)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct rlimit little;
	int error;

	(void)arg;
	config.workers = 1;
	config.flags = FILCH_POOL_GUARD;
	config.stack_bytes = ILL_STACK;
	/* whatever a first pool makes for good, threads' arenas too, is there before the limit */
	if (filch_pool_create(&pool, &config) || filch_pool_destroy(pool))
		return 96;
	left_with_another = 0;
	config.deque_capacity = 1 << 24; /* 128 MiB */
	little.rlim_cur = little.rlim_max = address_space() + (UINT64_C(64) << 20);
	if (setrlimit(RLIMIT_AS, &little))
		return 98;
	error = filch_pool_create(&pool, &config);
	return error == -ENOMEM ? left_with_another : 97;
}

Test(guard_chain, a_worker_without_memory_leaves_with_the_signal_stack_it_came_with)
{
#if ILL_SANITIZED
	cr_skip_test("a sanitizer's own memory does not fit a limit of address space");
#else
	char text[4096];
	int status = in_child(has_no_room_for_a_deque, NULL, text, sizeof text);

	cr_assert(WIFEXITED(status), "status %#x", status);
	EQ(WEXITSTATUS(status), 0);
	begin(2, 0);
	still_works();
	end();
	EQ(left_with_another, 0);
#endif
}

/* --- another pool's job in the frames --------------------------------- */

static struct filch_pool *other;
static struct gate started = GATE_INIT, release = GATE_INIT;
static _Atomic int ran;

static int holds(void *arg)
{
	gate_raise(&started);
	gate_wait(&release, 1);
	return arg != NULL;
}

static int runs(void *arg)
{
	ran++;
	return arg != NULL;
}

static int runs_anothers_job(void *arg)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	how.when_full = FILCH_CALLER_RUNS;
	how.flags = FILCH_JOB_DETACHED;
	id = filch_submit(other, runs, NULL, &how);
	if (id == -EINVAL && arg)
		(void)fall_ill(NULL_STORE);
	return (int)id;
}

Test(guard_chain, another_pools_job_never_lies_in_the_frames_of_a_fault)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit detached = FILCH_SUBMIT_INIT;

	begin(3, 0);
	config.workers = 1;
	config.queue_capacity = 1;
	EQ(filch_pool_create(&other, &config), 0);
	EQ(completion_of(guarded(runs_anothers_job, NULL)).status, -EINVAL);
	detached.flags = FILCH_JOB_DETACHED;
	cr_assert(filch_submit(other, holds, NULL, &detached) > 0);
	gate_wait(&started, 1);
	cr_assert(filch_submit(other, holds, NULL, &detached) > 0); /* full */
	EQ(completion_of(guarded(runs_anothers_job, NULL)).status, -EINVAL);
	EQ(completion_of(filch_submit(pool, runs_anothers_job, NULL, NULL)).status, -EINVAL);
	ended_by(guarded(runs_anothers_job, &other), SIGSEGV);
	still_works();
	gate_raise(&release);
	EQ(filch_pool_destroy(other), 0);
	end();
	EQ(ran, 0);
}
