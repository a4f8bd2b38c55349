/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of jobs: what a group is, and where a pool keeps which group a job is of: an entry for
 * each slot. The entries are made with the first group of a pool, and cost nothing until they are
 * touched. A job of a group has GROUPED in its state word, so the others pay nothing.
 *
 * A group with running_max has some of its jobs held: they are WAITING, as a job that follows
 * others, in a list of the group. Those that are not count as active, queued or running. The end of
 * an active one makes the first of those held ready.
 *
 * Admission. Lists and counts of active ones are not the group's alone: whoever has ended what a
 * job follows knows its slot, and its group only as long as the job is not over. So they lie under
 * locks of the pool, chosen by the group's address, which may be compared when the group is gone.
 * In there the state word says whether the job is still the one that was meant. If it is, the group
 * lives.
 *
 * An entry is the submitter's until the job is published. Later `group` stays, and all else is the
 * admission lock's.
 *
 * A group has a bit for each slot of the pool, set while the job there is of it: from before it is
 * published until it is about to be over. Who looks for its jobs looks at these, and not at all
 * slots. A bit is a hint, and the slot's state word decides.
 */
#ifndef FILCHI_GROUPS_H
#define FILCHI_GROUPS_H

#include <stddef.h>
#include <time.h>

#include <pthread.h>

#include "struct/group_word.h"

struct filch_pool;

struct filch_group {
	filch_atomic_u64 word;
	uint32_t unfinished_max; /* 0: no room is taken */
	uint32_t running_max;    /* 0: nothing is held */
	struct filch_pool *pool; /* it may be gone when no job is unfinished */
	uint32_t fork_generation;
	filch_atomic_u64 *members; /* a bit of each slot */
	/* the admission lock's: jobs that are queued or run; held ones, by slot + 1, 0 = none */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 active;
	uint32_t first, last;
	/* threads that sleep: until none is unfinished, for room */
	FILCH_ALIGNED(FILCH_CACHELINE) pthread_mutex_t lock;
#if !defined(FILCH_MODEL)
	pthread_cond_t ended, given;
#endif
	uint32_t waiting, blocked; /* the lock's, and so is: */
	uint32_t idle;             /* so often none was unfinished while threads slept */
	filch_atomic_u32 abroad;   /* workers of other pools among the blocked that may sleep */
	/* tells these that there is room */
	void (*tell)(struct filch_group *group);
};

enum filchi_held { FILCHI_HELD_NOT, FILCHI_HELD, FILCHI_HELD_ACTIVE };

/* Of a slot. */
struct filchi_grouped {
	FILCH_ATOMIC(struct filch_group *) group;
	uint64_t state; /* held: its state word's generation, as in there */
	uint32_t next, prev;
	uint8_t held; /* enum filchi_held */
	bool failed;  /* held: one that it follows has failed */
};

#define FILCHI_ADMISSIONS 64u

struct filchi_admission {
	FILCH_ALIGNED(FILCH_CACHELINE) pthread_mutex_t lock;
};

struct filchi_groups {
	size_t bytes;
	struct filchi_grouped *of; /* by slot */
	struct filchi_admission admission[FILCHI_ADMISSIONS];
};

/* @slots: all of a pool. NULL: no memory. */
struct filchi_groups *filchi_groups_make(uint32_t slots);
void filchi_groups_free(struct filchi_groups *groups);

/* For a pool of @slots; the rest of @group is zero, or set by the caller. 0 or -ENOMEM. */
int filchi_group_init(struct filch_group *group, uint32_t slots);

/* 0; -EBUSY: jobs are unfinished, or threads sleep for it. */
int filchi_group_end(struct filch_group *group);

static inline struct filch_group *filchi_group_at(struct filchi_groups *groups, uint32_t slot)
{
	return filchi_load_acquire(&groups->of[slot].group);
}

/* --- which slots -------------------------------------------------------- */

/* The owner of a slot: its job is of the group; and is not any more. Nobody else writes its bit. */
static inline void filchi_group_enter(struct filch_group *group, uint32_t slot)
{
	(void)filchi_fetch_add_acq_rel(&group->members[slot / 64], UINT64_C(1) << slot % 64);
}

static inline void filchi_group_leave(struct filch_group *group, uint32_t slot)
{
	(void)filchi_fetch_sub_acq_rel(&group->members[slot / 64], UINT64_C(1) << slot % 64);
}

/*
 * The first slot in [@from, @to) whose job may be of the group, or @to. It sees those that the
 * caller knows to be published.
 */
static inline uint32_t filchi_group_next(
	const struct filch_group *group, uint32_t from, uint32_t to)
{
	uint64_t here = ~UINT64_C(0) << from % 64;

	for (uint32_t at = from / 64; at * 64 < to; at++, here = ~UINT64_C(0)) {
		here &= filchi_load_acquire(&group->members[at]);
		if (here) {
			uint32_t slot = at * 64 + (uint32_t)__builtin_ctzll(here);

			return slot < to ? slot : to;
		}
	}
	return to;
}

/* --- counting ----------------------------------------------------------- */

/* Room for up to @n jobs, as filchi_group_take(); all of it where the group has no bound. */
static inline uint32_t filchi_group_room(struct filch_group *group, uint32_t n, bool force)
{
	return group->unfinished_max
		       ? filchi_group_take(&group->word, n, group->unfinished_max, force)
		       : n;
}

/* @n jobs are over, @n 0: not published after all; @room: it is free again. The last touch. */
void filchi_group_over(struct filch_group *group, uint32_t n, uint32_t room);

/* --- sleeping ----------------------------------------------------------- */

/* A thread that is no worker: until no job is unfinished, 0; or -ETIMEDOUT. */
int filchi_group_sleep(struct filch_group *group, const struct timespec *deadline);

/* The same for room, which is taken: 0, -ETIMEDOUT, -ESHUTDOWN. */
int filchi_group_sleep_for_room(
	struct filch_group *group, filch_atomic_u32 *closing, const struct timespec *deadline);

/* Around a wait for room that is no such sleep: whoever gives some tells group->tell. */
void filchi_group_block_begin(struct filch_group *group);
void filchi_group_block_end(struct filch_group *group);

static inline bool filchi_group_has_room(struct filch_group *group)
{
	return filchi_group_room_taken(filchi_load_acquire(&group->word)) < group->unfinished_max;
}

/* --- admission --------------------------------------------------------- */

/* The lock for all of @group that is the admission lock's; @group is only compared. */
static inline pthread_mutex_t *filchi_admission_of(
	struct filchi_groups *groups, const struct filch_group *group)
{
	return &groups->admission[(uintptr_t)group / sizeof *group % FILCHI_ADMISSIONS].lock;
}

/* Any thread, without the lock: whether a job would be held now. */
static inline bool filchi_admission_seems_full(struct filch_group *group)
{
	return group->running_max && filch_load_relaxed(&group->active) >= group->running_max;
}

/* With the admission lock: the job in @slot becomes active. False: there are enough. */
bool filchi_admit(struct filchi_groups *groups, struct filch_group *group, uint32_t slot);

/* With the admission lock: the job in @slot, of the generation in @state, is held. */
void filchi_admission_hold(struct filchi_groups *groups, struct filch_group *group, uint32_t slot,
	uint64_t state, bool failed);

/*
 * The owner of a job of a group with running_max, which is about to be over. True: *@next is a copy
 * of the entry of one that was held, in slot *@slot, now active and to be made ready.
 */
bool filchi_admission_leave(
	struct filchi_groups *groups, uint32_t *slot, struct filchi_grouped *next);

#endif
