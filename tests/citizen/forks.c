/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fork inside the library's calls into the program, and a child that returns there: from a job, a
 * task, a body of a loop, a callback, a hook, and from a call of a FILCH_POOL_CALLER pool.
 *
 * The child runs nothing of the parent's, completes nothing, and ends by itself. The parent does
 * not notice. Parent and child count in shared memory what they run.
 * timeout: 240
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pools.h"

#define QUEUED 10

/* Seen by both processes. */
static struct shared {
	_Atomic int parent[QUEUED], child[QUEUED]; /* how often each job ran, and where */
	_Atomic int returned;                      /* children that got where they must not */
} * shared;

static pid_t parent;
static struct filch_pool *pool;
static _Atomic bool go, gone, begun;
static _Atomic int ended_as; /* the child's status; -1 while there is none */
static int children;

static bool in_child(void)
{
	return getpid() != parent;
}

static int count_one(void *arg)
{
	uintptr_t i = (uintptr_t)arg;

	(in_child() ? shared->child : shared->parent)[i]++;
	return 0;
}

/*
 * Forks. In the parent waits for the child, which must end by itself: if it does not, the watchdog
 * says so. In the child returns 0.
 */
static pid_t fork_here(void)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0, "%s", strerror(errno));
	if (!pid) {
		test_watchdog(0);
		return 0;
	}
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	ended_as = status;
	gone = true;
	return pid;
}

static int exit_status(void)
{
	CHECK(ended_as >= 0 && WIFEXITED(ended_as), "the child ended as %#x", (unsigned)ended_as);
	return WEXITSTATUS(ended_as);
}

static void begin(const struct filch_config *config)
{
	memset((void *)shared, 0, sizeof *shared);
	go = gone = begun = false;
	ended_as = -1;
	children++;
	if (config)
		CHECK_EQ(filch_pool_create(&pool, config), 0);
}

static void queue(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.flags = FILCH_JOB_DETACHED;
	for (uintptr_t i = 0; i < QUEUED; i++)
		CHECK(filch_submit(pool, count_one, (void *)i, &how) > 0, "job %d", (int)i);
}

/* Every queued job has run once, in the parent. */
static void check_counts(void)
{
	CHECK(gone, "the child is not gone");
	for (int i = 0; i < QUEUED; i++) {
		CHECK_EQ(shared->parent[i], 1);
		CHECK_EQ(shared->child[i], 0);
	}
	CHECK_EQ(shared->returned, 0);
}

static void end(void)
{
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	CHECK_EQ(filch_pool_destroy(pool), 0);
	check_counts();
}

static struct filch_config config_of(uint32_t workers, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = flags | FILCH_POOL_OVERSUBSCRIBE;
	return config;
}

static void until(_Atomic bool *raised)
{
	while (!*raised)
		sched_yield();
}

/* --- on a worker ------------------------------------------------------ */

static int forker(void *arg)
{
	(void)arg;
	until(&go);
	return fork_here() ? 0 : 7;
}

static void a_child_that_returns_from_a_job_ends_with_its_status(void)
{
	struct filch_config config = config_of(1, 0);
	struct filch_completion c;
	int64_t id;

	begin(&config);
	id = filch_submit(pool, forker, NULL, NULL);
	queue();
	go = true;
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	CHECK_EQ(c.status, 0);
	end();
	CHECK_EQ(exit_status(), 7);
}

static void on_complete(const struct filch_completion *c)
{
	(void)c;
	(void)fork_here();
}

static int wait_for_go(void *arg)
{
	(void)arg;
	begun = true;
	until(&go);
	return 0;
}

static void a_child_that_returns_from_a_callback_ends(void)
{
	struct filch_config config = config_of(1, 0);
	struct filch_submit how = FILCH_SUBMIT_INIT;

	begin(&config);
	how.on_complete = on_complete;
	CHECK(filch_submit(pool, wait_for_go, NULL, &how) > 0, "submit");
	queue();
	go = true;
	end();
	CHECK_EQ(exit_status(), 0);
}

/* One job waits for the one that forks, and runs it on top of itself. */
static int waiter(void *arg)
{
	(void)arg;
	until(&go);
	CHECK_EQ(filch_wait(pool, filch_submit(pool, forker, NULL, NULL), NULL, NULL), 0);
	shared->returned += in_child();
	return 0;
}

static void a_child_that_returns_under_a_wait_ends(void)
{
	struct filch_config config = config_of(1, 0);
	int64_t id;

	begin(&config);
	id = filch_submit(pool, waiter, NULL, NULL);
	queue();
	go = true;
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	end();
	CHECK_EQ(exit_status(), 7);
}

static _Atomic bool taken;

FILCH_VOID_TASK(forks)
{
	taken = true;
	(void)fork_here();
}

FILCH_VOID_TASK(until_forked)
{
	FILCH_SPAWN(kid, forks);
	until(&taken);
	FILCH_SYNC(kid);
	shared->returned += in_child();
}

static void a_child_that_returns_from_a_stolen_task_ends(void)
{
	struct filch_config config = config_of(2, 0);

	begin(&config);
	taken = false;
	CHECK_EQ(FILCH_RUN(pool, NULL, until_forked), 0);
	queue();
	end();
	CHECK_EQ(exit_status(), 0);
}

static _Atomic bool stolen, may_end;

FILCH_VOID_TASK(stays)
{
	stolen = true;
	until(&may_end);
}

FILCH_VOID_TASK(forks_before_its_sync)
{
	FILCH_SPAWN(kid, stays);
	until(&stolen);
	if (fork_here())
		may_end = true;
	FILCH_SYNC(kid);
	shared->returned += in_child();
}

static void a_child_does_not_wait_for_a_thief_of_its_parent(void)
{
	struct filch_config config = config_of(2, 0);

	begin(&config);
	stolen = may_end = false;
	CHECK_EQ(FILCH_RUN(pool, NULL, forks_before_its_sync), 0);
	queue();
	end();
	CHECK_EQ(exit_status(), ECHILD);
}

FILCH_VOID_TASK(nested, (int, depth))
{
	if (!depth) {
		(void)fork_here();
		return;
	}
	FILCH_SPAWN(kid, nested, depth - 1);
	FILCH_SYNC(kid);
}

static void a_child_that_returns_from_a_nested_task_ends(void)
{
	struct filch_config config = config_of(1, 0);

	begin(&config);
	CHECK_EQ(FILCH_RUN(pool, NULL, nested, 20), 0);
	queue();
	end();
	CHECK_EQ(exit_status(), 0);
}

static void body(size_t b, size_t e, void *arg)
{
	(void)arg;
	if (b <= 500 && 500 < e)
		(void)fork_here();
}

static void a_child_that_returns_from_a_loop_ends(void)
{
	struct filch_config config = config_of(1, 0);

	begin(&config);
	CHECK_EQ(filch_for(pool, 0, 1000, 1, body, NULL), 0);
	queue();
	end();
	CHECK_EQ(exit_status(), 0);
}

static void hook(void *arg, int worker)
{
	(void)arg;
	(void)worker;
	(void)fork_here();
}

static void a_child_that_returns_from_a_hook_ends(void)
{
	struct filch_config config = config_of(1, 0);

	config.on_worker_start = hook;
	begin(&config);
	queue();
	end();
	CHECK_EQ(exit_status(), 0);
	config.on_worker_start = NULL;
	config.on_worker_stop = hook;
	begin(&config);
	queue();
	end();
	CHECK_EQ(exit_status(), 0);
}

static void on_stuck(void *arg, const struct filch_stuck *stuck)
{
	(void)arg;
	(void)stuck;
	(void)fork_here();
	go = true;
}

static void a_child_that_returns_from_on_stuck_ends(void)
{
	struct filch_config config = config_of(1, 0);
	int64_t id;

	config.watchdog_ns = 10000000;
	config.on_stuck = on_stuck;
	begin(&config);
	id = filch_submit(pool, wait_for_go, NULL, NULL);
	queue();
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	end();
	CHECK_EQ(exit_status(), 0);
}

static int exits_in_child(void *arg)
{
	(void)arg;
	until(&go);
	if (!fork_here())
		pthread_exit(NULL);
	return 0;
}

static void a_child_that_leaves_its_thread_ends(void)
{
	struct filch_config config = config_of(1, 0);
	int64_t id;

	begin(&config);
	id = filch_submit(pool, exits_in_child, NULL, NULL);
	queue();
	go = true;
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	end();
	(void)exit_status(); /* as exit(0), whose atexit handlers are the program's */
}

/* --- its completion --------------------------------------------------- */

static struct filch_cq *cq;

static int forks_with_a_queue(void *arg)
{
	struct pollfd descriptor = { .fd = filch_cq_fd(cq), .events = POLLIN };

	if (!fork_here())
		return 1;
	/* the reader has armed it: the first completion put writes it, whoever puts it */
	*(int *)arg = poll(&descriptor, 1, 0);
	return 0;
}

static void a_child_writes_no_descriptor_of_its_parent(void)
{
	struct filch_config config = config_of(1, 0);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	struct pollfd descriptor = { .events = POLLIN };
	int readable = -1;

	begin(&config);
	CHECK_EQ(filch_cq_create(&cq, 4), 0);
	descriptor.fd = filch_cq_fd(cq);
	how.cq = cq;
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 0);
	CHECK(filch_submit(pool, forks_with_a_queue, &readable, &how) > 0, "submit");
	CHECK_EQ(poll(&descriptor, 1, 60000), 1);
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 1);
	CHECK_EQ(c.status, 0);
	CHECK_EQ(readable, 0);
	queue();
	end();
	CHECK_EQ(exit_status(), 1);
	CHECK_EQ(filch_cq_destroy(cq), 0);
}

/* --- signals and faults ----------------------------------------------- */

static int killed_child(void *arg)
{
	pid_t pid;
	int status;

	(void)arg;
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	CHECK_EQ(kill(pid, SIGTERM), 0);
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	ended_as = status;
	gone = true;
	return 0;
}

static void a_child_is_ended_by_sigterm(void)
{
	struct filch_config config = config_of(1, 0);
	int64_t id;

	begin(&config);
	id = filch_submit(pool, killed_child, NULL, NULL);
	queue();
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	end();
	CHECK(WIFSIGNALED(ended_as) && WTERMSIG(ended_as) == SIGTERM, "%#x", (unsigned)ended_as);
}

static volatile int *volatile nowhere = (volatile int *)16;

static int faults_in_child(void *arg)
{
	(void)arg;
	if (!fork_here())
		*nowhere = 1;
	return 0;
}

static int faults(void *arg)
{
	(void)arg;
	*nowhere = 1;
	return 0;
}

static void a_fault_of_a_child_is_its_own(void)
{
	struct filch_config config = config_of(1, FILCH_POOL_GUARD);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	int error = filch_pool_create(&pool, &config);

	if (error == -ENOTSUP || TEST_SANITIZED) {
		printf("    left out: %s\n", error ? "no guards on this machine"
						   : "the sanitizer reports the child's fault");
		if (!error)
			CHECK_EQ(filch_pool_destroy(pool), 0);
		return;
	}
	CHECK_EQ(error, 0);
	begin(NULL);
	how.flags = FILCH_JOB_GUARD;
	CHECK_EQ(filch_wait(pool, filch_submit(pool, faults_in_child, NULL, &how), NULL, &c), 0);
	CHECK_EQ(c.status, 0);
	CHECK(WIFSIGNALED(ended_as) && WTERMSIG(ended_as) == SIGSEGV, "%#x", (unsigned)ended_as);
	CHECK_EQ(filch_wait(pool, filch_submit(pool, faults, NULL, &how), NULL, &c), 0);
	CHECK_EQ(c.status, -EFAULT);
	go = true;
	CHECK_EQ(filch_wait(pool, filch_submit(pool, forker, NULL, &how), NULL, &c), 0);
	CHECK_EQ(c.status, 0);
	CHECK_EQ(exit_status(), 7);
	queue();
	end();
}

/* --- on the program's own thread: the call returns in the child ------- */

static void leave_if_child(int error)
{
	if (in_child())
		_exit(error == -ECHILD ? 42 : 1);
}

FILCH_VOID_TASK(forks_here)
{
	(void)fork_here();
}

static void a_call_that_forks_inside_is_refused_in_the_child(void)
{
	struct filch_config config = config_of(1, FILCH_POOL_CALLER);
	int64_t id;
	int error;

	begin(&config);
	error = FILCH_RUN(pool, NULL, forks_here);
	leave_if_child(error);
	CHECK_EQ(error, 0);
	CHECK_EQ(exit_status(), 42);

	go = true;
	id = filch_submit(pool, forker, NULL, NULL);
	queue();
	error = filch_wait(pool, id, NULL, NULL);
	leave_if_child(error);
	CHECK_EQ(error, 0);
	CHECK_EQ(exit_status(), 42);
	end();

	for (int call = 0; call < 3; call++) {
		begin(&config);
		go = true;
		CHECK(filch_submit(pool, forker, NULL, NULL) > 0, "submit");
		queue();
		error = call == 0   ? filch_pool_drain(pool, NULL)
			: call == 1 ? filch_pool_shutdown(pool, FILCH_DRAIN, NULL)
				    : filch_pool_drain(pool, &(struct timespec){ 1 << 30, 0 });
		leave_if_child(error);
		CHECK_EQ(error, 0);
		CHECK_EQ(exit_status(), 42);
		end();
	}
}

static void a_submit_that_makes_room_is_refused_in_the_child(void)
{
	struct filch_config config = config_of(1, FILCH_POOL_CALLER);
	int64_t id;

	config.queue_capacity = 1;
	config.jobs_max = 64;
	begin(&config);
	go = true;
	CHECK(filch_submit(pool, forker, NULL, NULL) > 0, "submit");
	id = filch_submit(pool, count_one, NULL, NULL);
	leave_if_child((int)id);
	CHECK(id > 0, "%d", (int)id);
	CHECK_EQ(exit_status(), 42);
	CHECK_EQ(filch_pool_destroy(pool), 0);
	CHECK_EQ(shared->child[0], 0);
}

static void a_hook_that_forks_on_the_creating_thread(void)
{
	struct filch_config config = config_of(1, FILCH_POOL_CALLER);
	int error;

	config.on_worker_start = hook;
	begin(NULL);
	error = filch_pool_create(&pool, &config);
	leave_if_child(error);
	CHECK_EQ(error, 0);
	queue();
	end();
	CHECK_EQ(exit_status(), 42);
	config.on_worker_start = NULL;
	config.on_worker_stop = hook;
	begin(&config);
	queue();
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	error = filch_pool_destroy(pool);
	leave_if_child(error);
	CHECK_EQ(error, 0);
	CHECK_EQ(exit_status(), 42);
	check_counts();
}

static void cancelled(const struct filch_completion *c)
{
	if (c->status != -ECANCELED || !c->user)
		return;
	if (in_child())
		shared->returned++;
	else if (!gone)
		(void)fork_here();
}

static void a_callback_that_forks_in_a_cancel_or_a_shutdown(void)
{
	struct filch_config config = config_of(1, 0);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;
	int error;

	how.on_complete = cancelled;
	how.user = &how;
	begin(&config);
	CHECK(filch_submit(pool, wait_for_go, NULL, NULL) > 0, "submit");
	until(&begun);
	id = filch_submit(pool, count_one, NULL, &how);
	error = filch_cancel(pool, id);
	leave_if_child(error);
	CHECK_EQ(error, 0);
	CHECK_EQ(exit_status(), 42);
	gone = false;
	for (int i = 0; i < 3; i++)
		CHECK(filch_submit(pool, count_one, NULL, &how) > 0, "submit");
	error = filch_pool_shutdown(pool, FILCH_ABANDON, &(struct timespec){ 0, 1 });
	leave_if_child(error);
	CHECK_EQ(error, -ETIMEDOUT); /* the first job still runs */
	CHECK_EQ(exit_status(), 42);
	CHECK_EQ(shared->returned, 0);
	go = true;
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static int forks_inline(void *arg)
{
	(void)arg;
	return fork_here() ? 0 : 3;
}

static void a_job_that_its_submitter_runs(void)
{
	struct filch_config config = config_of(1, 0);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	int64_t id;

	config.queue_capacity = 1;
	config.jobs_max = 64;
	begin(&config);
	CHECK(filch_submit(pool, wait_for_go, NULL, NULL) > 0, "submit");
	until(&begun); /* else the queue is full before the worker has made room */
	for (how.when_full = FILCH_TRY; filch_submit(pool, wait_for_go, NULL, &how) != -EAGAIN;)
		;
	how.when_full = FILCH_CALLER_RUNS;
	id = filch_submit(pool, forks_inline, NULL, &how);
	leave_if_child((int)id);
	CHECK(id > 0, "%d", (int)id);
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	CHECK_EQ(c.status, 0);
	CHECK_EQ(c.worker, -1);
	CHECK_EQ(exit_status(), 42);
	go = true;
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static void often_and_under_load(void)
{
	struct filch_config config = config_of(2, 0);
	uint64_t n = test_scaled(100);

	for (uint64_t k = 0; k < n; k++) {
		int64_t id;

		test_watchdog(60);
		begin(&config);
		id = filch_submit(pool, forker, NULL, NULL);
		queue();
		go = true;
		CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
		end();
		CHECK_EQ(exit_status(), 7);
	}
}

int main(void)
{
	parent = getpid();
	shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED, "%s", strerror(errno));
	test_watchdog(60);
#define CASE(name) test_case(#name, name)
	CASE(a_child_that_returns_from_a_job_ends_with_its_status);
	CASE(a_child_that_returns_from_a_callback_ends);
	CASE(a_child_that_returns_under_a_wait_ends);
	CASE(a_child_that_returns_from_a_stolen_task_ends);
	CASE(a_child_does_not_wait_for_a_thief_of_its_parent);
	CASE(a_child_that_returns_from_a_nested_task_ends);
	CASE(a_child_that_returns_from_a_loop_ends);
	CASE(a_child_that_returns_from_a_hook_ends);
	CASE(a_child_that_returns_from_on_stuck_ends);
	if (!TEST_SANITIZED) /* its report of leaks knows nothing of threads that are not here */
		CASE(a_child_that_leaves_its_thread_ends);
	CASE(a_child_writes_no_descriptor_of_its_parent);
	CASE(a_child_is_ended_by_sigterm);
	CASE(a_fault_of_a_child_is_its_own);
	CASE(a_call_that_forks_inside_is_refused_in_the_child);
	CASE(a_submit_that_makes_room_is_refused_in_the_child);
	CASE(a_hook_that_forks_on_the_creating_thread);
	CASE(a_callback_that_forks_in_a_cancel_or_a_shutdown);
	CASE(a_job_that_its_submitter_runs);
	CASE(often_and_under_load);
	printf("    %d children\n", children);
	return test_finish("forks");
}
