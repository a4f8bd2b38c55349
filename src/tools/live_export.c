/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages for programs: JSON, and Prometheus' text format (version 0.0.4). Sums are those since each
 * pool became live, but for counters, which count from its beginning. Times are nanoseconds in
 * JSON, seconds in Prometheus, whose names want that.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <filch/pool.h>
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "tools/live_print.h"

/* --- JSON ------------------------------------------------------------- */

static void json_text(struct filchi_json *json, const char *key, const char *text)
{
	filchi_json_string(json, key, text, strlen(text));
}

/* Numbers of JSON are exact to 2^53; what is above is cut there. */
static void json_count(struct filchi_json *json, const char *key, uint64_t value)
{
	filchi_json_int(json, key, value < UINT64_C(1) << 53 ? (int64_t)value : INT64_C(1) << 53);
}

static void json_counters(struct filchi_json *json, const struct filchi_page_times *t)
{
#define COUNTER(name, meaning) json_count(json, #name, t->counter[FILCHI_PAGE_##name]);
	filchi_json_object(json, "counters");
	FILCH_STATS_LIST(COUNTER)
	filchi_json_end_object(json);
#undef COUNTER
}

static void json_times(struct filchi_json *json, const char *key, const struct filchi_page_times *t)
{
	filchi_json_object(json, key);
	json_count(json, "busy_ns", t->busy);
	json_count(json, "searching_ns", t->searching);
	json_count(json, "waiting_ns", t->waiting);
	json_count(json, "asleep_ns", t->asleep);
	filchi_json_end_object(json);
}

/* What has been added in the last one or two seconds: interval_ns of the pool. */
static void json_recent(struct filchi_json *json, const struct filchi_page_times *now,
	const struct filchi_page_times *then)
{
	struct filchi_page_times recent = { .busy = live_growth(now->busy, then->busy),
		.searching = live_growth(now->searching, then->searching),
		.waiting = live_growth(now->waiting, then->waiting),
		.asleep = live_growth(now->asleep, then->asleep) };

	filchi_json_object(json, "recent");
	json_times(json, "time", &recent);
	json_count(json, "jobs",
		live_growth(now->counter[FILCHI_PAGE_jobs], then->counter[FILCHI_PAGE_jobs]));
	json_count(json, "steals",
		live_growth(now->counter[FILCHI_PAGE_steals], then->counter[FILCHI_PAGE_steals]));
	json_count(json, "parks",
		live_growth(now->counter[FILCHI_PAGE_parks], then->counter[FILCHI_PAGE_parks]));
	filchi_json_end_object(json);
}

static void json_worker(struct filchi_json *json, const struct filchi_page_pool *pool, uint32_t i)
{
	const struct filchi_page_worker *w = live_worker(pool, i);

	filchi_json_line(json, 4);
	filchi_json_object(json, NULL);
	json_count(json, "worker", i);
	json_text(json, "state", live_state(w->state));
	filchi_json_int(json, "cpu", w->cpu);
	filchi_json_int(json, "core", w->core);
	filchi_json_int(json, "node", w->node);
	filchi_json_int(json, "package", w->package);
	filchi_json_int(json, "kind", w->kind);
	json_text(json, "pin", w->pin);
	filchi_json_int(json, "error", w->pin_error);
	json_text(json, "mask", w->mask);
	json_text(json, "gives_way_to", w->gives_way_to);
	json_count(json, "tid", w->tid);
	json_count(json, "depth", w->depth);
	filchi_json_object(json, "job");
	filchi_json_int(json, "id", w->job);
	json_text(json, "name", w->name);
	json_count(
		json, "age_ns", w->job ? live_growth(pool->at[FILCHI_PAGE_NOW], w->job_since) : 0);
	filchi_json_end_object(json);
	json_times(json, "time", &w->times[FILCHI_PAGE_NOW]);
	json_counters(json, &w->times[FILCHI_PAGE_NOW]);
	json_recent(json, &w->times[FILCHI_PAGE_NOW], &w->times[FILCHI_PAGE_THEN]);
	filchi_json_end_object(json);
}

static void json_lane(struct filchi_json *json, const struct filchi_page_lane *l, uint32_t i)
{
	filchi_json_line(json, 4);
	filchi_json_object(json, NULL);
	json_count(json, "lane", i);
	json_count(json, "queued", l->queued);
	json_count(json, "running", l->running);
	json_count(json, "waiting", l->waiting);
	json_count(json, "oldest_ns", l->oldest);
#define ENDED(name) json_count(json, #name, l->ended[FILCHI_PAGE_NOW].name)
	ENDED(completed);
	ENDED(shed);
	ENDED(cancelled);
	ENDED(rejected);
#undef ENDED
#define RECENT(name)            \
	json_count(json, #name, \
		live_growth(l->ended[FILCHI_PAGE_NOW].name, l->ended[FILCHI_PAGE_THEN].name))
	filchi_json_object(json, "recent");
	RECENT(completed);
	RECENT(shed);
	RECENT(cancelled);
	RECENT(rejected);
	filchi_json_end_object(json);
#undef RECENT
	filchi_json_end_object(json);
}

/* The buckets that hold something: their least value, and how many. */
static void json_histogram(struct filchi_json *json, const char *key, const uint64_t *bucket)
{
	filchi_json_line(json, 3);
	filchi_json_object(json, key);
	json_count(json, "count", filchi_histogram_count(bucket));
	json_count(json, "p50_ns", filchi_histogram_quantile(bucket, 500));
	json_count(json, "p90_ns", filchi_histogram_quantile(bucket, 900));
	json_count(json, "p99_ns", filchi_histogram_quantile(bucket, 990));
	json_count(json, "p999_ns", filchi_histogram_quantile(bucket, 999));
	json_count(json, "most_ns", filchi_histogram_quantile(bucket, 1000));
	filchi_json_array(json, "buckets");
	for (uint32_t i = 0; i < FILCHI_HISTOGRAM_BUCKETS; i++) {
		if (!bucket[i])
			continue;
		filchi_json_array(json, NULL);
		json_count(json, NULL, filchi_histogram_least(i));
		json_count(json, NULL, bucket[i]);
		filchi_json_end_array(json);
	}
	filchi_json_end_array(json);
	filchi_json_end_object(json);
}

static void json_pool(struct filchi_json *json, const struct filchi_page_pool *pool)
{
	struct filchi_page_times now, then;

	live_sum(pool, FILCHI_PAGE_NOW, &now);
	live_sum(pool, FILCHI_PAGE_THEN, &then);
	filchi_json_line(json, 3);
	filchi_json_object(json, NULL);
	json_count(json, "pool", pool->number);
	json_text(json, "name", pool->name);
	json_count(json, "live_ns", live_growth(pool->at[FILCHI_PAGE_NOW], pool->since));
	json_count(json, "interval_ns",
		live_growth(pool->at[FILCHI_PAGE_NOW], pool->at[FILCHI_PAGE_THEN]));
	json_count(json, "workers", pool->allowed);
	json_count(json, "workers_all", pool->workers);
	json_count(json, "workers_max", pool->workers_max);
	json_count(json, "spares", pool->spares);
	filchi_json_int(json, "quota", pool->quota == UINT32_MAX ? -1 : (int64_t)pool->quota);
	filchi_json_bool(json, "pinned", pool->flags & FILCHI_PAGE_PINNED);
	filchi_json_bool(json, "paused", pool->flags & FILCHI_PAGE_PAUSED);
	filchi_json_bool(json, "closed", pool->flags & FILCHI_PAGE_CLOSING);
	json_count(json, "queued", pool->queued);
	json_count(json, "queue_capacity", pool->queue_capacity);
	json_count(json, "jobs_max", pool->jobs_max);
	json_count(json, "searching", pool->searching);
	json_count(json, "asleep", pool->asleep);
	json_count(json, "waiting", pool->waiting);
	json_times(json, "time", &now);
	json_counters(json, &now);
	json_recent(json, &now, &then);
	json_histogram(json, "queue_time", pool->queue_time);
	json_histogram(json, "run_time", pool->run_time);
	filchi_json_line(json, 3);
	filchi_json_array(json, "lanes");
	for (uint32_t i = 0; i < FILCH_LANES; i++)
		json_lane(json, &pool->lane[i], i);
	filchi_json_end_array(json);
	filchi_json_line(json, 3);
	filchi_json_array(json, "worker");
	for (uint32_t i = 0; i < pool->workers; i++)
		json_worker(json, pool, i);
	filchi_json_end_array(json);
	filchi_json_end_object(json);
}

void live_write_json(const struct live_list *list, FILE *out)
{
	struct filchi_json json = { .out = out };

	filchi_json_object(&json, NULL);
	json_count(&json, "version", FILCHI_PAGE_VERSION);
	json_count(&json, "refused", list->refused);
	filchi_json_array(&json, "processes");
	for (size_t i = 0; i < list->count; i++) {
		const struct filchi_page_header *h = list->process[i].header;

		filchi_json_line(&json, 1);
		filchi_json_object(&json, NULL);
		json_count(&json, "pid", h->pid);
		json_count(&json, "copy", h->copy);
		json_text(&json, "program", h->program);
		json_text(&json, "library", h->library);
		json_count(&json, "page", h->number);
		json_count(&json, "age_ns", list->process[i].age);
		filchi_json_bool(&json, "answers", list->process[i].answers);
		json_count(&json, "time_ms", h->realtime / 1000000);
		filchi_json_array(&json, "pools");
		for (uint32_t p = 0; p < h->pools; p++)
			json_pool(&json, list->process[i].pool[p]);
		filchi_json_end_array(&json);
		filchi_json_end_object(&json);
	}
	filchi_json_end_array(&json);
	filchi_json_end_object(&json);
	fputc('\n', out);
}

/* --- Prometheus ------------------------------------------------------- */

/* A process and one of its pools, in turn: false at the end. Starts as all zero. */
struct turn {
	size_t process;
	uint32_t next;
	const struct live_process *p;
	const struct filchi_page_pool *pool;
};

static bool next_pool(const struct live_list *list, struct turn *t)
{
	for (; t->process < list->count; t->process++, t->next = 0) {
		t->p = &list->process[t->process];
		/* what is said of one that does not answer holds no more */
		if (t->p->answers && t->next < t->p->header->pools) {
			t->pool = t->p->pool[t->next++];
			return true;
		}
	}
	return false;
}

static void write_label(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void head(const char *name, const char *type, const char *help, FILE *out)
{
	fprintf(out, "# HELP filch_%s %s.\n# TYPE filch_%s %s\n", name, help, name, type);
}

/* The name, and the labels that all have; the caller adds others, and "} value". */
static void labels(const char *name, const struct turn *t, FILE *out)
{
	fprintf(out, "filch_%s{pid=\"%" PRIu64 "\",program=\"", name, t->p->header->pid);
	write_label(t->p->header->program, out);
	fprintf(out, "\",pool=\"%" PRIu64 "\",name=\"", t->pool->number);
	write_label(t->pool->name, out);
	fputc('"', out);
	if (t->p->header->copy)
		fprintf(out, ",copy=\"%" PRIu32 "\"", t->p->header->copy);
}

static void write_worker_times(const struct live_list *list, FILE *out)
{
	head("worker_seconds_total", "counter", "Time of a worker, by what it was at", out);
	for (struct turn t = { .next = 0 }; next_pool(list, &t);) {
		for (uint32_t i = 0; i < t.pool->workers; i++) {
			const struct filchi_page_times *w =
				&live_worker(t.pool, i)->times[FILCHI_PAGE_NOW];
			const struct {
				const char *state;
				uint64_t ns;
			} part[] = { { "busy", w->busy }, { "searching", w->searching },
				{ "waiting", w->waiting }, { "asleep", w->asleep } };

			for (size_t k = 0; k < sizeof part / sizeof part[0]; k++) {
				labels("worker_seconds_total", &t, out);
				fprintf(out, ",worker=\"%u\",state=\"%s\"} %.9f\n", i,
					part[k].state, (double)part[k].ns / 1e9);
			}
		}
	}
}

static void write_counters(const struct live_list *list, FILE *out)
{
	struct filchi_page_times sum;

#define COUNTER(name, meaning)                                                    \
	head(#name "_total", "counter", meaning, out);                            \
	for (struct turn t = { .next = 0 }; next_pool(list, &t);) {               \
		live_sum(t.pool, FILCHI_PAGE_NOW, &sum);                          \
		labels(#name "_total", &t, out);                                  \
		fprintf(out, "} %" PRIu64 "\n", sum.counter[FILCHI_PAGE_##name]); \
	}
	FILCH_STATS_LIST(COUNTER)
#undef COUNTER
}

static void write_lane_gauges(const struct live_list *list, FILE *out)
{
	static const struct {
		const char *name, *help;
		size_t at;
	} gauge[] = {
		{ "lane_queued", "Jobs that wait to be started",
			offsetof(struct filchi_page_lane, queued) },
		{ "lane_running", "Jobs started and not complete",
			offsetof(struct filchi_page_lane, running) },
		{ "lane_waiting", "Jobs that wait for others",
			offsetof(struct filchi_page_lane, waiting) },
	};

	for (size_t g = 0; g < sizeof gauge / sizeof gauge[0]; g++) {
		head(gauge[g].name, "gauge", gauge[g].help, out);
		for (struct turn t = { .next = 0 }; next_pool(list, &t);) {
			for (uint32_t i = 0; i < FILCH_LANES; i++) {
				uint64_t value;

				if (!live_lane_is_used(&t.pool->lane[i]))
					continue;
				memcpy(&value, (const char *)&t.pool->lane[i] + gauge[g].at,
					sizeof value);
				labels(gauge[g].name, &t, out);
				fprintf(out, ",lane=\"%u\"} %" PRIu64 "\n", i, value);
			}
		}
	}
	head("lane_oldest_seconds", "gauge", "For how long the oldest queued job has waited", out);
	for (struct turn t = { .next = 0 }; next_pool(list, &t);) {
		for (uint32_t i = 0; i < FILCH_LANES; i++) {
			if (!live_lane_is_used(&t.pool->lane[i]))
				continue;
			labels("lane_oldest_seconds", &t, out);
			fprintf(out, ",lane=\"%u\"} %.9f\n", i,
				(double)t.pool->lane[i].oldest / 1e9);
		}
	}
}

static void write_lane_ends(const struct live_list *list, FILE *out)
{
	head("lane_jobs_total", "counter", "Jobs by how they ended, and submits refused", out);
	for (struct turn t = { .next = 0 }; next_pool(list, &t);) {
		for (uint32_t i = 0; i < FILCH_LANES; i++) {
			if (!live_lane_is_used(&t.pool->lane[i]))
				continue;
#define ENDED(name)                                                      \
	labels("lane_jobs_total", &t, out);                              \
	fprintf(out, ",lane=\"%u\",end=\"" #name "\"} %" PRIu64 "\n", i, \
		t.pool->lane[i].ended[FILCHI_PAGE_NOW].name)
			ENDED(completed);
			ENDED(shed);
			ENDED(cancelled);
			ENDED(rejected);
#undef ENDED
		}
	}
}

/*
 * Buckets of powers of four from 256 ns on. The sum of the values is not kept, so it is taken from
 * the middles of the buckets: good to a sixteenth.
 */
static void write_histogram(
	const struct turn *t, const char *name, const uint64_t *bucket, FILE *out)
{
	uint64_t seen = 0, count = filchi_histogram_count(bucket);
	char part[64];
	double sum = 0;
	uint32_t i = 0;

	(void)snprintf(part, sizeof part, "%s_bucket", name);
	for (uint64_t le = 256; le < UINT64_C(1) << FILCHI_HISTOGRAM_TOP; le *= 4) {
		for (; i < FILCHI_HISTOGRAM_BUCKETS && filchi_histogram_least(i + 1) <= le; i++)
			seen += bucket[i];
		labels(part, t, out);
		fprintf(out, ",le=\"%.9g\"} %" PRIu64 "\n", (double)le / 1e9, seen);
	}
	for (i = 0; i < FILCHI_HISTOGRAM_BUCKETS; i++)
		sum += (double)bucket[i] *
		       (double)(filchi_histogram_least(i) + filchi_histogram_least(i + 1)) / 2e9;
	labels(part, t, out);
	fprintf(out, ",le=\"+Inf\"} %" PRIu64 "\n", count);
	(void)snprintf(part, sizeof part, "%s_sum", name);
	labels(part, t, out);
	fprintf(out, "} %.9f\n", sum);
	(void)snprintf(part, sizeof part, "%s_count", name);
	labels(part, t, out);
	fprintf(out, "} %" PRIu64 "\n", count);
}

void live_write_prometheus(const struct live_list *list, FILE *out)
{
	head("workers", "gauge", "Workers that may run", out);
	for (struct turn t = { .next = 0 }; next_pool(list, &t);) {
		labels("workers", &t, out);
		fprintf(out, "} %u\n", t.pool->allowed);
	}
	head("queued", "gauge", "Jobs that wait to be started", out);
	for (struct turn t = { .next = 0 }; next_pool(list, &t);) {
		labels("queued", &t, out);
		fprintf(out, "} %" PRIu64 "\n", t.pool->queued);
	}
	write_worker_times(list, out);
	write_counters(list, out);
	write_lane_gauges(list, out);
	write_lane_ends(list, out);
	head("queue_seconds", "histogram", "From the submit of a job to its start", out);
	for (struct turn t = { .next = 0 }; next_pool(list, &t);)
		write_histogram(&t, "queue_seconds", t.pool->queue_time, out);
	head("run_seconds", "histogram", "From the start of a job to its return", out);
	for (struct turn t = { .next = 0 }; next_pool(list, &t);)
		write_histogram(&t, "run_seconds", t.pool->run_time, out);
}
