/* SPDX-License-Identifier: Apache-2.0 */
/* Admission to the queue, and waiting for room: see injector.h. */
#include "struct/injector.h"

#include <errno.h>

int filchi_injector_init(struct filchi_injector *q, uint32_t slots, uint32_t capacity)
{
	for (uint32_t i = 0; i < FILCH_LANES; i++) {
		if (filchi_scq_init(&q->lane[i], slots)) {
			while (i--)
				filchi_scq_destroy(&q->lane[i]);
			return -ENOMEM;
		}
	}
	filch_store_relaxed(&q->used, 1);
	q->capacity = capacity;
	filch_store_relaxed(&q->queued, 0);
	filch_store_relaxed(&q->blocked, 0);
	filch_store_relaxed(&q->room, 0);
	return 0;
}

void filchi_injector_destroy(struct filchi_injector *q)
{
	for (uint32_t i = 0; i < FILCH_LANES; i++)
		filchi_scq_destroy(&q->lane[i]);
}

void filchi_injector_use(struct filchi_injector *q, uint32_t lane)
{
	uint32_t used = filchi_load_acquire(&q->used);

	while (!(used >> lane & 1) &&
		!filchi_cas_acq_rel(&q->used, &used, used | UINT32_C(1) << lane))
		;
}

uint32_t filchi_injector_admit_many(struct filchi_injector *q, bool force, uint32_t n)
{
	int64_t queued = filchi_load_acquire(&q->queued);

	if (force) {
		(void)filchi_fetch_add_acq_rel(&q->queued, n);
		return n;
	}
	while (queued < q->capacity) {
		int64_t room = q->capacity - queued, take = room < n ? room : n;

		if (filchi_cas_acq_rel(&q->queued, &queued, queued + take))
			return (uint32_t)take;
	}
	return 0;
}

bool filchi_injector_admit(struct filchi_injector *q, bool force)
{
	return filchi_injector_admit_many(q, force, 1);
}

/* Tells one blocked submitter to look, unless one has been told and not looked yet. */
static void tell_one(struct filchi_injector *q)
{
	uint32_t nobody = 0;

	if (filchi_load_acquire(&q->room) == 0 && filchi_cas_seq_cst(&q->room, &nobody, 1))
		filchi_futex_wake(&q->room, 1);
}

void filchi_injector_release(struct filchi_injector *q)
{
	/*
	 * FENCE J1   count down -> read blocked, room   pairs with: J2 and J3
	 * Ensures:   the releaser sees a submitter blocked and not told, or that one sees room.
	 * Without:   a submitter sleeps while there is room, for ever if nothing else is released.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/model/c11/injector.c, mutant blocked_read_early;
	 *            tests/stress/jobs.c, policy BLOCK through capacity 64
	 */
	(void)filchi_fetch_sub_seq_cst(&q->queued, 1);
	FILCH_HOOK(released);
	if (filchi_rmw_fence_then_load_acquire(&q->blocked))
		tell_one(q);
}

int filchi_injector_wait(
	struct filchi_injector *q, const struct timespec *deadline, filch_atomic_u32 *closing)
{
	int error = 0;

	/*
	 * FENCE J2   count blocked -> try for room   pairs with: J1 in filchi_injector_release(),
	 *            and with closing's store
	 * Ensures, without, weaker: see J1.
	 * Checked:   tests/model/c11/injector.c, mutants counted_late, wait_without_fence (the
	 *            latter by a model checker only)
	 */
	(void)filchi_fetch_add_seq_cst(&q->blocked, 1);
	(void)filchi_rmw_fence_then_load_acquire(&q->blocked);
	FILCH_HOOK(blocked_counted);
	for (;;) {
		if (filchi_load_acquire(closing)) {
			error = -ESHUTDOWN;
			break;
		}
		if (filchi_injector_admit(q, false)) {
			error = 0;
			break;
		}
		if (error) /* timed out, and made a last attempt */
			break;
		FILCH_HOOK(blocked_sleeps);
		error = filchi_futex_wait(&q->room, 0, deadline);
		/*
		 * FENCE J3   clear room -> try for room   pairs with: J1 in the release
		 * Ensures:   our look sees the room of a release that found us told already.
		 * Without:   its room is seen by nobody while others sleep.
		 * Weaker?    no: store->load; the exchange is the fence.
		 * Checked:   tests/model/c11/injector.c, mutants room_cleared_late,
		 *            wait_without_fence (the latter by a model checker only)
		 */
		(void)filchi_exchange_seq_cst(&q->room, 0);
		(void)filchi_rmw_fence_then_load_acquire(&q->room);
	}
	/* one telling wakes one: hand it on if there is more room, or if we leave unadmitted */
	if (filchi_fetch_sub_seq_cst(&q->blocked, 1) > 1 &&
		(filchi_load_acquire(closing) || filchi_load_acquire(&q->queued) < q->capacity))
		tell_one(q);
	return error;
}

void filchi_injector_close(struct filchi_injector *q)
{
	(void)filchi_exchange_seq_cst(&q->room, 1);
	filchi_futex_wake(&q->room, INT32_MAX);
}
