/* SPDX-License-Identifier: Apache-2.0 */
/* See clients.h. Everything here runs on the event loop's thread. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "clients.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "deadline.h"
#include "server.h"

struct client *client_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

static void unlist(struct clients *clients, struct client *c)
{
	if (c->wait == CLIENT_NO_WAIT)
		return;
	if (c->before)
		c->before->after = c->after;
	else
		clients->list[c->wait].first = c->after;
	if (c->after)
		c->after->before = c->before;
	else
		clients->list[c->wait].last = c->before;
	c->before = c->after = NULL;
	c->wait = CLIENT_NO_WAIT;
}

void client_wait(struct clients *clients, struct client *c, enum client_wait wait)
{
	unlist(clients, c);
	if (wait == CLIENT_NO_WAIT)
		return;
	c->wait = wait;
	c->until = deadline_after(clients->list[wait].ms);
	c->before = clients->list[wait].last;
	*(c->before ? &c->before->after : &clients->list[wait].first) = c;
	clients->list[wait].last = c;
}

void clients_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	struct server *s = cls;
	struct client *c = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				 ->connect_fd;

		s->clients.connected++;
		c = calloc(1, sizeof *c);
		*socket_context = c;
		if (!c) { /* it could not be watched; requests_begin() refuses it as well */
			shutdown(fd, SHUT_RDWR);
			return;
		}
		c->fd = fd;
		c->wait = CLIENT_NO_WAIT;
		client_wait(&s->clients, c, CLIENT_REQUEST);
		return;
	}
	s->clients.closed++;
	if (c)
		unlist(&s->clients, c);
	free(c);
	*socket_context = NULL;
}

void client_dismiss(struct server *s, struct client *c, unsigned code)
{
	char text[128];
	int n = snprintf(text, sizeof text,
		"HTTP/1.1 %u %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", code,
		MHD_get_reason_phrase_for(code));

	c->dismissed = true;
	s->counts.answers[code]++;
	/* a client that does not even take this is closed without it */
	if (send(c->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/*
 * MHD has no call that closes a connection: it sees the socket's end, at its next run. An answer
 * that was not taken is thrown away, or the kernel would keep it and go on trying.
 */
static void close_late(struct server *s, struct client *c)
{
	static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	s->clients.late[c->wait]++;
	if (c->wait == CLIENT_ANSWER)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	unlist(&s->clients, c);
	if (c->begun)
		client_dismiss(s, c, MHD_HTTP_REQUEST_TIMEOUT);
	c->dismissed = true;
	shutdown(c->fd, SHUT_RDWR);
}

int clients_expire(struct server *s)
{
	int next = -1;

	for (int wait = 0; wait < CLIENT_WAITS; wait++) {
		struct client *c;

		while ((c = s->clients.list[wait].first) && deadline_passed(&c->until))
			close_late(s, c);
		if (c)
			next = deadline_earlier_ms(next, deadline_left_ms(&c->until));
	}
	return next;
}
