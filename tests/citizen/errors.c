/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every error that a public function can be made to return is documented at that function, and
 * every error documented there is provoked here, or listed with the reason why it is not.
 *
 * Each case runs in a process of its own, since some take away what a process needs: threads,
 * signal handlers, descriptors.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "pools.h"

/* Where a function's errors stand: the comment before @anchor in @header, or the first one. */
struct place {
	const char *header, *anchor;
};

#define POOL(name)  "pool.h", "FILCH_API int filch_pool_" name "("
#define JOB(name)   "job.h", "FILCH_API int filch_" name "("
#define TRACE(name) "trace.h", "FILCH_API int filch_trace_" name "("
#define GROUP(name) "group.h", "FILCH_API int filch_group_" name "("

struct refusal {
	struct place at;
	int error;                /* positive */
	int64_t (*provoke)(void); /* what the function returned */
};

/* --- what goes wrong -------------------------------------------------- */

#define NO_RESULT INT64_C(-9999)

static struct filch_pool *pool;
static struct filch_cq *queue;
static struct filch_group *group;

/* From now on this process gets @error for the system call @number. */
static bool refuse(long number, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void open_with(uint32_t capacity, uint32_t jobs_max, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.queue_capacity = capacity;
	config.jobs_max = jobs_max;
	config.flags = flags;
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
}

static void open_one(void)
{
	open_with(0, 0, 0);
}

static atomic_int held, released;

static int hold(void *arg)
{
	(void)arg;
	atomic_store(&held, 1);
	while (!atomic_load(&released))
		sched_yield();
	return 0;
}

/* The one worker is busy for ever; @more jobs are queued behind. */
static int64_t hold_and_queue(int more)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id = filch_submit(pool, hold, NULL, NULL), last = id;

	CHECK(id > 0, "%d", (int)id);
	while (!atomic_load(&held))
		sched_yield();
	how.when_full = FILCH_TRY;
	while (more-- > 0)
		CHECK((last = filch_submit(pool, hold, NULL, &how)) > 0, "%d", (int)last);
	return last;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void nothing_in(size_t b, size_t e, void *arg)
{
	(void)b, (void)e, (void)arg;
}

static int compare(const void *a, const void *b, void *arg)
{
	(void)arg;
	return *(const char *)a - *(const char *)b;
}

static void add(size_t b, size_t e, void *acc, void *arg)
{
	(void)b, (void)e, (void)acc, (void)arg;
}

static void scan_add(size_t b, size_t e, void *acc, bool write, void *arg)
{
	(void)write;
	add(b, e, acc, arg);
}

static void join(void *acc, const void *right, void *arg)
{
	(void)acc, (void)right, (void)arg;
}

FILCH_TASK(int, seven)
{
	return 7;
}

FILCH_TASK(int, leaves)
{
	pthread_exit(NULL);
}

/* What @fn returns when a worker calls it in a job. */
static int64_t on_a_worker(int (*fn)(void *arg))
{
	struct filch_completion c;
	int64_t id = filch_submit(pool, fn, NULL, NULL);

	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	return c.status;
}

/* What @fn returns in the child of a fork of a process with a pool and a queue. */
static int64_t in_a_child(int64_t (*fn)(void))
{
	int status;
	pid_t pid;

	open_one();
	CHECK_EQ(filch_cq_create(&queue, 0), 0);
	CHECK_EQ(filch_group_create(&group, pool, NULL), 0);
	pid = fork();
	if (!pid)
		_exit((int)-fn());
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "%#x", (unsigned)status);
	return -WEXITSTATUS(status);
}

static struct timespec past = { 0, 1 }, no_time = { 0, -1 };

#define CASE(name, ...)           \
	static int64_t name(void) \
	{                         \
		__VA_ARGS__       \
	}
#define IN_JOB(name, call)                  \
	static int name##_in_job(void *arg) \
	{                                   \
		(void)arg;                  \
		return (int)(call);         \
	}                                   \
	CASE(name, open_one(); return on_a_worker(name##_in_job);)
#define AFTER_FORK(name, call)             \
	CASE(name##_there, return (call);) \
	CASE(name, return in_a_child(name##_there);)

/* create */
CASE(create_null, return filch_pool_create(NULL, NULL);)
static int64_t create_newer(void)
{
	struct {
		struct filch_config config;
		uint64_t more;
	} newer = { .config = { .size = sizeof newer }, .more = 1 };

	return filch_pool_create(&pool, &newer.config);
}
static int64_t create_huge(void)
{
	struct rlimit limit = { UINT64_C(256) << 20, UINT64_C(256) << 20 };
	struct filch_config config = FILCH_CONFIG_INIT;

	if (TEST_SANITIZED || setrlimit(RLIMIT_AS, &limit))
		return NO_RESULT;
	config.jobs_max = 1u << 22; /* 512 MiB of slots */
	return filch_pool_create(&pool, &config);
}
static int64_t create_without_threads(int error)
{
	open_one(); /* the topology is known */
	if (!refuse(SYS_clone, error) || !refuse(SYS_clone3, error))
		return NO_RESULT;
	return filch_pool_create(&pool, NULL);
}
CASE(create_no_threads, return create_without_threads(EAGAIN);)
CASE(create_clone_refused, return create_without_threads(EPERM);)
static int64_t create_handlers_refused(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.watchdog_ns = UINT64_C(1000000000);
	return refuse(SYS_rt_sigaction, EPERM) ? filch_pool_create(&pool, &config) : NO_RESULT;
}
CASE(create_without_mask,
	return refuse(SYS_sched_getaffinity, EPERM) ? filch_pool_create(&pool, NULL) : NO_RESULT;)
static pid_t forked = -1;
static void fork_in_hook(void *arg, int worker)
{
	(void)arg, (void)worker;
	forked = fork();
}
static int64_t create_in_child(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	int error, status;

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER;
	config.on_worker_start = fork_in_hook;
	error = filch_pool_create(&pool, &config);
	if (!forked)
		_exit(-error);
	CHECK_EQ(error, 0);
	CHECK(waitpid(forked, &status, 0) == forked && WIFEXITED(status), "%d", status);
	return -WEXITSTATUS(status);
}
#if !defined(__x86_64__)
static int64_t create_guards(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.flags = FILCH_POOL_GUARD;
	return filch_pool_create(&pool, &config);
}
#endif

/* drain, shutdown, destroy, workers, describe */
CASE(drain_null, return filch_pool_drain(NULL, NULL);)
CASE(drain_late, open_one(); (void)hold_and_queue(0); return filch_pool_drain(pool, &past);)
IN_JOB(drain_inside, filch_pool_drain(pool, NULL))
AFTER_FORK(drain_child, filch_pool_drain(pool, NULL))
CASE(shutdown_mode, open_one(); return filch_pool_shutdown(pool, 7, NULL);)
CASE(shutdown_late, open_one(); (void)hold_and_queue(0);
	return filch_pool_shutdown(pool, FILCH_DRAIN, &past);)
IN_JOB(shutdown_inside, filch_pool_shutdown(pool, FILCH_DRAIN, NULL))
AFTER_FORK(shutdown_child, filch_pool_shutdown(pool, FILCH_DRAIN, NULL))
CASE(destroy_null, return filch_pool_destroy(NULL);)
IN_JOB(destroy_inside, filch_pool_destroy(pool))
AFTER_FORK(destroy_child, filch_pool_destroy(pool))
CASE(describe_null, open_one(); return filch_pool_describe(pool, NULL, FILCH_TEXT);)
static int64_t describe_full(void)
{
	FILE *f = fopen("/dev/full", "we");

	if (!f)
		return NO_RESULT;
	(void)setvbuf(f, NULL, _IONBF, 0);
	open_one();
	return filch_pool_describe(pool, f, FILCH_JSON);
}

/* submit, batch */
static int64_t try_submit(uint32_t when_full, const struct timespec *deadline)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = when_full;
	how.deadline = deadline;
	return filch_submit(pool, nothing, NULL, &how);
}
CASE(submit_null, open_one(); return filch_submit(pool, NULL, NULL, NULL);)
static int64_t submit_newer(void)
{
	struct {
		struct filch_submit how;
		uint64_t more;
	} newer = { .how = { .size = sizeof newer }, .more = 1 };

	open_one();
	return filch_submit(pool, nothing, NULL, &newer.how);
}
CASE(submit_full, open_with(1, 0, 0); (void)hold_and_queue(1); return try_submit(FILCH_TRY, NULL);)
CASE(submit_late, open_with(1, 0, 0); (void)hold_and_queue(1);
	return try_submit(FILCH_UNTIL, &past);)
CASE(submit_no_slot, open_with(1, 2, 0); (void)hold_and_queue(1);
	return try_submit(FILCH_BLOCK, NULL);)
CASE(submit_closed, open_one(); CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	return try_submit(FILCH_BLOCK, NULL);)
/* @n times @id */
static int64_t submit_after(int64_t id, size_t n)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	static int64_t after[2000];

	for (size_t i = 0; i < n; i++)
		after[i] = id;
	how.after = id ? after : NULL;
	how.after_count = n;
	return filch_submit(pool, nothing, NULL, &how);
}
CASE(submit_after_none, open_one(); return submit_after(0, 1);)
CASE(submit_after_foreign, open_one(); return submit_after(12345, 1);)
CASE(submit_after_many, open_with(1, 2, 0); return submit_after(hold_and_queue(0), 2000);)
AFTER_FORK(submit_child, filch_submit(pool, nothing, NULL, NULL))

/* A pool whose only worker is this thread, which works for another one. */
static int64_t (*when_away)(void);
static struct filch_pool *creators;
static int call_when_away(void *arg)
{
	(void)arg;
	return (int)when_away();
}
static void away_body(size_t b, size_t e, void *result)
{
	(void)b, (void)e;
	*(int64_t *)result = call_when_away(NULL);
}
static int64_t while_away(int64_t (*fn)(void))
{
	struct filch_pool *outer;
	int64_t result = NO_RESULT;

	when_away = fn;
	open_with(1, 0, FILCH_POOL_CALLER);
	creators = pool;
	open_with(0, 0, FILCH_POOL_CALLER);
	outer = pool;
	pool = creators;
	CHECK_EQ(filch_for(outer, 0, 1, 1, away_body, &result), 0);
	return result;
}
CASE(submit_away_there, CHECK(try_submit(FILCH_TRY, NULL) > 0, "the queue's one place");
	return try_submit(FILCH_BLOCK, NULL);)
CASE(submit_away, return while_away(submit_away_there);)
/* A group in which one job is unfinished for ever, and no more are allowed. */
static void open_full_group(void)
{
	struct filch_group_config config = FILCH_GROUP_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;

	config.unfinished_max = 1;
	CHECK_EQ(filch_group_create(&group, pool, &config), 0);
	how.group = group;
	CHECK(filch_submit(pool, hold, NULL, &how) > 0, "submit");
}
static int64_t submit_to_group(uint32_t when_full)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = when_full;
	how.deadline = &past;
	how.group = group;
	return filch_submit(pool, nothing, NULL, &how);
}
CASE(submit_group_full, open_one(); open_full_group(); return submit_to_group(FILCH_TRY);)
CASE(submit_group_late, open_one(); open_full_group(); return submit_to_group(FILCH_UNTIL);)
CASE(submit_group_away_there, open_full_group(); return submit_to_group(FILCH_BLOCK);)
CASE(submit_group_away, return while_away(submit_group_away_there);)
CASE(submit_group_foreign, open_one(); CHECK_EQ(filch_group_create(&group, pool, NULL), 0);
	open_one(); return submit_to_group(FILCH_BLOCK);)
static const struct filch_job_spec no_function = { NULL, NULL, NULL };
CASE(batch_null, open_one(); return filch_submit_batch(pool, &no_function, 1, NULL, NULL);)

/* wait, cancel */
CASE(wait_no_time, open_one(); return filch_wait(pool, 1, &no_time, NULL);)
CASE(wait_late, open_one(); return filch_wait(pool, hold_and_queue(0), &past, NULL);)
CASE(wait_stale, open_one(); int64_t id = filch_submit(pool, nothing, NULL, NULL);
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0); return filch_wait(pool, id, NULL, NULL);)
static int64_t waits;
static int wait_for_one_that_waits(void *arg)
{
	(void)arg;
	waits = submit_after(filch_job_id(), 1);
	CHECK(waits > 0, "%d", (int)waits);
	return filch_wait(pool, waits, NULL, NULL);
}
CASE(wait_waiting, open_one(); return on_a_worker(wait_for_one_that_waits);)
IN_JOB(wait_itself, filch_wait(pool, filch_job_id(), NULL, NULL))
AFTER_FORK(wait_child, filch_wait(pool, 1, NULL, NULL))
CASE(cancel_stale, open_one(); return filch_cancel(pool, 12345);)
CASE(cancel_done, open_one(); int64_t id = filch_submit(pool, nothing, NULL, NULL);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0); return filch_cancel(pool, id);)
AFTER_FORK(cancel_child, filch_cancel(pool, 1))
CASE(defer_outside, return filch_job_defer();)
IN_JOB(finish_not_deferred, filch_job_finish(pool, filch_job_id(), 0))
CASE(finish_stale, open_one(); return filch_job_finish(pool, 12345, 0);)
AFTER_FORK(finish_child, filch_job_finish(pool, 1, 0))

/* groups */
CASE(group_create_null, return filch_group_create(NULL, NULL, NULL);)
static int64_t group_create_newer(void)
{
	struct {
		struct filch_group_config config;
		uint64_t more;
	} newer = { .config = { .size = sizeof newer }, .more = 1 };

	open_one();
	return filch_group_create(&group, pool, &newer.config);
}
static int64_t group_create_huge(void)
{
	struct rlimit limit = { 0, 0 };

	open_with(0, 1u << 20, 0);
	if (TEST_SANITIZED || setrlimit(RLIMIT_AS, &limit))
		return NO_RESULT;
	return filch_group_create(&group, pool, NULL);
}
AFTER_FORK(group_create_child, filch_group_create(&group, pool, NULL))
CASE(group_destroy_null, return filch_group_destroy(NULL);)
CASE(group_destroy_busy, open_one(); open_full_group(); return filch_group_destroy(group);)
AFTER_FORK(group_destroy_child, filch_group_destroy(group))
CASE(group_wait_null, return filch_group_wait(NULL, NULL);)
CASE(group_wait_late, open_one(); open_full_group(); return filch_group_wait(group, &past);)
static int wait_for_own_group(void *arg)
{
	(void)arg;
	return filch_group_wait(group, NULL);
}
static int64_t group_wait_itself(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	int64_t id;

	open_one();
	CHECK_EQ(filch_group_create(&group, pool, NULL), 0);
	how.group = group;
	id = filch_submit(pool, wait_for_own_group, NULL, &how);
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	return c.status;
}
CASE(group_wait_away_there, open_full_group(); return filch_group_wait(group, NULL);)
CASE(group_wait_away, return while_away(group_wait_away_there);)
AFTER_FORK(group_wait_child, filch_group_wait(group, NULL))
CASE(group_cancel_null, return filch_group_cancel(NULL);)
AFTER_FORK(group_cancel_child, filch_group_cancel(group))

/* completion queues */
CASE(cq_create_null, return filch_cq_create(NULL, 0);)
static int64_t cq_create_huge(void)
{
	struct rlimit limit = { UINT64_C(256) << 20, UINT64_C(256) << 20 };

	if (TEST_SANITIZED || setrlimit(RLIMIT_AS, &limit))
		return NO_RESULT;
	return filch_cq_create(&queue, 1u << 23);
}
CASE(cq_destroy_null, return filch_cq_destroy(NULL);)
static int64_t cq_destroy_busy(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	open_one();
	CHECK_EQ(filch_cq_create(&queue, 0), 0);
	how.cq = queue;
	CHECK(filch_submit(pool, hold, NULL, &how) > 0, "submit");
	return filch_cq_destroy(queue);
}
AFTER_FORK(cq_destroy_child, filch_cq_destroy(queue))
CASE(cq_fd_null, return filch_cq_fd(NULL);)
static int64_t cq_fd_none_left(void)
{
	struct rlimit none = { 0, 0 };

	CHECK_EQ(filch_cq_create(&queue, 0), 0);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	return filch_cq_fd(queue);
}
CASE(cq_fd_refused, CHECK_EQ(filch_cq_create(&queue, 0), 0);
	return refuse(SYS_eventfd2, EPERM) ? filch_cq_fd(queue) : NO_RESULT;)
AFTER_FORK(cq_fd_child, filch_cq_fd(queue))
static struct filch_completion one;
CASE(cq_reap_null, return filch_cq_reap(NULL, &one, 1);)
AFTER_FORK(cq_reap_child, filch_cq_reap(queue, &one, 1))
CASE(cq_wait_null, CHECK_EQ(filch_cq_create(&queue, 0), 0);
	return filch_cq_wait(queue, &one, 1, &no_time);)
CASE(cq_wait_late, CHECK_EQ(filch_cq_create(&queue, 0), 0);
	return filch_cq_wait(queue, &one, 1, &past);)
static int wait_for_none(void *arg)
{
	(void)arg;
	CHECK_EQ(filch_cq_create(&queue, 0), 0);
	return filch_cq_wait(queue, &one, 1, NULL);
}
CASE(cq_wait_inside, open_one(); return on_a_worker(wait_for_none);)
AFTER_FORK(cq_wait_child, filch_cq_wait(queue, &one, 1, NULL))

/* statistics */
CASE(stats_null, return filch_pool_stats(NULL, NULL);)
CASE(lane_stats_null, return filch_pool_lane_stats(NULL, 0, NULL);)
CASE(memory_null, return filch_pool_memory(NULL, NULL);)

/* runs, loops, sorts */
static int64_t run_seven(void)
{
	int r;

	return FILCH_RUN(pool, &r, seven);
}
static int64_t loop(void)
{
	return filch_for(pool, 0, 1, 1, nothing_in, NULL);
}
static int64_t sort(void)
{
	static char some[1000];

	return filch_sort(pool, some, sizeof some, 1, compare, NULL);
}
static void with_no_slot(void)
{
	open_with(1, 2, 0);
	(void)hold_and_queue(1);
}
static void closed(void)
{
	open_one();
	CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
}
CASE(run_no_slot, with_no_slot(); return run_seven();)
CASE(run_closed, closed(); return run_seven();)
static int64_t run_left(void)
{
	int r;

	open_one();
	return FILCH_RUN(pool, &r, leaves);
}
AFTER_FORK(run_child, run_seven())
CASE(run_away, return while_away(run_seven);)

/* each */
static int nothing_each(void *arg, int worker)
{
	(void)arg, (void)worker;
	return 0;
}
static int leave_each(void *arg, int worker)
{
	(void)arg, (void)worker;
	pthread_exit(NULL);
}
static int64_t each(void)
{
	return filch_pool_each(pool, nothing_each, NULL);
}
CASE(each_null, open_one(); return filch_pool_each(pool, NULL, NULL);)
CASE(each_no_slot, with_no_slot(); return each();)
CASE(each_closed, closed(); return each();)
AFTER_FORK(each_child, each())
static int each_in_job(void *arg)
{
	(void)arg;
	return (int)each();
}
static int64_t each_guarded(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;

	if (!TEST_HAS_GUARDS)
		return NO_RESULT;
	open_with(0, 0, FILCH_POOL_GUARD);
	how.flags = FILCH_JOB_GUARD;
	CHECK_EQ(filch_wait(pool, filch_submit(pool, each_in_job, NULL, &how), NULL, &c), 0);
	return c.status;
}
static atomic_long called_back = NO_RESULT;
static void each_there(const struct filch_completion *completion)
{
	(void)completion;
	atomic_store(&called_back, (long)each());
}
static int64_t each_in_callback(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	open_one();
	how.on_complete = each_there;
	CHECK(filch_submit(pool, nothing, NULL, &how) > 0, "submit");
	while (atomic_load(&called_back) == NO_RESULT)
		sched_yield();
	return atomic_load(&called_back);
}
static int64_t each_left(void)
{
	if (!TEST_HAS_GUARDS)
		return NO_RESULT;
	open_with(0, 0, FILCH_POOL_GUARD);
	return filch_pool_each(pool, leave_each, NULL);
}
/* more or fewer workers */
CASE(resize_none, open_one(); return filch_pool_resize(pool, 0);)
AFTER_FORK(resize_child, filch_pool_resize(pool, 1))
AFTER_FORK(pause_child, filch_pool_pause(pool))
AFTER_FORK(resume_child, filch_pool_resume(pool))
AFTER_FORK(live_child, filch_pool_live(pool, 1))

static int64_t trace_twice(void)
{
	struct filch_trace_config config = FILCH_TRACE_CONFIG_INIT;

	config.file = "/dev/null";
	CHECK_EQ(filch_trace_start(&config), 0);
	return filch_trace_start(&config);
}

static int64_t trace_without_file(void)
{
	struct filch_trace_config config = FILCH_TRACE_CONFIG_INIT;

	return filch_trace_start(&config);
}

static int64_t trace_newer(void)
{
	struct {
		struct filch_trace_config known;
		uint64_t unknown;
	} config = { FILCH_TRACE_CONFIG_INIT, 1 };

	config.known.size = sizeof config;
	return filch_trace_start(&config.known);
}

static int64_t trace_not_begun(void)
{
	return filch_trace_stop();
}
CASE(blocking_outside, int begun = filch_blocking_begin(); int ended = filch_blocking_end();
	return begun == ended ? ended : NO_RESULT;)
IN_JOB(blocking_end_alone, filch_blocking_end())
CASE(for_null, open_one(); return filch_for(pool, 0, 1, 1, NULL, NULL);)
CASE(for_no_slot, with_no_slot(); return loop();)
CASE(for_closed, closed(); return loop();)
AFTER_FORK(for_child, loop())
CASE(for_away, return while_away(loop);)
static void cancel_here(size_t b, size_t e, void *arg)
{
	(void)b, (void)e, (void)arg;
	CHECK_EQ(filch_cancel(pool, filch_job_id()), 0);
}
IN_JOB(for_cancelled, filch_for(NULL, 0, 100000, 1, cancel_here, NULL))
static int64_t reduce_huge(void)
{
	static char identity[128 << 20], result[128 << 20];
	struct rlimit limit = { 0, 0 };

	open_one();
	if (TEST_SANITIZED || setrlimit(RLIMIT_AS, &limit))
		return NO_RESULT;
	return filch_reduce(pool, 0, 100000, 1, sizeof identity, identity, add, join, NULL, result);
}
CASE(reduce_null, return filch_reduce(NULL, 0, 1, 1, 0, NULL, NULL, NULL, NULL, NULL);)
CASE(scan_null, return filch_scan(NULL, 0, 1, 1, 0, NULL, scan_add, NULL, NULL, NULL);)
CASE(invoke_null, return filch_invoke(NULL, 1, NULL, NULL);)
CASE(sort_null, open_one(); return filch_sort(pool, NULL, 2, 1, compare, NULL);)
static int64_t sort_huge(void)
{
	static char some[128 << 20]; /* more than a thread's heap may hold */
	struct rlimit limit = { 0, 0 };

	some[0] = 1; /* what is in order needs no memory */
	open_one();
	if (TEST_SANITIZED || setrlimit(RLIMIT_AS, &limit))
		return NO_RESULT;
	return filch_sort(pool, some, sizeof some, 1, compare, NULL);
}
CASE(sort_no_slot, with_no_slot(); return sort();)
CASE(sort_closed, closed(); return sort();)
AFTER_FORK(sort_child, sort())
CASE(sort_away, return while_away(sort);)
static int cancel_and_compare(const void *a, const void *b, void *arg)
{
	(void)filch_cancel(pool, filch_job_id());
	return compare(a, b, arg);
}
static int sort_cancelled_in_job(void *arg)
{
	static char some[100000];

	(void)arg;
	for (size_t i = 0; i < sizeof some; i++)
		some[i] = (char)(i * 7919 % 127);
	return filch_sort(NULL, some, sizeof some, 1, cancel_and_compare, NULL);
}
CASE(sort_cancelled, open_one(); return on_a_worker(sort_cancelled_in_job);)
CASE(context_outside, struct filch_context context; return filch_context_here(&context);)

#define SUBMIT      "job.h", "FILCH_API int64_t filch_submit("
#define BATCH       "job.h", "FILCH_API int64_t filch_submit_batch("
#define RUN         "task.h", "#define FILCH_RUN("
#define CONTEXT     "task.h", "FILCH_API int filch_context_here("
#define LOOP        "loop.h", NULL
#define SORT        "sort.h", "FILCH_API int filch_sort("
#define BLOCKING    "pool.h", "FILCH_API int filch_blocking_end("
#define STATS(name) "stats.h", "FILCH_API int filch_pool_" name "("

static const struct refusal refusals[] = {
	{ { POOL("create") }, EINVAL, create_null },
	{ { POOL("create") }, E2BIG, create_newer },
	{ { POOL("create") }, ENOMEM, create_huge },
	{ { POOL("create") }, EAGAIN, create_no_threads },
	{ { POOL("create") }, EPERM, create_clone_refused },
	{ { POOL("create") }, EPERM, create_handlers_refused },
	{ { POOL("create") }, EIO, create_without_mask },
	{ { POOL("create") }, ECHILD, create_in_child },
#if !defined(__x86_64__)
	{ { POOL("create") }, ENOTSUP, create_guards },
#endif
	{ { POOL("drain") }, EINVAL, drain_null },
	{ { POOL("drain") }, ETIMEDOUT, drain_late },
	{ { POOL("drain") }, EDEADLK, drain_inside },
	{ { POOL("drain") }, ECHILD, drain_child },
	{ { POOL("shutdown") }, EINVAL, shutdown_mode },
	{ { POOL("shutdown") }, ETIMEDOUT, shutdown_late },
	{ { POOL("shutdown") }, EDEADLK, shutdown_inside },
	{ { POOL("shutdown") }, ECHILD, shutdown_child },
	{ { POOL("destroy") }, EINVAL, destroy_null },
	{ { POOL("destroy") }, EDEADLK, destroy_inside },
	{ { POOL("destroy") }, ECHILD, destroy_child },
	{ { POOL("each") }, EINVAL, each_null },
	{ { POOL("each") }, ENOBUFS, each_no_slot },
	{ { POOL("each") }, EPERM, each_guarded },
	{ { POOL("each") }, EDEADLK, each_in_callback },
	{ { POOL("each") }, ESHUTDOWN, each_closed },
	{ { POOL("each") }, ECANCELED, each_left },
	{ { POOL("each") }, ECHILD, each_child },
	{ { POOL("resize") }, EINVAL, resize_none },
	{ { POOL("resize") }, ECHILD, resize_child },
	{ { POOL("pause") }, ECHILD, pause_child },
	{ { POOL("resume") }, ECHILD, resume_child },
	{ { POOL("live") }, ECHILD, live_child },
	{ { TRACE("start") }, EALREADY, trace_twice },
	{ { TRACE("start") }, EINVAL, trace_without_file },
	{ { TRACE("start") }, E2BIG, trace_newer },
	{ { TRACE("stop") }, ENOENT, trace_not_begun },
	{ { BLOCKING }, EPERM, blocking_outside },
	{ { BLOCKING }, EINVAL, blocking_end_alone },
	{ { POOL("describe") }, EINVAL, describe_null },
	{ { POOL("describe") }, EIO, describe_full },
	{ { SUBMIT }, EINVAL, submit_null },
	{ { SUBMIT }, EINVAL, submit_after_none },
	{ { SUBMIT }, ESRCH, submit_after_foreign },
	{ { SUBMIT }, EINVAL, submit_group_foreign },
	{ { SUBMIT }, E2BIG, submit_newer },
	{ { SUBMIT }, EAGAIN, submit_full },
	{ { SUBMIT }, EAGAIN, submit_group_full },
	{ { SUBMIT }, ETIMEDOUT, submit_late },
	{ { SUBMIT }, ETIMEDOUT, submit_group_late },
	{ { SUBMIT }, ENOBUFS, submit_no_slot },
	{ { SUBMIT }, ENOBUFS, submit_after_many },
	{ { SUBMIT }, EDEADLK, submit_away },
	{ { SUBMIT }, EDEADLK, submit_group_away },
	{ { SUBMIT }, ESHUTDOWN, submit_closed },
	{ { SUBMIT }, ECHILD, submit_child },
	{ { BATCH }, EINVAL, batch_null },
	{ { JOB("wait") }, EINVAL, wait_no_time },
	{ { JOB("wait") }, ETIMEDOUT, wait_late },
	{ { JOB("wait") }, ESRCH, wait_stale },
	{ { JOB("wait") }, EDEADLK, wait_itself },
	{ { JOB("wait") }, EDEADLK, wait_waiting },
	{ { JOB("wait") }, ECHILD, wait_child },
	{ { JOB("cancel") }, ESRCH, cancel_stale },
	{ { JOB("cancel") }, EALREADY, cancel_done },
	{ { JOB("cancel") }, ECHILD, cancel_child },
	{ { "job.h", "FILCH_API int64_t filch_job_defer(" }, EPERM, defer_outside },
	{ { JOB("job_finish") }, EINVAL, finish_not_deferred },
	{ { JOB("job_finish") }, ESRCH, finish_stale },
	{ { JOB("job_finish") }, ECHILD, finish_child },
	{ { GROUP("create") }, EINVAL, group_create_null },
	{ { GROUP("create") }, E2BIG, group_create_newer },
	{ { GROUP("create") }, ENOMEM, group_create_huge },
	{ { GROUP("create") }, ECHILD, group_create_child },
	{ { GROUP("destroy") }, EINVAL, group_destroy_null },
	{ { GROUP("destroy") }, EBUSY, group_destroy_busy },
	{ { GROUP("destroy") }, ECHILD, group_destroy_child },
	{ { GROUP("wait") }, EINVAL, group_wait_null },
	{ { GROUP("wait") }, ETIMEDOUT, group_wait_late },
	{ { GROUP("wait") }, EDEADLK, group_wait_itself },
	{ { GROUP("wait") }, EDEADLK, group_wait_away },
	{ { GROUP("wait") }, ECHILD, group_wait_child },
	{ { GROUP("cancel") }, EINVAL, group_cancel_null },
	{ { GROUP("cancel") }, ECHILD, group_cancel_child },
	{ { JOB("cq_create") }, EINVAL, cq_create_null },
	{ { JOB("cq_create") }, ENOMEM, cq_create_huge },
	{ { JOB("cq_destroy") }, EINVAL, cq_destroy_null },
	{ { JOB("cq_destroy") }, EBUSY, cq_destroy_busy },
	{ { JOB("cq_destroy") }, ECHILD, cq_destroy_child },
	{ { JOB("cq_fd") }, EINVAL, cq_fd_null },
	{ { JOB("cq_fd") }, EMFILE, cq_fd_none_left },
	{ { JOB("cq_fd") }, EPERM, cq_fd_refused },
	{ { JOB("cq_fd") }, ECHILD, cq_fd_child },
	{ { JOB("cq_reap") }, EINVAL, cq_reap_null },
	{ { JOB("cq_reap") }, ECHILD, cq_reap_child },
	{ { JOB("cq_wait") }, EINVAL, cq_wait_null },
	{ { JOB("cq_wait") }, ETIMEDOUT, cq_wait_late },
	{ { JOB("cq_wait") }, EDEADLK, cq_wait_inside },
	{ { JOB("cq_wait") }, ECHILD, cq_wait_child },
	{ { STATS("stats") }, EINVAL, stats_null },
	{ { STATS("lane_stats") }, EINVAL, lane_stats_null },
	{ { STATS("memory") }, EINVAL, memory_null },
	{ { RUN }, ENOBUFS, run_no_slot },
	{ { RUN }, ESHUTDOWN, run_closed },
	{ { RUN }, ECANCELED, run_left },
	{ { RUN }, ECHILD, run_child },
	{ { RUN }, EDEADLK, run_away },
	{ { LOOP }, EINVAL, for_null },
	{ { LOOP }, EINVAL, reduce_null },
	{ { LOOP }, EINVAL, scan_null },
	{ { LOOP }, EINVAL, invoke_null },
	{ { LOOP }, ENOBUFS, for_no_slot },
	{ { LOOP }, ESHUTDOWN, for_closed },
	{ { LOOP }, ECHILD, for_child },
	{ { LOOP }, EDEADLK, for_away },
	{ { LOOP }, ECANCELED, for_cancelled },
	{ { LOOP }, ENOMEM, reduce_huge },
	{ { SORT }, EINVAL, sort_null },
	{ { SORT }, ENOMEM, sort_huge },
	{ { SORT }, ENOBUFS, sort_no_slot },
	{ { SORT }, ESHUTDOWN, sort_closed },
	{ { SORT }, ECHILD, sort_child },
	{ { SORT }, EDEADLK, sort_away },
	{ { SORT }, ECANCELED, sort_cancelled },
	{ { CONTEXT }, EPERM, context_outside },
};
enum { REFUSALS = sizeof refusals / sizeof refusals[0] };

/* Documented, and not provoked. */
static const struct {
	struct place at;
	const char *name, *reason;
} left_out[] = {
#if defined(__x86_64__)
	{ { POOL("create") }, "ENOTSUP", "on other machines only" },
#endif
	{ { POOL("create") }, "EDEADLK", "in a program's fork handlers: late/host.c" },
	{ { POOL("each") }, "ENOMEM", "no memory for one piece: stress/faults" },
	{ { TRACE("start") }, "ENOMEM", "no memory for the rings of threads outside" },
	{ { TRACE("start") }, "EDEADLK", "in a program's fork handlers, as of create" },
	{ { TRACE("stop") }, "EDEADLK", "likewise" },
	{ { POOL("live") }, "ENOMEM", "no memory for the words of its workers" },
	{ { POOL("live") }, "EAGAIN", "no thread, as of create" },
	{ { POOL("live") }, "EPERM", "another file system in the place of /dev/shm: unit/live" },
	{ { POOL("live") }, "ENOENT", "likewise" },
	{ { POOL("live") }, "ENOSPC", "likewise" },
	{ { POOL("live") }, "EACCES", "likewise" },
	{ { POOL("live") }, "EDEADLK", "in a program's fork handlers, as of create" },
	{ { SUBMIT }, "ENOMEM", "no memory or thread for a timer: stress/faults" },
	{ { JOB("cq_create") }, "EDEADLK", "likewise" },
	{ { JOB("cq_create_with") }, "EDEADLK", "likewise" },
	{ { JOB("cq_destroy") }, "EDEADLK", "likewise" },
	{ { POOL("describe") }, "ENOMEM", "no memory for one line: stress/faults" },
	{ { JOB("cq_fd") }, "ENFILE", "all descriptors of the machine" },
	{ { JOB("cq_fd") }, "ENOMEM", "memory of the kernel" },
};

/* --- what is documented ----------------------------------------------- */

/* The comment that documents @at, from its returns on. */
static char *comment_of(const struct place *at)
{
	static char text[1 << 16];
	char path[512], *end, *begin;
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "%s/include/filch/%s", FILCH_TEST_SOURCE_DIR, at->header);
	f = fopen(path, "re");
	CHECK(f, "%s", path);
	n = fread(text, 1, sizeof text - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	if (!at->anchor) { /* the one that is the contract of all in the file */
		begin = strstr(text, "/*\n");
		end = strstr(begin, "*/");
	} else {
		char *anchor = strstr(text, at->anchor);

		CHECK(anchor, "%s: no %s", at->header, at->anchor);
		*anchor = '\0';
		end = begin = text;
		for (char *c = text; (c = strstr(c, "/*\n")); c++)
			begin = c;
		end = strstr(begin, "*/");
	}
	CHECK(end, "%s: no comment before %s", at->header, at->anchor ? at->anchor : "the end");
	*end = '\0';
	end = strstr(begin, "Returns:"); /* the short ones have no headings */
	return end ? end : begin;
}

static bool is_same(const struct place *a, const struct place *b)
{
	return !strcmp(a->header, b->header) &&
	       (a->anchor && b->anchor ? !strcmp(a->anchor, b->anchor) : a->anchor == b->anchor);
}

/* Whether @comment has -@name as a word. */
static bool names(const char *comment, const char *name)
{
	size_t n = strlen(name);

	for (const char *c = comment; (c = strstr(c, name)); c += n)
		if (c > comment && c[-1] == '-' && !(c[n] >= 'A' && c[n] <= 'Z') &&
			!(c[n] >= '0' && c[n] <= '9'))
			return true;
	return false;
}

static unsigned provoked, unable;

static void each_error_is_provoked_and_documented_there(void)
{
	for (unsigned i = 0; i < REFUSALS; i++) {
		const struct refusal *r = &refusals[i];
		const char *name = strerrorname_np(r->error);
		const char *where = r->at.anchor ? r->at.anchor : r->at.header;
		int status;
		pid_t pid = fork();

		if (!pid) {
			int64_t result = r->provoke();

			_exit(result == NO_RESULT ? 254 : result <= 0 ? (int)-result : 253);
		}
		CHECK(waitpid(pid, &status, 0) == pid, "%d", errno);
		CHECK(WIFEXITED(status), "%s, %s: %#x", where, name, (unsigned)status);
		if (WEXITSTATUS(status) == 254) {
			printf("    %s, %s: cannot be provoked here\n", where, name);
			unable++;
			continue;
		}
		CHECK(WEXITSTATUS(status) == r->error, "%s: %d instead of %s", where,
			WEXITSTATUS(status), name);
		CHECK(names(comment_of(&r->at), name), "%s: -%s is not documented", where, name);
		provoked++;
	}
	printf("    %u of %u provoked\n", provoked, (unsigned)REFUSALS);
	CHECK(provoked > REFUSALS / 2, "%u cannot be provoked here", unable);
}

static void each_documented_one_is_provoked_or_left_out_for_a_reason(void)
{
	char name[16];
	unsigned seen = 0;

	for (unsigned i = 0; i < REFUSALS; i++) {
		const struct place *at = &refusals[i].at;

		for (const char *c = comment_of(at); (c = strchr(c, '-')); c++) {
			bool known = false;

			if (sscanf(c, "-%15[A-Z0-9]", name) != 1 || name[0] != 'E' || !name[1])
				continue;
			for (unsigned k = 0; k < REFUSALS; k++)
				known |= is_same(at, &refusals[k].at) &&
					 !strcmp(name, strerrorname_np(refusals[k].error));
			for (unsigned k = 0; k < sizeof left_out / sizeof left_out[0]; k++)
				known |= is_same(at, &left_out[k].at) &&
					 !strcmp(name, left_out[k].name);
			CHECK(known, "%s: -%s is provoked by no test",
				at->anchor ? at->anchor : at->header, name);
			seen++;
		}
	}
	CHECK(seen > REFUSALS, "%u", seen);
}

int main(void)
{
#if defined(TEST_THREAD_SANITIZER)
	test_skip("its runtime starts no threads in the child of a fork");
#endif
	test_watchdog(120);
	test_case("each error is provoked, and documented there",
		each_error_is_provoked_and_documented_there);
	test_case("each documented one is provoked, or left out for a reason",
		each_documented_one_is_provoked_or_left_out_for_a_reason);
	return test_finish("errors");
}
