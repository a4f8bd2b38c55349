/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the example server takes from its clients and what not: bodies of requests; clients that
 * send or read so slowly that another would have waited for ever; more connections than one client
 * may have; and signals while work runs that would take longer than the server has.
 *
 * A slow client here never pauses for long, so only a limit on the whole ends its connection. That
 * it ends is the test; the watchdog is the bound. That it does not end too early is measured from
 * before the connect, so a slow machine cannot make it wrong.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "client.h"
#include "raw.h"
#include "test.h"

#define MS         UINT64_C(1000000)
#define BODY_MAX   65536
#define LONG_N     "10000000000" /* many seconds of /compute */
#define SHORT_WAIT "300"         /* --request-timeout, where a test waits for it */
#define SHORT_MS   300

static struct raw_answer answer;

/* --- bodies ----------------------------------------------------------- */

static const struct body_case {
	const char *path;
	const char *holds; /* the answer */
} body_cases[] = {
	{ "/", "example" },
	{ "/compute?n=1000&tag=7", "\"tag\":7,\"n\":1000,\"result\":" },
	{ "/stats", "\"pool\":{" },
	{ "/metrics", "# TYPE " },
	{ "/slow?ms=1", "\"deadline\"" },
	{ "/crash", "\"crashed\"" },
};

/* How a body is sent: with a length or in chunks, and in how many pieces. */
static void send_body(int fd, const char *path, size_t size, bool chunked, size_t pieces)
{
	char text[256], *body = malloc(size + 1);

	CHECK(body && pieces, "no memory");
	memset(body, 'b', size + 1);
	if (chunked)
		snprintf(text, sizeof text,
			"GET %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", path);
	else
		snprintf(text, sizeof text,
			"GET %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", path, size);
	CHECK(raw_text(fd, text), "%s: closed after its header", path);
	for (size_t i = 0; i < pieces; i++) {
		size_t piece = size / pieces + (i ? 0 : size % pieces);

		snprintf(text, sizeof text, "%zx\r\n", piece);
		CHECK((!chunked || raw_text(fd, text)) && raw_send(fd, body, piece) &&
				(!chunked || raw_text(fd, "\r\n")),
			"%s: closed in its body", path);
	}
	CHECK(!chunked || raw_text(fd, "0\r\n\r\n"), "%s: closed at its body's end", path);
	free(body);
}

static void a_request_with_a_body_is_answered(void)
{
	static const size_t sizes[] = { 1, 5, 4096, 40000, BODY_MAX };
	uint64_t bytes = 0, requests = 0;
	int fd;

	server_start("--queue", "16", NULL);
	fd = raw_connect("127.0.0.1", 0); /* one for all: what is not read ends up in the next */
	for (size_t i = 0; i < sizeof body_cases / sizeof body_cases[0]; i++)
		for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++)
			for (unsigned way = 0; way < 4; way++) {
				size_t pieces = way & 2 && sizes[j] > 16 ? 16 : 1;

				send_body(fd, body_cases[i].path, sizes[j], way & 1, pieces);
				raw_answer(fd, &answer);
				CHECK(answer.code && strstr(answer.body, body_cases[i].holds),
					"%s with %zu bytes: %d %s", body_cases[i].path, sizes[j],
					answer.code, answer.body);
				bytes += sizes[j];
				requests++;
			}
	close(fd);
	CHECK_EQ(server_figure("body_bytes"), bytes);
	CHECK_EQ(server_stop().requests, requests + 1);
	printf("    %llu requests on one connection, %llu bytes of bodies\n",
		(unsigned long long)requests, (unsigned long long)bytes);
}

static void a_client_that_asks_before_its_body_is_told(void)
{
	int fd;

	server_start("--queue", "64", NULL);
	fd = raw_connect("127.0.0.1", 0);
	CHECK(raw_text(fd, "GET /compute?n=5 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
			   "Expect: 100-continue\r\n\r\n"),
		"closed");
	raw_answer(fd, &answer);
	CHECK_EQ(answer.code, 100);
	CHECK(raw_text(fd, "abc"), "closed");
	raw_answer(fd, &answer);
	CHECK_EQ(answer.code, 200);
	close(fd);
	(void)server_stop();
}

/* @text, then @size bytes; the answer must have @code, and the connection must end. */
static void refused(const char *text, size_t size, int code)
{
	static const char bytes[1024];
	int fd = raw_connect("127.0.0.1", 0);

	CHECK(raw_text(fd, text), "closed after the header");
	while (size) { /* it may be closed at any time */
		size_t n = size < sizeof bytes ? size : sizeof bytes;

		if (!raw_send(fd, bytes, n))
			break;
		size -= n;
	}
	raw_answer(fd, &answer);
	CHECK_EQ(answer.code, code);
	CHECK(raw_ended(fd), "it goes on after %d", code);
}

static void a_body_that_is_too_long_is_refused(void)
{
	server_start("--queue", "64", NULL);
	refused("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 0, 413);
	refused("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n", 100,
		413);
	refused("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n",
		BODY_MAX + 1, 413);
	refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 5, 405);
	CHECK_EQ(client_get(server.port, "/", NULL, 0), 200);
	CHECK_EQ(server_figure("accepted"), 0);
	(void)server_stop();
}

/* --- slow clients ----------------------------------------------------- */

/* Sends a byte now and then, until the server says something or has closed the connection. */
static void drip(int fd)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int n;

		if (!raw_send(fd, "a", 1))
			return;
		n = poll(&p, 1, 5);
		CHECK(n >= 0 || errno == EINTR, "poll: %s", strerror(errno));
		if (n > 0)
			return;
	}
}

static void check_waited(uint64_t since, uint64_t ms)
{
	uint64_t ns = test_now() - since;

	CHECK(ns >= ms * MS, "closed after %llu ms, before its %llu ms",
		(unsigned long long)(ns / MS), (unsigned long long)ms);
}

static void a_slow_header_has_an_end(void)
{
	uint64_t began;
	int fd, silent;

	server_start("--request-timeout", SHORT_WAIT, NULL);
	began = test_now();
	silent = raw_connect("127.0.0.1", 0);
	fd = raw_connect("127.0.0.1", 0);
	CHECK(raw_text(fd, "GET / HTTP/1.1\r\nX: "), "closed");
	CHECK_EQ(client_get(server.port, "/", NULL, 0), 200); /* others are served */
	drip(fd);
	CHECK(raw_ended(fd), "half a header was answered");
	check_waited(began, SHORT_MS);
	CHECK(raw_ended(silent), "no header was answered");
	CHECK_EQ(server_figure("request"), 2);
	CHECK_EQ(server_stop().requests, 2);
}

static void a_slow_body_has_an_end(void)
{
	uint64_t began;
	int fd;

	server_start("--request-timeout", SHORT_WAIT, NULL);
	began = test_now();
	fd = raw_connect("127.0.0.1", 0);
	CHECK(raw_text(fd, "GET /compute?n=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"),
		"closed");
	drip(fd);
	raw_answer(fd, &answer);
	CHECK_EQ(answer.code, 408);
	CHECK(raw_ended(fd), "it goes on after 408");
	check_waited(began, SHORT_MS);
	CHECK_EQ(server_figure("request"), 1);
	CHECK_EQ(server_figure("408"), 1);
	CHECK_EQ(server_figure("open"), 1); /* the one that asks */
	CHECK_EQ(server_stop().accepted, 0);
}

/* However long the connection may be idle: once its header is there the request's time begins. */
static void a_slow_body_of_a_later_request_has_an_end(void)
{
	int fd;

	server_start("--request-timeout", SHORT_WAIT, "--idle-timeout", "3600000", NULL);
	fd = raw_connect("127.0.0.1", 0);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(raw_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "closed");
		raw_answer(fd, &answer);
		CHECK_EQ(answer.code, 200);
	}
	CHECK(raw_text(fd, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"), "closed");
	drip(fd);
	raw_answer(fd, &answer);
	CHECK_EQ(answer.code, 408);
	CHECK(raw_ended(fd), "it goes on after 408");
	(void)server_stop();
}

/* A client that waits for its answer is not slow. */
static void while_work_is_under_way_no_client_is_late(void)
{
	uint64_t began;
	int fd;

	server_start("--request-timeout", SHORT_WAIT, NULL);
	fd = raw_connect("127.0.0.1", 0);
	began = test_now();
	CHECK(raw_text(fd, "GET /stubborn?ms=900 HTTP/1.1\r\nHost: x\r\n\r\n"), "closed");
	raw_answer(fd, &answer);
	CHECK_EQ(answer.code, 200);
	check_waited(began, 900);
	close(fd);
	(void)server_stop();
}

/* After a good request, with and without the beginning of another. */
static void a_slow_next_header_has_an_end(void)
{
	uint64_t began;
	int fd, silent;

	server_start("--request-timeout", SHORT_WAIT, "--idle-timeout", "200", NULL);
	began = test_now();
	fd = raw_connect("127.0.0.1", 0);
	silent = raw_connect("127.0.0.1", 0);
	CHECK(raw_text(silent, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "closed");
	CHECK(raw_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX: "), "closed");
	raw_answer(fd, &answer);
	CHECK_EQ(answer.code, 200);
	raw_answer(silent, &answer);
	CHECK_EQ(answer.code, 200);
	drip(fd);
	CHECK(raw_ended(fd), "half a header was answered");
	check_waited(began, SHORT_MS + 200);
	CHECK(raw_ended(silent), "no header was answered");
	(void)server_stop();
}

/*
 * Asks for answers that it does not read, until the server has no room for one, or has given it up.
 * One by one: so nothing lies unread at the server, which would make the kernel reset the
 * connection in any case.
 */
static int ask_until_stuck(void)
{
	int fd = raw_connect("127.0.0.1", 2048);
	unsigned calm = 0;

	while (calm < 20 && !server_figure("answer")) {
		/* besides the one that asks; its loop turns for each, and would go on with ours */
		bool stuck = server_figure("open") == 2;

		calm = stuck ? calm + 1 : 0;
		if (!stuck)
			CHECK(raw_text(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") ||
					server_figure("answer"),
				"closed");
	}
	return fd;
}

static void an_answer_that_is_read_slowly_has_an_end(void)
{
	uint64_t began, read = 0;
	char some[4096];
	bool reset = false;
	int fd;

	server_start("--request-timeout", SHORT_WAIT, NULL);
	began = test_now();
	fd = ask_until_stuck();
	while (!server_figure("answer")) { /* a byte at a time: it is never idle */
		ssize_t n = recv(fd, some, 1, MSG_DONTWAIT);

		CHECK(n != 0 || server_figure("answer"), "closed before it was late");
		reset |= n < 0 && errno == ECONNRESET; /* it is told once */
		read += n > 0;
		poll(NULL, 0, 5);
	}
	check_waited(began, SHORT_MS);
	while (!reset) {
		ssize_t n = recv(fd, some, sizeof some, 0);

		reset = n < 0 && errno == ECONNRESET;
		CHECK(n > 0 || reset, "the rest was sent");
		read += n > 0 ? (uint64_t)n : 0;
	}
	close(fd);
	CHECK_EQ(server_figure("answer"), 1);
	while (server_figure("connections") > 1) /* its own is the one */
		sched_yield();
	CHECK_EQ(server_figure("open"), 1);
	(void)server_stop();
	printf("    %llu bytes had been read when the server gave it up\n",
		(unsigned long long)read);
}

/* --- connections of one client ---------------------------------------- */

static int ask(int fd)
{
	if (!raw_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		return 0;
	raw_answer(fd, &answer);
	return answer.code;
}

static void one_client_leaves_room_for_others(void)
{
	int first[3], fd;

	server_start("--per-client", "3", NULL);
	for (unsigned i = 0; i < 3; i++) {
		first[i] = raw_connect("127.0.0.1", 0);
		CHECK_EQ(ask(first[i]), 200);
	}
	for (unsigned i = 0; i < 20; i++) {
		fd = raw_connect("127.0.0.1", 0);
		CHECK_EQ(ask(fd), 0);
		close(fd);
	}
	for (unsigned i = 0; i < 3; i++) {
		fd = raw_connect("127.0.0.2", 0);
		CHECK_EQ(ask(fd), 200);
		CHECK_EQ(ask(first[i]), 200);
		close(fd);
	}
	close(first[0]);
	do { /* it has not seen that at once */
		fd = raw_connect("127.0.0.1", 0);
		first[0] = ask(fd);
		CHECK(first[0] == 200 || first[0] == 0, "%d", first[0]);
		close(fd);
	} while (first[0] != 200);
	close(first[1]);
	close(first[2]);
	CHECK_EQ(server_stop().requests, 10);
}

static void without_a_limit_one_client_has_as_many_as_it_likes(void)
{
	static int fds[400];

	server_start("--per-client", "0", NULL);
	for (unsigned i = 0; i < 400; i++) {
		fds[i] = raw_connect("127.0.0.1", 0);
		CHECK_EQ(ask(fds[i]), 200);
	}
	for (unsigned i = 0; i < 400; i++)
		close(fds[i]);
	(void)server_stop();
}

/* --- a stop has a bound ----------------------------------------------- */

#define ASKED 6

/* Requests that take longer than the test; all are accepted on return. */
static void ask_for_long_work(int *fds, const char *path)
{
	char text[128];

	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	for (unsigned i = 0; i < ASKED; i++) {
		fds[i] = raw_connect("127.0.0.1", 0);
		CHECK(raw_text(fds[i], text), "closed");
	}
	while (server_figure("accepted") < ASKED)
		sched_yield();
}

static void check_cancelled(const int *fds)
{
	for (unsigned i = 0; i < ASKED; i++) {
		raw_answer(fds[i], &answer);
		CHECK(answer.code == 503 && strstr(answer.body, "the server stops"), "%d %s",
			answer.code, answer.body);
		CHECK(raw_ended(fds[i]), "it goes on after a stop");
	}
}

static void work_that_takes_too_long_for_a_stop_is_cancelled(void)
{
	struct farewell f;
	uint64_t began;
	int fds[ASKED];

	server_start("--queue", "16", "--stop-timeout", "200", NULL);
	ask_for_long_work(fds, "/compute?n=" LONG_N);
	began = test_now();
	CHECK_EQ(kill(server.pid, SIGTERM), 0);
	check_cancelled(fds);
	check_waited(began, 200);
	f = server_end(EXIT_CUT_SHORT);
	CHECK_EQ(f.accepted, ASKED);
	CHECK_EQ(f.answered, ASKED);
}

static void a_second_signal_cancels_at_once_and_is_no_error(void)
{
	int fds[ASKED];

	server_start("--queue", "16", "--stop-timeout", "3600000", NULL);
	ask_for_long_work(fds, "/compute?n=" LONG_N);
	CHECK_EQ(kill(server.pid, SIGTERM), 0);
	while (client_connects(server.port)) /* until the first was seen: two at once are one */
		sched_yield();
	CHECK_EQ(kill(server.pid, SIGINT), 0);
	check_cancelled(fds);
	CHECK_EQ(server_end(0).accepted, ASKED);
}

static void work_that_cannot_be_cancelled_does_not_keep_the_server(void)
{
	struct farewell f;
	uint64_t began;
	int fds[ASKED];
	unsigned refused_n = 0;

	server_start("--queue", "16", "--workers", "1", "--stop-timeout", "200", NULL);
	ask_for_long_work(fds, "/stubborn?ms=60000");
	while (!server_figure("jobs")) /* one runs */
		sched_yield();
	began = test_now();
	CHECK_EQ(kill(server.pid, SIGTERM), 0);
	f = server_end(EXIT_CUT_SHORT);
	check_waited(began, 400);
	CHECK(test_now() - began < 60000 * MS, "it waited for its work");
	CHECK_EQ(f.accepted, ASKED);
	CHECK_EQ(f.answered, ASKED - 1);
	for (unsigned i = 0; i < ASKED; i++) {
		raw_answer(fds[i], &answer);
		CHECK(answer.code == 503 || answer.code == 0, "%d", answer.code);
		refused_n += answer.code == 503;
		close(fds[i]);
	}
	CHECK_EQ(refused_n, ASKED - 1);
}

static void an_answer_that_nobody_reads_does_not_keep_the_server(void)
{
	struct farewell f;
	uint64_t began;
	int fd;

	server_start("--stop-timeout", "200", "--request-timeout", "3600000", NULL);
	fd = ask_until_stuck();
	began = test_now();
	CHECK_EQ(kill(server.pid, SIGTERM), 0);
	f = server_end(0); /* no work was lost by it */
	check_waited(began, 200);
	CHECK_EQ(f.not_sent, 1);
	close(fd);
}

/* --- options ---------------------------------------------------------- */

static void a_wrong_option_is_named(void)
{
	static const struct {
		const char *option, *value, *words;
	} cases[] = {
		{ "--port", "65536", "--port must be a number from 0 to 65535" },
		{ "--port", "x", "--port must be a number from 0 to 65535" },
		{ "--port", "", "--port must be a number from 0 to 65535" },
		{ "--workers", "1025", "--workers must be a number from 0 to 1024" },
		{ "--queue", "0", "--queue must be a number from 1 to 100000" },
		{ "--reserve-cores", "-1", "--reserve-cores must be a number from 0 to 1024" },
		{ "--per-client", "1x", "--per-client must be a number from 0 to 100000" },
		{ "--request-timeout", "0",
			"--request-timeout must be a number from 1 to 3600000" },
		{ "--idle-timeout", "0", "--idle-timeout must be a number from 1 to 3600000" },
		{ "--stop-timeout", "99999999999999999999",
			"--stop-timeout must be a number from 1 to 3600000" },
		{ "--colour", "1", "--colour" },
		{ "--queue", NULL, "--queue" },
		{ "extra", NULL, "extra is no option" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *arguments[] = { (char *)(uintptr_t)cases[i].option,
			(char *)(uintptr_t)cases[i].value, NULL };

		server_refuses(arguments, cases[i].words);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*body)(void);
	} cases[] = {
		{ "a request with a body is answered", a_request_with_a_body_is_answered },
		{ "a client that asks before its body is told",
			a_client_that_asks_before_its_body_is_told },
		{ "a body that is too long is refused", a_body_that_is_too_long_is_refused },
		{ "a slow header has an end", a_slow_header_has_an_end },
		{ "a slow body has an end", a_slow_body_has_an_end },
		{ "a slow body of a later request has an end",
			a_slow_body_of_a_later_request_has_an_end },
		{ "a slow next header has an end", a_slow_next_header_has_an_end },
		{ "while work is under way no client is late",
			while_work_is_under_way_no_client_is_late },
		{ "an answer that is read slowly has an end",
			an_answer_that_is_read_slowly_has_an_end },
		{ "one client leaves room for others", one_client_leaves_room_for_others },
		{ "without a limit one client has as many as it likes",
			without_a_limit_one_client_has_as_many_as_it_likes },
		{ "work that takes too long for a stop is cancelled",
			work_that_takes_too_long_for_a_stop_is_cancelled },
		{ "a second signal cancels at once and is no error",
			a_second_signal_cancels_at_once_and_is_no_error },
		{ "work that cannot be cancelled does not keep the server",
			work_that_cannot_be_cancelled_does_not_keep_the_server },
		{ "an answer that nobody reads does not keep the server",
			an_answer_that_nobody_reads_does_not_keep_the_server },
		{ "a wrong option is named", a_wrong_option_is_named },
	};

	CHECK(argc == 2, "usage: %s SERVER", argv[0]);
	server.program = argv[1];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		test_watchdog(60);
		test_case(cases[i].name, cases[i].body);
	}
	return test_finish("limits");
}
