/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the pages of live processes: see live_read.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "tools/live_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "place/placement.h"

#define LATE_NS UINT64_C(3000000000) /* a page may be so old, and five intervals */

_Static_assert(sizeof(struct filchi_page_header) % 8 == 0 &&
		       sizeof(struct filchi_page_pool) % 8 == 0 &&
		       sizeof(struct filchi_page_worker) % 8 == 0,
	"records follow each other");

/* --- checking --------------------------------------------------------- */

/* Ends a text of @room bytes, and leaves only ASCII in it, with newlines if @lines. */
static void make_printable(char *text, size_t room, bool lines)
{
	text[room - 1] = '\0';
	for (; *text; text++)
		if ((*text < ' ' || *text > '~') && !(lines && *text == '\n'))
			*text = '?';
}

static const char *check_worker(struct filchi_page_worker *w)
{
	if (w->state >= FILCHI_PAGE_STATES)
		return "an unknown state of a worker";
	make_printable(w->name, sizeof w->name, false);
	make_printable(w->pin, sizeof w->pin, false);
	make_printable(w->mask, sizeof w->mask, false);
	make_printable(w->gives_way_to, sizeof w->gives_way_to, false);
	return NULL;
}

/* @left: bytes from here to the end of the page. */
static const char *check_pool(struct filchi_page_pool *pool, uint64_t left)
{
	const char *wrong = NULL;

	if (left < sizeof *pool || pool->size > left)
		return "a pool that is cut off";
	/* each term is below 2^33 or so, so the sum cannot wrap */
	if (pool->workers > FILCHI_WORKERS_MAX || !pool->reasons_size || !pool->changes_size ||
		pool->size != sizeof *pool +
				      (uint64_t)pool->workers * sizeof(struct filchi_page_worker) +
				      filchi_page_round(pool->reasons_size) +
				      filchi_page_round(pool->changes_size))
		return "a pool whose parts do not fill it";
	make_printable(pool->name, sizeof pool->name, false);
	for (uint32_t i = 0; !wrong && i < pool->workers; i++)
		wrong = check_worker((struct filchi_page_worker *)(void *)(pool + 1) + i);
	make_printable((char *)(uintptr_t)live_reasons(pool), pool->reasons_size, true);
	make_printable((char *)(uintptr_t)live_changes(pool), pool->changes_size, true);
	return wrong;
}

const char *live_check(char *page, size_t size)
{
	struct filchi_page_header *header = (void *)page;
	size_t at = sizeof *header;

	if (size < sizeof *header || memcmp(header->magic, FILCHI_PAGE_MAGIC, sizeof header->magic))
		return "no page of filch";
	if (header->version != FILCHI_PAGE_VERSION || header->header_size != sizeof *header ||
		header->pool_size != sizeof(struct filchi_page_pool) ||
		header->worker_size != sizeof(struct filchi_page_worker))
		return "a page of another version of filch";
	if (header->size != size || size % 8)
		return "a page that is cut off";
	if (header->sum != filchi_page_sum(page + at, size - at))
		return "a page that was changed";
	for (uint32_t i = 0; i < header->pools; i++) {
		struct filchi_page_pool *pool = (void *)(page + at);
		const char *wrong = check_pool(pool, size - at);

		if (wrong)
			return wrong;
		at += pool->size;
	}
	make_printable(header->library, sizeof header->library, false);
	make_printable(header->program, sizeof header->program, false);
	return at == size ? NULL : "a page with something behind its pools";
}

/* --- processes -------------------------------------------------------- */

/* The state and the start of process @pid; false: there is none, or the kernel does not tell. */
static bool ask_for(uint64_t pid, char *state, uint64_t *started)
{
	char path[40], text[1024], *at;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		(void)close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	at = strrchr(text, ')');
	if (!at || !at[1])
		return false;
	*state = at[2];
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	*started = at ? strtoull(at, NULL, 10) : 0;
	return at != NULL;
}

/* Whether process @pid, which began at @started, is certainly gone. */
static bool is_gone(uint64_t pid, uint64_t started)
{
	uint64_t now, self;
	char state;

	if (!ask_for((uint64_t)getpid(), &state, &self))
		return false; /* nothing is known */
	if (!ask_for(pid, &state, &now))
		return pid > INT32_MAX || (kill((pid_t)pid, 0) && errno == ESRCH);
	return state == 'Z' || state == 'X' || (started && now != started);
}

static uint64_t own_namespace(void)
{
	struct stat is;

	return stat("/proc/self/ns/pid", &is) ? 0 : is.st_ino;
}

/* --- files ------------------------------------------------------------ */

/* Whether an open file is the user's alone. */
static bool is_ours(const struct stat *is)
{
	return is->st_uid == geteuid() && !(is->st_mode & 077);
}

/* The contents of a page's file, to be freed; NULL, and why not, or NULL where it is not there. */
static char *load(int directory, const char *name, size_t *size, const char **why)
{
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat is;
	char *page = NULL;
	size_t have = 0;

	/* one that has gone since its name was read is no fault */
	*why = fd < 0 && errno == ENOENT ? NULL : "it cannot be opened";
	if (fd < 0)
		return NULL;
	*why = "it is not a file that is yours alone";
	if (fstat(fd, &is) || !S_ISREG(is.st_mode) || !is_ours(&is))
		goto out;
	*why = "its size cannot be";
	if (is.st_size <= 0 || (uint64_t)is.st_size > FILCHI_PAGE_MOST)
		goto out;
	*why = "no memory";
	*size = (size_t)is.st_size;
	page = malloc((*size + 7) / 8 * 8);
	while (page && have < *size) {
		ssize_t n = read(fd, page + have, *size - have);

		if (n > 0) {
			have += (size_t)n;
		} else if (!n || errno != EINTR) {
			*why = "it ends too early";
			free(page);
			page = NULL;
		}
	}
out:
	(void)close(fd);
	return page;
}

/* "PID-START", or "PID-START-COPY", or these with ".new": false for anything else. */
static bool read_name(
	const char *name, uint64_t *pid, uint64_t *started, uint64_t *copy, bool *is_new)
{
	*copy = 0;
	if (!filchi_number(&name, UINT64_MAX, pid) || *name++ != '-' ||
		!filchi_number(&name, UINT64_MAX, started))
		return false;
	if (*name == '-' && (name++, !filchi_number(&name, UINT32_MAX, copy)))
		return false;
	*is_new = !strcmp(name, ".new");
	return *is_new || !*name;
}

static void refuse(struct live_list *list, const char *name, const char *why)
{
	list->refused++;
	(void)snprintf(list->why, sizeof list->why, "%.60s: %s", name, why);
	make_printable(list->why, sizeof list->why, false);
}

static int by_number(const void *a, const void *b)
{
	const struct filchi_page_pool *const *x = a, *const *y = b;

	return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

/* Adds a checked page, which is the list's from now on. False: no memory. */
static bool add(struct live_list *list, char *page)
{
	const struct filchi_page_header *header = (const void *)page;
	struct live_process *grown = realloc(list->process, (list->count + 1) * sizeof *grown), *p;
	struct timespec t;
	uint64_t now, late = header->interval < UINT64_MAX / 10 ? 5 * header->interval : 0;
	const char *at = page + sizeof *header;

	if (!grown)
		return false;
	list->process = grown;
	p = &grown[list->count];
	p->header = header;
	p->pool = calloc(header->pools + (size_t)1, sizeof p->pool[0]);
	if (!p->pool)
		return false;
	for (uint32_t i = 0; i < header->pools; i++) {
		p->pool[i] = (const void *)at;
		at += p->pool[i]->size;
	}
	qsort(p->pool, header->pools, sizeof p->pool[0], by_number);
	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
	p->age = now > header->now ? now - header->now : 0;
	p->answers = p->age < (late > LATE_NS ? late : LATE_NS);
	list->count++;
	return true;
}

static void take(struct live_list *list, int directory, const char *name, int64_t only)
{
	uint64_t pid, started, copy, ours = own_namespace();
	const struct filchi_page_header *header;
	const char *why = NULL;
	size_t size = 0;
	char *page;
	bool is_new;

	if (!read_name(name, &pid, &started, &copy, &is_new)) {
		if (strcmp(name, ".") && strcmp(name, ".."))
			refuse(list, name, "no name of a page");
		return;
	}
	if (is_new) {
		if (is_gone(pid, started) && !unlinkat(directory, name, 0))
			list->removed++;
		return;
	}
	if (only > 0 && pid != (uint64_t)only)
		return;
	page = load(directory, name, &size, &why);
	if (page)
		why = live_check(page, size);
	else if (!why)
		return;
	header = (const void *)page;
	if (!why && (header->pid != pid || header->started != started || header->copy != copy))
		why = "a page of another process";
	/* numbers of another container's processes say nothing here */
	if ((why || !header->pid_namespace || header->pid_namespace == ours) &&
		is_gone(pid, started)) {
		if (!unlinkat(directory, name, 0))
			list->removed++;
		free(page);
		return;
	}
	if (!why && add(list, page))
		return;
	refuse(list, name, why ? why : "no memory");
	free(page);
}

static int by_pid(const void *a, const void *b)
{
	const struct filchi_page_header *x = ((const struct live_process *)a)->header;
	const struct filchi_page_header *y = ((const struct live_process *)b)->header;

	if (x->pid != y->pid)
		return x->pid > y->pid ? 1 : -1;
	return (x->copy > y->copy) - (x->copy < y->copy);
}

int live_read(struct live_list *list, const char *directory, int64_t pid)
{
	char path[64];
	struct dirent *entry;
	struct stat is;
	DIR *open_dir;
	int fd;

	*list = (struct live_list){ .why = "" };
	if (!directory) {
		(void)snprintf(
			path, sizeof path, FILCHI_PAGE_ROOT "/filch-%u", (unsigned)geteuid());
		directory = path;
	}
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &is) || !is_ours(&is)) {
		int error = fd < 0 ? errno : EPERM;

		(void)snprintf(list->why, sizeof list->why, "%.60s: %s", directory,
			fd < 0 ? strerror(error) : "it is not yours alone");
		if (fd >= 0)
			(void)close(fd);
		return -error;
	}
	open_dir = fdopendir(fd);
	if (!open_dir) {
		(void)close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(open_dir)))
		take(list, dirfd(open_dir), entry->d_name, pid);
	(void)closedir(open_dir);
	if (list->count)
		qsort(list->process, list->count, sizeof list->process[0], by_pid);
	return 0;
}

void live_free(struct live_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free((void *)(uintptr_t)list->process[i].header);
		free(list->process[i].pool);
	}
	free(list->process);
	*list = (struct live_list){ .why = "" };
}
