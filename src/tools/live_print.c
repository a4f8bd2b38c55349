/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and words of the tools, and the view of a pool for people: see live_print.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "tools/live_print.h"

#include <filch/pool.h>
#include <stdlib.h>
#include <string.h>

/* --- numbers ---------------------------------------------------------- */

static struct live_text three_digits(double value, const char *unit)
{
	struct live_text t;

	(void)snprintf(t.text, sizeof t.text,
		value < 9.995   ? "%.2f%s"
		: value < 99.95 ? "%.1f%s"
				: "%.0f%s",
		value, unit);
	return t;
}

struct live_text live_number(double value)
{
	static const char *const unit[] = { "", "k", "M", "G", "T", "P", "E" };
	struct live_text t;
	unsigned i = 0;

	if (value < 999.5) {
		(void)snprintf(t.text, sizeof t.text,
			value > 0 && value < 9.95 && value != (double)(int)value ? "%.1f" : "%.0f",
			value);
		return t;
	}
	for (; value >= 999.5 && i + 1 < sizeof unit / sizeof unit[0]; i++)
		value /= 1000;
	return three_digits(value, unit[i]);
}

struct live_text live_time(uint64_t ns)
{
	double v = (double)ns;

	if (ns < 1000) {
		struct live_text t;

		(void)snprintf(t.text, sizeof t.text, ns ? "%dns" : "%d", (int)ns);
		return t;
	}
	if (v < 999.5e3)
		return three_digits(v / 1e3, "us");
	if (v < 999.5e6)
		return three_digits(v / 1e6, "ms");
	if (v < 100e9)
		return three_digits(v / 1e9, "s");
	if (v < 100 * 60e9)
		return three_digits(v / 60e9, "m");
	if (v < 100 * 3600e9)
		return three_digits(v / 3600e9, "h");
	return three_digits(v / 86400e9, "d");
}

struct live_text live_share(uint64_t part, uint64_t whole)
{
	struct live_text t = { .text = "-" };

	if (whole)
		(void)snprintf(t.text, sizeof t.text, "%.0f%%",
			100.0 * (double)(part < whole ? part : whole) / (double)whole);
	return t;
}

const char *live_state(uint32_t state)
{
	static const char *const word[FILCHI_PAGE_STATES] = {
		[FILCHI_PAGE_BUSY] = "busy",
		[FILCHI_PAGE_SEARCHING] = "searching",
		[FILCHI_PAGE_ASLEEP] = "asleep",
		[FILCHI_PAGE_WAITING] = "waiting",
		[FILCHI_PAGE_RETIRED] = "retired",
		[FILCHI_PAGE_BLOCKING] = "blocking",
		[FILCHI_PAGE_LOST] = "lost",
		[FILCHI_PAGE_AWAY] = "away",
	};

	return state < FILCHI_PAGE_STATES ? word[state] : "unknown";
}

double live_rate(const struct filchi_page_pool *pool, uint64_t now, uint64_t then)
{
	uint64_t ns = live_growth(pool->at[FILCHI_PAGE_NOW], pool->at[FILCHI_PAGE_THEN]);

	return ns ? (double)live_growth(now, then) * 1e9 / (double)ns : 0;
}

static void add_times(struct filchi_page_times *sum, const struct filchi_page_times *t)
{
	sum->busy += t->busy;
	sum->searching += t->searching;
	sum->asleep += t->asleep;
	sum->waiting += t->waiting;
	for (int c = 0; c < FILCHI_PAGE_COUNTERS; c++)
		sum->counter[c] += t->counter[c];
}

void live_sum(const struct filchi_page_pool *pool, int moment, struct filchi_page_times *sum)
{
	memset(sum, 0, sizeof *sum);
	add_times(sum, &pool->outside[moment]);
	for (uint32_t i = 0; i < pool->workers; i++)
		add_times(sum, &live_worker(pool, i)->times[moment]);
}

/* --- a pool for people ------------------------------------------------ */

void live_title(const struct live_process *p, FILE *out)
{
	fprintf(out, "%s %llu, filch %s, %u pool%s", p->header->program,
		(unsigned long long)p->header->pid, p->header->library, p->header->pools,
		p->header->pools == 1 ? "" : "s");
	if (p->header->copy)
		fprintf(out, ", copy %u of the library", p->header->copy + 1);
	if (!p->answers)
		fprintf(out, ", page %s old: stopped, or another program by now",
			live_time(p->age).text);
}

/* The time between the two moments, as @whole nanoseconds of it. */
struct shares {
	uint64_t busy, searching, waiting, asleep, whole;
};

static struct shares shares_of(
	const struct filchi_page_times *now, const struct filchi_page_times *then)
{
	struct shares s = { .busy = live_growth(now->busy, then->busy),
		.searching = live_growth(now->searching, then->searching),
		.waiting = live_growth(now->waiting, then->waiting),
		.asleep = live_growth(now->asleep, then->asleep) };

	s.whole = s.busy + s.searching + s.waiting + s.asleep;
	return s;
}

static void write_head(const struct filchi_page_pool *pool, FILE *out)
{
	struct filchi_page_times now, then;
	struct shares s;

	live_sum(pool, FILCHI_PAGE_NOW, &now);
	live_sum(pool, FILCHI_PAGE_THEN, &then);
	s = shares_of(&now, &then);
	fprintf(out, "pool %llu \"%s\": %u of %u workers may run, %s%s%s, live for %s\n",
		(unsigned long long)pool->number, pool->name, pool->allowed, pool->workers,
		pool->flags & FILCHI_PAGE_PINNED ? "pinned" : "not pinned",
		pool->flags & FILCHI_PAGE_PAUSED ? ", PAUSED" : "",
		pool->flags & FILCHI_PAGE_CLOSING ? ", closed" : "",
		live_time(live_growth(pool->at[FILCHI_PAGE_NOW], pool->since)).text);
	fprintf(out, "  busy %s, searching %s, waiting %s, asleep %s; %s of %u queued\n",
		live_share(s.busy, s.whole).text, live_share(s.searching, s.whole).text,
		live_share(s.waiting, s.whole).text, live_share(s.asleep, s.whole).text,
		live_number((double)pool->queued).text, pool->queue_capacity);
#define RATE(name)                                                   \
	live_number(live_rate(pool, now.counter[FILCHI_PAGE_##name], \
			    then.counter[FILCHI_PAGE_##name]))       \
		.text
	fprintf(out, "  each second: %s jobs, %s steals, %s parks, %s wakes\n", RATE(jobs),
		RATE(steals), RATE(parks), RATE(wakes));
#undef RATE
	if (now.counter[FILCHI_PAGE_faults] || now.counter[FILCHI_PAGE_stuck])
		fprintf(out, "  so far: %s faults, %s jobs stuck, %s threads replaced\n",
			live_number((double)now.counter[FILCHI_PAGE_faults]).text,
			live_number((double)now.counter[FILCHI_PAGE_stuck]).text,
			live_number((double)now.counter[FILCHI_PAGE_replaced]).text);
}

static void write_histogram(const char *name, const uint64_t *bucket, FILE *out)
{
	static const uint32_t share[] = { 500, 900, 990, 999, 1000 };

	fprintf(out, "  %-6s %9s", name, live_number((double)filchi_histogram_count(bucket)).text);
	for (size_t i = 0; i < sizeof share / sizeof share[0]; i++)
		fprintf(out, " %9s", live_time(filchi_histogram_quantile(bucket, share[i])).text);
	fputc('\n', out);
}

bool live_lane_is_used(const struct filchi_page_lane *lane)
{
	return lane->queued || lane->running || lane->waiting ||
	       lane->ended[FILCHI_PAGE_NOW].completed || lane->ended[FILCHI_PAGE_NOW].shed ||
	       lane->ended[FILCHI_PAGE_NOW].cancelled || lane->ended[FILCHI_PAGE_NOW].rejected;
}

static void write_lanes(const struct filchi_page_pool *pool, FILE *out)
{
	fprintf(out, "  lane  queued running waiting  oldest    done/s    shed/s cancel/s refused/s"
		     "\n");
	for (uint32_t i = 0; i < FILCH_LANES; i++) {
		const struct filchi_page_lane *l = &pool->lane[i];

		if (!live_lane_is_used(l))
			continue;
#define RATE(name)                                                                                \
	live_number(                                                                              \
		live_rate(pool, l->ended[FILCHI_PAGE_NOW].name, l->ended[FILCHI_PAGE_THEN].name)) \
		.text
		fprintf(out, "  %4u %7s %7s %7s %7s %9s %9s %8s %9s\n", i,
			live_number((double)l->queued).text, live_number((double)l->running).text,
			live_number((double)l->waiting).text,
			l->queued ? live_time(l->oldest).text : "-", RATE(completed), RATE(shed),
			RATE(cancelled), RATE(rejected));
#undef RATE
	}
}

static const struct filchi_page_pool *sorted_pool;

static int by_use(const void *a, const void *b)
{
	const struct filchi_page_worker *x = live_worker(sorted_pool, *(const uint32_t *)a);
	const struct filchi_page_worker *y = live_worker(sorted_pool, *(const uint32_t *)b);
	uint64_t p = live_growth(x->times[FILCHI_PAGE_NOW].busy, x->times[FILCHI_PAGE_THEN].busy);
	uint64_t q = live_growth(y->times[FILCHI_PAGE_NOW].busy, y->times[FILCHI_PAGE_THEN].busy);

	return (p < q) - (p > q);
}

static void write_worker(const struct filchi_page_pool *pool, uint32_t i, FILE *out)
{
	const struct filchi_page_worker *w = live_worker(pool, i);
	const struct filchi_page_times *now = &w->times[FILCHI_PAGE_NOW];
	const struct filchi_page_times *then = &w->times[FILCHI_PAGE_THEN];
	struct shares s = shares_of(now, then);

#define RATE(name)                                                    \
	live_number(live_rate(pool, now->counter[FILCHI_PAGE_##name], \
			    then->counter[FILCHI_PAGE_##name]))       \
		.text
	fprintf(out, "  %4u ", i);
	if (w->cpu < 0)
		fprintf(out, "   -");
	else
		fprintf(out, "%4d", w->cpu);
	fprintf(out, " %-9s %4s %4s %4s %4s %7s %7s", live_state(w->state),
		live_share(s.busy, s.whole).text, live_share(s.searching, s.whole).text,
		live_share(s.waiting, s.whole).text, live_share(s.asleep, s.whole).text, RATE(jobs),
		RATE(steals));
#undef RATE
	if (w->job)
		fprintf(out, "  %s %s",
			live_time(live_growth(pool->at[FILCHI_PAGE_NOW], w->job_since)).text,
			w->name[0] ? w->name : "(no name)");
	fputc('\n', out);
}

static void write_workers(
	const struct filchi_page_pool *pool, const struct live_view *view, FILE *out)
{
	uint32_t *order = calloc(pool->workers + (size_t)1, sizeof *order);

	if (!order)
		return;
	for (uint32_t i = 0; i < pool->workers; i++)
		order[i] = i;
	sorted_pool = pool;
	if (view->by_use)
		qsort(order, pool->workers, sizeof order[0], by_use);
	fprintf(out, "  work  cpu state     busy srch wait slep  jobs/s steal/s  job\n");
	for (uint32_t i = view->from; i < pool->workers; i++)
		write_worker(pool, order[i], out);
	free(order);
}

void live_write_pool(const struct live_process *p, const struct filchi_page_pool *pool,
	const struct live_view *view, FILE *out)
{
	(void)p;
	write_head(pool, out);
	if (view->times) {
		fprintf(out, "  %-6s %9s %9s %9s %9s %9s %9s\n", "time", "jobs", "median", "90%",
			"99%", "99.9%", "most");
		write_histogram("queued", pool->queue_time, out);
		write_histogram("run", pool->run_time, out);
	}
	if (view->lanes)
		write_lanes(pool, out);
	if (view->workers)
		write_workers(pool, view, out);
}
