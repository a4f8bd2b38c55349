/* SPDX-License-Identifier: Apache-2.0 */
/*
 * misuse: a program compiled with FILCH_DEBUG that breaks the rules of spawn and sync is stopped
 * with the task's name; a right one is not. Each wrong program is a child whose death and words are
 * looked at; it has one worker, so that no thief hides the fault, or several where a thief is part
 * of it. And a process that takes membarrier(2) away from its pools ends.
 */
#if !defined(FILCH_DEBUG)
#define FILCH_DEBUG 1 /* of this source: the library may be built without */
#endif
#include <criterion/criterion.h>

#include "unit.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

FILCH_TASK(int, innocent_leaf, (int, x))
{
	return x;
}

FILCH_VOID_TASK(innocent_void, (int *, x))
{
	++*x;
}

/* Never true, which no compiler knows: a handle without any sync is a warning. */
static volatile bool never;

FILCH_TASK(int, forgets_a_handle)
{
	FILCH_SPAWN(a, innocent_leaf, 1);
	return never ? FILCH_SYNC(a) : 0;
}

FILCH_TASK(int, forgets_on_one_path, (int, n))
{
	FILCH_SPAWN(a, innocent_leaf, 1);
	if (n > 3)
		return 0;
	return FILCH_SYNC(a);
}

FILCH_TASK(int, forgets_a_void_handle)
{
	int x = 0;

	FILCH_SPAWN(a, innocent_void, &x);
	if (never)
		FILCH_SYNC(a);
	return x;
}

/* The spawned task is over when the handle is left: its thief has done it. */
FILCH_VOID_TASK(raises, (int *, flag))
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

FILCH_TASK(int, forgets_what_a_thief_has_done)
{
	int flag = 0;

	FILCH_SPAWN(a, raises, &flag);
	while (!__atomic_load_n(&flag, __ATOMIC_ACQUIRE) ||
		__atomic_load_n(&a.filch_task_.word, __ATOMIC_ACQUIRE))
		sched_yield();
	if (never)
		FILCH_SYNC(a);
	return flag;
}

FILCH_TASK(int, syncs_twice)
{
	FILCH_SPAWN(a, innocent_leaf, 1);
	int first = FILCH_SYNC(a);
	return first + FILCH_SYNC(a);
}

FILCH_TASK(int, syncs_twice_above_another)
{
	FILCH_SPAWN(a, innocent_leaf, 1);
	FILCH_SPAWN(b, innocent_leaf, 2);
	int sum = FILCH_SYNC(b);
	sum += FILCH_SYNC(b);
	return sum + FILCH_SYNC(a);
}

FILCH_TASK(int, syncs_twice_what_a_thief_has_done)
{
	int flag = 0;

	FILCH_SPAWN(a, raises, &flag);
	while (!__atomic_load_n(&flag, __ATOMIC_ACQUIRE))
		sched_yield();
	FILCH_SYNC(a);
	FILCH_SYNC(a);
	return flag;
}

FILCH_TASK(int, syncs_a_frame_of_an_array_twice)
{
	FILCH_FRAME(innocent_leaf) kid[2];

	FILCH_SPAWN_INTO(&kid[0], innocent_leaf, 1);
	int first = FILCH_SYNC_FROM(innocent_leaf, &kid[0]);
	return first + FILCH_SYNC_FROM(innocent_leaf, &kid[0]);
}

FILCH_TASK(int, syncs_what_was_never_spawned)
{
	FILCH_FRAME(innocent_leaf) kid[2] = { 0 };

	FILCH_SPAWN_INTO(&kid[0], innocent_leaf, 1);
	int first = FILCH_SYNC_FROM(innocent_leaf, &kid[1]);
	return first + FILCH_SYNC_FROM(innocent_leaf, &kid[0]);
}

/* One frame, spawned anew after each sync: nothing is wrong with that. */
FILCH_TASK(int, uses_a_frame_again)
{
	FILCH_FRAME(innocent_leaf) kid;
	int sum = 0;

	for (int i = 0; i < 3; i++) {
		FILCH_SPAWN_INTO(&kid, innocent_leaf, i);
		sum += FILCH_SYNC_FROM(innocent_leaf, &kid);
	}
	for (int i = 0; i < 3; i++) {
		FILCH_SPAWN(a, innocent_leaf, i);
		sum += FILCH_SYNC(a);
	}
	return sum;
}

FILCH_TASK(int, forgets_in_an_array)
{
	FILCH_FRAME(innocent_leaf) kid[2];

	FILCH_SPAWN_INTO(&kid[0], innocent_leaf, 1);
	FILCH_SPAWN_INTO(&kid[1], innocent_leaf, 2);
	return FILCH_SYNC_FROM(innocent_leaf, &kid[1]);
}

FILCH_TASK(int, syncs_oldest_first)
{
	FILCH_SPAWN(a, innocent_leaf, 1);
	FILCH_SPAWN(b, innocent_leaf, 2);
	int first = FILCH_SYNC(a);
	return first + FILCH_SYNC(b);
}

FILCH_TASK(int, syncs_the_array_oldest_first)
{
	FILCH_FRAME(innocent_leaf) kid[2];

	FILCH_SPAWN_INTO(&kid[0], innocent_leaf, 1);
	FILCH_SPAWN_INTO(&kid[1], innocent_leaf, 2);
	int first = FILCH_SYNC_FROM(innocent_leaf, &kid[0]);
	return first + FILCH_SYNC_FROM(innocent_leaf, &kid[1]);
}

FILCH_TASK(int, syncs_across_kinds_in_the_wrong_order)
{
	FILCH_FRAME(innocent_leaf) kid[1];

	FILCH_SPAWN(a, innocent_leaf, 1);
	FILCH_SPAWN_INTO(&kid[0], innocent_leaf, 2);
	int first = FILCH_SYNC(a);
	return first + FILCH_SYNC_FROM(innocent_leaf, &kid[0]);
}

/* Keeps the only thief busy until the program ends. */
FILCH_VOID_TASK(holds, (int *, flag))
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
	while (!never)
		sched_yield();
}

FILCH_TASK(int, syncs_what_a_thief_has_done_below_the_newest)
{
	int flag = 0, held = 0;

	FILCH_SPAWN(a, raises, &flag);
	while (__atomic_load_n(&a.filch_task_.word, __ATOMIC_ACQUIRE))
		sched_yield();
	FILCH_SPAWN(h, holds, &held);
	while (!__atomic_load_n(&held, __ATOMIC_ACQUIRE))
		sched_yield();
	FILCH_SPAWN(b, innocent_leaf, 2);
	FILCH_SYNC(a);
	int right = FILCH_SYNC(b);
	FILCH_SYNC(h);
	return right;
}

FILCH_TASK(int, keeps_the_rules, (int, n))
{
	FILCH_FRAME(keeps_the_rules) kid[3];
	int sum = n;

	if (!n)
		return 1;
	FILCH_SPAWN(a, keeps_the_rules, n - 1);
	for (int i = 0; i < 3; i++)
		FILCH_SPAWN_INTO(&kid[i], keeps_the_rules, n - 1);
	FILCH_SPAWN(v, innocent_void, &sum);
	FILCH_SYNC(v);
	for (int i = 2; i >= 0; i--)
		sum += FILCH_SYNC_FROM(keeps_the_rules, &kid[i]);
	FILCH_SPAWN(b, innocent_leaf, 0);
	sum += FILCH_SYNC(b);
	return sum + FILCH_SYNC(a);
}

struct wrong {
	uint32_t workers;
	int (*run)(struct filch_pool *pool);
};

static int program(void *arg)
{
	const struct wrong *wrong = arg;
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	config.workers = wrong->workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	if (filch_pool_create(&pool, &config))
		return 10;
	if (wrong->run(pool))
		return 11;
	return filch_pool_destroy(pool) ? 12 : 0;
}

static void dies_naming_with(
	uint32_t workers, int (*run)(struct filch_pool *pool), const char *task, const char *what)
{
	char text[4096], expect[256];
	int status = in_child(program, &(struct wrong){ workers, run }, text, sizeof text);

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %#x: %s",
		(unsigned)status, text);
	snprintf(expect, sizeof expect, "filch: task %s: ", task);
	cr_assert(strstr(text, expect), "said: %s", text);
	cr_assert(strstr(text, what), "said: %s", text);
}

static void dies_naming(int (*run)(struct filch_pool *pool), const char *task, const char *what)
{
	dies_naming_with(1, run, task, what);
}

#define WRONG(name, ...)                                   \
	static int run_##name(struct filch_pool *pool)     \
	{                                                  \
		return FILCH_RUN(pool, NULL, __VA_ARGS__); \
	}
WRONG(forget, forgets_a_handle)
WRONG(forget_path, forgets_on_one_path, 4)
WRONG(forget_void, forgets_a_void_handle)
WRONG(forget_array, forgets_in_an_array)
WRONG(forget_done, forgets_what_a_thief_has_done)
WRONG(twice, syncs_twice)
WRONG(twice_above, syncs_twice_above_another)
WRONG(twice_done, syncs_twice_what_a_thief_has_done)
WRONG(twice_array, syncs_a_frame_of_an_array_twice)
WRONG(unspawned, syncs_what_was_never_spawned)
WRONG(order, syncs_oldest_first)
WRONG(order_done, syncs_what_a_thief_has_done_below_the_newest)
WRONG(order_array, syncs_the_array_oldest_first)
WRONG(order_kinds, syncs_across_kinds_in_the_wrong_order)

Test(misuse, a_handle_left_unsynced_is_named)
{
	dies_naming(run_forget, "innocent_leaf", "without FILCH_SYNC");
}

Test(misuse, a_handle_left_unsynced_on_one_path_is_named)
{
	dies_naming(run_forget_path, "innocent_leaf", "without FILCH_SYNC");
}

Test(misuse, a_void_handle_left_unsynced_is_named)
{
	dies_naming(run_forget_void, "innocent_void", "without FILCH_SYNC");
}

Test(misuse, a_task_that_leaves_a_frame_of_an_array_unsynced_is_named)
{
	dies_naming(run_forget_array, "forgets_in_an_array", "unsynced");
}

Test(misuse, a_handle_left_unsynced_is_named_though_a_thief_has_done_the_task)
{
	dies_naming_with(3, run_forget_done, "raises", "without FILCH_SYNC");
}

Test(misuse, a_second_sync_of_a_handle_is_named)
{
	dies_naming(run_twice, "innocent_leaf", "synced before");
}

Test(misuse, a_second_sync_of_a_handle_above_another_is_named)
{
	dies_naming(run_twice_above, "innocent_leaf", "synced before");
}

Test(misuse, a_second_sync_of_what_a_thief_has_done_is_named)
{
	dies_naming_with(3, run_twice_done, "raises", "synced before");
}

Test(misuse, a_second_sync_of_a_frame_of_an_array_is_named)
{
	dies_naming(run_twice_array, "innocent_leaf", "synced before");
}

Test(misuse, a_sync_of_a_frame_that_was_never_spawned_is_named)
{
	dies_naming(run_unspawned, "innocent_leaf", "without a spawn");
}

Test(misuse, a_sync_out_of_order_is_named)
{
	dies_naming(run_order, "innocent_leaf", "newest first");
}

Test(misuse, a_sync_out_of_order_is_named_though_a_thief_has_done_the_task)
{
	dies_naming_with(2, run_order_done, "raises", "newest first");
}

Test(misuse, a_sync_of_an_array_out_of_order_is_named)
{
	dies_naming(run_order_array, "innocent_leaf", "newest first");
}

Test(misuse, a_sync_of_a_handle_below_an_unsynced_frame_is_named)
{
	dies_naming(run_order_kinds, "innocent_leaf", "newest first");
}

static int run_right(struct filch_pool *pool)
{
	int r = 0, again = 0, anew = 0;

	for (int i = 0; i < 20; i++) {
		if (FILCH_RUN(pool, &r, keeps_the_rules, 5) ||
			FILCH_RUN(pool, &again, forgets_on_one_path, 3) ||
			FILCH_RUN(pool, &anew, uses_a_frame_again))
			return -1;
		/* f(0) = 1, f(n) = 4 f(n-1) + n + 1 */
		if (r != 1818 || again != 1 || anew != 6)
			return -1;
	}
	return 0;
}

Test(misuse, a_program_that_keeps_the_rules_is_left_alone)
{
	const uint32_t workers[] = { 1, 2, 6 };

	for (int i = 0; i < 3; i++) {
		char text[4096];
		int status = in_child(
			program, &(struct wrong){ workers[i], run_right }, text, sizeof text);

		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0,
			"%u workers: status %#x: %s", workers[i], (unsigned)status, text);
		cr_assert(!*text, "%u workers said: %s", workers[i], text);
	}
}

/* --- membarrier(2), refused after all ---------------------------------- */

enum { NO_FILTERS = 77 };

/* For all threads there are. */
static bool refuse_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof filter / sizeof filter[0], .filter = filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

/* Its child runs on the other worker, which must steal it. */
FILCH_TASK(int, waits_for_a_thief, (int, n))
{
	int told = 0;

	FILCH_SPAWN(a, raises, &told);
	while (!__atomic_load_n(&told, __ATOMIC_ACQUIRE))
		sched_yield();
	FILCH_SYNC(a);
	return n;
}

static int confines_itself(void *arg)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	int r;

	(void)arg;
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	if (filch_pool_create(&pool, &config))
		return 1;
	if (!refuse_membarrier())
		return NO_FILTERS;
	for (int i = 0; i < 20; i++)
		if (FILCH_RUN(pool, &r, waits_for_a_thief, i) || r != i)
			return 2;
	return filch_pool_destroy(pool) ? 3 : 0;
}

Test(misuse, a_process_that_takes_membarrier_from_its_pools_ends, .timeout = 60)
{
	char text[4096];
	int status = in_child(confines_itself, NULL, text, sizeof text);

	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTERS)
		cr_skip_test("no seccomp here");
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %#x: %s",
		(unsigned)status, text);
	cr_assert(strstr(text, "set FILCH_MEMBARRIER=0"), "%s", text);
}

Test(misuse, a_process_whose_pools_do_without_membarrier_may_take_it, .timeout = 60)
{
	char text[4096];
	int status;

	setenv("FILCH_MEMBARRIER", "0", 1);
	status = in_child(confines_itself, NULL, text, sizeof text);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTERS)
		cr_skip_test("no seccomp here");
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x: %s", (unsigned)status,
		text);
}
