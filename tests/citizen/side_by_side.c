/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools beside other pools and other programs: who sits where, a worker that gives way to a busy
 * neighbour, and what the report says of masks that somebody has changed.
 *
 * All of it in a namespace of processes of its own, since other programs may have pools here too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pools.h"

static cpu_set_t ours; /* the mask of this process */

/* --- where a worker is ------------------------------------------------ */

static int mask_here(void *to)
{
	CHECK_EQ(sched_getaffinity(0, sizeof(cpu_set_t), to), 0);
	return 0;
}

/* The mask of the worker of @pool, which has one, as a job there finds it. */
static cpu_set_t mask_of(struct filch_pool *pool)
{
	cpu_set_t mask;

	CHECK_EQ(filch_wait(pool, filch_submit(pool, mask_here, &mask, NULL), NULL, NULL), 0);
	return mask;
}

/* --- descriptors ------------------------------------------------------ */

static int opened = -1;
static unsigned closed_ours;

/* What a daemon does: closes all it does not know, and opens a file of its own. */
static void close_and_open(void *arg, int worker)
{
	char link[64], is[8];
	ssize_t length;

	(void)arg;
	(void)worker;
	for (int fd = 3; fd < 100; fd++) {
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		length = readlink(link, is, sizeof is);
		closed_ours += length == 5 && !memcmp(is, "/proc", 5);
		close(fd);
	}
	opened = open("/dev/null", O_WRONLY | O_CLOEXEC);
}

__attribute__((unused)) static void a_file_that_a_start_hook_opens_stays_open(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.on_worker_start = close_and_open;
	/* the descriptor is there unless another process chooses seats for long */
	for (unsigned i = 0; i < 20 || !closed_ours; i++) {
		struct filch_pool *pool = pool_open_with(&config);

		CHECK_EQ(write(opened, "x", 1), 1);
		CHECK_EQ(filch_pool_destroy(pool), 0);
		CHECK_EQ(write(opened, "x", 1), 1);
		CHECK_EQ(close(opened), 0);
	}
}

/* The one CPU of @mask; -1: it has several. */
static int only(cpu_set_t mask)
{
	for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&mask) == 1; cpu++)
		if (CPU_ISSET((unsigned)cpu, &mask))
			return cpu;
	return -1;
}

static cpu_set_t alone(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	return set;
}

static struct filch_pool *pool_of_one(uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.flags = flags;
	return pool_open_with(&config);
}

/* Where a start hook found itself: before anything can make a worker give way. */
static void note_mask(void *to, int worker)
{
	(void)worker;
	(void)mask_here(to);
}

static struct filch_pool *pool_on(int *cpu)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	cpu_set_t mask;

	config.workers = 1;
	config.on_worker_start = note_mask;
	config.hook_arg = &mask;
	pool = pool_open_with(&config);
	*cpu = only(mask);
	CHECK(*cpu >= 0, "the worker has %d CPUs", CPU_COUNT(&mask));
	return pool;
}

/* --- side by side ----------------------------------------------------- */

static void pools_of_one_process_sit_on_cores_of_their_own(void)
{
	int a, b, c;
	struct filch_pool *first = pool_on(&a), *second = pool_on(&b);

	CHECK(a != b, "both on CPU %d", a);
	pool_close(first);
	first = pool_on(&c);
	CHECK_EQ(c, a); /* which is free again */
	pool_close(first);
	pool_close(second);
}

/* Another process with a pool of one worker: it says where that is, and stays. */
struct other {
	pid_t pid;
	int go, says; /* descriptors */
};

_Noreturn static void be_other(int go, int says)
{
	char byte;
	int cpu;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go, &byte, 1) != 1)
		_exit(2);
	(void)pool_on(&cpu);
	if (write(says, &cpu, sizeof cpu) != sizeof cpu)
		_exit(3);
	for (;;)
		pause();
}

/* @is_new: by another run of this program, as processes mostly begin. */
static struct other start_other(bool is_new)
{
	char from[16], to[16],
		*argv[] = { (char *)"side_by_side", (char *)"other", from, to, NULL };

	struct other o;
	int go[2], says[2];

	CHECK(!pipe(go) && !pipe(says), "pipe: %s", strerror(errno));
	o.pid = fork();
	CHECK(o.pid >= 0, "fork: %s", strerror(errno));
	if (!o.pid && !is_new)
		be_other(go[0], says[1]);
	if (!o.pid) {
		snprintf(from, sizeof from, "%d", go[0]);
		snprintf(to, sizeof to, "%d", says[1]);
		execv("/proc/self/exe", argv);
		_exit(4);
	}
	close(go[0]);
	close(says[1]);
	o.go = go[1];
	o.says = says[0];
	return o;
}

static void let_go(const struct other *o)
{
	CHECK_EQ(write(o->go, "", 1), 1);
}

static int cpu_of(const struct other *o)
{
	int cpu;

	CHECK_EQ(read(o->says, &cpu, sizeof cpu), sizeof cpu);
	return cpu;
}

static void stop_other(const struct other *o)
{
	int status;

	kill(o->pid, SIGKILL);
	CHECK_EQ(waitpid(o->pid, &status, 0), o->pid);
	CHECK(WIFSIGNALED(status), "it has ended by itself: %#x", (unsigned)status);
	close(o->go);
	close(o->says);
}

/*
 * Both begin at the same time. Sanitizers start threads slower than anybody waits.
 */
static void pools_of_two_processes_sit_on_cores_of_their_own(void)
{
	for (int round = 0; round < 5; round++) {
		struct other a = start_other(true), b = start_other(true);
		int on_a, on_b;

		let_go(&a);
		if (TEST_SANITIZED)
			on_a = cpu_of(&a);
		let_go(&b);
		if (!TEST_SANITIZED)
			on_a = cpu_of(&a);
		on_b = cpu_of(&b);
		CHECK(on_a != on_b, "round %d: both on CPU %d", round, on_a);
		stop_other(&a);
		stop_other(&b);
	}
}

static void a_killed_process_leaves_its_core_to_others(void)
{
	struct other a = start_other(true), b = start_other(true), c = start_other(true);
	int on_a;

	let_go(&a);
	on_a = cpu_of(&a);
	let_go(&b);
	(void)cpu_of(&b);
	stop_other(&a);
	let_go(&c);
	CHECK_EQ(cpu_of(&c), on_a);
	stop_other(&b);
	stop_other(&c);
}

static void a_forked_child_counts_its_parents_workers_as_anothers(void)
{
	struct other child;
	int own;
	struct filch_pool *pool;

	if (TEST_SANITIZED) /* whose runtime may not start threads in a child */
		return;
	pool = pool_on(&own);
	child = start_other(false);
	let_go(&child);
	CHECK(cpu_of(&child) != own, "both on CPU %d", own);
	stop_other(&child);
	pool_close(pool);
}

/* --- giving way ------------------------------------------------------- */

static pid_t start_busy(int cpu)
{
	const cpu_set_t one = alone(cpu);
	pid_t pid = fork();

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sched_setaffinity(0, sizeof one, &one);
	for (volatile int i = 0;; i++)
		;
}

static void stop_busy(pid_t pid)
{
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static bool knows_how_it_fares(void)
{
	return !access("/proc/thread-self/schedstat", R_OK);
}

static void a_worker_gives_way_to_a_busy_neighbour_and_comes_back(void)
{
	int cpu;
	struct filch_pool *pool;
	pid_t busy;

	if (!knows_how_it_fares())
		return; /* and stays, which the next case shows too */
	pool = pool_on(&cpu);
	busy = start_busy(cpu);
	/* each of these jobs is one at which it may have to wait */
	while (only(mask_of(pool)) >= 0)
		usleep(1000);
	stop_busy(busy);
	while (only(mask_of(pool)) != cpu)
		usleep(1000);
	pool_close(pool);
}

static void a_worker_that_shall_stay_stays(void)
{
	struct filch_pool *pool = pool_of_one(FILCH_POOL_PIN);
	int cpu = only(mask_of(pool));
	uint64_t until = test_now() + UINT64_C(200000000);
	pid_t busy;

	CHECK(cpu >= 0, "it has several CPUs");
	busy = start_busy(cpu);
	while (test_now() < until)
		CHECK_EQ(only(mask_of(pool)), cpu);
	stop_busy(busy);
	pool_close(pool);
}

/* --- masks as they are now -------------------------------------------- */

static pid_t tid;

static void note_tid(void *arg, int worker)
{
	(void)arg;
	(void)worker;
	tid = gettid();
}

static bool says(const struct filch_pool *pool, const char *what)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool is_there;

	CHECK(out, "no memory");
	CHECK_EQ(filch_pool_describe(pool, out, FILCH_JSON), 0);
	CHECK_EQ(fclose(out), 0);
	is_there = strstr(text, what);
	free(text);
	return is_there;
}

static void expect(const struct filch_pool *pool, const char *pin, const char *mask)
{
	char what[160];

	snprintf(what, sizeof what, "\"pin\":\"%s\",\"error\":0,\"mask\":\"%s\"", pin, mask);
	CHECK(says(pool, what), "the report does not say %s", what);
}

static int other_cpu(int but)
{
	int cpu = 0;

	while (cpu == but || !CPU_ISSET((unsigned)cpu, &ours))
		cpu++;
	return cpu;
}

/* As an administrator does it, with taskset. */
static void set_from_outside(cpu_set_t mask)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		_exit(sched_setaffinity(tid, sizeof mask, &mask) ? errno : 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void the_report_tells_masks_as_they_are_and_workers_come_back(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	char seat[16], elsewhere[16];
	int cpu;

	config.workers = 1;
	config.flags = FILCH_POOL_PIN;
	config.on_worker_start = note_tid;
	pool = pool_open_with(&config);
	cpu = only(mask_of(pool));
	CHECK(cpu >= 0, "it has several CPUs");
	snprintf(seat, sizeof seat, "%d", cpu);
	snprintf(elsewhere, sizeof elsewhere, "%d", other_cpu(cpu));
	for (int round = 0; round < 20; round++) {
		expect(pool, "pinned", seat);
		/* its core is taken away, as by a cpuset that is narrowed */
		set_from_outside(alone(other_cpu(cpu)));
		expect(pool, "moved", elsewhere);
		CHECK_EQ(only(mask_of(pool)), other_cpu(cpu));
		expect(pool, "moved", elsewhere);
		/* and given back */
		set_from_outside(ours);
		/* at the next job, or one later if it had not quite gone to sleep */
		while (only(mask_of(pool)) != cpu)
			usleep(1000);
	}
	pool_close(pool);
}

static void write_to(const char *file, const char *text)
{
	FILE *f = fopen(file, "w");

	if (f)
		(void)fputs(text, f);
	if (f)
		(void)fclose(f);
}

/* Whether this process may make namespaces, as root or in a namespace of users. */
static bool make_namespaces(void)
{
	char map[32];

	snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid());
	if (!unshare(CLONE_NEWPID | CLONE_NEWNS))
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS))
		return false;
	write_to("/proc/self/uid_map", map);
	return true;
}

static int status_of(pid_t pid)
{
	int status = 1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Returns in a process that sees none but its own children; the one before ends with its status. */
static void go_apart(void)
{
	pid_t pid;

	if (!make_namespaces())
		test_skip("no namespace of processes can be had: %s", strerror(errno));
	pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		_exit(status_of(pid));
	/* the first process of the namespace: signals would not end it */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("proc", "/proc", "proc", 0, NULL))
		test_skip("/proc cannot be mounted: %s", strerror(errno));
	pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		_exit(status_of(pid));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "other"))
		be_other(atoi(argv[2]), atoi(argv[3]));
	go_apart();
	CHECK_EQ(sched_getaffinity(0, sizeof ours, &ours), 0);
	unsetenv("FILCH_NO_PIN");
	unsetenv("FILCH_PIN");
	test_watchdog(100);
	if (CPU_COUNT(&ours) < 2)
		test_skip("one CPU: there is no other place");
#define CASE(name) test_case(#name, name)
	CASE(pools_of_one_process_sit_on_cores_of_their_own);
	CASE(pools_of_two_processes_sit_on_cores_of_their_own);
	CASE(a_killed_process_leaves_its_core_to_others);
	CASE(a_forked_child_counts_its_parents_workers_as_anothers);
	CASE(a_worker_gives_way_to_a_busy_neighbour_and_comes_back);
	CASE(a_worker_that_shall_stay_stays);
	CASE(the_report_tells_masks_as_they_are_and_workers_come_back);
#if !defined(TEST_THREAD_SANITIZER) /* to it, a look at a number is a race with its next owner */
	CASE(a_file_that_a_start_hook_opens_stays_open);
#endif
	return test_finish("side_by_side");
}
