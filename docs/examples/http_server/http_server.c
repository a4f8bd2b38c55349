/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP server that stays responsive while its requests need the processor.
 *
 * One thread runs the event loop: libmicrohttpd's connections, the completion queue's descriptor
 * and signals in one epoll set. A request that needs the processor becomes a job; its connection is
 * suspended until the job's completion comes out of the queue. The loop waits for nothing else: a
 * full queue is answered with 503 at once.
 *
 *   GET /                  at once
 *   GET /compute?n=N       n steps of a generator on a worker; &tag=T: where it begins; echoed
 *   GET /crash             a guarded job that faults: 500 with the signal, and nothing else is hurt
 *   GET /slow?ms=M         work without end: 504 when its deadline has passed
 *   GET /stubborn?ms=M     work for so long that nothing can end early
 *   GET /stats             figures of the server and the pool, as JSON
 *   GET /metrics           the same and more for Prometheus
 *
 * The pool leaves one core free, on which the loop runs. A client is not waited for without end:
 * see clients.h. SIGTERM or SIGINT: no new connections and no new work; what was accepted is
 * answered; then it exits with status 0. That has a time, --stop-timeout. After it the server
 * cancels what is queued and raises the cancel flag of what runs. After as long again it exits,
 * whatever runs. Its status is 3 then. A second signal cancels at once, and is no error.
 *
 * It listens on the loopback interface only: it is an example, and /crash and /slow are there for
 * everybody who can connect.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "deadline.h"
#include "server.h"

#define EXIT_CUT_SHORT 3
#define QUEUE_MAX      100000u
#define WORKERS_MAX    1024u
#define CLIENTS_MAX    100000u
#define MS_MAX         3600000u

struct options {
	uint32_t port, workers, queue, reserve_cores;
	uint32_t per_client;                                  /* connections; 0: any number */
	uint32_t request_timeout, idle_timeout, stop_timeout; /* ms */
};

/*
 * The loop keeps off the workers' processors if there are others. Returns how many it may use, or
 * 0: left where it was.
 */
static int keep_off_workers(struct server *s)
{
	cpu_set_t mine, workers;

	if (sched_getaffinity(0, sizeof mine, &mine))
		return 0;
	handover_cpus(s->pool, &workers);
	CPU_AND(&workers, &workers, &mine);
	CPU_XOR(&mine, &mine, &workers);
	return CPU_COUNT(&mine) && !sched_setaffinity(0, sizeof mine, &mine) ? CPU_COUNT(&mine) : 0;
}

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int daemon_timeout(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(s->daemon, &ms) != MHD_YES)
		return -1;
	return ms < 60000 ? (int)ms : 60000;
}

/* What is queued ends now, what runs is asked to. */
static void hurry(struct server *s)
{
	s->abandoned = true;
	s->end_by = deadline_after(s->stop_ms);
	handover_abandon(s->pool);
}

/* A signal has come: the first stops the server, the second makes it hurry. */
static void stop(struct server *s)
{
	if (s->stopping) {
		if (!s->abandoned)
			hurry(s);
		return;
	}
	MHD_socket listener = MHD_quiesce_daemon(s->daemon); /* from now on it is ours */

	s->stopping = true;
	s->end_by = deadline_after(s->stop_ms);
	if (listener != MHD_INVALID_SOCKET)
		close(listener);
}

static bool working(const struct server *s)
{
	return s->counts.accepted != s->counts.answered;
}

/*
 * Whether a stopping server may end: all work is answered and the answers are sent, or the time for
 * that is over. The first time over is followed by a second, for cancelled work to end.
 */
static bool finished(struct server *s)
{
	if (!s->stopping)
		return false;
	if (!working(s) && !s->counts.open)
		return true;
	if (!deadline_passed(&s->end_by))
		return false;
	if (!working(s))
		return true;
	s->cut_short = true;
	if (s->abandoned)
		return true;
	hurry(s);
	return false;
}

/* Until when the loop may sleep if nothing happens. */
static int timeout(struct server *s)
{
	int ms = deadline_earlier_ms(clients_expire(s), daemon_timeout(s));

	if (s->stopping)
		ms = deadline_earlier_ms(ms, deadline_left_ms(&s->end_by));
	return ms;
}

static int serve(struct server *s, int signals)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int epoll = epoll_create1(EPOLL_CLOEXEC), completions = handover_fd(s->pool);

	if (epoll < 0 || !info || watch(epoll, info->epoll_fd) || watch(epoll, completions) ||
		watch(epoll, signals))
		return -errno;
	while (!finished(s)) {
		struct epoll_event event[4];
		int n = epoll_wait(epoll, event, 4, timeout(s));

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			struct signalfd_siginfo signal;

			if (event[i].data.fd == completions)
				requests_reap(s);
			else if (event[i].data.fd == signals &&
				 read(signals, &signal, sizeof signal) == sizeof signal)
				stop(s);
		}
		do { /* again, when its handlers themselves have resumed a connection */
			s->resumed = false;
			if (MHD_run(s->daemon) != MHD_YES)
				return -EIO;
		} while (s->resumed);
	}
	close(epoll);
	return 0;
}

/* --- options ---------------------------------------------------------- */

static const struct {
	const char *name, *meaning;
	size_t offset;
	uint32_t min, max, usual;
} numbers[] = {
	{ "port", "0: any free one, which is printed", offsetof(struct options, port), 0, 65535,
		0 },
	{ "workers", "0: one for each core but the reserved", offsetof(struct options, workers), 0,
		WORKERS_MAX, 0 },
	{ "queue", "requests that wait for a worker before the next is answered with 503",
		offsetof(struct options, queue), 1, QUEUE_MAX, 1024 },
	{ "reserve-cores", "left free for the event loop", offsetof(struct options, reserve_cores),
		0, WORKERS_MAX, 1 },
	{ "per-client", "connections from one address; 0: any number, as behind a proxy",
		offsetof(struct options, per_client), 0, CLIENTS_MAX, 256 },
	{ "request-timeout", "ms for a client to send its request, and to take its answer",
		offsetof(struct options, request_timeout), 1, MS_MAX, 10000 },
	{ "idle-timeout", "ms without a request before a connection is closed",
		offsetof(struct options, idle_timeout), 1, MS_MAX, 30000 },
	{ "stop-timeout", "ms for work to end after a signal, and again after it was cancelled",
		offsetof(struct options, stop_timeout), 1, MS_MAX, 10000 },
};

#define NUMBERS (sizeof numbers / sizeof numbers[0])

static void usage(FILE *out)
{
	fputs("usage: http_server [--OPTION NUMBER]...\n", out);
	for (size_t i = 0; i < NUMBERS; i++)
		fprintf(out, "  --%-16s %s (%" PRIu32 ")\n", numbers[i].name, numbers[i].meaning,
			numbers[i].usual);
}

static uint32_t *option_at(struct options *options, size_t i)
{
	return (uint32_t *)(void *)((char *)options + numbers[i].offset);
}

static bool option_read(struct options *options, size_t i, const char *text)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || value < numbers[i].min ||
		value > numbers[i].max) {
		fprintf(stderr,
			"http_server: --%s must be a number from %" PRIu32 " to %" PRIu32 "\n",
			numbers[i].name, numbers[i].min, numbers[i].max);
		return false;
	}
	*option_at(options, i) = (uint32_t)value;
	return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
	struct option longs[NUMBERS + 2] = { { NULL, 0, NULL, 0 } };
	int c;

	for (size_t i = 0; i < NUMBERS; i++) {
		longs[i] = (struct option){ numbers[i].name, required_argument, NULL, (int)i };
		*option_at(options, i) = numbers[i].usual;
	}
	longs[NUMBERS] = (struct option){ "help", no_argument, NULL, (int)NUMBERS };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == (int)NUMBERS) {
			usage(stdout);
			exit(0);
		}
		if (c == '?')
			usage(stderr);
		if (c == '?' || !option_read(options, (size_t)c, optarg))
			return false;
	}
	if (optind != argc) {
		fprintf(stderr, "http_server: %s is no option\n", argv[optind]);
		usage(stderr);
	}
	return optind == argc;
}

/* --- main ------------------------------------------------------------- */

/* Before any thread is started, so that all of them leave these signals to the descriptor. */
static int take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static struct MHD_Daemon *listen_on(struct server *s, const struct options *options)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)options->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		requests_begin, s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
		MHD_OPTION_NOTIFY_COMPLETED, requests_end, s, MHD_OPTION_NOTIFY_CONNECTION,
		clients_notify, s, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)options->per_client, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)(options->idle_timeout + 999) / 1000, MHD_OPTION_LISTEN_BACKLOG_SIZE,
		1024u, MHD_OPTION_END);
}

/* All that is asked before the first thread: what the server may wait for, and since when it is. */
static void set_times(struct server *s, const struct options *options)
{
	struct timespec now;

	s->stop_ms = options->stop_timeout;
	s->clients.list[CLIENT_REQUEST].ms = options->request_timeout;
	s->clients.list[CLIENT_NEXT].ms =
		(uint64_t)options->idle_timeout + options->request_timeout;
	s->clients.list[CLIENT_ANSWER].ms = options->request_timeout;
	clock_gettime(CLOCK_REALTIME, &now);
	s->started = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void say_listening(struct server *s)
{
	cpu_set_t unused;
	bool off = keep_off_workers(s);

	printf("listening on 127.0.0.1:%d, %d workers, the loop %s\n",
		(int)MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port,
		handover_cpus(s->pool, &unused), off ? "beside them" : "among them");
	fflush(stdout);
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "http_server: %s: %s\n", what, strerror(error));
	return 1;
}

int main(int argc, char **argv)
{
	static struct server server;
	struct options options;
	int error, signals;

	if (!parse(argc, argv, &options))
		return 2;
	set_times(&server, &options);
	signals = take_signals();
	if (signals < 0)
		return fail("no signals", errno);
	error = handover_open(&server.pool, &(struct handover_options){ .workers = options.workers,
						    .queue = options.queue,
						    .reserve_cores = options.reserve_cores });
	if (error)
		return fail("no workers", -error);
	server.daemon = listen_on(&server, &options);
	if (!server.daemon) {
		error = errno;
		handover_close(server.pool);
		return fail("cannot listen", error);
	}
	say_listening(&server);
	error = serve(&server, signals);
	if (error)
		_exit(fail("the loop", -error)); /* work is under way, and nobody waits for it */
	printf("stopped: %" PRIu64 " requests, %" PRIu64 " accepted, %" PRIu64 " answered, %" PRIu64
	       " not sent%s\n",
		server.counts.requests, server.counts.accepted, server.counts.answered,
		server.counts.open, server.cut_short ? ", cut short" : "");
	fflush(stdout);
	if (working(&server))
		_exit(EXIT_CUT_SHORT); /* a worker still runs something: it cannot be joined */
	MHD_stop_daemon(server.daemon);
	handover_close(server.pool);
	close(signals);
	return server.cut_short ? EXIT_CUT_SHORT : 0;
}
