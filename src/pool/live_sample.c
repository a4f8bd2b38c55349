/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the publisher looks at a pool: by reading what is there anyway, and what workers write of
 * their time (core/live_words.h). It asks no worker and holds none up.
 *
 * What costs more is done less often:
 *   - masks are system calls, one for each worker: once a second
 *   - the depth of lanes is counted in the slots of jobs: the longer that takes, the more seldom,
 *     so that it stays below a two-hundredth of one core
 *
 * A job's age is exact where its start was timed, as it is for all but detached jobs and calls of
 * FILCH_RUN. Of these it counts from when they were first seen.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/counters.h"
#include "core/live_words.h"
#include "pool/describe.h"
#include "pool/live.h"
#include "struct/names.h"

#define SECOND     UINT64_C(1000000000)
#define LANES_NS   UINT64_C(50000000) /* at least between two looks at the slots */
#define LANES_PART 200u               /* of the time */
#define TRIES      3                  /* at the words of one worker */

/* --- changes ---------------------------------------------------------- */

/* A line with the time of day, in UTC. The oldest lines make room. */
__attribute__((format(printf, 2, 3))) static void tell(
	struct filchi_live *live, const char *format, ...)
{
	char line[256];
	time_t now = time(NULL);
	struct tm tm;
	va_list args;
	size_t n;

	if (!gmtime_r(&now, &tm))
		return;
	n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	va_start(args, format);
	(void)vsnprintf(line + n, sizeof line - n - 1, format, args);
	va_end(args);
	n = strlen(line);
	line[n++] = '\n';
	while (live->changes_size + n >= sizeof live->changes) {
		char *end = memchr(live->changes, '\n', live->changes_size);
		size_t gone = end ? (size_t)(end - live->changes) + 1 : live->changes_size;

		live->changes_size -= (uint32_t)gone;
		memmove(live->changes, live->changes + gone, live->changes_size);
	}
	memcpy(live->changes + live->changes_size, line, n);
	live->changes_size += (uint32_t)n;
}

/* --- workers ---------------------------------------------------------- */

static void take_counters(struct filchi_counters *c, struct filchi_page_times *to)
{
#define TAKE(name, meaning) to->counter[FILCHI_PAGE_##name] = filch_load_relaxed(&c->name);
	FILCH_STATS_LIST(TAKE)
#undef TAKE
}

/*
 * A worker's sums, with the stretch that lasts. False: it was changing them at each look, and the
 * sums are as they were seen last.
 */
static bool take_times(
	struct filchi_live_words *words, bool waits, uint64_t now, struct filchi_page_times *to)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t search = filchi_load_acquire(&words->search_since);
		uint64_t sleep = filchi_load_acquire(&words->sleep_since);
		uint64_t searched = filchi_load_acquire(&words->searched);
		uint64_t slept = filchi_load_acquire(&words->slept);
		uint64_t waited = filchi_load_acquire(&words->waited);

		if (search == FILCHI_LIVE_ADDING || sleep == FILCHI_LIVE_ADDING ||
			search != filchi_load_acquire(&words->search_since) ||
			sleep != filchi_load_acquire(&words->sleep_since))
			continue;
		if (search && search < now)
			searched += now - search;
		if (sleep && sleep < now)
			*(waits ? &waited : &slept) += now - sleep;
		to->searching = searched;
		to->asleep = slept;
		to->waiting = waited;
		return true;
	}
	return false;
}

/* A stretch that has ended since the look began is longer than there was time: it is cut. */
static void cut(uint64_t *time, uint64_t *left)
{
	*time = *time < *left ? *time : *left;
	*left -= *time;
}

/*
 * Whether the worker has slept since the last look, and nothing was written of it: it went to sleep
 * before the pool became live, has no thread, or is the creator's own and that is away.
 */
static bool asleep_unseen(struct filchi_worker *w, struct filchi_live_words *words, uint32_t state,
	uint32_t sleep, uint32_t before)
{
	if (state == FILCHI_PAGE_AWAY || state == FILCHI_PAGE_LOST)
		return true;
	return FILCHI_SLEEP_KIND(sleep) != FILCHI_AWAKE && sleep == before &&
	       !filchi_load_acquire(&words->sleep_since) &&
	       filchi_load_acquire(&w->sleeper.state) == sleep;
}

static uint32_t state_of(struct filchi_worker *w, struct filchi_live_words *words, uint32_t sleep,
	uint32_t depth, bool blocks)
{
	if (filchi_load_acquire(&w->vacant))
		return FILCHI_PAGE_LOST;
	switch (FILCHI_SLEEP_KIND(sleep)) {
	case FILCHI_ASLEEP_FREE:
		return FILCHI_PAGE_ASLEEP;
	case FILCHI_ASLEEP_BOUND:
		return FILCHI_PAGE_WAITING;
	case FILCHI_RETIRED:
		return FILCHI_PAGE_RETIRED;
	default:
		break;
	}
	if (blocks)
		return FILCHI_PAGE_BLOCKING;
	if (!depth && w->pool->has_caller && !w->id)
		return FILCHI_PAGE_AWAY;
	if (!depth && filch_load_relaxed(&words->search_since))
		return FILCHI_PAGE_SEARCHING;
	return FILCHI_PAGE_BUSY;
}

/*
 * The job at the bottom of @w's stack, if it runs; 0 = none. As the watchdog has it. *@began: when
 * it was started; 0 = that was not timed.
 */
static int64_t job_of(struct filch_pool *pool, struct filchi_worker *w, uint64_t *began)
{
	struct filchi_team *team = filchi_load_acquire(&w->deque.depth)
					   ? filch_load_relaxed(&w->deque.segment[0].team)
					   : NULL;
	uint64_t s = team ? filchi_load_acquire(&filchi_job_of(team)->state) : 0;

	*began = 0;
	if (FILCHI_JOB_STATE(s) != FILCHI_JOB_RUNNING)
		return 0;
	*began = filch_load_relaxed(&filchi_job_of(team)->started_at);
	return filchi_job_id_of(&pool->jobs, filchi_job_of(team), s);
}

/* A job that worker @i was not at when it was looked at last: since when it runs. */
static uint64_t since_of(
	struct filchi_live *live, uint32_t i, int64_t job, uint64_t began, uint64_t now)
{
	/* others may have been at it for longer */
	for (uint32_t j = 0; j < live->pool->running; j++)
		if (j != i && live->worker[j].job == job)
			return live->worker[j].job_since;
	/* one that has passed to another job meanwhile may have any time */
	return began && began < now ? began : now;
}

static void take_job(struct filchi_live *live, struct filchi_worker *w, uint64_t now,
	struct filchi_page_worker *to)
{
	struct filchi_live_seen *seen = &live->worker[w->id];
	uint64_t began, ignored;
	int64_t job = job_of(live->pool, w, &began);
	const char *name;

	if (job && job != seen->job)
		seen->job_since = since_of(live, w->id, job, began, now);
	seen->job = job;
	to->job = job;
	to->job_since = job ? seen->job_since : 0;
	name = job ? filchi_name_of(&live->pool->jobs, job) : NULL;
	if (name && job_of(live->pool, w, &ignored) == job)
		(void)snprintf(to->name, sizeof to->name, "%s", name);
}

static void print_cpus(const struct filchi_cpuset *cpus, char *text, size_t room)
{
	char *all = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&all, &size);

	text[0] = '\0';
	if (!out)
		return;
	filchi_cpuset_print(cpus, out);
	if (!fclose(out) && all) {
		(void)snprintf(text, room, "%s", all);
		if (size >= room) /* a list that does not fit ends with dots */
			memcpy(text + room - 4, "...", 4);
	}
	free(all);
}

/* Where worker @w's thread may run now: system calls. Texts are made where they change. */
static void look_at_seat(struct filchi_live *live, uint32_t w, const struct filchi_pin_state *state)
{
	const struct filchi_plan *plan = live->pool->plan;
	struct filchi_live_seen *seen = &live->worker[w];
	const char *pin = filchi_plan_pin_word(plan, state, w);
	struct filchi_cpuset cpus = { { 0 } };
	char text[sizeof seen->mask] = "";

	if (!filchi_plan_mask_now(plan, state, w, &cpus))
		memset(&cpus, 0, sizeof cpus); /* it is not known */
	else if (!memcmp(&cpus, &seen->cpus, sizeof cpus))
		memcpy(text, seen->mask, sizeof text);
	else
		print_cpus(&cpus, text, sizeof text);
	if (live->looked && (strcmp(pin, seen->pin) || strcmp(text, seen->mask)))
		tell(live, "worker %u: %s on %s, was %s on %s", w, pin, text, seen->pin,
			seen->mask);
	(void)snprintf(seen->pin, sizeof seen->pin, "%s", pin);
	memcpy(seen->mask, text, sizeof text);
	seen->cpus = cpus;
	if (!live->looked && filchi_plan_wide(plan, w, &cpus))
		print_cpus(&cpus, seen->gives_way_to, sizeof seen->gives_way_to);
}

static void take_seat(
	struct filchi_live *live, struct filchi_worker *w, struct filchi_page_worker *to)
{
	const struct filchi_plan *plan = live->pool->plan;
	const struct filchi_seat *seat = &plan->seat[w->id];
	struct filchi_live_seen *seen = &live->worker[w->id];
	int error = live->pool->pin_error[w->id];

	to->cpu = seat->pu;
	to->core = seat->core;
	to->node = seat->node;
	to->package = seat->package;
	to->kind = seat->kind;
	to->pin_error = error < 0 ? -error : 0;
	memcpy(to->pin, seen->pin, sizeof to->pin);
	memcpy(to->mask, seen->mask, sizeof to->mask);
	memcpy(to->gives_way_to, seen->gives_way_to, sizeof to->gives_way_to);
	to->tid = filchi_load_acquire(&w->runs_on) || (!w->id && live->pool->has_caller)
			  ? filch_load_relaxed(&w->tid)
			  : 0;
	if (live->looked && to->tid && seen->tid && to->tid != seen->tid)
		tell(live, "worker %u: thread %u was replaced by %u", w->id, seen->tid, to->tid);
	if (to->tid)
		seen->tid = to->tid;
}

static void take_worker(struct filchi_live *live, uint32_t i, bool blocks, uint64_t now,
	struct filchi_page_worker *to)
{
	struct filchi_worker *w = filchi_worker_at(live->pool, i);
	struct filchi_live_words *words = filchi_live_words(w);
	struct filchi_live_seen *seen = &live->worker[i];
	struct filchi_page_times *times = &seen->now;
	uint32_t sleep = filchi_load_acquire(&w->sleeper.state);
	uint32_t depth = filchi_load_acquire(&w->deque.depth);
	uint64_t left;

	to->state = state_of(w, words, sleep, depth, blocks);
	to->depth = depth;
	if (asleep_unseen(w, words, to->state, sleep, seen->sleep))
		seen->guessed += now - live->now;
	seen->sleep = sleep;
	if (take_times(words, depth > 0, now, times)) {
		if (!live->looked)
			seen->base = *times;
		times->searching -= seen->base.searching;
		times->asleep += seen->guessed - seen->base.asleep;
		times->waiting -= seen->base.waiting;
	}
	left = now - live->since;
	cut(&times->asleep, &left);
	cut(&times->searching, &left);
	cut(&times->waiting, &left);
	times->busy = left;
	take_counters(&w->counters, times);
	to->times[FILCHI_PAGE_NOW] = *times;
	to->times[FILCHI_PAGE_THEN] = seen->then[1];
	live->active |= to->state != FILCHI_PAGE_ASLEEP && to->state != FILCHI_PAGE_RETIRED &&
			to->state != FILCHI_PAGE_AWAY;
	take_job(live, w, now, to);
	take_seat(live, w, to);
}

/* --- the pool --------------------------------------------------------- */

static void take_limits(struct filchi_live *live, struct filchi_page_pool *to)
{
	struct filch_pool *pool = live->pool;
	bool paused;

	pthread_mutex_lock(&pool->limit_lock);
	paused = pool->paused;
	to->quota = pool->quota;
	pthread_mutex_unlock(&pool->limit_lock);
	to->allowed = filch_load_relaxed(&pool->allowed);
	to->limit = filch_load_relaxed(&pool->limit);
	to->flags = (paused ? FILCHI_PAGE_PAUSED : 0) |
		    (filchi_load_acquire(&pool->closing) ? FILCHI_PAGE_CLOSING : 0) |
		    (pool->plan->pin ? FILCHI_PAGE_PINNED : 0);
	if (live->looked) {
		uint32_t other = to->flags ^ live->flags;

		if (to->quota != live->quota)
			tell(live, "the quota allows %d CPUs, was %d", (int)to->quota,
				(int)live->quota);
		if (to->allowed != live->allowed)
			tell(live, "%u workers may run, were %u", to->allowed, live->allowed);
		if (other & FILCHI_PAGE_PAUSED)
			tell(live, paused ? "paused" : "resumed");
		if (other & FILCHI_PAGE_CLOSING)
			tell(live, "closed for submits");
	}
	live->allowed = to->allowed;
	live->quota = to->quota;
	live->flags = to->flags;
}

static void take_lanes(struct filchi_live *live, uint64_t now, struct filchi_page_pool *to)
{
	struct filchi_lane_look look[FILCH_LANES];

	if (now >= live->lanes_next) {
		uint64_t took;

		filchi_lanes_look(live->pool, look);
		for (uint32_t i = 0; i < FILCH_LANES; i++) {
			uint64_t at = look[i].oldest_at;

			live->lane[i].queued = look[i].queued;
			live->lane[i].running = look[i].running;
			live->lane[i].waiting = look[i].waiting;
			live->lane[i].oldest = at && at < now ? now - at : 0;
		}
		took = filchi_now() - now;
		live->lanes_at = now;
		live->lanes_next =
			now + (took * LANES_PART > LANES_NS ? took * LANES_PART : LANES_NS);
	}
	to->lanes_at = live->lanes_at;
	for (uint32_t i = 0; i < FILCH_LANES; i++) {
		struct filch_lane_stats sum = FILCH_LANE_STATS_INIT;
		struct filch_lane_stats *then = &live->ended[1][i];

		filchi_lane_counted(live->pool, i, &sum);
		to->lane[i] = live->lane[i];
#define ENDED(name)                                          \
	(to->lane[i].ended[FILCHI_PAGE_NOW].name = sum.name, \
		to->lane[i].ended[FILCHI_PAGE_THEN].name = then->name)
		ENDED(completed);
		ENDED(shed);
		ENDED(cancelled);
		ENDED(rejected);
#undef ENDED
	}
}

static void take_histograms(struct filchi_live *live, struct filchi_page_pool *to)
{
	for (uint32_t i = 0; i < live->pool->running; i++) {
		struct filchi_live_words *words =
			filchi_live_words(filchi_worker_at(live->pool, i));

		for (uint32_t j = 0; j < FILCHI_HISTOGRAM_BUCKETS; j++) {
			to->queue_time[j] += filch_load_relaxed(&words->queued.bucket[j]);
			to->run_time[j] += filch_load_relaxed(&words->ran.bucket[j]);
		}
	}
}

static void take_pool(struct filchi_live *live, uint64_t now, struct filchi_page_pool *to)
{
	struct filch_pool *pool = live->pool;
	uint64_t counts = filch_load_relaxed(&pool->idle.counts);
	int64_t queued = filch_load_relaxed(&pool->injector.queued);
	int64_t searching = FILCHI_IDLE_SEARCH(counts);

	to->number = live->number;
	to->since = live->since;
	to->at[FILCHI_PAGE_NOW] = now;
	to->at[FILCHI_PAGE_THEN] = live->then_at[1];
	(void)snprintf(to->name, sizeof to->name, "%s", pool->name);
	to->workers = pool->running;
	to->workers_max = pool->config.workers_max;
	to->spares = pool->config.spares;
	to->queue_capacity = pool->config.queue_capacity;
	to->jobs_max = pool->jobs.count;
	to->binding = (uint32_t)pool->plan->binding;
	to->queued = queued > 0 ? (uint64_t)queued : 0;
	to->searching = searching > 0 ? (uint64_t)searching : 0;
	to->asleep = FILCHI_IDLE_FREES(counts);
	to->waiting = FILCHI_IDLE_BOUNDS(counts);
	take_limits(live, to);
	take_counters(&pool->external, &to->outside[FILCHI_PAGE_NOW]);
	to->outside[FILCHI_PAGE_THEN] = live->outside[1];
	take_lanes(live, now, to);
	take_histograms(live, to);
}

/* What a page has of now becomes, in time, what others have of then. */
static void remember(struct filchi_live *live, const struct filchi_page_pool *page, uint64_t now)
{
	bool first = !live->looked;

	if (!first && now - live->then_at[0] < SECOND)
		return;
	for (int i = first ? 2 : 1; i; i--) {
		live->then_at[1] = live->then_at[0];
		live->then_at[0] = now;
		live->outside[1] = live->outside[0];
		live->outside[0] = page->outside[FILCHI_PAGE_NOW];
		for (uint32_t w = 0; w < live->pool->running; w++) {
			live->worker[w].then[1] = live->worker[w].then[0];
			live->worker[w].then[0] = live->worker[w].now;
		}
		for (uint32_t l = 0; l < FILCH_LANES; l++) {
			const struct filchi_page_lane *lane = &page->lane[l];

			live->ended[1][l] = live->ended[0][l];
			live->ended[0][l].completed = lane->ended[FILCHI_PAGE_NOW].completed;
			live->ended[0][l].shed = lane->ended[FILCHI_PAGE_NOW].shed;
			live->ended[0][l].cancelled = lane->ended[FILCHI_PAGE_NOW].cancelled;
			live->ended[0][l].rejected = lane->ended[FILCHI_PAGE_NOW].rejected;
		}
	}
}

/* Whether anything was counted since the look before. */
static bool has_moved(struct filchi_live *live, const struct filchi_page_pool *page)
{
	uint64_t sum = page->queued, before = live->activity;

	for (int c = 0; c < FILCHI_PAGE_COUNTERS; c++) {
		sum += page->outside[FILCHI_PAGE_NOW].counter[c];
		for (uint32_t w = 0; w < live->pool->running; w++)
			sum += live->worker[w].now.counter[c];
	}
	live->activity = sum;
	return sum != before;
}

static bool add_text(struct filchi_page_buffer *page, const char *text, size_t size)
{
	size_t place;

	if (!filchi_page_add(page, size + 1, &place))
		return false;
	memcpy(page->at + place, text, size);
	return true;
}

bool filchi_live_look(struct filchi_live *live, struct filchi_page_buffer *page, uint64_t now)
{
	struct filch_pool *pool = live->pool;
	struct filchi_page_pool *to;
	size_t place, workers;
	char *reasons = NULL;
	bool *blocks;
	bool ok = false;

	blocks = calloc(pool->running, sizeof *blocks);
	if (!blocks || filchi_pool_reasons(pool, &reasons) ||
		!filchi_page_add(page, sizeof *to, &place) ||
		!filchi_page_add(page, pool->running * sizeof(struct filchi_page_worker), &workers))
		goto out;
	if (!live->looked)
		live->since = live->now = now;
	if (now >= live->seats_next) {
		pid_t *tid = filchi_pool_threads(pool);
		const struct filchi_pin_state state = {
			.error = pool->pin_error, .tid = tid, .workers = pool->running
		};

		for (uint32_t i = 0; i < pool->running; i++)
			look_at_seat(live, i, &state);
		free(tid);
		live->seats_next = now + SECOND;
	}
	live->active = false;
	pthread_mutex_lock(&pool->limit_lock);
	for (uint32_t i = 0; i < pool->running; i++)
		blocks[i] = filchi_worker_at(pool, i)->is_blocked;
	pthread_mutex_unlock(&pool->limit_lock);
	for (uint32_t i = 0; i < pool->running; i++)
		take_worker(live, i, blocks[i], now,
			(struct filchi_page_worker *)(void *)(page->at + workers) + i);
	take_pool(live, now, (struct filchi_page_pool *)(void *)(page->at + place));
	ok = add_text(page, reasons, strlen(reasons)) &&
	     add_text(page, live->changes, live->changes_size);
	to = (struct filchi_page_pool *)(void *)(page->at + place);
	to->reasons_size = (uint32_t)strlen(reasons) + 1;
	to->changes_size = live->changes_size + 1;
	to->size = page->size - place;
	live->active |= has_moved(live, to);
	remember(live, to, now);
	live->looked = true;
	live->now = now;
out:
	free(reasons);
	free(blocks);
	return ok;
}
