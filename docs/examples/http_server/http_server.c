/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP server that stays responsive while its requests need the processor.
 *
 * One thread runs the event loop: libmicrohttpd's connections, the completion queue's descriptor and signals in one epoll set. A
 * request that needs the processor becomes a job; its connection is suspended until the job's completion comes out of the queue.
 * The loop waits for nothing else: a full queue is answered with 503 at once.
 *
 *   GET /                  at once
 *   GET /compute?n=N       n steps of a generator on a worker; &tag=T is where it begins, and is echoed
 *   GET /crash             a guarded job that faults: 500 with the signal, and nothing else is hurt
 *   GET /slow?ms=M         work without end: 504 when its deadline has passed
 *   GET /stats             figures of the server and the pool; &format=prometheus
 *
 * The pool leaves one core free, on which the loop runs. SIGTERM or SIGINT: no new connections and no new work; what was accepted is
 * answered; then it exits with status 0. A second signal cancels what is still queued, and raises the cancel flag of what runs.
 *
 * It listens on the loopback interface only: it is an example, and /crash and /slow are there for everybody who can connect.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "server.h"

#define IDLE_SECONDS  30u   /* a connection without a request is closed */
#define GRACE_SECONDS 5     /* for clients that do not read their answers, when the server stops */
#define QUEUE_USUAL   1024u
#define QUEUE_MAX     100000u
#define WORKERS_MAX   1024u

static void usage(FILE *out)
{
	fputs("usage: http_server [--port N] [--workers N] [--queue N] [--reserve-cores N]\n"
	      "  --port           0 (the default): any free one, which is printed\n"
	      "  --workers        0 (the default): one for each core but the reserved\n"
	      "  --queue          requests that wait for a worker before the next is answered with 503; default 1024\n"
	      "  --reserve-cores  left free for the event loop; default 1\n",
		out);
}

static bool option_number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || value < min || value > max)
		return false;
	*out = (uint32_t)value;
	return true;
}

/* The loop keeps off the workers' processors if there are others. Returns how many it may use, or 0: left where it was. */
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

/* The earlier of two times in milliseconds, of which -1 is none. */
static int earlier(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int daemon_timeout(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(s->daemon, &ms) != MHD_YES)
		return -1;
	return ms < 60000 ? (int)ms : 60000;
}

/* A signal has come: the first stops the server, the second makes it hurry. */
static void stop(struct server *s)
{
	if (s->stopping) {
		s->abandoned = true;
		handover_abandon(s->pool);
		return;
	}
	MHD_socket listener = MHD_quiesce_daemon(s->daemon); /* from now on it is ours */

	s->stopping = true;
	if (listener != MHD_INVALID_SOCKET)
		close(listener);
}

/* Whether a stopping server may end: all work is answered, and the answers are sent or have had their time. */
static bool finished(struct server *s, struct timespec *grace)
{
	struct timespec now;

	if (!s->stopping || s->counts.accepted != s->counts.answered)
		return false;
	if (!s->counts.open)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!grace->tv_sec)
		grace->tv_sec = now.tv_sec + GRACE_SECONDS;
	return now.tv_sec >= grace->tv_sec;
}

static int serve(struct server *s, int signals)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int epoll = epoll_create1(EPOLL_CLOEXEC), completions = handover_fd(s->pool);
	struct timespec grace = { 0, 0 };

	if (epoll < 0 || !info || watch(epoll, info->epoll_fd) || watch(epoll, completions) || watch(epoll, signals))
		return -errno;
	while (!finished(s, &grace)) {
		struct epoll_event event[4];
		int timeout = earlier(requests_expire(s), daemon_timeout(s));
		int n = epoll_wait(epoll, event, 4, s->stopping ? earlier(timeout, 100) : timeout);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			struct signalfd_siginfo signal;

			if (event[i].data.fd == completions)
				requests_reap(s);
			else if (event[i].data.fd == signals && read(signals, &signal, sizeof signal) == sizeof signal)
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

static bool parse(int argc, char **argv, struct handover_options *options, uint32_t *port)
{
	static const struct option names[] = {
		{ "port", required_argument, NULL, 'p' },	   { "workers", required_argument, NULL, 'w' },
		{ "queue", required_argument, NULL, 'q' },	   { "reserve-cores", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },		   { NULL, 0, NULL, 0 },
	};
	bool good = true;
	int c;

	while (good && (c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'p':
			good = option_number(optarg, 0, 65535, port);
			break;
		case 'w':
			good = option_number(optarg, 0, WORKERS_MAX, &options->workers);
			break;
		case 'q':
			good = option_number(optarg, 1, QUEUE_MAX, &options->queue);
			break;
		case 'r':
			good = option_number(optarg, 0, WORKERS_MAX, &options->reserve_cores);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			good = false;
		}
	}
	if (!good || optind != argc)
		usage(stderr);
	return good && optind == argc;
}

int main(int argc, char **argv)
{
	struct handover_options options = { .queue = QUEUE_USUAL, .reserve_cores = 1 };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static struct server server;
	uint32_t port = 0;
	sigset_t set;
	int error, signals;

	if (!parse(argc, argv, &options, &port))
		return 2;
	address.sin_port = htons((uint16_t)port);

	/* Before any thread is started, so that all of them leave these signals to the descriptor. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0) {
		fprintf(stderr, "http_server: no signals: %s\n", strerror(errno));
		return 1;
	}
	error = handover_open(&server.pool, &options);
	if (error) {
		fprintf(stderr, "http_server: no workers: %s\n", strerror(-error));
		return 1;
	}
	server.daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, requests_begin, &server,
		MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED, requests_end, &server,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_END);
	if (!server.daemon) {
		fprintf(stderr, "http_server: cannot listen on port %" PRIu32 ": %s\n", port, strerror(errno));
		handover_close(server.pool);
		return 1;
	}
	cpu_set_t unused;
	int off = keep_off_workers(&server);

	printf("listening on 127.0.0.1:%d, %d workers, the loop %s\n",
		(int)MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT)->port, handover_cpus(server.pool, &unused),
		off ? "beside them" : "among them");
	fflush(stdout);
	error = serve(&server, signals);
	if (error) {
		fprintf(stderr, "http_server: %s\n", strerror(-error));
		_exit(1); /* work is under way, and nobody left to wait for it */
	}
	MHD_stop_daemon(server.daemon);
	handover_close(server.pool);
	close(signals);
	printf("stopped: %" PRIu64 " requests, %" PRIu64 " accepted, %" PRIu64 " answered, %" PRIu64 " not sent\n", server.counts.requests,
		server.counts.accepted, server.counts.answered, server.counts.open);
	return 0;
}
