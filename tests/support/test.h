/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For every test: how much to do, which seed, and a watchdog for runs in which nothing moves. For
 * plain drivers also named cases, and checks that print the values compared. A plain driver is a
 * program with main(): it runs under ThreadSanitizer, where Criterion cannot.
 *
 * 	int main(void)
 * 	{
 * 		test_watchdog(60);
 * 		test_case("thieves get the oldest first", thieves_get_the_oldest_first);
 * 		return test_finish("deque");        // prints "deque: 1 passed, 0 failed"
 * 	}
 *
 * A plain driver that ends in any other way than through test_finish(), a failed CHECK or a skip
 * has failed. An atexit handler says so: a driver that returns early with status 0 would pass for a
 * good one.
 *
 * Environment: FILCH_TEST_SCALE   1 = the counts of CI, 0.1 a tenth, 10 a campaign
 *              FILCH_TEST_SEED    repeats a run; without it each run has its own, printed
 *              FILCH_TEST_EMULATED  set where programs run under qemu-user: tests/arm/emulated.sh
 */
#ifndef FILCH_TEST_H
#define FILCH_TEST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether this program runs under the address or the thread sanitizer: frames are larger then, and
 * libc's functions replaced.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif
#if defined(__SANITIZE_THREAD__)
#define TEST_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_THREAD_SANITIZER 1
#endif
#endif

/*
 * Guards are for x86-64: elsewhere a pool that asks for them is -ENOTSUP, and a case that needs
 * them is skipped or left out.
 */
#if defined(__x86_64__)
#define TEST_HAS_GUARDS 1
#else
#define TEST_HAS_GUARDS 0
#endif

/*
 * Whether this program runs under qemu-user, which has faults of its own: a case that would meet
 * one is skipped and names it.
 */
bool test_is_emulated(void);

/* The value of FILCH_TEST_SCALE; 1 when it is not set, malformed or not positive. */
double test_scale(void);

/* @n at the current scale, at least 1. */
uint64_t test_scaled(uint64_t n);

/* The run's seed: FILCH_TEST_SEED or the clock. The first call prints it. */
uint64_t test_seed(void);

/*
 * The next number of a splitmix64 sequence; start @state at test_seed() plus the thread's number.
 */
uint64_t test_random(uint64_t *state);

/*
 * From now on, a stretch of more than @seconds without another call prints the file and line of
 * this one and aborts. 0 ends the watch. The first call starts one thread (asleep until its time is
 * up), so tests that count threads use test_threads(). Under valgrind and sanitizers a test may be
 * 50 times slower: give a healthy run's time times a generous factor.
 */
#define test_watchdog(seconds) test_watchdog_at((seconds), __FILE__, __LINE__)
void test_watchdog_at(unsigned seconds, const char *file, int line);

/*
 * Threads of this process; -1 when /proc cannot be read. Not counted: the watchdog, and threads
 * that are on their way out, for pthread_join() returns before /proc forgets the thread.
 */
int test_threads(void);

/* Whether thread @tid of this process sleeps: in the one call that it makes, if it makes one. */
bool test_thread_sleeps(int tid);

/*
 * Open file descriptors of this process, the one used for counting not included; -1 when /proc
 * cannot be read. The fewest of several looks: a worker may have one open for a moment, to see
 * whether it waits for its core. What is left open is there in all of them.
 */
int test_descriptors(void);

/* Resident memory of this process in bytes; 0 when /proc cannot be read. */
uint64_t test_resident(void);

/* Nanoseconds on CLOCK_MONOTONIC. */
uint64_t test_now(void);

/* Runs one case of a plain driver; its @name is a sentence that is true or false. */
void test_case(const char *name, void (*body)(void));

/*
 * Ends a plain driver: prints the closing line and returns main's status, 0 unless no case was run.
 */
int test_finish(const char *name);

/* Ends the driver as skipped, with the reason. */
_Noreturn void test_skip(const char *reason, ...) __attribute__((format(printf, 1, 2)));

/* Prints the place, @what and the values, and ends the driver with status 1. Any thread. */
_Noreturn void test_fail(const char *file, int line, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * A check of a plain driver. The format and its arguments give the values, and are evaluated only
 * when it fails.
 */
#define CHECK(condition, ...) \
	((condition) ? (void)0 : test_fail(__FILE__, __LINE__, #condition, __VA_ARGS__))

/* Equality of two integers, whose values are printed. */
#define CHECK_EQ(a, b) \
	test_check_equal((int64_t)(a), (int64_t)(b), #a " == " #b, __FILE__, __LINE__)

static inline void test_check_equal(
	int64_t a, int64_t b, const char *what, const char *file, int line)
{
	if (a != b)
		test_fail(file, line, what, "%lld and %lld", (long long)a, (long long)b);
}

#endif
