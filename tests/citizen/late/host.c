/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that was not linked with filch loads it: the shared library itself, and plugins with
 * the shared library, the static one, and a static one that was built in another way. It uses and
 * closes each 50 times, and has as many threads, descriptors and mappings as before.
 *
 * usage: host LIBFILCH.SO PLUGIN_WITH_SHARED PLUGIN_WITH_STATIC PLUGIN_WITH_OTHER
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filch/filch.h>
#include <test.h>

#include "plugin.h"

#define TIMES 50
#define FIRST 10 /* of them: the process has all it needs then, arenas of malloc above all */

static char **path;
enum { SHARED = 1, PLUGIN_SHARED, PLUGIN_STATIC, PLUGIN_OTHER, PATHS };

static void *open_library(const char *name, int flags)
{
	void *library = dlopen(name, RTLD_NOW | flags);

	CHECK(library, "%s", dlerror());
	return library;
}

/* A function of @library, through an object of its type. */
static void find(void *library, const char *name, void *function)
{
	void *symbol = dlsym(library, name);

	CHECK(symbol, "%s", dlerror());
	memcpy(function, &symbol, sizeof symbol);
}

static unsigned mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned lines = 0;

	CHECK(maps, "%s", strerror(errno));
	for (int c; (c = getc(maps)) != EOF;)
		lines += c == '\n';
	(void)fclose(maps);
	return lines;
}

struct holds {
	int threads, descriptors;
	unsigned mappings;
	size_t heap;
};

static struct holds now(void)
{
	return (struct holds){ test_threads(), test_descriptors(), mappings(),
		mallinfo2().uordblks };
}

static void check_flat(const struct holds *before)
{
	struct holds after = now();

	CHECK_EQ(after.threads, before->threads);
	CHECK_EQ(after.descriptors, before->descriptors);
	/* neighbours merge and part as the kernel places them: less than one for ten rounds */
	CHECK(after.mappings < before->mappings + (TIMES - FIRST) / 10, "%u mappings, then %u",
		before->mappings, after.mappings);
	/*
	 * malloc counts what it keeps at hand for threads that come and go; a queue, a plan or a
	 * topology that each round left behind would be four times as much
	 */
	CHECK(after.heap < before->heap + (TIMES - FIRST) * 256, "%zu bytes of heap, then %zu",
		before->heap, after.heap);
}

static void fork_and_wait(void)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0, "%s", strerror(errno));
	if (!pid)
		_exit(0);
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK_EQ(status, 0);
}

/* --- the library itself ----------------------------------------------- */

struct calls {
	int (*create)(struct filch_pool **pool, const struct filch_config *config);
	int64_t (*submit)(struct filch_pool *pool, filch_job_fn *fn, void *arg,
		const struct filch_submit *how);
	int (*wait)(struct filch_pool *pool, int64_t id, const struct timespec *deadline,
		struct filch_completion *out);
	int (*destroy)(struct filch_pool *pool);
	int (*create_cq)(struct filch_cq **cq, uint32_t capacity);
	int (*destroy_cq)(struct filch_cq *cq);
	struct filch_pool *(*default_pool)(void);
};

static void *open_calls(struct calls *calls)
{
	void *library = open_library(path[SHARED], RTLD_LOCAL);

	find(library, "filch_pool_create", &calls->create);
	find(library, "filch_submit", &calls->submit);
	find(library, "filch_wait", &calls->wait);
	find(library, "filch_pool_destroy", &calls->destroy);
	find(library, "filch_cq_create", &calls->create_cq);
	find(library, "filch_cq_destroy", &calls->destroy_cq);
	find(library, "filch_pool_default", &calls->default_pool);
	return library;
}

static int five(void *arg)
{
	(void)arg;
	return 5;
}

static void try_pool(const struct calls *calls, struct filch_pool *pool)
{
	struct filch_completion c;

	CHECK_EQ(calls->wait(pool, calls->submit(pool, five, NULL, NULL), NULL, &c), 0);
	CHECK_EQ(c.status, 5);
}

static void the_library_is_loaded_late(void)
{
	struct holds before;

	for (int k = 0; k < TIMES; k++) {
		struct filch_pool *pool;
		struct calls calls;
		void *library = open_calls(&calls);

		test_watchdog(60);
		CHECK_EQ(calls.create(&pool, NULL), 0);
		try_pool(&calls, pool);
		CHECK_EQ(calls.destroy(pool), 0);
		try_pool(&calls, NULL);
		if (k % 3) /* else it outlives the close, and is found again */
			CHECK_EQ(calls.destroy(calls.default_pool()), 0);
		CHECK_EQ(dlclose(library), 0);
		fork_and_wait();
		if (k == FIRST)
			before = now();
	}
	check_flat(&before);
}

/* The library is not unloaded, so its workers sleep on, and work on when it is opened again. */
static void a_pool_outlives_the_close_of_the_library(void)
{
	struct filch_pool *pool;
	struct calls calls;
	void *library = open_calls(&calls);

	CHECK_EQ(calls.create(&pool, NULL), 0);
	try_pool(&calls, pool);
	CHECK_EQ(dlclose(library), 0);
	fork_and_wait();
	memset(&calls, 0, sizeof calls);
	library = open_calls(&calls);
	try_pool(&calls, pool);
	CHECK_EQ(calls.destroy(pool), 0);
	CHECK_EQ(dlclose(library), 0);
}

/* --- fork handlers that were there before ----------------------------- */

static const struct calls *in_fork;
static struct filch_pool *there, *default_there;
static struct filch_cq *queue_there;
static unsigned handled;

static void call_in_fork(void)
{
	struct filch_pool *pool;
	struct filch_cq *cq;

	if (!in_fork)
		return;
	CHECK_EQ(in_fork->create(&pool, NULL), -EDEADLK);
	CHECK_EQ(in_fork->create_cq(&cq, 8), -EDEADLK);
	CHECK_EQ(in_fork->destroy(there), -EDEADLK);
	CHECK_EQ(in_fork->destroy_cq(queue_there), -EDEADLK);
	CHECK(!in_fork->default_pool() && errno == EDEADLK, "%s", strerror(errno));
	CHECK_EQ(in_fork->submit(NULL, five, NULL, NULL), -EDEADLK);
	handled++;
}

/* They run while the library's own hold its locks: they are told, and do not hang. */
static void handlers_of_the_program_are_refused_what_would_hang(void)
{
	struct filch_pool *pool;
	struct calls calls;
	void *library = open_calls(&calls);
	int status = 0;
	pid_t pid;

	CHECK_EQ(calls.create(&there, NULL), 0);
	CHECK_EQ(calls.create_cq(&queue_there, 8), 0);
	in_fork = &calls;
	default_there = calls.default_pool();
	pid = fork();
	in_fork = NULL;
	CHECK(pid >= 0, "%s", strerror(errno));
	CHECK_EQ(handled, 2); /* before it, and in either process after it */
	if (!pid) {
		CHECK_EQ(calls.destroy(there), -ECHILD);
		CHECK(calls.default_pool() != default_there, "the parent's default pool");
		try_pool(&calls, NULL);
		CHECK_EQ(calls.create(&pool, NULL), 0);
		try_pool(&calls, pool);
		CHECK_EQ(calls.destroy(pool), 0);
		_exit(7);
	}
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%#x", (unsigned)status);
	try_pool(&calls, there);
	CHECK(calls.default_pool() == default_there, "another default pool");
	try_pool(&calls, NULL);
	CHECK_EQ(calls.destroy(there), 0);
	CHECK_EQ(calls.destroy_cq(queue_there), 0);
	CHECK_EQ(dlclose(library), 0);
}

/* --- plugins ---------------------------------------------------------- */

typedef int use_fn(unsigned long long flags, void *(*other_current)(void));

static void use(void *plugin, void *(*other_current)(void))
{
	use_fn *fn;

	find(plugin, "plugin_use", &fn);
	test_watchdog(60);
	CHECK_EQ(fn(0, other_current), 0);
	CHECK_EQ(fn(FILCH_POOL_CALLER, NULL), 0);
#if defined(__x86_64__)
	CHECK_EQ(fn(FILCH_POOL_GUARD, other_current), 0);
#endif
}

static void use_default(void *plugin)
{
	int (*fn)(void *(*other_current)(void));

	find(plugin, "plugin_use_default", &fn);
	CHECK_EQ(fn(NULL), 0);
}

static void load_often(int which)
{
	struct holds before;

	for (int k = 0; k < TIMES; k++) {
		void *plugin = open_library(path[which], k % 2 ? RTLD_GLOBAL : RTLD_LOCAL);

		use(plugin, NULL);
		use_default(plugin);
		CHECK_EQ(dlclose(plugin), 0);
		/* its fork handlers have gone with it */
		fork_and_wait();
		if (which == PLUGIN_STATIC)
			CHECK(!dlopen(path[which], RTLD_NOLOAD | RTLD_NOW), "it is still loaded");
		if (k == FIRST)
			before = now();
	}
	check_flat(&before);
}

static void a_plugin_with_the_shared_library(void)
{
	load_often(PLUGIN_SHARED);
}

static void a_plugin_with_the_static_library(void)
{
	load_often(PLUGIN_STATIC);
}

/*
 * A process may end while a plugin's default pool is at work, or idle: its end is not held up. The
 * library is told of its end and of an unload alike.
 */
static void a_process_ends_beside_a_plugins_default_pool(void)
{
	for (int i = PLUGIN_SHARED; i < PATHS; i++) {
		for (int busy = 0; busy < 2; busy++) {
			int status, (*keep_busy)(void);
			pid_t pid = fork();

			CHECK(pid >= 0, "%s", strerror(errno));
			test_watchdog(60);
			if (!pid) {
				void *plugin = open_library(path[i], RTLD_LOCAL);

				use_default(plugin);
				find(plugin, "plugin_keep_busy", &keep_busy);
				if (busy)
					CHECK_EQ(keep_busy(), 0);
				exit(9);
			}
			while (waitpid(pid, &status, 0) < 0)
				CHECK_EQ(errno, EINTR);
			CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9, "%#x",
				(unsigned)status);
		}
	}
}

/* All names of all plugins are in the view of all, and each copy calls itself. */
static void copies_do_not_call_each_other(void)
{
	for (int k = 0; k < TIMES; k++) {
		void *plugin[PATHS], *(*current[PATHS])(void);

		for (int i = PLUGIN_SHARED; i < PATHS; i++) {
			plugin[i] = open_library(path[i], RTLD_GLOBAL);
			find(plugin[i], "plugin_current", &current[i]);
		}
		for (int i = PLUGIN_SHARED; i < PATHS; i++) {
			const void *(*where)(void);
			Dl_info info;

			find(plugin[i], "plugin_filch", &where);
			CHECK(dladdr(where(), &info), "plugin %d", i);
			CHECK(!strcmp(info.dli_fname, path[i == PLUGIN_SHARED ? SHARED : i]) ||
					(i == PLUGIN_SHARED && strstr(info.dli_fname, "libfilch")),
				"plugin %s calls %s", path[i], info.dli_fname);
			for (int other = PLUGIN_SHARED; other < PATHS; other++)
				use(plugin[i], other == i ? NULL : current[other]);
		}
		/* the last first: only then the loader has their thread-locals' room again */
		for (int i = PATHS; i-- > PLUGIN_SHARED;)
			CHECK_EQ(dlclose(plugin[i]), 0);
	}
	fork_and_wait();
}

/* Pages of this process: how many, and how many of them are not the first copy's. */
static int count_pages(int *others)
{
	char directory[64], start[32];
	struct dirent *entry;
	int pages = 0;
	DIR *dir;

	(void)snprintf(directory, sizeof directory, "/dev/shm/filch-%u", (unsigned)geteuid());
	(void)snprintf(start, sizeof start, "%d-", (int)getpid());
	*others = 0;
	dir = opendir(directory);
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, start, strlen(start)) &&
			!strstr(entry->d_name, ".new")) {
			pages++;
			*others += strchr(entry->d_name + strlen(start), '-') != NULL;
		}
	if (dir)
		closedir(dir);
	return pages;
}

static void copies_have_pages_of_their_own(void)
{
	for (int k = 0; k < TIMES; k++) {
		void *plugin[PATHS];
		int (*fn)(void), others, pages = 0;

		for (int i = PLUGIN_SHARED; i < PATHS; i++) {
			plugin[i] = open_library(path[i], RTLD_LOCAL);
			find(plugin[i], "plugin_go_live", &fn);
			CHECK_EQ(fn(), 0);
			CHECK_EQ(count_pages(&others), ++pages);
			CHECK_EQ(others, pages - 1);
		}
		/* the first is free again, and the next copy has it */
		find(plugin[PLUGIN_SHARED], "plugin_end_live", &fn);
		CHECK_EQ(fn(), 0);
		CHECK_EQ(count_pages(&others), pages - 1);
		CHECK_EQ(others, pages - 1);
		find(plugin[PLUGIN_SHARED], "plugin_go_live", &fn);
		CHECK_EQ(fn(), 0);
		CHECK_EQ(count_pages(&others), pages);
		CHECK_EQ(others, pages - 1);
		for (int i = PATHS; i-- > PLUGIN_SHARED;) { /* in which order: see above */
			find(plugin[i], "plugin_end_live", &fn);
			CHECK_EQ(fn(), 0);
			CHECK_EQ(dlclose(plugin[i]), 0);
		}
		CHECK_EQ(count_pages(&others), 0);
	}
}

int main(int argc, char **argv)
{
	CHECK_EQ(argc, PATHS);
	path = argv;
	CHECK_EQ(pthread_atfork(call_in_fork, call_in_fork, call_in_fork), 0);
	test_watchdog(60);
#define CASE(name) test_case(#name, name)
	CASE(the_library_is_loaded_late);
	CASE(a_pool_outlives_the_close_of_the_library);
	CASE(handlers_of_the_program_are_refused_what_would_hang);
	CASE(a_plugin_with_the_shared_library);
	CASE(a_plugin_with_the_static_library);
	CASE(a_process_ends_beside_a_plugins_default_pool);
	CASE(copies_do_not_call_each_other);
	CASE(copies_have_pages_of_their_own);
	return test_finish("late");
}
