/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of jobs: storage, sleeping threads, admission locks. See groups.h and group_word.h. */
#include "struct/groups.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "struct/closing.h"

struct filchi_groups *filchi_groups_make(uint32_t slots)
{
	const size_t bytes = sizeof(struct filchi_groups) + slots * sizeof(struct filchi_grouped);
	struct filchi_groups *groups = filchi_map(bytes);

	if (!groups)
		return NULL;
	groups->bytes = bytes;
	groups->of = (void *)(groups + 1);
	for (uint32_t i = 0; i < FILCHI_ADMISSIONS; i++)
		pthread_mutex_init(&groups->admission[i].lock, NULL);
	return groups;
}

void filchi_groups_free(struct filchi_groups *groups)
{
	if (!groups)
		return;
	for (uint32_t i = 0; i < FILCHI_ADMISSIONS; i++)
		pthread_mutex_destroy(&groups->admission[i].lock);
	filchi_unmap(groups, groups->bytes);
}

int filchi_group_init(struct filch_group *group, uint32_t slots)
{
	group->members = calloc((slots + 63) / 64, sizeof group->members[0]);
	if (!group->members)
		return -ENOMEM;
	if (filchi_closing_init_cond(&group->ended)) {
		free(group->members);
		return -ENOMEM;
	}
	if (filchi_closing_init_cond(&group->given)) {
		pthread_cond_destroy(&group->ended);
		free(group->members);
		return -ENOMEM;
	}
	pthread_mutex_init(&group->lock, NULL);
	return 0;
}

int filchi_group_end(struct filch_group *group)
{
	uint64_t word = filchi_load_acquire(&group->word);
	bool busy = filchi_group_unfinished(word) || filchi_group_room_taken(word);

	filch_tsan_acquire(&group->word);
	if (!busy) {
		/* whoever has counted off the last one under the lock has left it by then */
		pthread_mutex_lock(&group->lock);
		busy = group->waiting || group->blocked;
		pthread_mutex_unlock(&group->lock);
	}
	if (busy)
		return -EBUSY;
	pthread_mutex_destroy(&group->lock);
	pthread_cond_destroy(&group->ended);
	pthread_cond_destroy(&group->given);
	free(group->members);
	return 0;
}

/* --- counting ----------------------------------------------------------- */

/*
 * FENCE G1   count off room -> read abroad   pairs with: G2 in filchi_abroad_group()
 * Ensures:   whoever gives room sees a worker of another pool that may sleep for it, or that one
 *            sees the room.
 * Without:   it sleeps while there is room, for ever if none else is given.
 * Weaker?    no: store->load; the read-modify-write of the word is the fence.
 * Checked:   tests/stress/groups.c, submits by workers of another pool
 */
FILCH_COLD static void over_and_told(struct filch_group *group, uint32_t n, uint32_t room)
{
	uint64_t word;

	pthread_mutex_lock(&group->lock);
	word = filchi_group_count_off_locked(&group->word, n, room);
	FILCH_HOOK(group_tells);
	if (!filchi_group_unfinished(word) && group->waiting) {
		group->idle++;
		pthread_cond_broadcast(&group->ended);
	}
	if (room && group->blocked)
		pthread_cond_signal(&group->given);
	if (room && filchi_rmw_fence_then_load_acquire(&group->abroad))
		group->tell(group);
	pthread_mutex_unlock(&group->lock);
}

void filchi_group_over(struct filch_group *group, uint32_t n, uint32_t room)
{
	if (!group->unfinished_max)
		room = 0;
	if ((n || room) && !filchi_group_count_off(&group->word, n, room))
		over_and_told(group, n, room);
}

/* --- sleeping ----------------------------------------------------------- */

int filchi_group_sleep(struct filch_group *group, const struct timespec *deadline)
{
	int cancel_state, error = 0;
	uint32_t idle;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pthread_mutex_lock(&group->lock);
	group->waiting++;
	idle = group->idle;
	/* or none was unfinished meanwhile, and new ones have come */
	while (!error && idle == group->idle && filchi_group_await(&group->word)) {
		FILCH_HOOK(group_sleeps);
		error = deadline ? -pthread_cond_timedwait(&group->ended, &group->lock, deadline)
				 : -pthread_cond_wait(&group->ended, &group->lock);
	}
	if (idle != group->idle || !filchi_group_unfinished(filchi_load_acquire(&group->word)))
		error = 0;
	filch_tsan_acquire(&group->word);
	if (!--group->waiting)
		filchi_group_clear(&group->word, FILCHI_GROUP_WAITED);
	pthread_mutex_unlock(&group->lock);
	pthread_setcancelstate(cancel_state, NULL);
	return error;
}

static void unblock(struct filch_group *group)
{
	if (!--group->blocked)
		filchi_group_clear(&group->word, FILCHI_GROUP_BLOCKED);
	else
		/* a wake-up that came for this one, and the room it stood for, are another's */
		pthread_cond_signal(&group->given);
}

void filchi_group_block_begin(struct filch_group *group)
{
	uint64_t word;

	pthread_mutex_lock(&group->lock);
	group->blocked++;
	word = filchi_load_acquire(&group->word);
	while (!filchi_cas_acq_rel(&group->word, &word, word | FILCHI_GROUP_BLOCKED))
		;
	pthread_mutex_unlock(&group->lock);
}

void filchi_group_block_end(struct filch_group *group)
{
	pthread_mutex_lock(&group->lock);
	unblock(group);
	pthread_mutex_unlock(&group->lock);
}

int filchi_group_sleep_for_room(
	struct filch_group *group, filch_atomic_u32 *closing, const struct timespec *deadline)
{
	struct filchi_closing me = {
		.closing = closing, .lock = &group->lock, .sleeps_on = &group->given
	};
	int error = 0;

	filchi_closing_enter(&me);
	pthread_mutex_lock(&group->lock);
	group->blocked++;
	for (;;) {
		if (filchi_load_acquire(closing)) {
			error = -ESHUTDOWN;
			break;
		}
		if (!filchi_group_block(&group->word, group->unfinished_max)) {
			error = 0;
			break;
		}
		if (error)
			break;
		FILCH_HOOK(group_blocks);
		error = filchi_closing_sleep(&me, deadline);
	}
	unblock(group);
	pthread_mutex_unlock(&group->lock);
	filchi_closing_leave(&me);
	return error;
}

/* --- admission --------------------------------------------------------- */

bool filchi_admit(struct filchi_groups *groups, struct filch_group *group, uint32_t slot)
{
	uint32_t active = filch_load_relaxed(&group->active);

	if (group->running_max && active >= group->running_max)
		return false;
	filch_store_relaxed(&group->active, active + 1);
	groups->of[slot].held = FILCHI_HELD_ACTIVE;
	return true;
}

void filchi_admission_hold(struct filchi_groups *groups, struct filch_group *group, uint32_t slot,
	uint64_t state, bool failed)
{
	struct filchi_grouped *me = &groups->of[slot];

	me->state = state;
	me->failed = failed;
	me->held = FILCHI_HELD;
	me->next = 0;
	me->prev = group->last;
	if (group->last)
		groups->of[group->last - 1].next = slot + 1;
	else
		group->first = slot + 1;
	group->last = slot + 1;
}

/* With the admission lock: takes a held one out of the list. */
static void take_out(
	struct filchi_groups *groups, struct filch_group *group, const struct filchi_grouped *me)
{
	if (me->prev)
		groups->of[me->prev - 1].next = me->next;
	else
		group->first = me->next;
	if (me->next)
		groups->of[me->next - 1].prev = me->prev;
	else
		group->last = me->prev;
}

bool filchi_admission_leave(
	struct filchi_groups *groups, uint32_t *slot, struct filchi_grouped *next)
{
	struct filchi_grouped *me = &groups->of[*slot];
	struct filch_group *group = filch_load_relaxed(&me->group);
	pthread_mutex_t *admission = filchi_admission_of(groups, group);
	bool more = false;

	pthread_mutex_lock(admission);
	if (me->held == FILCHI_HELD) {
		take_out(groups, group, me);
	} else if (me->held == FILCHI_HELD_ACTIVE) {
		more = group->first != 0;
		if (more) {
			*slot = group->first - 1;
			take_out(groups, group, &groups->of[*slot]);
			groups->of[*slot].held = FILCHI_HELD_ACTIVE;
			next->state = groups->of[*slot].state;
			next->failed = groups->of[*slot].failed;
		} else {
			filch_store_relaxed(&group->active, filch_load_relaxed(&group->active) - 1);
		}
	}
	me->held = FILCHI_HELD_NOT;
	pthread_mutex_unlock(admission);
	return more;
}
