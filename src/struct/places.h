/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a thread that is no worker has the worker woken for its job, when all sleep: pure policy.
 *
 * If the thread makes way soon, to wait for the job or for something else, the worker on its own
 * core is the best: no other core has to come back first, and none the second time, for the answer.
 * If the thread goes on, that worker is the worst. Nobody says which of them it will be. So the
 * thread learns it: it tries the other place now and then, and keeps to the one where workers have
 * come sooner.
 */
#ifndef FILCHI_PLACES_H
#define FILCHI_PLACES_H

#include "base/this_thread.h"

enum { FILCHI_PLACE_THERE = 0, FILCHI_PLACE_HERE = 1 };

#define FILCHI_TRIAL_FIRST 16u
#define FILCHI_TRIAL_LAST  4096u
/* one that took longer counts as so long: seldom late is better than always slow */
#define FILCHI_SOON_MAX 250000u

/* Where to wake next. */
static inline uint32_t filchi_places_next(const struct filchi_places *p)
{
	return p->every && !p->left ? !p->place : p->place;
}

static inline void filchi_places_put_off(struct filchi_places *p, bool is_sure)
{
	p->every = is_sure                            ? FILCHI_TRIAL_FIRST
		   : p->every * 4 < FILCHI_TRIAL_LAST ? p->every * 4
						      : FILCHI_TRIAL_LAST;
	p->left = p->every;
}

/*
 * A worker woken at @place has come after @ns. A trial that fails, and a place that soon proves
 * worse than the other after all, put off the next trial: so who is not like that loses one wake-up
 * in many.
 */
static inline void filchi_places_learn(struct filchi_places *p, uint32_t place, uint64_t ns)
{
	uint32_t took = ns < FILCHI_SOON_MAX ? (uint32_t)ns + 1 : FILCHI_SOON_MAX;
	uint32_t *soon = &p->soon[place], other = p->soon[!place];
	bool tried = place != p->place, better;

	if (!p->every)
		p->every = p->left = FILCHI_TRIAL_FIRST;
	*soon = *soon && !tried ? *soon - *soon / 8 + took / 8 : took;
	p->stayed += !tried;
	p->left -= !tried && p->left;
	/* of the other nothing is known: only a late one is reason enough */
	better = other ? *soon < other : took < FILCHI_SOON_MAX;
	if (tried == better) {
		if (!tried)
			filchi_places_put_off(p, p->stayed > 4 * FILCHI_TRIAL_FIRST);
		p->left = p->every;
		p->place = !p->place;
		p->stayed = 0;
	} else if (tried) {
		filchi_places_put_off(p, false);
	}
}

#endif
