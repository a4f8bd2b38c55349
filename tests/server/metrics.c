/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics of the example server: its text is what Prometheus reads, with names as it wants them,
 * and its numbers are those of what was done.
 *
 * The checker here knows the format (version 0.0.4) and the rules of `promtool check metrics` that
 * concern names; it is shown to find each fault it looks for. With a second argument the driver
 * asks promtool itself, and is skipped where there is none.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "client.h"
#include "raw.h"
#include "test.h"

#define NAME_MAX_SIZE 128
#define SAMPLES_MAX   1024

enum type { NONE, COUNTER, GAUGE, HISTOGRAM };

struct sample {
	char name[NAME_MAX_SIZE], labels[NAME_MAX_SIZE]; /* labels without their braces */
	double value;
};

static struct checker {
	char metric[NAME_MAX_SIZE]; /* of the last HELP */
	enum type type;             /* NONE: its TYPE has not come */
	char seen[SAMPLES_MAX][NAME_MAX_SIZE];
	struct sample sample[SAMPLES_MAX];
	size_t metrics, samples, begun; /* begun: samples before this metric's */
} checker;

/* --- names ------------------------------------------------------------ */

static bool ends_in(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);

	return a >= b && !strcmp(text + a - b, end);
}

static bool good_name(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz_";

	return *name && strchr(first, *name) &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")];
}

/* Units that are not base units, and abbreviations of those that are. */
static bool wrong_unit(const char *name)
{
	static const char *const words[] = { "s", "sec", "ms", "us", "ns", "milliseconds",
		"microseconds", "nanoseconds", "minutes", "hours", "days", "b", "kb", "mb", "gb",
		"kib", "mib", "gib", "kilobytes", "megabytes", "gigabytes", "bits", "percent" };
	char copy[NAME_MAX_SIZE], *word, *rest = copy;

	snprintf(copy, sizeof copy, "%s", name);
	while ((word = strsep(&rest, "_")))
		for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
			if (!strcmp(word, words[i]))
				return true;
	return false;
}

/* What is wrong with a name for this type, or NULL. */
static const char *name_fault(const char *name, enum type type)
{
	if (!good_name(name))
		return "a malformed name";
	if (wrong_unit(name))
		return "not a base unit";
	if ((type == COUNTER) != ends_in(name, "_total"))
		return "_total is for counters";
	if (ends_in(name, "_count") || ends_in(name, "_sum") || ends_in(name, "_bucket"))
		return "a histogram's suffix";
	if (type == HISTOGRAM && !ends_in(name, "_seconds") && !ends_in(name, "_bytes"))
		return "a histogram without its unit";
	return NULL;
}

/* --- lines ------------------------------------------------------------ */

static const char *histogram_fault(void)
{
	/* each series of buckets is together, and _sum and _count with the same labels follow */
	for (size_t i = checker.begun; i < checker.samples;) {
		double last = -1, count = -1, bound = -1;
		struct sample *s = &checker.sample[i];

		for (; i < checker.samples && ends_in(s->name, "_bucket");
			s = &checker.sample[++i]) {
			const char *le = strstr(s->labels, "le=\"");
			double to;

			if (!le)
				return "a bucket without its bound";
			to = strtod(le + 4, NULL); /* "+Inf" too */
			if (to <= bound || s->value < last)
				return "buckets are not in order";
			bound = to;
			last = s->value;
		}
		if (!isinf(bound))
			return "no bucket of everything";
		if (i + 2 > checker.samples || !ends_in(s->name, "_sum") || s->value < 0 ||
			!ends_in(s[1].name, "_count") || strcmp(s->labels, s[1].labels))
			return "no sum and count";
		count = s[1].value;
		if (count > last || count < last)
			return "the count is not that of the buckets";
		i += 2;
	}
	return NULL;
}

static const char *metric_end(void)
{
	if (!checker.metric[0])
		return NULL;
	if (checker.type == NONE)
		return "a HELP without a TYPE";
	return checker.type == HISTOGRAM ? histogram_fault() : NULL;
}

static const char *take_help(const char *line)
{
	const char *fault = metric_end();
	int used = 0;

	if (fault)
		return fault;
	if (sscanf(line, "# HELP %127s %n", checker.metric, &used) != 1 || !line[used])
		return "a HELP without words";
	for (size_t i = 0; i < checker.metrics; i++)
		if (!strcmp(checker.seen[i], checker.metric))
			return "a metric in two places";
	memcpy(checker.seen[checker.metrics++], checker.metric, NAME_MAX_SIZE);
	checker.type = NONE;
	checker.begun = checker.samples;
	return NULL;
}

static const char *take_type(const char *line)
{
	char name[NAME_MAX_SIZE], type[32], more;

	if (sscanf(line, "# TYPE %127s %31s %c", name, type, &more) != 2)
		return "a malformed TYPE";
	if (strcmp(name, checker.metric))
		return "a TYPE of something else";
	if (checker.type != NONE)
		return "two TYPEs";
	checker.type = !strcmp(type, "counter")     ? COUNTER
		       : !strcmp(type, "gauge")     ? GAUGE
		       : !strcmp(type, "histogram") ? HISTOGRAM
						    : NONE;
	return checker.type == NONE ? "an unknown type" : name_fault(name, checker.type);
}

/* name{label="value",label="value"} */
static const char *take_labels(const char **at, char *labels)
{
	const char *begin = ++*at;

	while (**at != '}') {
		char name[NAME_MAX_SIZE];
		int used = 0;

		if (sscanf(*at, "%127[a-z_0-9]=\"%n", name, &used) != 1 || !used ||
			!good_name(name))
			return "a malformed label";
		*at += used;
		*at += strcspn(*at, "\"\\\n");
		if (**at != '"')
			return "a malformed label value";
		(*at)++;
		if (**at == ',')
			(*at)++;
		else if (**at != '}')
			return "malformed labels";
	}
	if (*at - begin >= NAME_MAX_SIZE)
		return "many labels";
	snprintf(labels, NAME_MAX_SIZE, "%.*s", (int)(*at - begin), begin);
	(*at)++;
	return NULL;
}

static bool belongs(const char *name)
{
	size_t n = strlen(checker.metric);

	if (strncmp(name, checker.metric, n) || checker.type == NONE)
		return false;
	name += n;
	return checker.type == HISTOGRAM ? !strcmp(name, "_bucket") || !strcmp(name, "_sum") ||
						   !strcmp(name, "_count")
					 : !*name;
}

static const char *take_sample(const char *line)
{
	struct sample *s = &checker.sample[checker.samples];
	const char *fault, *at = line + strcspn(line, "{ ");
	char *end;

	if (checker.samples + 1 == SAMPLES_MAX)
		return "too many samples";
	memset(s, 0, sizeof *s);
	snprintf(s->name, sizeof s->name, "%.*s", (int)(at - line), line);
	if (!belongs(s->name))
		return "a sample of no metric";
	if (*at == '{' && (fault = take_labels(&at, s->labels)))
		return fault;
	if (*at != ' ')
		return "a sample without a value";
	s->value = strtod(at + 1, &end);
	if (end == at + 1 || *end)
		return "a malformed value";
	if (checker.type != GAUGE && !(s->value >= 0))
		return "less than nothing";
	for (size_t i = checker.begun; i < checker.samples; i++)
		if (!strcmp(checker.sample[i].name, s->name) &&
			!strcmp(checker.sample[i].labels, s->labels))
			return "the same sample twice";
	checker.samples++;
	return NULL;
}

/* What is wrong with a whole text, or NULL; @line: where. */
static const char *text_fault(const char *text, char *line, size_t size)
{
	memset(&checker, 0, sizeof checker);
	*line = '\0';
	while (*text) {
		size_t n = strcspn(text, "\n");
		const char *fault;

		if (!text[n])
			return "the last line has no end";
		snprintf(line, size, "%.*s", (int)n, text);
		fault = !strncmp(line, "# HELP ", 7)   ? take_help(line)
			: !strncmp(line, "# TYPE ", 7) ? take_type(line)
						       : take_sample(line);
		if (fault)
			return fault;
		text += n + 1;
	}
	return checker.metrics ? metric_end() : "nothing";
}

/* --- the checker finds ------------------------------------------------ */

#define HEAD(name, type) "# HELP " name " words\n# TYPE " name " " type "\n"

static void the_checker_finds_each_fault(void)
{
	static const struct {
		const char *text, *fault; /* NULL: it is good */
	} cases[] = {
		{ HEAD("a_total", "counter") "a_total 1\n" HEAD("x", "gauge") "x{c=\"d\"} -1.5\n",
			NULL },
		{ HEAD("a_seconds",
			  "histogram") "a_seconds_bucket{le=\"0.1\"} 1\n"
				       "a_seconds_bucket{le=\"+Inf\"} 2\na_seconds_sum 1\n"
				       "a_seconds_count 2\n",
			NULL },
		{ "", "nothing" },
		{ HEAD("a", "gauge") "a 1", "the last line has no end" },
		{ "a 1\n", "a sample of no metric" },
		{ "# HELP a words\na 1\n", "a sample of no metric" },
		{ "# HELP a words\n" HEAD("x", "gauge"), "a HELP without a TYPE" },
		{ "# HELP a\n", "a HELP without words" },
		{ "# HELP a words\n# TYPE b gauge\n", "a TYPE of something else" },
		{ "# HELP a words\n# TYPE a summery\n", "an unknown type" },
		{ HEAD("a", "gauge") "# TYPE a gauge\n", "two TYPEs" },
		{ HEAD("a", "gauge") "b 1\n", "a sample of no metric" },
		{ HEAD("a", "gauge") "a 1\n" HEAD("x", "gauge") HEAD("a", "gauge"),
			"a metric in two places" },
		{ HEAD("a", "counter"), "_total is for counters" },
		{ HEAD("a_total", "gauge"), "_total is for counters" },
		{ HEAD("aB", "gauge"), "a malformed name" },
		{ HEAD("a-b", "gauge"), "a malformed name" },
		{ HEAD("a_ns", "gauge"), "not a base unit" },
		{ HEAD("a_milliseconds_total", "counter"), "not a base unit" },
		{ HEAD("a_kib", "gauge"), "not a base unit" },
		{ HEAD("a_count", "gauge"), "a histogram's suffix" },
		{ HEAD("a", "histogram"), "a histogram without its unit" },
		{ HEAD("a", "gauge") "a\n", "a sample without a value" },
		{ HEAD("a", "gauge") "a x\n", "a malformed value" },
		{ HEAD("a", "gauge") "a 1 x\n", "a malformed value" },
		{ HEAD("a", "gauge") "a 1\na 2\n", "the same sample twice" },
		{ HEAD("a", "gauge") "a{b=1} 2\n", "a malformed label" },
		{ HEAD("a", "gauge") "a{b=\"1} 2\n", "a malformed label value" },
		{ HEAD("a", "gauge") "a{b=\"1\"c=\"2\"} 2\n", "malformed labels" },
		{ HEAD("a_total", "counter") "a_total -1\n", "less than nothing" },
		{ HEAD("a_seconds", "histogram") "a_seconds 1\n", "a sample of no metric" },
		{ HEAD("a_seconds", "histogram") "a_seconds_bucket 1\n",
			"a bucket without its bound" },
		{ HEAD("a_seconds", "histogram") "a_seconds_bucket{le=\"1\"} 2\n"
						 "a_seconds_bucket{le=\"+Inf\"} 1\n",
			"buckets are not in order" },
		{ HEAD("a_seconds", "histogram") "a_seconds_bucket{le=\"1\"} 2\n",
			"no bucket of everything" },
		{ HEAD("a_seconds", "histogram") "a_seconds_bucket{le=\"+Inf\"} 2\n",
			"no sum and count" },
		{ HEAD("a_seconds", "histogram") "a_seconds_bucket{le=\"+Inf\"} 2\n"
						 "a_seconds_sum 1\na_seconds_count 3\n",
			"the count is not that of the buckets" },
	};
	char line[1024];
	size_t n = sizeof cases / sizeof cases[0];

	for (size_t i = 0; i < n; i++) {
		const char *fault = text_fault(cases[i].text, line, sizeof line);

		CHECK(fault == cases[i].fault ||
				(fault && cases[i].fault && !strcmp(fault, cases[i].fault)),
			"\"%s\", not \"%s\", of: %s", fault ? fault : "good",
			cases[i].fault ? cases[i].fault : "good", cases[i].text);
	}
	printf("    %zu texts\n", n);
}

/* --- the server's ----------------------------------------------------- */

static struct raw_answer scraped;

static void scrape(void)
{
	int fd = raw_connect("127.0.0.1", 0);
	char line[1024];
	const char *fault;

	CHECK(raw_text(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
		"closed");
	raw_answer(fd, &scraped);
	CHECK(raw_ended(fd), "it goes on");
	CHECK_EQ(scraped.code, 200);
	CHECK(strcasestr(scraped.head,
		      "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
		"%s", scraped.head);
	fault = text_fault(scraped.body, line, sizeof line);
	CHECK(!fault, "%s: %s", fault, line);
}

static double value(const char *name, const char *labels)
{
	for (size_t i = 0; i < checker.samples; i++)
		if (!strcmp(checker.sample[i].name, name) &&
			!strcmp(checker.sample[i].labels, labels))
			return checker.sample[i].value;
	CHECK(false, "there is no %s{%s}", name, labels);
	return 0;
}

#define CHECK_VALUE(name, labels, expected)                                                \
	CHECK(fabs(value(name, labels) - (expected)) < 1e-9, "%s{%s} is %g", name, labels, \
		value(name, labels))

/* Some of everything that has an answer of its own. */
static void do_work(void)
{
	static const struct {
		const char *path;
		int code;
	} asked[] = {
		{ "/", 200 },
		{ "/", 200 },
		{ "/compute?n=1000", 200 },
		{ "/compute?n=1000", 200 },
		{ "/compute?n=1000", 200 },
		{ "/compute", 400 },
		{ "/crash", 500 },
		{ "/slow?ms=20", 504 },
		{ "/stubborn?ms=20", 200 },
		{ "/nothing", 404 },
		{ "POST /", 405 },
	};

	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
		CHECK_EQ(client_get(server.port, asked[i].path, NULL, 0), asked[i].code);
}

static void its_numbers_are_those_of_what_was_done(void)
{
	server_start("--queue", "16", NULL);
	do_work();
	scrape();
	printf("    %zu metrics, %zu samples\n", checker.metrics, checker.samples);
	CHECK_VALUE("http_server_requests_total", "", 12);
	CHECK_VALUE("http_server_open_requests", "", 1);
	/* one each; 405 closed one, and client_get() had made the next before it saw its end */
	CHECK_VALUE("http_server_connections_total", "", 13);
	CHECK_VALUE("http_server_accepted_jobs_total", "", 6);
	CHECK_VALUE("http_server_answered_jobs_total", "", 6);
	CHECK_VALUE("http_server_answers_total", "code=\"200\"", 6);
	CHECK_VALUE("http_server_answers_total", "code=\"504\"", 1);
	CHECK_VALUE("http_server_answer_seconds_count", "path=\"/compute\"", 4);
	CHECK_VALUE("http_server_answer_seconds_count", "path=\"/\"", 3);
	CHECK_VALUE("http_server_answer_seconds_count", "path=\"other\"", 1);
	CHECK_VALUE("http_server_job_run_seconds_count", "", 6);
	CHECK_VALUE("http_server_job_queue_seconds_count", "", 6);
	CHECK_VALUE("filch_jobs_total", "", 6);
	CHECK_VALUE("filch_lane_accepted_jobs_total", "lane=\"normal\"", 6);
	CHECK_VALUE("filch_lane_accepted_jobs_total", "lane=\"urgent\"", 0);
	/*
	 * In seconds: one piece of work took 20 ms at least, and nothing took an hour. The other
	 * one ends when its request is 20 ms old, so it is as much shorter as it was late to start.
	 */
	CHECK(value("http_server_job_run_seconds_sum", "") >= 0.02 &&
			value("http_server_job_run_seconds_sum", "") < 3600,
		"%g s", value("http_server_job_run_seconds_sum", ""));
	CHECK_VALUE("http_server_answer_seconds_bucket", "path=\"/stubborn\",le=\"0.01\"", 0);
	CHECK_VALUE("http_server_answer_seconds_bucket", "path=\"/stubborn\",le=\"+Inf\"", 1);
	CHECK(value("process_resident_memory_bytes", "") > 1e6, "%g bytes",
		value("process_resident_memory_bytes", ""));
	CHECK(value("process_start_time_seconds", "") > 1.6e9, "%g s",
		value("process_start_time_seconds", ""));
	(void)server_stop();
}

static void a_counter_never_falls(void)
{
	static struct checker before;
	size_t compared = 0;

	server_start("--queue", "16", NULL);
	do_work();
	scrape();
	for (unsigned i = 0; i < 5; i++) {
		before = checker;
		do_work();
		scrape();
		CHECK(checker.samples >= before.samples, "a sample has gone");
		for (size_t j = 0; j < before.samples; j++) {
			const struct sample *s = &before.sample[j];

			if (!ends_in(s->name, "_total") && !ends_in(s->name, "_bucket") &&
				!ends_in(s->name, "_sum") && !ends_in(s->name, "_count"))
				continue;
			CHECK(value(s->name, s->labels) >= s->value, "%s{%s} fell from %g to %g",
				s->name, s->labels, s->value, value(s->name, s->labels));
			compared++;
		}
	}
	(void)server_stop();
	printf("    %zu comparisons\n", compared);
}

/* --- promtool --------------------------------------------------------- */

/* `promtool check metrics` with this text as its input; returns its status. */
static int promtool(const char *text)
{
	char *const argv[] = { (char *)(uintptr_t) "promtool", (char *)(uintptr_t) "check",
		(char *)(uintptr_t) "metrics", NULL };
	FILE *in = tmpfile();
	int status;
	pid_t pid;

	CHECK(in && fputs(text, in) >= 0 && !fflush(in), "tmpfile: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		lseek(fileno(in), 0, SEEK_SET);
		dup2(fileno(in), STDIN_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	fclose(in);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status), "wait status 0x%x", (unsigned)status);
	return WEXITSTATUS(status);
}

static void promtool_finds_nothing(void)
{
	if (promtool("") == 127)
		test_skip("no promtool (apt-get install prometheus)");
	CHECK(promtool(HEAD("a_ns", "counter") "a_ns 1\n") != 0, "it finds nothing ever");
	server_start("--queue", "16", NULL);
	do_work();
	scrape();
	CHECK_EQ(promtool(scraped.body), 0);
	(void)server_stop();
}

int main(int argc, char **argv)
{
	CHECK(argc == 2 || (argc == 3 && !strcmp(argv[2], "promtool")),
		"usage: %s SERVER [promtool]", argv[0]);
	server.program = argv[1];
	test_watchdog(60);
	if (argc == 3) {
		test_case("promtool finds nothing", promtool_finds_nothing);
		return test_finish("promtool");
	}
	test_case("the checker finds each fault", the_checker_finds_each_fault);
	test_case("its numbers are those of what was done", its_numbers_are_those_of_what_was_done);
	test_case("a counter never falls", a_counter_never_falls);
	return test_finish("metrics");
}
