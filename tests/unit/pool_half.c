/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool that cannot be made to its end: each call that may be refused is, in turn. Create says so
 * and leaves nothing behind, neither threads nor handlers nor, by the sanitizer's word, memory.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The linker leads the library's calls in here: CMakeLists.txt. */
static _Atomic bool armed;
static _Atomic int calls, refused; /* since then; the number of the one to be refused */

static bool refuse(void)
{
	return armed && ++calls == refused;
}

#define REFUSABLE(result, name, parameters, arguments, failure) \
	result __real_##name parameters;                        \
	result __wrap_##name parameters;                        \
	result __wrap_##name parameters                         \
	{                                                       \
		if (refuse())                                   \
			return errno = ENOMEM, (failure);       \
		return __real_##name arguments;                 \
	}

REFUSABLE(void *, malloc, (size_t n), (n), NULL)
REFUSABLE(void *, calloc, (size_t n, size_t size), (n, size), NULL)
REFUSABLE(void *, aligned_alloc, (size_t align, size_t n), (align, n), NULL)
REFUSABLE(char *, strdup, (const char *s), (s), NULL)
REFUSABLE(FILE *, open_memstream, (char **text, size_t *size), (text, size), NULL)
REFUSABLE(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t offset),
	(at, n, prot, flags, fd, offset), MAP_FAILED)
REFUSABLE(int, pthread_create,
	(pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg),
	(thread, attr, start, arg), EAGAIN)

static void on_stuck(void *arg, const struct filch_stuck *stuck)
{
	(void)arg;
	(void)stuck;
}

/* Creates pools as @config until one meets no refusal; how many met one that ended them. */
static int refuse_each(const struct filch_config *config)
{
	int failures = 0, threads = test_threads();
	struct sigaction before, after;

	sigaction(SIGSEGV, NULL, &before);
	for (refused = 1;; refused++) {
		struct filch_pool *pool = NULL;
		int error;

		calls = 0;
		armed = true;
		error = filch_pool_create(&pool, config);
		armed = false;
		if (!error)
			EQ(filch_pool_destroy(pool), 0);
		else
			cr_assert(!pool && (error == -ENOMEM || error == -EAGAIN), "call %d: %d",
				refused, error);
		EQ(test_threads(), threads);
		failures += error != 0;
		if (calls < refused)
			break;
		cr_assert(refused < 1000);
	}
	sigaction(SIGSEGV, NULL, &after);
	cr_assert(after.sa_sigaction == before.sa_sigaction);
	return failures;
}

Test(pool_half, whatever_is_refused_nothing_is_left)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	if (test_is_emulated())
		cr_skip_test("under qemu-user a thread is counted for a while after its end");
	config.workers = 3;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	/* the machine is remembered: it is asked here, and not where it could be refused */
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_pool_destroy(pool), 0);
	cr_assert(refuse_each(&config) > 15);
	config.watchdog_ns = 1000000000;
	config.on_stuck = on_stuck;
	cr_assert(refuse_each(&config) > 15);
	config.flags |= FILCH_POOL_CALLER;
	cr_assert(refuse_each(&config) > 15);
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	config.flags ^= FILCH_POOL_CALLER | FILCH_POOL_GUARD;
	cr_assert(refuse_each(&config) > 15);
#endif
}
