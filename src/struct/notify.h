/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier: tells the readers of a completion queue that something was put into it. An eventfd
 * tells event loops, a futex tells threads that sleep in filch_cq_wait().
 *
 * Idea. One word says which readers must be told. It is 0 while they are busy: a post then costs
 * one load. A reader that has found the queue empty arms the notifier. The first post after that
 * disarms it and writes the descriptor; later posts find it disarmed. So the descriptor is written
 * once per edge from empty to not empty, and never before the reader has come back to an empty
 * queue.
 *
 * state, one word:  31..16 writing | 15..1 sleepers | 0 ARMED
 *   ARMED      the next post writes the descriptor
 *   sleepers   threads inside filch_cq_wait() that found nothing
 *   writing    threads between their disarming and the end of their write; the descriptor may not
 *              be closed meanwhile
 *
 * The reader                         | A poster
 *   1 takes, finds nothing           |   a puts
 *   2 clears the descriptor          |   b full fence
 *   3 ARMED, or counts itself asleep |   c reads state: writes the descriptor, or tells a sleeper
 *   4 full fence                     |
 *   5 looks again; leaves or sleeps  |
 * If 4 comes before b, the poster sees 3; else the reader sees a in 5. A reader that leaves
 * something behind in 5 writes the descriptor itself.
 *
 * A poster may be held between its disarming and its write, while the reader comes back, finds
 * nothing, and arms again. The descriptor is then readable though the notifier is armed and nothing
 * is there. So `written` says that it was written since the last clear. The next reader that finds
 * nothing then clears it even if the notifier is armed.
 *
 * Invariants:
 * - A clear may take away a write that another reader needs. So after a clear a reader arms, looks
 *   again, and writes the descriptor if anything is left.
 * - wake_word is 1 while one sleeper has been told and has not looked: J1 to J3 of injector.c
 *   again.
 *
 * Rejected:
 * - a write per completion: a system call each, and the reader's read of the descriptor orders
 *   nothing that it needs;
 * - a count of readers that are looking: it costs each reap two read-modify-writes;
 * - arming at each reap: a busy queue would write at every put.
 */
#ifndef FILCHI_NOTIFY_H
#define FILCHI_NOTIFY_H

#include "base/atomic.h"
#include "base/check.h"

#if !defined(FILCH_MODEL)
#include "base/park_futex.h"

struct filchi_notifier;
/* notify.c: write and read the descriptor; nothing if there is none. */
void filchi_notify_write_fd(struct filchi_notifier *b);
void filchi_notify_clear_fd(struct filchi_notifier *b);
#define FILCHI_NOTIFY_WRITE_FD(b) filchi_notify_write_fd(b)
#define FILCHI_NOTIFY_CLEAR_FD(b) filchi_notify_clear_fd(b)
#endif

#define FILCHI_NOTIFY_ARMED       UINT32_C(1)
#define FILCHI_NOTIFY_SLEEPER     UINT32_C(2)
#define FILCHI_NOTIFY_WRITING     UINT32_C(0x10000)
#define FILCHI_NOTIFY_SLEEPERS(a) ((a)&UINT32_C(0xfffe))

struct filchi_notifier {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 state;
	filch_atomic_u32 fd;      /* the eventfd, plus one; 0 = none */
	uint32_t fork_generation; /* the descriptor is the parent's too: a child lets it be */
	filch_atomic_u32 written; /* 1: the descriptor was written, and not cleared since */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 wake_word; /* sleepers sleep on it */
};

static inline void filchi_notifier_init(struct filchi_notifier *b)
{
	filch_store_relaxed(&b->state, 0);
	filch_store_relaxed(&b->fd, 0);
	filch_store_relaxed(&b->written, 0);
	filch_store_relaxed(&b->wake_word, 0);
}

/* Tells one sleeper to look, unless one has been told and has not looked yet. */
static inline void filchi_notify_wake_one(struct filchi_notifier *b)
{
	uint32_t nobody = 0;

	if (filchi_load_acquire(&b->wake_word) == 0 &&
		filchi_cas_seq_cst(&b->wake_word, &nobody, 1))
		FILCHI_UNPARK(&b->wake_word);
}

/* The cold half of filchi_notify_posted(). */
static inline void filchi_notify_readers(struct filchi_notifier *b, uint32_t a)
{
	if (FILCHI_NOTIFY_SLEEPERS(a))
		filchi_notify_wake_one(b);
	while (a & FILCHI_NOTIFY_ARMED) {
		if (filchi_cas_seq_cst(
			    &b->state, &a, (a & ~FILCHI_NOTIFY_ARMED) + FILCHI_NOTIFY_WRITING)) {
			FILCH_HOOK(notifier_disarmed);
			FILCHI_NOTIFY_WRITE_FD(b);
			/* after the write: a reader that sees it clears that write */
			filchi_store_release(&b->written, 1);
			/* the last touch */
			(void)filchi_fetch_sub_acq_rel(&b->state, FILCHI_NOTIFY_WRITING);
			return;
		}
	}
}

/*
 * Any thread: something was put, by a seq_cst read-modify-write (of the SCQ's tail).
 *
 * FENCE C1   put -> read state                  pairs with: C2, C3 and C4
 * Ensures:   the poster sees a reader about to rest, or that one's second look sees the put.
 * Without:   a completion lies in the queue while its reader sleeps, for ever if it is the last.
 * Weaker?    no: store->load; the put's read-modify-write is the fence.
 * Checked:   tests/model/c11/cq.c, mutant post_before_put; tests/stress/completions.c, one in
 *            flight
 */
static inline void filchi_notify_posted(struct filchi_notifier *b)
{
	uint32_t a = filchi_rmw_fence_then_load_acquire(&b->state);

	if (FILCH_UNLIKELY(a & (FILCHI_NOTIFY_ARMED | UINT32_C(0xfffe))))
		filchi_notify_readers(b, a);
}

/*
 * Reader that has found nothing and will go by the descriptor.
 * - True: it was cleared and armed. The caller must look again (at head and tail, not by a take
 *   alone), and call filchi_notify_posted() if it leaves anything behind.
 * - False: nothing to do. There is no descriptor; or the notifier is armed already (the reader that
 *   armed it looks again) and nobody has written since the last clear.
 */
static inline bool filchi_notify_arm(struct filchi_notifier *b)
{
	uint32_t a = filchi_load_acquire(&b->state);

	if (!filchi_load_acquire(&b->fd) ||
		(a & FILCHI_NOTIFY_ARMED && !filchi_load_acquire(&b->written)))
		return false;
	/* before the clear: a write between the two then costs a clear in vain, and is not lost */
	(void)filchi_exchange_seq_cst(&b->written, 0);
	FILCHI_NOTIFY_CLEAR_FD(b);
	FILCH_HOOK(notifier_cleared);
	/* also when another reader has armed it: we may have cleared the write that followed */
	while (!filchi_cas_seq_cst(&b->state, &a, a | FILCHI_NOTIFY_ARMED))
		;
	/*
	 * FENCE C2   arm -> look again            pairs with: C1 in filchi_notify_posted()
	 * Ensures, without: see C1.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/model/c11/cq.c, mutant arm_without_second_look
	 */
	(void)filchi_rmw_fence_then_load_acquire(&b->state);
	return true;
}

/* Reader that has found nothing and will sleep: counts itself, and must then look again. */
static inline void filchi_notify_sleep_begin(struct filchi_notifier *b)
{
	(void)filchi_fetch_add_seq_cst(&b->state, FILCHI_NOTIFY_SLEEPER);
	/*
	 * FENCE C3   count asleep -> look again   pairs with: C1 in filchi_notify_posted()
	 * Ensures, without: see C1.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/model/c11/cq.c, mutant sleep_without_second_look
	 */
	(void)filchi_rmw_fence_then_load_acquire(&b->state);
}

/* Sleeper: after each return from the futex, and before it looks. */
static inline void filchi_notify_woken(struct filchi_notifier *b)
{
	(void)filchi_exchange_seq_cst(&b->wake_word, 0);
	/*
	 * FENCE C4   clear wake_word -> look again   pairs with: C1 in filchi_notify_posted()
	 * Ensures:   a poster that found a sleeper told already is seen by that one's look.
	 * Without:   its completion is seen by nobody while others sleep.
	 * Weaker?    no: store->load; the exchange is the fence.
	 * Checked:   tests/model/c11/cq.c, mutant news_taken_late
	 */
	(void)filchi_rmw_fence_then_load_acquire(&b->state);
}

/* Sleeper that leaves; @more: something is left. One telling wakes one, so it is handed on. */
static inline void filchi_notify_sleep_end(struct filchi_notifier *b, bool more)
{
	uint32_t a = filchi_fetch_sub_seq_cst(&b->state, FILCHI_NOTIFY_SLEEPER);

	if (more && FILCHI_NOTIFY_SLEEPERS(a) > FILCHI_NOTIFY_SLEEPER)
		filchi_notify_wake_one(b);
}

#endif
