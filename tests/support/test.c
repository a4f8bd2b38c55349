/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See test.h. It is linked into each test as an object, not from an archive: so the atexit handler
 * is there even for a driver that calls none of it. In Criterion programs, which have their own
 * main, it is compiled without that handler.
 *
 * The watchdog is a thread and not an alarm, for two reasons:
 * - ThreadSanitizer holds signals back while the main thread sits in a raw system call, which is
 *   just where a lost wake-up leaves it;
 * - tests of signals want theirs for themselves.
 */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool started, stop;
	pthread_t thread;
	pid_t owner;
	uint64_t deadline; /* ns, 0 = not watching */
	const char *file;
	int line;
} watchdog = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct {
	pthread_mutex_t lock;
	unsigned passed;
	_Atomic(const char *) running; /* the case, for messages */
	bool finished;
	pid_t owner;
} cases = { .lock = PTHREAD_MUTEX_INITIALIZER };

uint64_t test_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

bool test_is_emulated(void)
{
	const char *text = getenv("FILCH_TEST_EMULATED");

	return text && *text;
}

double test_scale(void)
{
	const char *text = getenv("FILCH_TEST_SCALE");
	char *end;
	double scale;

	if (!text || !*text)
		return 1;
	scale = strtod(text, &end);
	return *end || !(scale > 0) ? 1 : scale;
}

uint64_t test_scaled(uint64_t n)
{
	double scaled = (double)n * test_scale();

	return scaled < 1 ? 1 : (uint64_t)scaled;
}

/* Called once: takes the seed from the environment or the clock, and prints it. */
static uint64_t seed;

static void seed_init(void)
{
	const char *text = getenv("FILCH_TEST_SEED");

	seed = text && *text ? strtoull(text, NULL, 0) : test_now() ^ (uint64_t)getpid() << 32;
	printf("seed: FILCH_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
}

uint64_t test_seed(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, seed_init);
	return seed;
}

uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The watchdog's thread: asleep until the deadline, which a call of test_watchdog() moves. */
static void *watchdog_run(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&watchdog.lock);
	while (!watchdog.stop) {
		if (!watchdog.deadline) {
			pthread_cond_wait(&watchdog.changed, &watchdog.lock);
		} else if (test_now() >= watchdog.deadline) {
			fprintf(stderr,
				"%s:%d: the watchdog started here has waited in vain (case: %s)\n",
				watchdog.file, watchdog.line,
				cases.running ? cases.running : "none");
			fflush(NULL);
			abort();
		} else {
			struct timespec until = { .tv_sec =
							  (time_t)(watchdog.deadline / 1000000000),
				.tv_nsec = (long)(watchdog.deadline % 1000000000) };

			pthread_cond_timedwait(&watchdog.changed, &watchdog.lock, &until);
		}
	}
	pthread_mutex_unlock(&watchdog.lock);
	return NULL;
}

/*
 * Starts the watchdog's thread, all signals blocked, its waits on the monotonic clock. Called under
 * the lock.
 */
static void watchdog_start(void)
{
	pthread_condattr_t clock;
	sigset_t all, before;
	int err;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&watchdog.changed, &clock);
	pthread_condattr_destroy(&clock);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&watchdog.thread, NULL, watchdog_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		test_fail(
			__FILE__, __LINE__, "pthread_create of the watchdog", "%s", strerror(err));
	watchdog.started = true;
	watchdog.owner = getpid();
}

void test_watchdog_at(unsigned seconds, const char *file, int line)
{
	pthread_mutex_lock(&watchdog.lock);
	watchdog.deadline = seconds ? test_now() + seconds * UINT64_C(1000000000) : 0;
	watchdog.file = file;
	watchdog.line = line;
	if (!watchdog.started)
		watchdog_start();
	else
		pthread_cond_signal(&watchdog.changed);
	pthread_mutex_unlock(&watchdog.lock);
}

/*
 * Ends the watchdog's thread, so that a leak checker sees a process without it. Not in a child
 * forked by the driver.
 */
static void watchdog_end(void)
{
	if (!watchdog.started || watchdog.owner != getpid())
		return;
	pthread_mutex_lock(&watchdog.lock);
	watchdog.stop = true;
	pthread_cond_signal(&watchdog.changed);
	pthread_mutex_unlock(&watchdog.lock);
	pthread_join(watchdog.thread, NULL);
	watchdog.started = false;
}

/*
 * What proc(5) says of thread @tid of this process: its state and the kernel's flags word. False:
 * it is gone.
 */
static bool read_thread(const char *tid, char *state, unsigned *flags)
{
	char path[64], line[512], *after_name = NULL;
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/self/task/%s/stat", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fgets(line, sizeof line, file))
		after_name = strrchr(line, ')');
	(void)fclose(file);
	return after_name && sscanf(after_name, ") %c %*d %*d %*d %*d %*d %u", state, flags) == 2;
}

/* Whether the kernel has begun to end the thread, or has ended it. */
static bool is_exiting(const char *tid)
{
	const unsigned exiting = 4; /* PF_EXITING */
	unsigned flags;
	char state;

	return !read_thread(tid, &state, &flags) || flags & exiting;
}

bool test_thread_sleeps(int tid)
{
	unsigned flags;
	char name[16], state;

	(void)snprintf(name, sizeof name, "%d", tid);
	return read_thread(name, &state, &flags) && state == 'S';
}

int test_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int n = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' && !is_exiting(entry->d_name);
	closedir(dir);
	return n > 0 && watchdog.started && watchdog.owner == getpid() ? n - 1 : n;
}

static int descriptors_now(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int n = -1; /* the one used for counting */

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

int test_descriptors(void)
{
	int fewest = descriptors_now();

	for (int look = 1; look < 20; look++) {
		int n;

		sched_yield();
		n = descriptors_now();
		if (n < fewest)
			fewest = n;
	}
	return fewest;
}

uint64_t test_resident(void)
{
	unsigned long long total, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &total, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void test_case(const char *name, void (*body)(void))
{
	uint64_t start = test_now();

	cases.running = name;
	printf("  %s ...\n", name);
	fflush(stdout);
	body();
	printf("  %s: true (%.2f s)\n", name, (double)(test_now() - start) / 1e9);
	fflush(stdout);
	cases.running = NULL;
	cases.passed++;
}

int test_finish(const char *name)
{
	watchdog_end();
	cases.finished = true;
	printf("%s: %u passed, 0 failed\n", name, cases.passed);
	fflush(stdout);
	return cases.passed ? 0 : 1;
}

_Noreturn void test_skip(const char *reason, ...)
{
	va_list args;

	printf("SKIP: ");
	va_start(args, reason);
	vprintf(reason, args);
	va_end(args);
	printf("\n");
	fflush(NULL);
	_exit(77);
}

/*
 * The lock is never given back: the first failure is the one reported, and the process ends here.
 */
_Noreturn void test_fail(const char *file, int line, const char *what, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&cases.lock);
	fflush(stdout);
	fprintf(stderr, "%s:%d: failed: %s: ", file, line, what);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n  in the case: %s\n", cases.running ? cases.running : "none");
	printf("%s: %u passed, 1 failed\n", program_invocation_short_name, cases.passed);
	fflush(NULL);
	_exit(1);
}

#ifndef FILCH_TEST_CRITERION
/*
 * At exit of the driver itself, not of a child it has forked: without test_finish() nothing says
 * that it ran to its end.
 */
static void check_finished(void)
{
	if (cases.finished || getpid() != cases.owner)
		return;
	fprintf(stderr, "Tested: 0 cases to the end: the driver left without test_finish()\n");
	fflush(NULL);
	_exit(1);
}

__attribute__((constructor)) static void register_check(void)
{
	cases.owner = getpid();
	atexit(check_finished);
}
#endif
