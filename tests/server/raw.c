/* SPDX-License-Identifier: Apache-2.0 */
/* See raw.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "test.h"

int raw_connect(const char *from, int receive)
{
	struct sockaddr_in here = { .sin_family = AF_INET }, there = { .sin_family = AF_INET,
		.sin_port = htons(server.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	CHECK(fd >= 0, "socket: %s", strerror(errno));
	CHECK_EQ(inet_pton(AF_INET, from, &here.sin_addr), 1);
	CHECK(!bind(fd, (struct sockaddr *)&here, sizeof here), "bind: %s", strerror(errno));
	if (receive) /* before the connect, whose window it limits */
		CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive), 0);
	CHECK(!connect(fd, (struct sockaddr *)&there, sizeof there), "connect: %s",
		strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

bool raw_send(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

		if (n < 0) {
			CHECK(errno == EPIPE || errno == ECONNRESET, "send: %s", strerror(errno));
			return false;
		}
		at += n;
		size -= (size_t)n;
	}
	return true;
}

bool raw_text(int fd, const char *text)
{
	return raw_send(fd, text, strlen(text));
}

/* One byte; false: the connection has ended. */
static bool read_byte(int fd, char *to)
{
	ssize_t n = recv(fd, to, 1, 0);

	CHECK(n >= 0 || errno == ECONNRESET, "recv: %s", strerror(errno));
	return n == 1;
}

void raw_answer(int fd, struct raw_answer *a)
{
	size_t used = 0, length = 0;
	const char *at;

	memset(a, 0, sizeof *a);
	while (used < sizeof a->head - 1 && !strstr(a->head, "\r\n\r\n")) {
		if (!read_byte(fd, a->head + used)) {
			CHECK_EQ(used, 0);
			return;
		}
		used++;
	}
	CHECK(!strncmp(a->head, "HTTP/1.1 ", 9), "no answer: %.60s", a->head);
	a->code = atoi(a->head + 9);
	at = strcasestr(a->head, "\r\nContent-Length: ");
	CHECK(at || a->code == 100, "an answer without its length: %s", a->head);
	if (at)
		length = strtoul(at + 18, NULL, 10);
	CHECK(length < sizeof a->body, "an answer of %zu bytes", length);
	for (size_t i = 0; i < length; i++)
		CHECK(read_byte(fd, a->body + i), "the answer was cut short: %s", a->head);
}

bool raw_ended(int fd)
{
	char byte;
	bool more = read_byte(fd, &byte);

	close(fd);
	return !more;
}
