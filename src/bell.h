/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How those who read a completion queue learn that something was put into it: an eventfd for event loops, a futex for threads
 * that sleep in filch_cq_wait().
 *
 * Idea. One word says who must be told, and it is 0 while the readers are busy: a post then costs one load. A reader that has found
 * the queue empty arms the bell; the first post after that disarms and rings it, and the posts after that find it disarmed. The
 * descriptor is thus written once per edge from empty to not empty, and never while the reader has not yet come back to an empty
 * queue.
 *
 * attention, one word:  31..16 ringing | 15..1 sleepers | 0 ARMED
 *   ARMED      the next post writes the descriptor
 *   sleepers   threads inside filch_cq_wait() that found nothing
 *   ringing    threads between their disarming and the end of their write: the descriptor may not be closed meanwhile
 *
 * The reader                         | who posts
 *   1 takes, finds nothing           |   a puts
 *   2 clears the descriptor          |   b full fence
 *   3 ARMED, or counts itself asleep |   c reads attention: rings, or tells one sleeper
 *   4 full fence                     |
 *   5 looks again; leaves or sleeps  |
 * If 4 comes before b, the poster sees 3; else the reader sees a in 5. A reader that leaves something behind in 5 rings itself.
 *
 * A poster may be held between its disarming and its write until the reader has come back, found nothing, and armed again: the
 * descriptor is then readable though the bell is armed and nothing is there. `written` says that it has been written since somebody
 * last cleared it, so that the next reader who finds nothing clears it even if the bell is armed.
 *
 * What must stay true. Whoever clears the descriptor afterwards arms, looks again, and rings if anything is left: a clear may take
 * away another's ring. news is 1 while one sleeper has been told and has not looked: J1 to J3 of injector.c once more.
 *
 * Rejected: a write per completion (0.3 us each, and the reader's read of the descriptor orders nothing it needs); a count of readers
 * who are looking, which costs each reap two read-modify-writes; arming at each reap, so that a busy queue rings at every put.
 */
#ifndef FILCHI_BELL_H
#define FILCHI_BELL_H

#include "atomic.h"
#include "check.h"

#if !defined(FILCH_MODEL)
#include "park_futex.h"

struct filchi_bell;
/* bell.c: write and read the descriptor; nothing if there is none. */
void filchi_bell_write(struct filchi_bell *b);
void filchi_bell_clear(struct filchi_bell *b);
#define FILCHI_BELL_WRITE(b) filchi_bell_write(b)
#define FILCHI_BELL_CLEAR(b) filchi_bell_clear(b)
#endif

#define FILCHI_BELL_ARMED    UINT32_C(1)
#define FILCHI_BELL_SLEEPER  UINT32_C(2)
#define FILCHI_BELL_RINGING  UINT32_C(0x10000)
#define FILCHI_BELL_SLEEPERS(a) ((a) & UINT32_C(0xfffe))

struct filchi_bell {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 attention;
	filch_atomic_u32 fd;   /* the eventfd, plus one; 0 = none */
	filch_atomic_u32 written; /* 1: the descriptor was written, and not cleared since */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 news; /* what sleepers sleep on */
	filch_atomic_u64 rings; /* writes of the descriptor so far */
	filch_atomic_u64 told;  /* wakes of a sleeper so far */
};

static inline void filchi_bell_init(struct filchi_bell *b)
{
	filchi_store_relaxed(&b->attention, 0);
	filchi_store_relaxed(&b->fd, 0);
	filchi_store_relaxed(&b->written, 0);
	filchi_store_relaxed(&b->news, 0);
	filchi_store_relaxed(&b->rings, 0);
	filchi_store_relaxed(&b->told, 0);
}

/* Tells one sleeper to look, unless one has been told and has not looked yet. */
static inline void filchi_bell_tell(struct filchi_bell *b)
{
	uint32_t nobody = 0;

	if (filchi_load_acquire(&b->news) == 0 && filchi_cas_seq_cst(&b->news, &nobody, 1)) {
		(void)filchi_fetch_add_acq_rel(&b->told, 1);
		FILCHI_UNPARK(&b->news);
	}
}

/* The cold half of filchi_bell_posted(). */
static inline void filchi_bell_attend(struct filchi_bell *b, uint32_t a)
{
	if (FILCHI_BELL_SLEEPERS(a))
		filchi_bell_tell(b);
	while (a & FILCHI_BELL_ARMED) {
		if (filchi_cas_seq_cst(&b->attention, &a, (a & ~FILCHI_BELL_ARMED) + FILCHI_BELL_RINGING)) {
			FILCH_HOOK(bell_disarmed);
			(void)filchi_fetch_add_acq_rel(&b->rings, 1);
			FILCHI_BELL_WRITE(b);
			filchi_store_release(&b->written, 1); /* after the write: who sees it clears what was written */
			(void)filchi_fetch_sub_acq_rel(&b->attention, FILCHI_BELL_RINGING); /* the last touch */
			return;
		}
	}
}

/*
 * Any thread: something was put, and its publication was a seq_cst read-modify-write (of the ring's tail).
 *
 * FENCE C1   put -> read attention                  pairs with: C2, C3 and C4
 * Ensures:   the poster sees who is about to rest, or that one's second look sees what was put.
 * Without:   a completion lies in the queue while its reader sleeps, for ever if it is the last.
 * Weaker?    no: store->load; the put's read-modify-write is the fence.
 * Checked:   tests/model/c11/cq.c, mutant post_before_put; tests/stress/completions.c, one in flight
 */
static inline void filchi_bell_posted(struct filchi_bell *b)
{
	uint32_t a = filchi_rmw_fence_then_load_acquire(&b->attention);

	if (FILCH_UNLIKELY(a & (FILCHI_BELL_ARMED | UINT32_C(0xfffe))))
		filchi_bell_attend(b, a);
}

/*
 * Reader that has found nothing and will go by the descriptor. False: there is no descriptor, or the bell is armed already (who armed
 * it looks again) and nobody has written since the last clear: nothing to do. True: it was cleared and armed, and the caller must now
 * look again (at head and tail, not by a take alone), and call filchi_bell_posted() if it leaves anything behind.
 */
static inline bool filchi_bell_arm(struct filchi_bell *b)
{
	uint32_t a = filchi_load_acquire(&b->attention);

	if (!filchi_load_acquire(&b->fd) || (a & FILCHI_BELL_ARMED && !filchi_load_acquire(&b->written)))
		return false;
	/* before the clear: a write that comes between the two is cleared, and said to be there; that costs one clear in vain */
	(void)filchi_exchange_seq_cst(&b->written, 0);
	FILCHI_BELL_CLEAR(b);
	FILCH_HOOK(bell_cleared);
	/* also when another has armed it meanwhile: we may have cleared the ring that followed */
	while (!filchi_cas_seq_cst(&b->attention, &a, a | FILCHI_BELL_ARMED))
		;
	/*
	 * FENCE C2   arm -> look again                      pairs with: C1 in filchi_bell_posted()
	 * Ensures, without: see C1.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/model/c11/cq.c, mutant arm_without_second_look
	 */
	(void)filchi_rmw_fence_then_load_acquire(&b->attention);
	return true;
}

/* Reader that has found nothing and will sleep: counts itself, and must then look again. */
static inline void filchi_bell_lie_down(struct filchi_bell *b)
{
	(void)filchi_fetch_add_seq_cst(&b->attention, FILCHI_BELL_SLEEPER);
	/*
	 * FENCE C3   count asleep -> look again             pairs with: C1 in filchi_bell_posted()
	 * Ensures, without: see C1.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/model/c11/cq.c, mutant sleep_without_second_look
	 */
	(void)filchi_rmw_fence_then_load_acquire(&b->attention);
}

/* Sleeper: after each return from the futex, and before it looks. */
static inline void filchi_bell_heard(struct filchi_bell *b)
{
	(void)filchi_exchange_seq_cst(&b->news, 0);
	/*
	 * FENCE C4   take the news -> look again            pairs with: C1 in filchi_bell_posted()
	 * Ensures:   a poster that found somebody told already is seen by that one's look.
	 * Without:   what it put is seen by nobody while others sleep.
	 * Weaker?    no: store->load; the exchange is the fence.
	 * Checked:   tests/model/c11/cq.c, mutant news_taken_late
	 */
	(void)filchi_rmw_fence_then_load_acquire(&b->attention);
}

/* Sleeper that leaves; @left: something is still there. One telling wakes one: it is handed on. */
static inline void filchi_bell_get_up(struct filchi_bell *b, bool left)
{
	uint32_t a = filchi_fetch_sub_seq_cst(&b->attention, FILCHI_BELL_SLEEPER);

	if (left && FILCHI_BELL_SLEEPERS(a) > FILCHI_BELL_SLEEPER)
		filchi_bell_tell(b);
}

#endif
