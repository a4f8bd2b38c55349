/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many workers may run: resize, pause, the quota and workers that block, all by one number.
 *
 * limit: workers with a number below it may take new work. It is 0 while the pool is paused. Else
 * it is the smallest number that leaves as many at work as are allowed, the lesser of target and
 * quota. Below it are passed over:
 *   - workers that block, as many as there are spares
 *   - seats whose thread was lost and could not be replaced
 * So a worker that blocks does not count twice when it is itself above what is allowed, and a spare
 * that blocks is replaced by the next one.
 *
 * A pool has threads for all of them from the start: a thread cannot be made at any time, and a
 * worker's number, deque and place among the victims are for its pool's life. Those that may not
 * run sleep.
 *
 * The limit is looked at where a worker with an empty stack searches for work, and nowhere else.
 * One that goes from job to job is called to that look, by a word of its own. What was begun goes
 * on: its tasks may be bound to that worker, which waits for them. So a fall is over when each
 * worker above it has come to the end of what is on its stack.
 *
 * Rejected: counting those at work, so that any may stop. Each start and end of work would write to
 *           one word. With numbers it is a comparison with a word that seldom changes.
 * Rejected: the number of those that block added to the limit. One that blocks above what is
 *           allowed would let in another, and more would run than may.
 */
#include "core/elastic.h"

#include "core/abroad.h"

/* With FILCH_POOL_CALLER worker 0 may be away: one beside it takes what others submit. */
static uint32_t least(const struct filch_pool *pool)
{
	return pool->config.flags & FILCH_POOL_CALLER && pool->running > 1 ? 2 : 1;
}

static uint32_t allowed_now(const struct filch_pool *pool)
{
	uint32_t n = pool->target < pool->quota ? pool->target : pool->quota;

	if (n < least(pool))
		n = least(pool);
	return n < pool->running ? n : pool->running;
}

static uint32_t limit_for(struct filch_pool *pool, uint32_t allowed)
{
	uint32_t limit = allowed, spares = pool->config.spares;

	for (uint32_t i = 0; i < limit && limit < pool->running; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (filchi_load_acquire(&w->vacant)) {
			limit++;
		} else if (w->is_blocked && spares) {
			limit++;
			spares--;
		}
	}
	return limit;
}

/*
 * After a pause, in which it was not asked whether all sleep: those that sleep bound ask now, and
 * so do all that wait for another pool.
 */
static void look_again(struct filch_pool *pool)
{
	if (!filchi_rmw_fence_then_load_acquire(&filchi_abroad_count))
		return;
	for (uint32_t i = 0; i < pool->running; i++)
		(void)filchi_worker_wake(pool, filchi_worker_at(pool, i));
	filchi_abroad_look_again();
}

static void review_locked(struct filch_pool *pool)
{
	uint32_t before = filch_load_relaxed(&pool->limit), allowed = allowed_now(pool);
	uint32_t limit = pool->paused ? 0 : limit_for(pool, allowed);
	bool raised = limit > before;

	filch_store_relaxed(&pool->allowed, allowed);
	if (limit == before)
		return;
	filchi_limit_set(&pool->limit, limit);
	FILCH_HOOK(limit_set);
	for (uint32_t i = raised ? before : limit; i < (raised ? limit : before); i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);
		uint32_t asleep = filchi_limit_look(&w->sleeper, raised);

		filchi_store_release(&w->called, 1);
		if (asleep && filchi_idle_wake(&pool->idle, &w->sleeper, asleep))
			filchi_worker_woken(w);
	}
	if (!before)
		look_again(pool);
}

void filchi_elastic_review(struct filch_pool *pool)
{
	pthread_mutex_lock(&pool->limit_lock);
	review_locked(pool);
	pthread_mutex_unlock(&pool->limit_lock);
}

void filchi_elastic_init(struct filch_pool *pool, uint32_t target, uint32_t quota)
{
	(void)pthread_mutex_init(&pool->limit_lock, NULL);
	pool->target = target;
	pool->quota = quota;
	filch_store_relaxed(&pool->allowed, allowed_now(pool));
	filch_store_relaxed(&pool->limit, allowed_now(pool));
}

void filchi_elastic_set_target(struct filch_pool *pool, uint32_t target)
{
	pthread_mutex_lock(&pool->limit_lock);
	pool->target = target;
	review_locked(pool);
	pthread_mutex_unlock(&pool->limit_lock);
}

void filchi_elastic_set_quota(struct filch_pool *pool, uint32_t quota)
{
	pthread_mutex_lock(&pool->limit_lock);
	pool->quota = quota;
	review_locked(pool);
	pthread_mutex_unlock(&pool->limit_lock);
}

void filchi_elastic_pause(struct filch_pool *pool, bool paused)
{
	pthread_mutex_lock(&pool->limit_lock);
	pool->paused = paused;
	review_locked(pool);
	pthread_mutex_unlock(&pool->limit_lock);
}

/* --- calls that block -------------------------------------------------- */

static void set_blocked(struct filchi_worker *w, bool is_blocked)
{
	struct filch_pool *pool = w->pool;

	if (!pool->config.spares)
		return; /* nobody would come in its place */
	filch_store_relaxed(&w->called, 1);
	pthread_mutex_lock(&pool->limit_lock);
	w->is_blocked = is_blocked;
	review_locked(pool);
	pthread_mutex_unlock(&pool->limit_lock);
}

void filchi_blocking_begin(struct filchi_worker *w)
{
	if (w->blocking++)
		return;
	w->rank = FILCHI_NO_RANK; /* it looks, should the job return without the end */
	set_blocked(w, true);
}

bool filchi_blocking_end(struct filchi_worker *w)
{
	if (!w->blocking)
		return false;
	if (--w->blocking)
		return true;
	w->rank = w->id;
	set_blocked(w, false);
	return true;
}

void filchi_blocking_forget(struct filchi_worker *w)
{
	if (!w->blocking)
		return;
	w->blocking = 0;
	w->rank = w->id;
	set_blocked(w, false);
}

void filchi_blocking_mend(struct filchi_worker *w)
{
#if FILCH_DEBUG >= 1
	if (w->blocking)
		filch_misuse("filch_blocking_begin() without its end", "of a job");
#endif
	filchi_blocking_forget(w);
}
