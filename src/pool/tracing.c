/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace of a process: which pools there are, beginning a trace of all of them, ending it.
 *
 * A worker writes its events into a ring of its own, mapped when its pool is first traced and kept
 * until the pool's end, since the worker may be about to write when a trace ends. The rings of a
 * pool that ends during a trace are kept until that is written.
 *
 * Nothing is written to the file meanwhile, and no descriptor stays open: a daemon may close those,
 * and a thread that writes would compete with the workers that it watches.
 */
#define _GNU_SOURCE
#include "pool/tracing.h"

#include <errno.h>
#include <fcntl.h>
#include <filch/trace.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/environment.h"
#include "base/import.h"
#include "base/libc.h"
#include "base/map.h"
#include "base/this_thread.h"

#define EVENTS_DEFAULT 65536u
#define EVENTS_MAX     (1u << 24)
#define EVENTS_LEAST   64u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* under `lock` */
struct filch_pool *filchi_pools; /* all of the process; also where debuggers find them */
static uint32_t numbers;         /* pools that there have been */
static struct filchi_trace_rings *ended;
static bool environment_read;
static struct {
	bool on;
	char *path;
	uint64_t room, begun;
	uint64_t lost_before, left_out;
	uint64_t outside[FILCHI_TRACE_OUTSIDE];
} trace;

/* --- rings ------------------------------------------------------------ */

/* NULL: no memory. */
static struct filchi_trace_ring *new_ring(uint64_t room)
{
	struct filchi_trace_ring *ring = filchi_map(filchi_trace_ring_size(room));

	if (ring)
		ring->mask = room - 1;
	return ring;
}

static void free_rings(struct filchi_trace_rings *rings)
{
	if (!rings)
		return;
	for (uint32_t i = 0; i < rings->workers; i++)
		if (rings->track[i].ring)
			filchi_unmap(rings->track[i].ring,
				filchi_trace_ring_size(rings->track[i].ring->mask + 1));
	free(rings);
}

static struct filchi_trace_rings *new_rings(struct filch_pool *pool)
{
	struct filchi_trace_rings *rings =
		calloc(1, sizeof *rings + pool->workers * sizeof rings->track[0]);

	if (!rings)
		return NULL;
	rings->pool = pool->number;
	rings->workers = pool->workers;
	rings->has_caller = pool->config.flags & FILCH_POOL_CALLER;
	(void)snprintf(rings->name, sizeof rings->name, "%s", pool->name);
	for (uint32_t i = 0; i < pool->workers; i++) {
		rings->track[i].cpu = pool->plan->seat[i].pu;
		rings->track[i].ring = new_ring(trace.room);
		if (!rings->track[i].ring) {
			free_rings(rings);
			return NULL;
		}
	}
	return rings;
}

static struct filchi_trace_counts counts_of(struct filchi_worker *w)
{
	return (struct filchi_trace_counts){
		.jobs = filch_load_relaxed(&w->counters.jobs),
		.steals = filch_load_relaxed(&w->counters.steals),
		.parks = filch_load_relaxed(&w->counters.parks),
	};
}

/* --- pools ------------------------------------------------------------ */

/* The workers of the pool write events from now on. Without memory it is left out. */
static void begin_pool(struct filch_pool *pool)
{
	struct filchi_trace_rings *rings = pool->rings;

	if (!rings)
		rings = pool->rings = new_rings(pool);
	if (!rings) {
		trace.left_out++;
		return;
	}
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);
		struct filchi_trace_track *track = &rings->track[i];

		track->first = filchi_load_acquire(&track->ring->next);
		track->before = counts_of(w);
		filchi_store_release(&w->trace, track->ring);
	}
	(void)filchi_fetch_add_acq_rel(&pool->heeds, FILCHI_HEEDS_TRACE);
	for (uint32_t i = 0; i < pool->workers; i++)
		filchi_store_release(&filchi_worker_at(pool, i)->heed_at, FILCHI_HEED_EACH);
}

/* What its workers have done is settled; false: it was not traced. */
static bool end_pool(struct filch_pool *pool)
{
	if (!filchi_is_traced(pool))
		return false;
	(void)filchi_fetch_sub_acq_rel(&pool->heeds, FILCHI_HEEDS_TRACE);
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		pool->rings->track[i].after = counts_of(w);
		if (!pool->guards)
			filchi_store_release(&w->heed_at, FILCHI_HEED_NEXT);
	}
	return true;
}

/* --- a trace ---------------------------------------------------------- */

/* @file with the process id in the place of "%p"; NULL: no memory. */
static char *path_of(const char *file)
{
	const char *mark = strstr(file, "%p");
	char *path = NULL;

	if (!mark)
		return strdup(file);
	if (asprintf(&path, "%.*s%d%s", (int)(mark - file), file, (int)getpid(), mark + 2) < 0)
		return NULL;
	return path;
}

/* Makes the file, so that an error is told at once: the path, or NULL and *@error. */
static char *make_file(const char *file, int *error)
{
	char *path = path_of(file), *whole;
	int fd;

	*error = -ENOMEM;
	if (!path)
		return NULL;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	*error = fd < 0 ? -errno : 0;
	if (fd >= 0)
		(void)close(fd);
	/* the program may go to another directory; what has no such name is left as it is */
	whole = *error ? NULL : realpath(path, NULL);
	if (!*error && !whole)
		whole = strdup(path);
	if (!*error && !whole)
		*error = -ENOMEM;
	free(path);
	return whole;
}

/* Under `lock`: 0 or -errno. */
static int start(const char *file, uint32_t events)
{
	int error;

	if (trace.on)
		return -EALREADY;
	trace.path = make_file(file, &error);
	if (error)
		return error;
	for (trace.room = EVENTS_LEAST; trace.room < events; trace.room *= 2)
		;
	for (uint32_t i = 0; i < FILCHI_TRACE_OUTSIDE; i++) {
		struct filchi_trace_ring *ring = filchi_load_acquire(&filchi_trace_outside[i]);

		if (!ring) {
			ring = new_ring(trace.room);
			if (!ring) {
				free(trace.path);
				return -ENOMEM;
			}
			filchi_store_release(&filchi_trace_outside[i], ring);
		}
		trace.outside[i] = filchi_load_acquire(&ring->next);
	}
	trace.on = true;
	trace.begun = filchi_now();
	trace.lost_before = filch_load_relaxed(&filchi_trace_lost);
	trace.left_out = 0;
	for (struct filch_pool *pool = filchi_pools; pool; pool = pool->next_pool)
		begin_pool(pool);
	filchi_store_release(&filchi_tracing, 1);
	return 0;
}

/* Under `lock`: 0 or -errno; it is over in any case. */
static int stop(void)
{
	struct filchi_trace_file file;
	struct filchi_trace_rings **rings, *next;
	uint32_t count = 0, n = 0;
	int error = -ENOMEM;

	if (!trace.on)
		return -ENOENT;
	filchi_store_release(&filchi_tracing, 0);
	for (struct filch_pool *pool = filchi_pools; pool; pool = pool->next_pool)
		count++;
	for (struct filchi_trace_rings *r = ended; r; r = r->next)
		count++;
	rings = calloc(count + 1, sizeof(struct filchi_trace_rings *));
	for (struct filchi_trace_rings *r = ended; rings && r; r = r->next)
		rings[n++] = r;
	for (struct filch_pool *pool = filchi_pools; pool; pool = pool->next_pool)
		if (end_pool(pool) && rings)
			rings[n++] = pool->rings;
	file = (struct filchi_trace_file){
		.path = trace.path,
		.begun = trace.begun,
		.ended = filchi_now(),
		.lost = filch_load_relaxed(&filchi_trace_lost) - trace.lost_before,
		.left_out = trace.left_out,
	};
	memcpy(file.outside, trace.outside, sizeof file.outside);
	if (rings)
		error = filchi_trace_write(&file, rings, n);
	free(rings);
	for (; ended; ended = next) {
		next = ended->next;
		free_rings(ended);
	}
	free(trace.path);
	trace.path = NULL;
	trace.on = false;
	return error;
}

/* Under `lock`, the first pool of the process: FILCH_TRACE. */
static void start_by_environment(FILE *notes)
{
	const char *file = filchi_env_text(FILCHI_ENV_TRACE);
	uint32_t events = EVENTS_DEFAULT;
	int error;

	if (environment_read)
		return;
	environment_read = true;
	if (!file || !*file)
		return;
	(void)filchi_env_number(FILCHI_ENV_TRACE_EVENTS, EVENTS_MAX, &events, notes);
	error = start(file, events ? events : EVENTS_DEFAULT);
	if (error && error != -EALREADY)
		fprintf(notes, "%s: no trace could be begun: %s\n",
			filchi_env_name(FILCHI_ENV_TRACE), filchi_error_text(-error));
}

int filchi_trace_join(struct filch_pool *pool, FILE *notes)
{
	pthread_mutex_lock(&lock);
	pool->number = ++numbers;
	start_by_environment(notes);
	if (trace.on)
		begin_pool(pool);
	pool->next_pool = filchi_pools;
	filchi_pools = pool;
	pthread_mutex_unlock(&lock);
	return 0;
}

void filchi_trace_end(struct filch_pool *pool)
{
	struct filch_pool **at = &filchi_pools;

	pthread_mutex_lock(&lock);
	while (*at && *at != pool)
		at = &(*at)->next_pool;
	if (*at)
		*at = pool->next_pool;
	if (end_pool(pool)) {
		pool->rings->next = ended;
		ended = pool->rings;
	} else {
		free_rings(pool->rings);
	}
	pool->rings = NULL;
	pthread_mutex_unlock(&lock);
}

int filch_trace_start(const struct filch_trace_config *config)
{
	struct filch_trace_config to = FILCH_TRACE_CONFIG_INIT;
	int before, error = filchi_this_thread_forks();

	if (error)
		return error;
	if (!config)
		return -EINVAL;
	error = filchi_import(&to, sizeof to, config, sizeof to);
	if (error)
		return error;
	if (!to.file || !*to.file || to.events > EVENTS_MAX || to.reserved)
		return -EINVAL;
	/* a thread that is cancelled in here would leave the lock held */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	pthread_mutex_lock(&lock);
	error = start(to.file, to.events ? to.events : EVENTS_DEFAULT);
	pthread_mutex_unlock(&lock);
	(void)pthread_setcancelstate(before, &before);
	return error;
}

int filch_trace_stop(void)
{
	int before, error = filchi_this_thread_forks();

	if (error)
		return error;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	pthread_mutex_lock(&lock);
	error = stop();
	pthread_mutex_unlock(&lock);
	(void)pthread_setcancelstate(before, &before);
	return error;
}

/* --- the process ------------------------------------------------------ */

void filchi_trace_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

void filchi_trace_after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/*
 * The file is the parent's. Pools of the parent are not the child's; rings that threads of the
 * parent held at that moment stay taken, so the child makes new ones.
 */
void filchi_trace_in_child(void)
{
	filch_store_relaxed(&filchi_tracing, 0);
	for (uint32_t i = 0; i < FILCHI_TRACE_OUTSIDE; i++)
		filch_store_relaxed(&filchi_trace_outside[i], NULL);
	filchi_pools = NULL;
	ended = NULL;
	trace.on = false;
	trace.path = NULL;
	pthread_mutex_unlock(&lock);
}

/*
 * The program ends, and a trace with it. Another thread may hold the lock for a while; or the very
 * thread that ends may, in a handler.
 */
__attribute__((destructor(101))) static void leave(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	for (int i = 0; i < 1000; i++) {
		if (!pthread_mutex_trylock(&lock)) {
			(void)stop();
			pthread_mutex_unlock(&lock);
			return;
		}
		(void)nanosleep(&moment, NULL);
	}
}
