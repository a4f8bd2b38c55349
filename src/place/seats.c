/* SPDX-License-Identifier: Apache-2.0 */
/* seats: see seats.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/seats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define WAIT_NS UINT64_C(30000000) /* for others that choose */
#define LOOK_NS UINT64_C(20000000) /* at them */
#define NAP_NS  200000             /* between two attempts at the lock */

/* --- this process ----------------------------------------------------- */

static pthread_mutex_t seats_lock = PTHREAD_MUTEX_INITIALIZER;
static uint16_t taken[FILCHI_CPUS_MAX];

void filchi_seats_lock(void)
{
	pthread_mutex_lock(&seats_lock);
}

void filchi_seats_unlock(void)
{
	pthread_mutex_unlock(&seats_lock);
}

void filchi_seats_own(struct filchi_loads *loads)
{
	for (uint32_t cpu = 0; cpu < FILCHI_CPUS_MAX; cpu++) {
		loads->cpu[cpu] += taken[cpu] * FILCHI_LOAD_ONE;
		loads->ours += taken[cpu];
	}
}

void filchi_seats_take(uint32_t cpu)
{
	if (cpu < FILCHI_CPUS_MAX && taken[cpu] < UINT16_MAX)
		taken[cpu]++;
}

void filchi_seats_give_back(uint32_t cpu)
{
	if (cpu < FILCHI_CPUS_MAX && taken[cpu])
		taken[cpu]--;
}

/* --- one process at a time -------------------------------------------- */

static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned holds; /* of this process, on the one lock */
static int held = -1;  /* the descriptor of that */
static struct stat held_is;

static bool lock_out_others(int fd)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t since = filchi_now();

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || filchi_now() - since > WAIT_NS)
			return false;
		(void)nanosleep(&nap, NULL);
	}
	return true;
}

/*
 * Not if that is of another file by now: a start hook may have closed all descriptors, as daemons
 * do, and opened others. The lock went with ours.
 */
static void close_held(bool unlocks)
{
	struct stat is;

	if (held < 0)
		return;
	if (!fstat(held, &is) && is.st_dev == held_is.st_dev && is.st_ino == held_is.st_ino) {
		/* by name: a child may have inherited the descriptor, and with it the lock */
		if (unlocks)
			(void)flock(held, LOCK_UN);
		close(held);
	}
	held = -1;
}

bool filchi_seats_hold(void)
{
	bool is_held;

	pthread_mutex_lock(&hold_lock);
	if (!holds) {
		held = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (held >= 0 && (fstat(held, &held_is) || !lock_out_others(held))) {
			close(held);
			held = -1;
		}
	}
	is_held = held >= 0;
	holds += is_held;
	pthread_mutex_unlock(&hold_lock);
	return is_held;
}

void filchi_seats_let_go(void)
{
	pthread_mutex_lock(&hold_lock);
	if (!--holds)
		close_held(true);
	pthread_mutex_unlock(&hold_lock);
}

void filchi_seats_before_fork(void)
{
	pthread_mutex_lock(&hold_lock);
	pthread_mutex_lock(&seats_lock);
}

void filchi_seats_after_fork(void)
{
	pthread_mutex_unlock(&seats_lock);
	pthread_mutex_unlock(&hold_lock);
}

void filchi_seats_in_child(void)
{
	memset(taken, 0, sizeof taken);
	close_held(false); /* the lock stays the parent's */
	holds = 0;
	filchi_seats_after_fork();
}

/* --- other processes -------------------------------------------------- */

struct looking {
	const struct filchi_cpuset *allowed;
	struct filchi_loads *loads;
	uint64_t until;
	int proc;
	uid_t user;
	pid_t self;
};

/* The number that @name is; 0: it is none. */
static pid_t number_of(const char *name)
{
	return name[0] >= '1' && name[0] <= '9' ? (pid_t)strtol(name, NULL, 10) : 0;
}

static void add(struct looking *l, const struct filchi_cpuset *mask)
{
	uint32_t cpus = filchi_cpuset_count(mask);

	if (!cpus || filchi_cpuset_holds(mask, l->allowed))
		return;
	for (uint32_t i = 0; i < FILCHI_CPUS_MAX; i += FILCHI_CPUSET_BITS)
		for (unsigned long word = mask->word[i / FILCHI_CPUSET_BITS]; word;
			word &= word - 1)
			l->loads->cpu[i + (uint32_t)__builtin_ctzl(word)] += FILCHI_LOAD_ONE / cpus;
	l->loads->others++;
}

static DIR *open_tasks(const struct looking *l, const char *process)
{
	char path[300];
	struct stat is;
	DIR *tasks;
	int fd;

	snprintf(path, sizeof path, "%s/task", process);
	/* a link for each thread, besides two */
	if (fstatat(l->proc, path, &is, 0) || is.st_nlink <= 3)
		return NULL;
	fd = openat(l->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tasks = fd < 0 ? NULL : fdopendir(fd);
	if (!tasks && fd >= 0)
		close(fd);
	return tasks;
}

/* Whether @process is a program of this user. A thread of the kernel's runs none. */
static bool is_program(const struct looking *l, const char *process)
{
	char path[300], program[1];
	struct stat is;

	if (fstatat(l->proc, process, &is, 0) || is.st_uid != l->user)
		return false;
	snprintf(path, sizeof path, "%s/exe", process);
	return readlinkat(l->proc, path, program, sizeof program) >= 0;
}

static void look_at(struct looking *l, const char *process)
{
	struct filchi_cpuset whole, mask;
	pid_t pid = number_of(process);
	struct dirent *entry;
	DIR *tasks;

	if (!pid || pid == l->self || !is_program(l, process) ||
		filchi_cpuset_of_thread(pid, &whole))
		return;
	add(l, &whole);
	tasks = open_tasks(l, process);
	while (tasks && (entry = readdir(tasks))) {
		pid_t tid = number_of(entry->d_name);

		if (tid && tid != pid && !filchi_cpuset_of_thread(tid, &mask) &&
			memcmp(&mask, &whole, sizeof mask))
			add(l, &mask);
	}
	if (tasks)
		closedir(tasks);
}

void filchi_seats_look(const struct filchi_cpuset *allowed, struct filchi_loads *loads)
{
	struct looking l = { .allowed = allowed,
		.loads = loads,
		.until = filchi_now() + LOOK_NS,
		.user = geteuid(),
		.self = getpid() };
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (!proc)
		return;
	l.proc = dirfd(proc);
	while ((entry = readdir(proc)) && filchi_now() < l.until)
		look_at(&l, entry->d_name);
	closedir(proc);
}
