/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example server, driven from outside: it answers what it says it answers; it stays responsive
 * while every worker is occupied and the queue is full; of numbered requests, a tenth of which
 * crash, none is lost and none answered twice, and its memory, threads and descriptors stay where
 * they were; whoever goes away hurts nobody; and a signal under load leaves nothing unanswered.
 *
 * The server's program is the first argument; a second, "plain", says that its workers can neither
 * guard nor cancel (the one on the baseline, which the benchmarks compare). Each case starts its
 * own server.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "client.h"
#include "ledger.h"
#include "test.h"
#include "work.h"

/*
 * A sanitizer keeps freed memory for a while, and the shadow of every stack there ever was: then
 * there is no bound.
 */
#ifdef __SANITIZE_ADDRESS__
#define SLACK_KIB ULONG_MAX
#else
#define SLACK_KIB 2048ul
#endif

/*
 * A machine that stands still for longer than the server waits is no fault of either side: what is
 * late is tested in limits.c.
 */
#define PATIENT \
	"--request-timeout", "3600000", "--idle-timeout", "3600000", "--stop-timeout", "3600000"

static bool plain;

static unsigned entries_of(const char *what)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)server.pid, what);
	d = opendir(path);
	CHECK(d, "%s: %s", path, strerror(errno));
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static unsigned long resident_kib(void)
{
	char path[64];
	unsigned long pages[2];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)server.pid);
	f = fopen(path, "r");
	CHECK(f && fscanf(f, "%lu %lu", &pages[0], &pages[1]) == 2, "%s", path);
	fclose(f);
	return pages[1] * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* The generator's state after @n steps, by squaring: what /compute must answer. */
static uint64_t expected(uint64_t state, uint64_t n)
{
	uint64_t factor = WORK_FACTOR, addend = WORK_ADDEND;

	for (; n; n >>= 1) {
		if (n & 1)
			state = state * factor + addend;
		addend = addend * factor + addend;
		factor *= factor;
	}
	return state >> WORK_SHIFT;
}

/* --- what it answers -------------------------------------------------- */

static void each_path_answers_what_it_says(void)
{
	static const struct {
		const char *path;
		int code;
		const char *holds;
		bool not_plain;
	} cases[] = {
		{ "/", 200, "example", false },
		{ "/compute?n=0&tag=65536", 200, "\"result\":1,", false },
		{ "/compute?n=1000000&tag=7", 200, "\"tag\":7,", false },
		{ "/compute?tag=7&n=10000000000000000000000", 400,
			"{\"error\":\"n must be a number from 0 to 10000000000\"}", false },
		{ "/compute", 400, "n is missing: a number from 0 to 10000000000", false },
		{ "/compute?n=", 400, "n must be a number from 0 to 10000000000", false },
		{ "/compute?n=-1", 400, "n must be a number from 0 to 10000000000", false },
		{ "/compute?n=1x", 400, "n must be a number from 0 to 10000000000", false },
		{ "/compute?n=10000000001", 400, "n must be a number from 0 to 10000000000",
			false },
		{ "/compute?n=1&n=1", 400, "\"n is given twice\"", false },
		{ "/compute?n=1&ms=5", 400, "\"/compute takes no parameter ms\"", false },
		{ "/compute?n=1&colour=red", 400, "\"/compute takes no parameter colour\"", false },
		{ "/compute?%22%0a%5c%01=1", 400, "\"/compute takes no parameter ????\"}", false },
		{ "/compute?n=1&tag=9007199254740993", 400,
			"tag must be a number from 0 to 9007199254740992", false },
		{ "/compute?n", 400, "n must be a number from 0 to 10000000000", false },
		{ "/slow?ms=0", 400, "ms must be a number from 1 to 60000", false },
		{ "/slow?ms=20&tag=3", 504, "\"tag\":3,\"error\":\"deadline\",\"ms\":20", true },
		{ "/crash?tag=9", 500,
			"\"tag\":9,\"error\":\"crashed\",\"signal\":11,\"name\":\"SIGSEGV\","
			"\"address\":\"0x10\"",
			true },
		{ "/stubborn?ms=20&tag=4", 200, "\"tag\":4,", false },
		{ "/crash?n=9", 400, "/crash takes no parameter n", false },
		{ "/stats?format=json", 400, "/stats takes no parameter format", false },
		{ "/stats", 200, "\"pool\":{\"", false },
		{ "/metrics", 200, "\nhttp_server_answers_total{code=\"504\"} 1\n", true },
		{ "/nothing", 404, "no such path", false },
		{ "/compute/?n=1", 404, "no such path", false },
		{ "POST /compute?n=1", 405, "GET only", false },
		{ "DELETE /", 405, "GET only", false },
	};
	char body[16384];

	server_start(PATIENT, "--queue", "16", NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int code = plain && cases[i].not_plain
				   ? 0
				   : client_get(server.port, cases[i].path, body, sizeof body);

		if (!code)
			continue;
		CHECK(code == cases[i].code && strstr(body, cases[i].holds), "%s: %d %s",
			cases[i].path, code, body);
	}
	CHECK_EQ(client_get(server.port, "/compute?n=40000000&tag=5", body, sizeof body), 200);
	CHECK_EQ(client_number(body, "result"), expected(5, 40000000));
	CHECK(client_number(body, "id") > 0, "%s", body);
	CHECK_EQ(server_stop().not_sent, 0);
}

/* --- a full queue ----------------------------------------------------- */

#define FULL_QUEUE 16
#define FULL_N     UINT64_C(50000000) /* some 50 ms on a worker, more on a busy machine */

/* Every idle connection asks for a long computation until one is refused; then for / and /stats. */
static struct {
	uint64_t computed, refused, others; /* answers */
	uint64_t computing;
	bool asked_home, asked_stats;
	uint64_t queued_seen, computing_at_home;
} full;

enum { HOME = 1000000, STATS };

static bool full_next(void *arg, uint64_t *number, char *to, size_t size)
{
	(void)arg;
	if (!full.refused) {
		static uint64_t tag;

		*number = tag++;
		full.computing++;
		snprintf(to, size, "/compute?n=%llu&tag=%llu", (unsigned long long)FULL_N,
			(unsigned long long)*number);
		return true;
	}
	if (!full.asked_home) {
		full.asked_home = true;
		*number = HOME;
		snprintf(to, size, "/");
		return true;
	}
	if (!full.asked_stats) {
		full.asked_stats = true;
		*number = STATS;
		snprintf(to, size, "/stats");
		return true;
	}
	return false;
}

static void full_answered(void *arg, const struct client_answer *a)
{
	(void)arg;
	if (a->number == HOME) {
		CHECK_EQ(a->code, 200);
		full.computing_at_home = full.computing;
	} else if (a->number == STATS) {
		CHECK_EQ(a->code, 200);
		full.queued_seen = client_number(a->body, plain ? "waiting" : "queued");
		CHECK_EQ(client_number(a->body, "waiting") > 0, 1);
	} else if (a->code == 503) {
		CHECK(client_header(a, "Retry-After: 1"), "%s", a->head);
		full.computing--;
		full.refused++;
	} else {
		CHECK(a->code == 200, "%d %s", a->code, a->body);
		CHECK_EQ(client_number(a->body, "tag"), a->number);
		CHECK_EQ(client_number(a->body, "result"), expected(a->number, FULL_N));
		full.computing--;
		full.computed++;
	}
}

static void with_every_worker_occupied_it_still_answers(void)
{
	struct client c = { .connections = 2048, .next = full_next, .answered = full_answered };
	struct farewell f;

	test_watchdog(150);
	server_start(PATIENT, "--queue", "16", NULL);
	/*
	 * the queue, the workers, and some to be refused: a request goes out on every connection at
	 * once
	 */
	c.connections = FULL_QUEUE + (unsigned)server_figure("workers") + 8;
	c.port = server.port;
	client_run(&c);
	f = server_stop();
	printf("    %llu computed, %llu refused; when / was answered %llu were under way, %llu "
	       "of them queued a moment later\n",
		(unsigned long long)full.computed, (unsigned long long)full.refused,
		(unsigned long long)full.computing_at_home, (unsigned long long)full.queued_seen);
	CHECK(full.refused > 0 && full.computed >= FULL_QUEUE, "the queue never filled");
	CHECK(full.computing_at_home > 0, "/ was answered after everything else");
	CHECK_EQ(f.accepted, full.computed);
}

/* --- every answer once ------------------------------------------------ */

#define SMALL_N 500

static struct {
	struct ledger ledger;
	uint64_t next, n, begin, crashed;
} numbered;

static bool numbered_next(void *arg, uint64_t *number, char *to, size_t size)
{
	(void)arg;
	if (numbered.next == numbered.begin + numbered.n)
		return false;
	*number = numbered.next++;
	if (*number % 10 == 3 && !plain)
		snprintf(to, size, "/crash?tag=%llu", (unsigned long long)*number);
	else
		snprintf(to, size, "/compute?n=%llu&tag=%llu",
			(unsigned long long)(SMALL_N + *number % 7), (unsigned long long)*number);
	return true;
}

static void numbered_answered(void *arg, const struct client_answer *a)
{
	uint64_t tag = client_number(a->body, "tag");

	(void)arg;
	CHECK_EQ(tag, a->number);
	if (tag % 10 == 3 && !plain) {
		CHECK(a->code == 500 && client_number(a->body, "signal") == SIGSEGV, "%d %s",
			a->code, a->body);
		numbered.crashed++;
	} else {
		CHECK(a->code == 200, "%d %s", a->code, a->body);
		CHECK_EQ(client_number(a->body, "result"), expected(tag, SMALL_N + tag % 7));
	}
	ledger_enter(&numbered.ledger, tag - numbered.begin);
}

static void ask(uint64_t n)
{
	struct client c = { .port = server.port,
		.connections = 64,
		.next = numbered_next,
		.answered = numbered_answered };

	numbered.begin = numbered.next;
	numbered.n = n;
	ledger_open(&numbered.ledger, n);
	client_run(&c);
	if (c.gone)
		(void)server_end(0); /* by itself: that is told, not what was lost by it */
	CHECK(!c.gone, "nobody listens any more");
	CHECK_EQ(c.unanswered, 0);
	ledger_close(&numbered.ledger);
	CHECK_EQ(c.received, n);
}

static void of_numbered_requests_each_is_answered_once(void)
{
	uint64_t n = test_scaled(100000), warm = 2000 + n / 10;
	unsigned long kib, more_kib;
	unsigned threads, descriptors;
	struct farewell f;

	test_watchdog(150);
	server_start(PATIENT, "--queue", "1024", NULL);
	ask(warm); /* what it keeps, it has then */
	CHECK_EQ(server_figure("waiting"), 0);
	kib = resident_kib();
	threads = entries_of("task");
	ask(n);
	CHECK_EQ(server_figure("waiting"), 0);
	descriptors = entries_of("fd");
	more_kib = resident_kib();
	printf("    %llu requests, %llu crashed; resident %lu KiB, then %lu KiB; %u threads\n",
		(unsigned long long)(warm + n), (unsigned long long)numbered.crashed, kib, more_kib,
		threads);
	CHECK(more_kib < kib || more_kib - kib < SLACK_KIB, "resident %lu KiB, then %lu KiB", kib,
		more_kib);
	CHECK(descriptors < 64 + 24, "%u descriptors", descriptors);
	/* a retired thread may need a moment to be gone: the watchdog is the bound */
	while (entries_of("task") > threads)
		sched_yield();
	f = server_stop();
	CHECK_EQ(f.accepted, warm + n);
	CHECK_EQ(f.not_sent, 0);
	CHECK(plain || numbered.crashed >= (warm + n) / 10 - 2, "%llu crashed",
		(unsigned long long)numbered.crashed);
}

/* --- clients that leave ----------------------------------------------- */

static void clients_that_leave_hurt_nobody(void)
{
	const unsigned gone = 12;
	char body[1024];
	struct farewell f;

	test_watchdog(150);
	server_start(PATIENT, "--queue", "64", NULL);
	for (unsigned i = 0; i < gone; i++)
		client_abandon(
			server.port, i % 2 || plain ? "/compute?n=10000000&tag=1" : "/crash?tag=1");
	while (server_figure("accepted") < gone) /* their requests may still lie in their sockets */
		sched_yield();
	CHECK_EQ(client_get(server.port, "/compute?n=1000&tag=3", body, sizeof body), 200);
	CHECK_EQ(client_number(body, "result"), expected(3, 1000));
	f = server_stop();
	CHECK_EQ(f.accepted, gone + 1);
}

/* --- a signal under load ---------------------------------------------- */

static struct {
	uint64_t next, good, refused, until;
	bool signalled;
} load;

static bool load_next(void *arg, uint64_t *number, char *to, size_t size)
{
	(void)arg;
	*number = load.next++;
	snprintf(to, size, "/compute?n=50000&tag=%llu", (unsigned long long)*number);
	return true;
}

static void load_answered(void *arg, const struct client_answer *a)
{
	(void)arg;
	if (a->code == 200) {
		CHECK_EQ(client_number(a->body, "tag"), a->number);
		CHECK_EQ(client_number(a->body, "result"), expected(a->number, 50000));
		load.good++;
	} else {
		CHECK(a->code == 503 && load.signalled, "%d %s", a->code, a->body);
		load.refused++;
	}
	if (!load.signalled && load.good >= load.until) {
		CHECK_EQ(kill(server.pid, SIGTERM), 0);
		load.signalled = true;
	}
}

static void a_signal_under_load_leaves_nothing_unanswered(void)
{
	uint64_t rounds = test_scaled(10), good = 0, unanswered = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		struct client c = {
			.connections = 64, .next = load_next, .answered = load_answered
		};
		struct farewell f;

		test_watchdog(150);
		memset(&load, 0, sizeof load);
		load.until = 500 + 37 * i;
		server_start(PATIENT, "--queue", "1024", NULL);
		c.port = server.port;
		client_run(&c);
		CHECK(c.gone, "it still listens");
		f = server_end(0);
		CHECK_EQ(f.accepted, load.good);
		CHECK_EQ(f.not_sent, 0);
		good += load.good;
		unanswered += c.unanswered + load.refused;
	}
	printf("    %llu stops: %llu accepted and answered, %llu sent too late and refused\n",
		(unsigned long long)rounds, (unsigned long long)good,
		(unsigned long long)unanswered);
}

static void a_second_signal_cancels_what_is_queued(void)
{
	struct farewell f;

	test_watchdog(150);
	server_start(PATIENT, "--queue", "64", NULL);
	for (unsigned i = 0; i < 8; i++)
		client_abandon(server.port, "/slow?ms=60000");
	while (server_figure("accepted") < 8)
		sched_yield();
	CHECK_EQ(kill(server.pid, SIGTERM), 0);
	/* two signals at once are one: the second goes when the first was seen */
	while (client_connects(server.port))
		sched_yield();
	CHECK_EQ(kill(server.pid, SIGTERM), 0);
	f = server_end(0);
	CHECK_EQ(f.accepted, 8);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2 || (argc == 3 && !strcmp(argv[2], "plain")), "usage: %s SERVER [plain]",
		argv[0]);
	server.program = argv[1];
	plain = argc == 3;
	test_watchdog(150);
	test_case("each path answers what it says", each_path_answers_what_it_says);
	test_case("with every worker occupied it still answers",
		with_every_worker_occupied_it_still_answers);
	test_case("of numbered requests each is answered once",
		of_numbered_requests_each_is_answered_once);
	test_case("clients that leave hurt nobody", clients_that_leave_hurt_nobody);
	test_case("a signal under load leaves nothing unanswered",
		a_signal_under_load_leaves_nothing_unanswered);
	if (!plain)
		test_case("a second signal cancels what is queued",
			a_second_signal_cancels_what_is_queued);
	return test_finish("server");
}
