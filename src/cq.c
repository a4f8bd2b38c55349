/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public calls of completion queues: create, destroy, reap, wait. See cq.h for the queue and bell.h for who is told.
 *
 * Destroy looks at the cells. One that is FLYING belongs to a job that is not complete: -EBUSY, and nothing has changed. With none
 * flying every cell is free, or READY: in the ring or about to be put there by a thread that has a few instructions to go; destroy
 * takes them out until all are free, disarms the bell, and waits for whoever is still writing the descriptor.
 */
#include "cq.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guard.h"

#define CAPACITY_DEFAULT 16384u /* as many as a pool of all defaults has job slots */
#define RING_LEAST 256u         /* the ring's progress argument wants room for as many threads as may be inside: see ring.h */
#define LOOK_NS 20000u          /* as an idle worker: about what a wake-up costs */
#define LOOK_PAUSES 16u

/* Queues that were destroyed, by the size of their rings (in bits): see "Memory" in cq.h. */
static pthread_mutex_t dead_lock = PTHREAD_MUTEX_INITIALIZER;
static struct filch_cq *dead[32];

static filch_atomic_u32 fork_generation;

void filchi_cqs_before_fork(void)
{
	pthread_mutex_lock(&dead_lock);
}

void filchi_cqs_after_fork(bool in_child)
{
	if (in_child)
		filchi_store_relaxed(&fork_generation, filchi_load_relaxed(&fork_generation) + 1);
	pthread_mutex_unlock(&dead_lock);
}

bool filchi_cq_forked(const struct filch_cq *cq)
{
	return cq->fork_generation != filchi_load_relaxed(&fork_generation);
}

/* --- create and destroy ------------------------------------------------------------------------------------------------------- */

static struct filch_cq *revive(uint32_t bits)
{
	struct filch_cq *cq;

	pthread_mutex_lock(&dead_lock);
	cq = dead[bits];
	if (cq)
		dead[bits] = cq->next;
	pthread_mutex_unlock(&dead_lock);
	if (!cq) {
		cq = aligned_alloc(FILCH_CACHELINE, sizeof *cq);
		if (cq)
			memset((void *)cq, 0, sizeof *cq);
	}
	return cq;
}

static void bury(struct filch_cq *cq, uint32_t bits)
{
	pthread_mutex_lock(&dead_lock);
	cq->next = dead[bits];
	dead[bits] = cq;
	pthread_mutex_unlock(&dead_lock);
}

int filch_cq_create(struct filch_cq **out, uint32_t capacity)
{
	uint32_t slots = RING_LEAST, bits = 0;
	struct filchi_cell *cell;
	struct filch_cq *cq;

	if (!out || capacity > FILCHI_CQ_MOST)
		return -EINVAL;
	if (!capacity)
		capacity = CAPACITY_DEFAULT;
	while (slots < capacity)
		slots *= 2;
	while (UINT32_C(1) << bits < slots)
		bits++;
	cell = aligned_alloc(FILCH_CACHELINE, (size_t)capacity * sizeof cell[0]);
	if (!cell)
		return -ENOMEM;
	cq = revive(bits);
	if (!cq) {
		free(cell);
		return -ENOMEM;
	}
	if (filchi_ring_init(&cq->ready, slots)) {
		free(cell);
		bury(cq, bits);
		return -ENOMEM;
	}
	memset((void *)cell, 0, (size_t)capacity * sizeof cell[0]);
	for (uint32_t i = 0; i < capacity; i++)
		filchi_store_relaxed(&cell[i].next, i + 1 < capacity ? i + 1 : FILCHI_CELL_NONE);
	cq->cell = cell;
	cq->capacity = capacity;
	cq->fork_generation = filchi_load_relaxed(&fork_generation);
	filchi_store_relaxed(&cq->free, 0);
	filchi_bell_init(&cq->bell);
	*out = cq;
	return 0;
}

/* Takes up to @n completions into @out, which may be NULL: then they are dropped. */
static size_t take(struct filch_cq *cq, struct filch_completion *out, size_t n)
{
	uint32_t first = FILCHI_CELL_NONE, last = 0, cell;
	size_t got = 0;

	while (got < n && (cell = filchi_ring_take(&cq->ready)) != FILCHI_RING_EMPTY) {
		if (out)
			out[got] = cq->cell[cell].completion;
		filchi_store_release(&cq->cell[cell].state, FILCHI_CELL_FREE);
		filchi_store_relaxed(&cq->cell[cell].next, first);
		first = cell;
		if (!got++)
			last = cell;
	}
	if (got)
		filchi_cq_give_credits(cq, first, last);
	return got;
}

static bool all_free(const struct filch_cq *cq)
{
	for (uint32_t i = 0; i < cq->capacity; i++)
		if (filchi_load_acquire(&cq->cell[i].state) != FILCHI_CELL_FREE)
			return false;
	return true;
}

int filch_cq_destroy(struct filch_cq *cq)
{
	uint32_t a, bits;

	if (!cq)
		return -EINVAL;
	if (filchi_cq_forked(cq))
		return -ECHILD;
	a = filchi_load_acquire(&cq->bell.attention);
	if (FILCHI_BELL_SLEEPERS(a))
		return -EBUSY;
	for (uint32_t i = 0; i < cq->capacity; i++)
		if (filchi_load_acquire(&cq->cell[i].state) == FILCHI_CELL_FLYING)
			return -EBUSY;
	do {
		(void)take(cq, NULL, SIZE_MAX);
	} while (!all_free(cq) && (sched_yield(), true)); /* a completer is about to put */
	while (!filchi_cas_acq_rel(&cq->bell.attention, &a, a & ~FILCHI_BELL_ARMED))
		;
	while (filchi_load_acquire(&cq->bell.attention))
		sched_yield(); /* somebody is writing the descriptor */
	if (filchi_load_acquire(&cq->bell.fd))
		(void)close((int)filchi_load_acquire(&cq->bell.fd) - 1);
	filchi_store_relaxed(&cq->bell.fd, 0);
	free(cq->cell);
	bits = cq->ready.bits - 1;
	filchi_ring_destroy(&cq->ready);
	bury(cq, bits);
	return 0;
}

/* --- the descriptor ----------------------------------------------------------------------------------------------------------- */

/* After filchi_bell_arm(): what is there, or is on its way into the ring, must not be left without a ring. */
static void ring_if_any(struct filch_cq *cq)
{
	if (!filchi_ring_seems_empty(&cq->ready))
		filchi_bell_posted(&cq->bell);
}

int filch_cq_fd(struct filch_cq *cq)
{
	uint32_t none = 0;
	int fd;

	if (!cq)
		return -EINVAL;
	if (filchi_cq_forked(cq))
		return -ECHILD;
	if (filchi_load_acquire(&cq->bell.fd))
		return (int)filchi_load_acquire(&cq->bell.fd) - 1;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (!filchi_cas_acq_rel(&cq->bell.fd, &none, (uint32_t)fd + 1)) {
		(void)close(fd); /* another thread was faster */
		return (int)none - 1;
	}
	(void)filchi_bell_arm(&cq->bell);
	ring_if_any(cq);
	return fd;
}

/* --- reap and wait ------------------------------------------------------------------------------------------------------------ */

static int check(const struct filch_cq *cq, struct filch_completion *out, size_t *n)
{
	if (!cq || !out || !*n)
		return -EINVAL;
	if (filchi_cq_forked(cq))
		return -ECHILD;
	if (*n > INT_MAX)
		*n = INT_MAX;
	filchi_guard_touch(out, *n * sizeof *out);
	return 0;
}

int filch_cq_reap(struct filch_cq *cq, struct filch_completion *out, size_t n)
{
	int error = check(cq, out, &n);
	size_t got;

	if (error)
		return error;
	got = take(cq, out, n);
	if (got || !filchi_bell_arm(&cq->bell))
		return (int)got;
	got = take(cq, out, n);
	ring_if_any(cq);
	return (int)got;
}

/* Looks for about as long as a wake-up costs before it is worth a sleep. */
static size_t look(struct filch_cq *cq, struct filch_completion *out, size_t n)
{
	uint64_t since = filchi_now();
	size_t got;

	while (!(got = take(cq, out, n)) && filchi_now() - since < LOOK_NS) {
		for (unsigned i = 0; i < LOOK_PAUSES; i++)
			filchi_pause();
		sched_yield(); /* who completes may be waiting for this very core */
	}
	return got;
}

static int sleep_for(struct filch_cq *cq, struct filch_completion *out, size_t n, const struct timespec *deadline)
{
	size_t got;
	int error = 0;

	filchi_bell_lie_down(&cq->bell);
	for (;;) {
		got = take(cq, out, n);
		if (got || error)
			break;
		if (!filchi_ring_seems_empty(&cq->ready)) {
			sched_yield(); /* a put is under way: its poster may have looked for sleepers before us */
			continue;
		}
		error = filchi_futex_wait(&cq->bell.news, 0, deadline);
		filchi_bell_heard(&cq->bell);
	}
	filchi_bell_get_up(&cq->bell, !filchi_ring_seems_empty(&cq->ready));
	return got ? (int)got : error;
}

int filch_cq_wait(struct filch_cq *cq, struct filch_completion *out, size_t n, const struct timespec *deadline)
{
	int error = check(cq, out, &n);
	size_t got;

	if (error)
		return error;
	if (!filchi_deadline_ok(deadline))
		return -EINVAL;
	got = take(cq, out, n);
	if (got)
		return (int)got;
	if (filchi_worker_self() || filchi_in_callback())
		return -EDEADLK; /* what it waits for may be queued behind this very job */
	got = look(cq, out, n);
	return got ? (int)got : sleep_for(cq, out, n, deadline);
}
