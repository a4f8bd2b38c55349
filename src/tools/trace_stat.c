/* SPDX-License-Identifier: Apache-2.0 */
/* filch-trace stat: what limits a run, in words. */
#include "tools/trace_write.h"

#define BUSY_ENOUGH 90 /* percent */

/* A time with three or four digits, and its unit. */
static const char *ns_text(char text[16], int64_t ns)
{
	double v = (double)ns;
	const char *unit = "ns";

	if (v >= 1e9) {
		v /= 1e9;
		unit = "s";
	} else if (v >= 1e6) {
		v /= 1e6;
		unit = "ms";
	} else if (v >= 1e3) {
		v /= 1e3;
		unit = "us";
	}
	snprintf(text, 16, v < 10 ? "%.2f %s" : v < 100 ? "%.1f %s" : "%.0f %s", v, unit);
	return text;
}

static double percent(int64_t part, int64_t whole)
{
	return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static double ratio(int64_t a, int64_t b)
{
	return b > 0 ? (double)a / (double)b : 0;
}

/* Times of all workers, and in which they could have worked. */
static int64_t sum_states(const struct look *look, int64_t sum[LOOK_STATES])
{
	int64_t available = 0;

	for (unsigned s = 0; s < LOOK_STATES; s++) {
		sum[s] = 0;
		for (size_t i = 0; i < look->workers; i++)
			sum[s] += look->worker[i].ns[s];
		if (s != LOOK_AWAY && s != LOOK_UNKNOWN && s != LOOK_RETIRED)
			available += sum[s];
	}
	return available;
}

static void write_workers(const struct look *look, FILE *out)
{
	fprintf(out, "\n%-24s", "worker");
	for (unsigned s = 0; s < LOOK_STATES; s++)
		fprintf(out, " %8s", look_words[s]);
	fprintf(out, " %7s %7s %7s %7s\n", "jobs", "steals", "parks", "lost");
	for (size_t i = 0; i < look->workers; i++) {
		const struct look_worker *w = &look->worker[i];
		char name[64];

		snprintf(name, sizeof name, "%u: %s", w->track->pool, w->track->name);
		fprintf(out, "%-24s", name);
		for (unsigned s = 0; s < LOOK_STATES; s++)
			fprintf(out, " %7.1f%%", percent(w->ns[s], look->trace->ns));
		fprintf(out, " %7llu %7llu %7llu %7llu\n", (unsigned long long)w->track->jobs,
			(unsigned long long)w->track->steals, (unsigned long long)w->track->parks,
			(unsigned long long)w->track->lost);
	}
}

/* The greatest of what keeps workers from work. */
static enum look_state worst(const int64_t sum[LOOK_STATES])
{
	enum look_state most = LOOK_NO_WORK;

	for (unsigned s = LOOK_NO_WORK; s <= LOOK_BARRED; s++)
		if (sum[s] > sum[most])
			most = (enum look_state)s;
	return most;
}

/* Lines, each of which fits a terminal. */
static const char *const idle_says[LOOK_STATES] = {
	[LOOK_NO_WORK] = "There was no work for them. On the way to the end is mostly work that\n"
			 "nobody could share: divide what the critical path is at.\n",
	[LOOK_WAKING] = "They are woken again and again: work comes in small pieces, with pauses.\n"
			"Give larger pieces, or let workers search longer (search_ns).\n",
	[LOOK_WAITING] = "They wait for tasks or jobs of which nothing is left to take: the last\n"
			 "pieces are too large, or jobs wait for each other. Divide what the\n"
			 "critical path is at, or let jobs follow each other (after).\n",
	[LOOK_BARRED] = "They saw work that they may not run on top of what waits on their\n"
			"stacks. Do not wait for jobs inside of others, or widen the scope.\n",
};
static const char outside_says[] =
	"Most of the time nothing runs in the pools, and nothing waits there to run:\n"
	"the program's own threads do not give them work fast enough.\n";
static const char handing_says[] =
	"Handing over takes much of the critical path: pieces are small, or others\n"
	"have the cores when a worker is to run.\n";
static const char busy_says[] =
	"Faster code would help, or less work, or more cores. The scheduler is not\n"
	"in the way.\n";

static void write_verdict(const struct look *look, FILE *out)
{
	int64_t sum[LOOK_STATES], available = sum_states(look, sum);
	int64_t path = look->path[LOOK_STEP_WORK] + look->path[LOOK_STEP_HANDING] +
		       look->path[LOOK_STEP_OUTSIDE],
		outside;
	double busy = percent(sum[LOOK_BUSY], available);
	enum look_state why = worst(sum);

	fprintf(out, "\nWhat limits it\n");
	if (!look->work) {
		fputs("No work is in the trace.\n", out);
		return;
	}
	fprintf(out, "The workers are busy for %.0f%% of their time.\n", busy);
	if (busy >= BUSY_ENOUGH) {
		fputs(busy_says, out);
		return;
	}
	fprintf(out, "Most of the rest is \"%s\", %.0f%%.\n", look_words[why],
		percent(sum[why], available));
	if (percent(look->path[LOOK_STEP_HANDING], path) > 30)
		fputs(handing_says, out);
	outside = look->trace->ns - look->path[LOOK_STEP_WORK] - look->path[LOOK_STEP_HANDING];
	fputs(why == LOOK_NO_WORK && percent(outside, look->trace->ns) > 50 ? outside_says
									    : idle_says[why],
		out);
}

static void write_serial(const struct look *look, FILE *out)
{
	char a[16], b[16];

	if (!look->serial_jobs)
		return;
	fprintf(out,
		"\nThe program itself, run serially: %llu jobs, %llu spawns\n"
		"work %s, span %s, the sums of all jobs\n"
		"parallelism inside jobs %.1f; %.1f with 5 us of burden on each spawn\n"
		"More workers than that are of no use to it, unless jobs run side by side.\n",
		(unsigned long long)look->serial_jobs, (unsigned long long)look->serial_spawns,
		ns_text(a, (int64_t)look->serial_work), ns_text(b, (int64_t)look->serial_span),
		ratio((int64_t)look->serial_work, (int64_t)look->serial_span),
		ratio((int64_t)look->serial_work, (int64_t)look->serial_burdened));
}

void trace_write_stat(const struct look *look, FILE *out)
{
	char a[16], b[16], c[16];
	uint64_t lost = look->trace->lost;

	for (size_t i = 0; i < look->workers; i++)
		lost += look->worker[i].track->lost;
	fprintf(out, "%s, %zu workers\n", ns_text(a, look->trace->ns), look->workers);
	if (lost)
		fprintf(out, "%llu events were lost, the oldest: what follows is of the others\n",
			(unsigned long long)lost);
	if (look->trace->left_out)
		fprintf(out, "%llu pools are not in it, for want of memory\n",
			(unsigned long long)look->trace->left_out);
	fprintf(out,
		"%llu jobs, %llu steals, %llu parks, %llu wakes\n"
		"work %s, span of this run %s, %s with what wakes and steals took\n"
		"parallelism %.1f, burdened %.1f: tasks that nobody has stolen count as serial\n",
		(unsigned long long)look->jobs, (unsigned long long)look->steals,
		(unsigned long long)look->parks, (unsigned long long)look->wakes,
		ns_text(a, look->work), ns_text(b, look->span), ns_text(c, look->burdened),
		ratio(look->work, look->span), ratio(look->work, look->burdened));
	fprintf(out, "critical path: %s work, %s handing over, %s outside of the pools\n",
		ns_text(a, look->path[LOOK_STEP_WORK]), ns_text(b, look->path[LOOK_STEP_HANDING]),
		ns_text(c, look->path[LOOK_STEP_OUTSIDE]));
	write_serial(look, out);
	write_workers(look, out);
	if (!look->serial_jobs) /* else the span above does */
		write_verdict(look, out);
}
