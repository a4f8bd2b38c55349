/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: the word that counts the jobs of a group.
 *
 *   word:   63..48 ends so far | 47 BLOCKED | 46 WAITED | 45..23 room taken | 22..0 unfinished
 *
 * A submit takes room first, where the group bounds its unfinished jobs. It may then wait for other
 * things: for room in the pool's queue, for a credit. So it counts its job as unfinished only when
 * it is about to publish it. A worker that waits for the group would else wait for that submit, and
 * the submit for the worker.
 *
 * The end of a job counts off both. The CAS of the last one is the last touch of the group: whoever
 * sees none unfinished may free it. So a thread that sleeps for the group says so in the word,
 * under the group's mutex:
 *
 *   WAITED    it sleeps until none is unfinished
 *   BLOCKED   it sleeps until there is room
 *
 * Whoever would end such a sleep finds the bit before it counts, at the latest when its CAS fails.
 * It takes the mutex, counts in there and tells the sleepers. Destroying takes the mutex once
 * more, so nobody is in there when the memory goes. Without sleepers no mutex is taken.
 *
 * The ends so far tell a reader of the word that jobs have ended between two looks.
 */
#ifndef FILCHI_GROUP_WORD_H
#define FILCHI_GROUP_WORD_H

#include "base/atomic.h"
#include "base/check.h"

#define FILCHI_GROUP_ROOM    (UINT64_C(1) << 23) /* one of the count */
#define FILCHI_GROUP_WAITED  (UINT64_C(1) << 46)
#define FILCHI_GROUP_BLOCKED (UINT64_C(1) << 47)
#define FILCHI_GROUP_END     (UINT64_C(1) << 48)
#define FILCHI_GROUP_MOST    UINT32_C(0x7fffff)

static inline uint32_t filchi_group_unfinished(uint64_t word)
{
	return (uint32_t)(word & FILCHI_GROUP_MOST);
}

static inline uint32_t filchi_group_room_taken(uint64_t word)
{
	return (uint32_t)(word >> 23) & FILCHI_GROUP_MOST;
}

static inline uint32_t filchi_group_ends(uint64_t word)
{
	return (uint32_t)(word >> 48);
}

/*
 * A submit: room for up to @n jobs while fewer than @most have it; @force: for all of them. Returns
 * for how many.
 */
static inline uint32_t filchi_group_take(
	filch_atomic_u64 *word, uint32_t n, uint32_t most, bool force)
{
	uint64_t seen = filchi_load_acquire(word);
	uint32_t taken, got;

	do {
		taken = filchi_group_room_taken(seen);
		got = n;
		if (!force && (taken >= most || most - taken < n))
			got = taken >= most ? 0 : most - taken;
		if (!got)
			return 0;
	} while (!filchi_cas_acq_rel(word, &seen, seen + got * FILCHI_GROUP_ROOM));
	return got;
}

/* A submit that has its room: @n jobs are about to be published. */
static inline void filchi_group_begin(filch_atomic_u64 *word, uint32_t n)
{
	(void)filchi_fetch_add_acq_rel(word, n);
}

/*
 * @n jobs have ended, or (@n 0) will not be published; with @room their room is free again. False:
 * nothing has happened, since a sleeper must be told; the caller takes the mutex, and then calls
 * filchi_group_count_off_locked().
 */
static inline bool filchi_group_count_off(filch_atomic_u64 *word, uint32_t n, uint32_t room)
{
	const uint64_t less = n + room * FILCHI_GROUP_ROOM;
	uint64_t seen = filchi_load_acquire(word);

	filch_tsan_release(word);
	do {
		if (room && seen & FILCHI_GROUP_BLOCKED)
			return false;
		if (n && seen & FILCHI_GROUP_WAITED && filchi_group_unfinished(seen) == n)
			return false;
		FILCH_HOOK(group_counts_off);
	} while (!filchi_cas_acq_rel(word, &seen, seen - less + n * FILCHI_GROUP_END));
	return true;
}

/* The same under the mutex, whatever the bits. Returns the word. */
static inline uint64_t filchi_group_count_off_locked(
	filch_atomic_u64 *word, uint32_t n, uint32_t room)
{
	const uint64_t less = n + room * FILCHI_GROUP_ROOM - n * FILCHI_GROUP_END;

	filch_tsan_release(word);
	return filchi_fetch_sub_seq_cst(word, less) - less;
}

/*
 * Under the mutex, before a sleep: sets WAITED. False: none is unfinished, and the bit is as it
 * was.
 */
static inline bool filchi_group_await(filch_atomic_u64 *word)
{
	uint64_t seen = filchi_load_acquire(word);

	do {
		if (!filchi_group_unfinished(seen))
			return false;
	} while (!filchi_cas_acq_rel(word, &seen, seen | FILCHI_GROUP_WAITED));
	return true;
}

/* The same for room: takes it, for one, or sets BLOCKED. False: it has taken it. */
static inline bool filchi_group_block(filch_atomic_u64 *word, uint32_t most)
{
	uint64_t seen = filchi_load_acquire(word), next;
	bool full;

	do {
		full = filchi_group_room_taken(seen) >= most;
		next = full ? seen | FILCHI_GROUP_BLOCKED : seen + FILCHI_GROUP_ROOM;
	} while (!filchi_cas_acq_rel(word, &seen, next));
	return full;
}

/* Under the mutex: the last of those that sleep for it leaves. */
static inline void filchi_group_clear(filch_atomic_u64 *word, uint64_t bit)
{
	filchi_and_acq_rel(word, ~bit);
}

#endif
