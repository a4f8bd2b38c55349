/* SPDX-License-Identifier: Apache-2.0 */
/* Time of workers, and histograms, in a live pool: see live_words.h. */
#include "core/live_words.h"

/* A stretch begins. */
static void begin(filch_atomic_u64 *since, uint64_t now)
{
	filchi_store_release(since, now);
}

/* And is over; its time goes into @sum. */
static void end(filch_atomic_u64 *since, filch_atomic_u64 *sum, uint64_t now)
{
	uint64_t begun = filch_load_relaxed(since);

	filch_store_relaxed(since, FILCHI_LIVE_ADDING);
	if (now > begun)
		filchi_store_release(sum, filch_load_relaxed(sum) + now - begun);
	filchi_store_release(since, 0);
}

void filchi_live_search(struct filchi_worker *w, uint64_t now)
{
	struct filchi_live_words *words = filchi_live_words(w);

	if (!words || filch_load_relaxed(&w->deque.depth))
		return;
	begin(&words->search_since, now);
	filchi_heed_from(w, FILCHI_HEED_NEXT); /* which ends it */
}

void filchi_live_task(struct filchi_worker *w)
{
	struct filchi_live_words *words = filchi_live_words(w);

	if (words && filch_load_relaxed(&words->search_since))
		end(&words->search_since, &words->searched, filchi_now());
}

unsigned filchi_live_job(struct filchi_worker *w, struct filchi_job *job, bool timed, uint64_t jobs)
{
	struct filchi_live_words *words = filchi_live_words(w);

	if (!words || !filchi_is_live(w->pool)) {
		/* whoever makes it live may do so just now, and be overwritten */
		filchi_heed_from(w, jobs + FILCHI_LIVE_AGAIN);
		return 0;
	}
	if (filch_load_relaxed(&words->search_since))
		end(&words->search_since, &words->searched,
			timed ? filch_load_relaxed(&job->started_at) : filchi_now());
	if (jobs < words->next) {
		filchi_heed_from(w, words->next);
		return 0;
	}
	if (!timed)
		filch_store_relaxed(&job->started_at, filchi_now());
	/* should this one not come to its end, so does the next */
	words->next = jobs + 1;
	filchi_heed_from(w, words->next);
	return words->times ? words->times : 1;
}

void filchi_live_job_ends(
	struct filchi_worker *w, const struct filchi_job *job, bool timed, unsigned times)
{
	struct filchi_live_words *words = filchi_live_words(w);
	uint64_t queued_at = filch_load_relaxed(&job->queued_at);
	uint64_t started_at = filch_load_relaxed(&job->started_at);
	uint64_t ran = job->ended_at - started_at;

	filchi_histogram_add(&words->ran, ran, times);
	if (timed)
		filchi_histogram_add(
			&words->queued, started_at > queued_at ? started_at - queued_at : 0, times);
	words->times = 1 + (uint32_t)(FILCHI_LIVE_LONG_NS / (ran + FILCHI_LIVE_LEAST));
	/* counted from here: jobs on top of this one have passed */
	words->next = filch_load_relaxed(&w->counters.jobs) + words->times;
	filchi_heed_from(w, words->next);
}

/* What kind of sleep it is, for a trace: by the state that it was prepared with. */
static uint64_t sleep_kind(struct filchi_worker *w, bool waits)
{
	return FILCHI_SLEEP_KIND(filch_load_relaxed(&w->sleeper.state)) == FILCHI_RETIRED ? 2
											  : waits;
}

bool filchi_live_sleep(struct filchi_worker *w, const struct timespec *deadline)
{
	struct filchi_live_words *words = filchi_is_live(w->pool) ? filchi_live_words(w) : NULL;
	bool waits = filch_load_relaxed(&w->deque.depth) > 0;
	uint64_t since = words ? filchi_now() : 0;
	bool woken;

	if (words) {
		if (filch_load_relaxed(&words->search_since))
			end(&words->search_since, &words->searched, since);
		begin(&words->sleep_since, since);
	}
	filchi_trace(w->pool, PARK, sleep_kind(w, waits), 0);
	FILCHI_PROBE(park, w->id, waits);
	woken = filchi_idle_sleep(&w->pool->idle, &w->sleeper, deadline);
	filchi_trace(w->pool, UNPARK, woken, 0);
	if (words)
		end(&words->sleep_since, waits ? &words->waited : &words->slept, filchi_now());
	return woken;
}
