/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that is lost with a guarded job runs no more of the program's code, and what it holds
 * holds up nobody of the pool: its own thread-specific data, malloc, stdio.
 */
#define _GNU_SOURCE
#define ALL_NEED_GUARDS
#include "guard_support.h"

#include <dlfcn.h>
#include <malloc.h>

#define DEADLINE UINT64_C(20000000000)

/* Waits with a bound: a pool that hangs is a failure of the test that says so. */
static int status_of(int64_t id)
{
	struct timespec deadline = filch_after(DEADLINE);
	struct filch_completion c;
	int error = filch_wait(pool, id, &deadline, &c);

	return error ? error : c.status;
}

static void lose(filch_job_fn *fn, void *arg, int times)
{
	for (int i = 0; i < times; i++) {
		EQ(status_of(guarded(fn, arg)), -EFAULT);
		EQ(status_of(guarded(answer, NULL)), 42);
	}
}

static int ill(void *arg)
{
	return fall_ill((enum ailment)(intptr_t)arg);
}

/* What a lost job had allocated is leaked, as documented: a sanitizer need not tell. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static void leak(bool begins)
{
	if (__lsan_disable)
		(begins ? __lsan_disable : __lsan_enable)();
}

/* --- thread-specific data --------------------------------------------- */

static pthread_key_t key;
static pthread_mutex_t mutex;
static _Atomic int destroyed, told;
static bool faults;

/* as C++ registers the destructors of thread_local objects */
extern void *__dso_handle;
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso);

static void destructor(void *arg)
{
	(void)arg;
	destroyed++;
	if (faults)
		(void)fall_ill(NULL_STORE);
	pthread_mutex_lock(&mutex); /* held by the job that had set the value */
	pthread_mutex_unlock(&mutex);
}

static int leaves_data_behind(void *arg)
{
	int result;

	EQ(pthread_setspecific(key, &key), 0);
	leak(true);
	EQ(__cxa_thread_atexit_impl(destructor, &key, &__dso_handle), 0);
	leak(false);
	if (!faults)
		EQ(pthread_mutex_lock(&mutex), 0);
	pthread_cleanup_push(destructor, NULL);
	result = fall_ill(arg ? DIVISION : NULL_STORE);
	pthread_cleanup_pop(0);
	return result;
}

static void loses_data(int times)
{
	EQ(pthread_key_create(&key, destructor), 0);
	begin(2, 0);
	for (int i = 0; i < times; i++) {
		EQ(pthread_mutex_init(&mutex, NULL), 0);
		lose(leaves_data_behind, NULL, 1);
	}
	EQ(stats().faults, times);
	end(); /* which waits for the end of every lost thread */
	EQ(destroyed, 0);
	EQ(pthread_key_delete(key), 0);
}

Test(guard_lost, a_destructor_that_waits_for_a_lock_of_the_job_is_not_run, .timeout = 100)
{
	loses_data(1000);
}

Test(guard_lost, a_destructor_that_faults_is_not_run, .timeout = 100)
{
	faults = true;
	loses_data(1000);
}

static void counts(void *arg)
{
	(void)arg;
	destroyed++;
}

static int exits(void *arg)
{
	EQ(pthread_setspecific(key, &key), 0);
	pthread_exit(arg);
}

Test(guard_lost, a_job_that_exits_its_thread_has_its_destructors_run)
{
	EQ(pthread_key_create(&key, counts), 0);
	begin(1, 0);
	EQ(status_of(guarded(exits, NULL)), -ECANCELED);
	EQ(status_of(guarded(answer, NULL)), 42);
	end();
	EQ(destroyed, 1);
}

static struct gate let_go = GATE_INIT;

static void waits(void *arg)
{
	(void)arg;
	gate_wait(&let_go, 1);
	destroyed++;
}

Test(guard_lost, a_destructor_that_takes_its_time_holds_up_no_replacement)
{
	EQ(pthread_key_create(&key, waits), 0);
	begin(1, 0);
	EQ(status_of(guarded(exits, NULL)), -ECANCELED);
	lose(ill, (void *)(intptr_t)NULL_STORE, 3);
	gate_raise(&let_go);
	end();
	EQ(destroyed, 1);
}

/* --- the process, with lost threads in its past ------------------------ */

static void *changes_its_user(void *arg)
{
	while (!told)
		EQ(setresuid(getuid(), geteuid(), (uid_t)-1), 0);
	return arg;
}

Test(guard_lost, setuid_reaches_all_threads_that_are_left, .timeout = 60)
{
	pthread_t thread;

	begin(2, 0);
	lose(ill, (void *)(intptr_t)NULL_STORE, 100);
	EQ(pthread_create(&thread, NULL, changes_its_user, NULL), 0);
	EQ(status_of(guarded(answer, NULL)), 42);
	told = 1;
	EQ(pthread_join(thread, NULL), 0);
	end();
}

/* --- inside stdio ----------------------------------------------------- */

static ssize_t writes_ill(void *arg, const char *text, size_t size)
{
	(void)text;
	return fall_ill((enum ailment)(intptr_t)arg) ? -1 : (ssize_t)size;
}

static int writes(void *arg)
{
	FILE *out;

	leak(true);
	out = fopencookie(arg, "w", (cookie_io_functions_t){ .write = writes_ill });
	leak(false);
	cr_assert(out);
	setbuf(out, NULL);
	return fputs("to nobody", out); /* its lock is held */
}

Test(guard_lost, faults_inside_stdio, .timeout = 100)
{
	begin(2, 0);
	lose(writes, (void *)(intptr_t)NULL_STORE, 1000);
	EQ(stats().faults, 1000);
	end();
}

/* --- inside malloc ---------------------------------------------------- */

#if defined(__GLIBC__) && !ILL_SANITIZED
/*
 * A use after free overwrites a link of a chunk; malloc takes it out of its list with its lock
 * held.
 */
static int faults_in_malloc(void *arg)
{
	void *chunk = malloc(3000);
	volatile uintptr_t hidden;
	void *volatile beside = malloc(3000), *volatile other;

	(void)arg;
	cr_assert(chunk && beside);
	hidden = (uintptr_t)chunk;
	free((void *)hidden);
	((volatile uintptr_t *)hidden)[1] = 0x4141414141;
	other = malloc(5000);
	return other != NULL;
}

static int allocates(void *arg)
{
	for (size_t size = 16; size < 100000; size *= 2) {
		void *volatile it = malloc(size);

		free(it);
	}
	return arg != NULL;
}

static void malloc_fails(int times)
{
	begin(2, 0);
	for (int i = 0; i < times; i++) {
		EQ(status_of(guarded(faults_in_malloc, NULL)), -EFAULT);
		EQ(status_of(guarded(allocates, NULL)), 0);
	}
	end();
}
#endif

Test(guard_lost, faults_inside_malloc, .timeout = 60)
{
#if defined(__GLIBC__) && !ILL_SANITIZED
	malloc_fails(10);
#else
	cr_skip_test("the chunk is glibc's");
#endif
}

Test(guard_lost, a_thousand_faults_inside_malloc, .timeout = 150)
{
#if defined(__GLIBC__) && !ILL_SANITIZED
	malloc_fails(1000); /* with the program's settings: none */
#else
	cr_skip_test("the chunk is glibc's");
#endif
}

#if defined(__GLIBC__) && !ILL_SANITIZED
/* Thread-local storage of a module that is loaded late: each thread allocates it by malloc. */
static void (*touch)(void);

static int faults_in_malloc_with_storage(void *arg)
{
	touch();
	return faults_in_malloc(arg);
}

static int touches(void *arg)
{
	touch();
	return fall_ill((enum ailment)(intptr_t)arg);
}
#endif

/* A join would free it, from an arena that is locked, while it holds what a new thread needs. */
Test(guard_lost, faults_inside_malloc_with_storage_of_a_module, .timeout = 100)
{
#if defined(__GLIBC__) && !ILL_SANITIZED
	void *module = dlopen(TLS_MODULE, RTLD_NOW), *found;

	cr_assert(module, "%s", dlerror());
	found = dlsym(module, "touch");
	cr_assert(found);
	memcpy((void *)&touch, (void *)&found, sizeof touch);
	begin(2, 0);
	for (int i = 0; i < 100; i++) {
		EQ(status_of(guarded(faults_in_malloc_with_storage, NULL)), -EFAULT);
		EQ(status_of(guarded(allocates, NULL)), 0);
		EQ(status_of(guarded(touches, (void *)(intptr_t)NULL_STORE)), -EFAULT);
	}
	EQ(stats().faults, 200);
	end();
	/* goes through the C library's list of threads, where the unjoined ones still are */
	EQ(setresuid(getuid(), geteuid(), (uid_t)-1), 0);
#else
	cr_skip_test("the chunk is glibc's");
#endif
}

/* --- a callback that takes its time ----------------------------------- */

static struct gate stuck_told = GATE_INIT, stuck_ends = GATE_INIT;

static void takes_its_time(void *arg, const struct filch_stuck *stuck)
{
	(void)arg;
	(void)stuck;
	gate_raise(&stuck_told);
	gate_wait(&stuck_ends, 1);
}

static int waits_for_the_end(void *arg)
{
	gate_wait(&stuck_ends, 1);
	return arg != NULL;
}

Test(guard_lost, on_stuck_holds_up_no_replacement)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	int64_t id;

	config.workers = 2;
	config.flags = FILCH_POOL_GUARD | FILCH_POOL_OVERSUBSCRIBE;
	config.watchdog_ns = UINT64_C(20000000);
	config.on_stuck = takes_its_time;
	cr_assert(ill_begin());
	EQ(filch_pool_create(&pool, &config), 0);
	id = filch_submit(pool, waits_for_the_end, NULL, NULL);
	cr_assert(id > 0);
	gate_wait(&stuck_told, 1);
	lose(ill, (void *)(intptr_t)NULL_STORE, 5);
	gate_raise(&stuck_ends);
	EQ(status_of(id), 0);
	end();
}
