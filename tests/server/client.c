/* SPDX-License-Identifier: Apache-2.0 */
/* See client.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

#define BUFFER 65536

struct link {
	int fd;          /* -1: none */
	bool busy;       /* a request is under way */
	uint64_t number; /* which */
	size_t used;
	char buffer[BUFFER + 1];
};

/* A connected socket, or -1 when nobody listens. */
static int connect_to(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	CHECK(fd >= 0, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
		CHECK(errno == ECONNREFUSED || errno == ECONNRESET, "connect: %s", strerror(errno));
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/*
 * False when the connection has ended. A request is small and the connection empty, so it goes
 * whole.
 */
static bool send_request(int fd, const char *path)
{
	char text[1024];
	const char *method = strchr(path, ' ') ? "" : "GET ";
	int n = snprintf(
		text, sizeof text, "%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", method, path);
	ssize_t sent = send(fd, text, (size_t)n, MSG_NOSIGNAL);

	if (sent < 0) {
		CHECK(errno == EPIPE || errno == ECONNRESET, "send: %s", strerror(errno));
		return false;
	}
	CHECK_EQ(sent, n);
	return true;
}

bool client_header(const struct client_answer *a, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = a->head; (at = strcasestr(at, line)); at++)
		if (at[-1] == '\n' && (at[length] == '\r' || at[length] == '\0'))
			return true;
	return false;
}

uint64_t client_number(const char *json, const char *key)
{
	char name[64];
	const char *at;

	snprintf(name, sizeof name, "\"%s\":", key);
	at = strstr(json, name);
	CHECK(at, "no %s in %s", key, json);
	at += strlen(name);
	CHECK(*at >= '0' && *at <= '9', "no number after %s in %s", key, json);
	return strtoull(at, NULL, 10);
}

/*
 * Whether a whole answer lies in the buffer; then @a says what it is, and @whole how long. Cuts
 * head and body by zeros.
 */
static bool parse(struct link *l, struct client_answer *a, size_t *whole)
{
	char *end, *at;

	l->buffer[l->used] = '\0';
	end = strstr(l->buffer, "\r\n\r\n");
	if (!end)
		return false;
	CHECK(!strncmp(l->buffer, "HTTP/1.1 ", 9), "no answer: %.60s", l->buffer);
	at = strcasestr(l->buffer, "\r\nContent-Length: ");
	CHECK(at && at < end, "an answer without its length: %s", l->buffer);
	a->number = l->number;
	a->code = atoi(l->buffer + 9);
	a->length = strtoull(at + 18, NULL, 10);
	a->head = l->buffer;
	a->body = end + 4;
	*whole = (size_t)(a->body - l->buffer) + a->length;
	CHECK(*whole <= BUFFER, "an answer of %zu bytes", a->length);
	if (l->used < *whole)
		return false;
	*end = '\0';
	return true;
}

static void end_connection(struct client *c, struct link *l)
{
	if (l->busy) {
		CHECK(l->used == 0, "request %llu: the answer was cut short",
			(unsigned long long)l->number);
		c->unanswered++;
		c->under_way--;
		l->busy = false;
	}
	close(l->fd);
	l->fd = -1;
}

/* Reads what has come. */
static void receive(struct client *c, struct link *l)
{
	ssize_t n = recv(l->fd, l->buffer + l->used, BUFFER - l->used, MSG_DONTWAIT);
	struct client_answer a;
	size_t whole;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		CHECK(n == 0 || errno == ECONNRESET || errno == EPIPE, "recv: %s", strerror(errno));
		end_connection(c, l);
		return;
	}
	CHECK(l->busy, "%zd bytes that nobody asked for", n);
	l->used += (size_t)n;
	if (!parse(l, &a, &whole))
		return;
	CHECK(l->used == whole, "request %llu: %zu bytes behind the answer",
		(unsigned long long)l->number, l->used - whole);
	l->used = 0;
	l->busy = false;
	c->under_way--;
	c->received++;
	c->answered(c->arg, &a);
	if (client_header(&a, "Connection: close"))
		end_connection(c, l);
}

/* Gives an idle connection a request if there is one. */
static bool start(struct client *c, struct link *l, int epoll, unsigned index)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = index };
	char path[512];

	if (l->busy || c->gone)
		return false;
	if (l->fd < 0) {
		l->fd = connect_to(c->port);
		if (l->fd < 0) {
			c->gone = true;
			return false;
		}
		CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, l->fd, &event), 0);
	}
	if (!c->next(c->arg, &l->number, path, sizeof path))
		return false;
	c->sent++;
	c->under_way++;
	l->busy = true;
	l->used = 0;
	if (!send_request(l->fd, path))
		end_connection(c, l);
	return true;
}

void client_run(struct client *c)
{
	struct link *links = malloc(c->connections * sizeof *links);
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	CHECK(links && epoll >= 0, "no memory or no epoll");
	for (unsigned i = 0; i < c->connections; i++) {
		links[i].fd = -1;
		links[i].busy = false;
	}
	for (;;) {
		struct epoll_event event[64];
		int n;

		for (unsigned i = 0; i < c->connections && !c->gone; i++)
			if (!links[i].busy)
				(void)start(c, &links[i], epoll, i);
		if (!c->under_way)
			break;
		n = epoll_wait(epoll, event, 64, -1);
		CHECK(n >= 0 || errno == EINTR, "epoll_wait: %s", strerror(errno));
		for (int i = 0; i < n; i++) {
			struct link *l = &links[event[i].data.u32];

			if (l->fd >= 0)
				receive(c, l);
		}
	}
	for (unsigned i = 0; i < c->connections; i++)
		if (links[i].fd >= 0)
			close(links[i].fd);
	close(epoll);
	free(links);
}

struct one {
	const char *path;
	bool asked;
	char *body;
	size_t size;
	int code;
};

static bool one_next(void *arg, uint64_t *number, char *to, size_t size)
{
	struct one *one = arg;

	if (one->asked)
		return false;
	one->asked = true;
	*number = 0;
	snprintf(to, size, "%s", one->path);
	return true;
}

static void one_answered(void *arg, const struct client_answer *a)
{
	struct one *one = arg;

	one->code = a->code;
	if (one->body)
		snprintf(one->body, one->size, "%s", a->body);
}

int client_get(uint16_t port, const char *path, char *body, size_t size)
{
	struct one one = { .path = path, .body = body, .size = size };
	struct client c = { .port = port,
		.connections = 1,
		.next = one_next,
		.answered = one_answered,
		.arg = &one };

	client_run(&c);
	CHECK(one.code, "no answer to %s", path);
	return one.code;
}

void client_abandon(uint16_t port, const char *path)
{
	int fd = connect_to(port);

	CHECK(fd >= 0 && send_request(fd, path), "nobody listens");
	shutdown(fd, SHUT_WR);
	close(fd);
}

bool client_connects(uint16_t port)
{
	int fd = connect_to(port);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}
