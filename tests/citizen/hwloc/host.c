/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What planning leaves alone: hwloc's plugins, which would bring X11, OpenCL and their like into
 * the process; the thread that creates the pool; and its stack, of which little is needed.
 *
 * The argument is the directory of plugin.c as a plugin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "pools.h"

int plugins_brought_in;

/* Whether a thread may restrict itself here: a process of its own tries. */
static bool may_restrict(void)
{
	pid_t pid = fork();
	int status;

	/* EFAULT: the filter is looked at */
	if (!pid)
		_exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) && errno != EFAULT));
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "%d", status);
	return !WEXITSTATUS(status);
}

static void open_a_pool(void)
{
	struct filch_pool *pool;

	CHECK_EQ(filch_pool_create(&pool, NULL), 0);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static void *open_pools(void *go)
{
	while (!atomic_load((atomic_int *)go))
		sched_yield();
	open_a_pool();
	return NULL;
}

static void a_pool_brings_none_in(void)
{
	open_a_pool();
	CHECK_EQ(plugins_brought_in, 0);
}

static void nor_do_pools_of_several_threads(void)
{
	atomic_int go = 0;
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, open_pools, &go), 0);
	/* not the topology that was kept: another load */
	CHECK_EQ(setenv("HWLOC_THISSYSTEM", "1", 1), 0);
	atomic_store(&go, 1);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(plugins_brought_in, 0);
}

static void the_programs_own_hwloc_does(void)
{
	hwloc_topology_t topology;

	CHECK_EQ(hwloc_topology_init(&topology), 0);
	CHECK_EQ(plugins_brought_in, 1);
	hwloc_topology_destroy(topology);
}

static void the_creator_is_as_free_as_before(void)
{
	int fd, state;

	open_a_pool();
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
	fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0, "%d", errno);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state), 0);
	CHECK_EQ(state, PTHREAD_CANCEL_ENABLE);
}

/* --- little stack ----------------------------------------------------- */

static uint64_t flags;

static void *open_one_here(void *result)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	config.workers = 2;
	config.flags = flags | FILCH_POOL_OVERSUBSCRIBE;
	*(int *)result = filch_pool_create(&pool, &config);
	if (!*(int *)result)
		*(int *)result = filch_pool_destroy(pool);
	return NULL;
}

static void open_with(size_t stack)
{
	pthread_attr_t attr;
	pthread_t thread;
	int result = -1;

	CHECK_EQ(pthread_attr_init(&attr), 0);
	CHECK_EQ(pthread_attr_setstacksize(&attr, stack), 0);
	CHECK_EQ(pthread_create(&thread, &attr, open_one_here, &result), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(result, 0);
	CHECK_EQ(pthread_attr_destroy(&attr), 0);
}

static void a_thread_of_32_KiB_creates_and_destroys_pools(void)
{
	size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
	int loads = 0;

	if (TEST_SANITIZED)
		return; /* whose frames are larger */
	for (size_t stack = least > 32768 ? least : 32768; stack <= 65536; stack += 4096) {
		for (int k = 0; k < 3; k++) {
			flags = k == 1 ? FILCH_POOL_CALLER : 0;
#if defined(__x86_64__)
			if (k == 2)
				flags = FILCH_POOL_GUARD;
#endif
			/* with a load of the topology each time */
			CHECK_EQ(setenv("HWLOC_COMPONENTS", loads++ % 2 ? "linux" : "x86,linux", 1),
				0);
			open_with(stack);
		}
	}
	CHECK_EQ(unsetenv("HWLOC_COMPONENTS"), 0);
}

int main(int argc, char **argv)
{
	CHECK_EQ(argc, 2);
	test_watchdog(60);
	CHECK_EQ(setenv("HWLOC_PLUGINS_PATH", argv[1], 1), 0);
	test_case("a thread of 32 KiB creates and destroys pools",
		a_thread_of_32_KiB_creates_and_destroys_pools);
	test_case("the creator is as free as before", the_creator_is_as_free_as_before);
	if (!may_restrict())
		test_skip("a thread may not restrict itself here: plugins come in");
	test_case("a pool brings no plugins in", a_pool_brings_none_in);
	test_case("nor do pools of several threads", nor_do_pools_of_several_threads);
	test_case("the program's own hwloc does", the_programs_own_hwloc_does);
	return test_finish("hwloc");
}
