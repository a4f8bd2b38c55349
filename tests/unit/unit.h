/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unit tests share: a comparison that prints both values, a gate to wait at (no test
 * sleeps to be right), pools of a given size whatever the machine, children whose death or messages
 * are the point, and a place to stand in race windows.
 */
#ifndef UNIT_H
#define UNIT_H

#include <criterion/criterion.h>
#include <errno.h>
#include <filch/filch.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <test.h>
#include <unistd.h>

/*
 * The address sanitizer owns malloc, and the one of gcc 12 leaves its locks held in a child forked
 * beside a thread that allocates.
 */
#if defined(__SANITIZE_ADDRESS__)
#define UNIT_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNIT_ADDRESS_SANITIZER
#endif
#endif

/* Equality of two integers; both values are printed when they differ. */
#define EQ(a, b) unit_equal((long long)(a), (long long)(b), #a, #b, __FILE__, __LINE__)

static inline void unit_equal(
	long long a, long long b, const char *left, const char *right, const char *file, int line)
{
	cr_assert(a == b, "%s:%d: %s is %lld, %s is %lld", file, line, left, a, right, b);
}

/* A count that threads raise and wait for. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int count;
};
#define GATE_INIT                                                      \
	{                                                              \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 \
	}

__attribute__((unused)) static void gate_raise(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->count++;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

/*
 * Returns when the gate has been raised @count times; the test's time limit ends a wait that is for
 * ever.
 */
__attribute__((unused)) static void gate_wait(struct gate *g, int count)
{
	pthread_mutex_lock(&g->lock);
	while (g->count < count)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

__attribute__((unused)) static int gate_count(struct gate *g)
{
	int count;

	pthread_mutex_lock(&g->lock);
	count = g->count;
	pthread_mutex_unlock(&g->lock);
	return count;
}

#if !defined(UNIT_WITHOUT_POOLS) /* for tests that replace parts of the library by their own */
/* A pool of @workers on any machine. */
__attribute__((unused)) static struct filch_pool *pool_of(uint32_t workers, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool = NULL;

	config.workers = workers;
	config.flags = flags | FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_pool_workers(pool), workers);
	return pool;
}
#endif

/*
 * Runs @body(@arg) in a child that then leaves with its result as status. Returns the wait status;
 * what the child wrote to standard error is in @text. The child must not assert: its results are
 * what the parent compares.
 */
__attribute__((unused)) static int in_child(
	int (*body)(void *arg), void *arg, char *text, size_t size)
{
	int pipe_of[2], status = 0;
	size_t used = 0;
	ssize_t n;
	pid_t child;

	EQ(pipe(pipe_of), 0);
	child = fork();
	cr_assert(child >= 0);
	if (!child) {
		(void)dup2(pipe_of[1], STDERR_FILENO);
		close(pipe_of[0]);
		close(pipe_of[1]);
		_exit(body(arg));
	}
	close(pipe_of[1]);
	while ((n = read(pipe_of[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(pipe_of[0]);
	EQ(waitpid(child, &status, 0), child);
	return status;
}

#endif
