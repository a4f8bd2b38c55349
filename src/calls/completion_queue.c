/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public calls of completion queues: create, destroy, reap, wait. See cq_cells.h for the queue
 * and notify.h for telling its readers.
 *
 * Destroy looks at the cells. One that is FLYING belongs to a job that is not complete: -EBUSY, and
 * nothing has changed. With none flying every cell is free or READY. One that is READY is in the
 * SCQ, or its completer has a few instructions to go until it is. Destroy takes them out until all
 * are free, disarms the notifier, and waits for a poster that is still writing the descriptor.
 */
#include "struct/credit.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/import.h"
#include "calls/submit.h"
#include "core/abroad.h"
#include "core/fault.h"

#define CAPACITY_DEFAULT 16384u /* as many as a pool of all defaults has job slots */
/* the SCQ's progress argument wants room for as many threads as may be inside: see scq.h */
#define RING_LEAST        256u
#define LOOK_NS           20000u /* as an idle worker: about what a wake-up costs */
#define LOOK_PAUSES       16u
#define CQ_CONFIG_SIZE_V1 24 /* of the first release that has it; never changes */

/* Queues that were destroyed, by the size of their SCQs (in bits): see "Memory" in cq_cells.h. */
static pthread_mutex_t dead_lock = PTHREAD_MUTEX_INITIALIZER;
static struct filch_cq *dead[32];

void filchi_cqs_before_fork(void)
{
	pthread_mutex_lock(&dead_lock);
}

void filchi_cqs_after_fork(void)
{
	pthread_mutex_unlock(&dead_lock);
}

/* --- create and destroy ----------------------------------------------- */

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
		if (cq && filchi_credit_init(cq)) {
			free(cq);
			cq = NULL;
		}
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

/*
 * A plugin with the library inside is unloaded, or the program ends. In the second case a pool may
 * still work, and a thread of it be about to leave a queue that is buried: then they stay.
 */
__attribute__((destructor(101))) static void forget_dead(void)
{
	if (!filchi_jobs_none() || pthread_mutex_trylock(&dead_lock))
		return;
	for (uint32_t bits = 0; bits < sizeof dead / sizeof dead[0]; bits++) {
		for (struct filch_cq *cq; (cq = dead[bits]);) {
			dead[bits] = cq->next;
			free(cq);
		}
	}
	pthread_mutex_unlock(&dead_lock);
}

/* The SCQ of an ordered queue holds nothing: it is the least there is. */
static int create(struct filch_cq **out, uint32_t capacity, bool ordered)
{
	uint32_t slots = RING_LEAST, bits = 0;
	int error = filchi_this_thread_forks();
	struct filchi_cell *cell;
	struct filch_cq *cq;

	if (error)
		return error;
	if (!capacity)
		capacity = CAPACITY_DEFAULT;
	while (!ordered && slots < capacity)
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
	if (filchi_scq_init(&cq->ready, slots)) {
		free(cell);
		bury(cq, bits);
		return -ENOMEM;
	}
	memset((void *)cell, 0, (size_t)capacity * sizeof cell[0]);
	cq->cell = cell;
	cq->capacity = capacity;
	cq->ordered = ordered;
	if (ordered)
		filchi_cq_order_init(cq);
	else
		filchi_cq_arrival_init(cq);
	cq->fork_generation = filchi_fork_generation();
	filchi_notifier_init(&cq->notifier);
	cq->notifier.fork_generation = cq->fork_generation;
	cq->tell = filchi_abroad_has_credit;
	*out = cq;
	return 0;
}

int filch_cq_create(struct filch_cq **out, uint32_t capacity)
{
	return out && capacity <= FILCHI_CQ_MOST ? create(out, capacity, false) : -EINVAL;
}

int filch_cq_create_with(struct filch_cq **out, const struct filch_cq_config *config)
{
	struct filch_cq_config as = FILCH_CQ_CONFIG_INIT;
	int error;

	if (!out)
		return -EINVAL;
	error = config ? filchi_import(&as, sizeof as, config, CQ_CONFIG_SIZE_V1) : 0;
	if (error)
		return error;
	if (as.flags & ~FILCH_CQ_ORDERED || as.capacity > FILCHI_CQ_MOST || as.reserved)
		return -EINVAL;
	return create(out, as.capacity, as.flags & FILCH_CQ_ORDERED);
}

/* --- reap -------------------------------------------------------------- */

static size_t take_ordered(struct filch_cq *cq, struct filch_completion *out, size_t n)
{
	size_t got = 0;
	uint32_t cell;
	bool passed = false;

	while (got < n && (cell = filchi_cq_order_pass(cq)) != FILCHI_CELL_NONE) {
		passed = true;
		if (filchi_cq_order_is_ready(cq, cell)) {
			if (out)
				out[got] = cq->cell[cell].completion;
			got++;
		}
		filchi_cq_order_free(cq, cell);
	}
	if (passed) {
		/* C7's fence: cells are freed by plain stores, and one fence is for all of them */
		(void)filchi_fence_then_load_acquire(&cq->blocked);
		filchi_credit_given(cq);
	}
	return got;
}

/* Takes up to @n completions into @out, which may be NULL: then they are dropped. */
static size_t take(struct filch_cq *cq, struct filch_completion *out, size_t n)
{
	uint32_t first = FILCHI_CELL_NONE, last = 0, cell;
	size_t got = 0;

	if (cq->ordered)
		return take_ordered(cq, out, n);
	while (got < n && (cell = filchi_scq_take(&cq->ready)) != FILCHI_SCQ_EMPTY) {
		filch_tsan_acquire(&cq->cell[cell].state);
		if (out)
			out[got] = cq->cell[cell].completion;
		filchi_store_release(&cq->cell[cell].state, FILCHI_CELL_FREE);
		filch_store_relaxed(&cq->cell[cell].next, first);
		first = cell;
		if (!got++)
			last = cell;
	}
	if (got) {
		filchi_cq_give_credits(cq, first, last);
		filchi_credit_given(cq);
	}
	return got;
}

static bool seems_empty(struct filch_cq *cq)
{
	return cq->ordered ? filchi_cq_order_seems_empty(cq) : filchi_scq_seems_empty(&cq->ready);
}

static unsigned cell_is(const struct filch_cq *cq, uint32_t i)
{
	return cq->ordered ? FILCHI_TURN_WHAT(filchi_load_acquire(&cq->cell[i].turn))
			   : filchi_load_acquire(&cq->cell[i].state);
}

static bool all_free(const struct filch_cq *cq)
{
	for (uint32_t i = 0; i < cq->capacity; i++)
		if (cell_is(cq, i) != FILCHI_CELL_FREE)
			return false;
	return true;
}

/* close(2) is a cancellation point, and these calls are none. */
static void close_descriptor(uint32_t fd)
{
	int before;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	(void)close((int)fd - 1);
	(void)pthread_setcancelstate(before, &before);
}

int filch_cq_destroy(struct filch_cq *cq)
{
	uint32_t a, bits;

	if (!cq)
		return -EINVAL;
	if (filchi_cq_forked(cq))
		return -ECHILD;
	if (filchi_this_thread_forks())
		return -EDEADLK;
	a = filchi_load_acquire(&cq->notifier.state);
	if (FILCHI_NOTIFY_SLEEPERS(a) || filchi_load_acquire(&cq->blocked))
		return -EBUSY;
	for (uint32_t i = 0; i < cq->capacity; i++)
		if (cell_is(cq, i) == FILCHI_CELL_FLYING)
			return -EBUSY;
	do {
		(void)take(cq, NULL, SIZE_MAX);
	} while (!all_free(cq) && (sched_yield(), true)); /* a completer is about to put */
	while (!filchi_cas_acq_rel(&cq->notifier.state, &a, a & ~FILCHI_NOTIFY_ARMED))
		;
	while (filchi_load_acquire(&cq->notifier.state))
		sched_yield(); /* somebody is writing the descriptor */
	if (filchi_load_acquire(&cq->notifier.fd))
		close_descriptor(filchi_load_acquire(&cq->notifier.fd));
	filch_store_relaxed(&cq->notifier.fd, 0);
	free(cq->cell);
	bits = cq->ready.bits - 1;
	filchi_scq_destroy(&cq->ready);
	bury(cq, bits);
	return 0;
}

/* --- the descriptor --------------------------------------------------- */

/*
 * After filchi_notify_arm(): of what is there, or on its way into the SCQ, a reader must be told.
 */
static void ring_if_any(struct filch_cq *cq)
{
	if (!seems_empty(cq))
		filchi_notify_posted(&cq->notifier);
}

int filch_cq_fd(struct filch_cq *cq)
{
	uint32_t none = 0;
	int fd;

	if (!cq)
		return -EINVAL;
	if (filchi_cq_forked(cq))
		return -ECHILD;
	if (filchi_load_acquire(&cq->notifier.fd))
		return (int)filchi_load_acquire(&cq->notifier.fd) - 1;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (!filchi_cas_acq_rel(&cq->notifier.fd, &none, (uint32_t)fd + 1)) {
		close_descriptor((uint32_t)fd + 1); /* another thread was faster */
		return (int)none - 1;
	}
	(void)filchi_notify_arm(&cq->notifier);
	ring_if_any(cq);
	return fd;
}

/* --- the public reaps ---------------------------------------------------- */

static int check(const struct filch_cq *cq, struct filch_completion *out, size_t *n)
{
	if (!cq || !out || !*n)
		return -EINVAL;
	if (filchi_cq_forked(cq))
		return -ECHILD;
	if (*n > INT_MAX)
		*n = INT_MAX;
	filchi_fault_touch(out, *n * sizeof *out);
	return 0;
}

int filch_cq_reap(struct filch_cq *cq, struct filch_completion *out, size_t n)
{
	int error = check(cq, out, &n);
	size_t got;

	if (error)
		return error;
	got = take(cq, out, n);
	if (got || !filchi_notify_arm(&cq->notifier))
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
		sched_yield(); /* the completer may be waiting for this very core */
	}
	return got;
}

static int sleep_for(struct filch_cq *cq, struct filch_completion *out, size_t n,
	const struct timespec *deadline)
{
	size_t got;
	int error = 0;

	filchi_notify_sleep_begin(&cq->notifier);
	for (;;) {
		got = take(cq, out, n);
		if (got || error)
			break;
		if (!seems_empty(cq)) {
			/* a put is under way: its poster may have looked for sleepers before us */
			sched_yield();
			continue;
		}
		error = filchi_futex_wait(&cq->notifier.wake_word, 0, deadline);
		filchi_notify_woken(&cq->notifier);
	}
	filchi_notify_sleep_end(&cq->notifier, !seems_empty(cq));
	return got ? (int)got : error;
}

int filch_cq_wait(struct filch_cq *cq, struct filch_completion *out, size_t n,
	const struct timespec *deadline)
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
	if (filchi_worker_self() || filchi_context_find(FILCHI_CONTEXT_CALLBACK, NULL, NULL))
		return -EDEADLK; /* what it waits for may be queued behind this very job */
	got = look(cq, out, n);
	return got ? (int)got : sleep_for(cq, out, n, deadline);
}
