/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heavy fences that are shared. The kernel makes membarrier(2) calls of a process one after
 * another, and each interrupts every core that the process uses. Where many workers park at once,
 * each would wait for all before it. So one of them makes the call, and all that had come before it
 * began go on with it: nobody waits for more than two.
 *
 * Fences are numbered. A caller needs one that begins after it has come:
 *
 *	a caller                          the one that makes the fence
 *	write (ask, its state)            busy = 1, by exchange
 *	M1                                begun = n
 *	load begun: n - 1, so it needs n  M2, the membarrier
 *	until ended is n or above         ended = n
 *	read what it came for             busy = 0
 *
 * A maker that gets no core holds up nobody for long: who has waited for some turns makes a fence
 * of its own. It needs no number, for nobody relies on it.
 */
#ifndef FILCHI_HEAVY_H
#define FILCHI_HEAVY_H

#include "base/atomic.h"

#if !defined(FILCHI_HEAVY_TURNS)
#include <sched.h>

#define FILCHI_HEAVY_TURNS 256u
/* a fence takes some microseconds; then it is likely that the maker waits for this very core */
#define FILCHI_HEAVY_WAIT(turn)                      \
	do {                                         \
		for (unsigned i_ = 0; i_ < 16; i_++) \
			filchi_pause();              \
		if ((turn) >= 16)                    \
			sched_yield();               \
	} while (0)
#endif

struct filchi_heavy {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 begun; /* the number of the last */
	filch_atomic_u32 ended, busy;
};

static inline void filchi_heavy_init(struct filchi_heavy *heavy)
{
	filch_store_relaxed(&heavy->begun, 0);
	filch_store_relaxed(&heavy->ended, 0);
	filch_store_relaxed(&heavy->busy, 0);
}

static inline bool filchi_heavy_is_over(struct filchi_heavy *heavy, uint32_t number)
{
	return (int32_t)(filchi_load_acquire(&heavy->ended) - number) >= 0;
}

/* The one that has made it busy. */
static inline void filchi_heavy_make(struct filchi_heavy *heavy)
{
	uint32_t number = filch_load_relaxed(&heavy->begun) + 1;

	/*
	 * FENCE M2   begun -> the membarrier               pairs with: M1 in filchi_heavy_fence()
	 * Ensures:   a caller that does not see this fence begun has written before it.
	 * Without:   it goes on with a fence that other threads have passed before they could see
	 *            what it wrote.
	 * Weaker?    membarrier(2) begins with a full fence of its own; this one is for readers.
	 * Checked:   tests/model/c11/heavy.c, mutant fence_before_begun (by a model checker only)
	 */
	filchi_store_then_fence(&heavy->begun, number);
	filchi_membarrier();
	/* whoever acquires it sees what every thread had written by its interrupt */
	filchi_store_release(&heavy->ended, number);
}

/*
 * Any thread, where membarrier(2) is at hand: what it has written is seen by every thread after
 * some moment of this call, and what that thread has written before that moment is seen here after
 * the call. The heavy half of filch_store_release_light().
 */
static inline void filchi_heavy_fence(struct filchi_heavy *heavy)
{
	/*
	 * FENCE M1   the caller's writes -> load begun     pairs with: M2 in filchi_heavy_make()
	 * Ensures:   see M2.
	 * Weaker?    no: store->load.
	 * Checked:   tests/model/c11/heavy.c, mutants come_without_fence, joins_running (by a model
	 *            checker only)
	 */
	uint32_t number = filchi_fence_then_load_acquire(&heavy->begun) + 1;

	for (unsigned turn = 0; turn < FILCHI_HEAVY_TURNS; turn++) {
		if (filchi_heavy_is_over(heavy, number))
			return;
		if (!filch_load_relaxed(&heavy->busy) &&
			!filchi_exchange_acq_rel(&heavy->busy, 1)) {
			if (!filchi_heavy_is_over(heavy, number))
				filchi_heavy_make(heavy);
			filchi_store_release(&heavy->busy, 0);
			return;
		}
		FILCHI_HEAVY_WAIT(turn);
	}
	filchi_membarrier();
}

#endif
