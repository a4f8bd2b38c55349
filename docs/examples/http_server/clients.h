/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the server waits for a client. libmicrohttpd's own timeout begins again with each byte,
 * so a client that sends or takes one byte at a time holds its connection for ever. Here each wait
 * has an end, however busy the connection is:
 *
 *   CLIENT_REQUEST  from the connect, or the end of a later request's header, to the whole request
 *   CLIENT_NEXT     from the end of an answer to the end of the next request's header
 *   CLIENT_ANSWER   from an answer's begin until the client has taken it
 *
 * While work is under way for a client the server waits for nothing from it.
 */
#ifndef CLIENTS_H
#define CLIENTS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct server;

enum client_wait { CLIENT_REQUEST, CLIENT_NEXT, CLIENT_ANSWER, CLIENT_WAITS, CLIENT_NO_WAIT };

struct client {
	int fd;
	bool begun;     /* a header has come, and its body has not ended */
	bool dismissed; /* its connection is to be closed: nothing more is taken from it */
	enum client_wait wait;
	struct timespec until;
	struct client *before, *after; /* clients->list[wait] */
};

struct clients {
	/* one length of wait each, so the last appended ends last */
	struct {
		uint64_t ms;
		struct client *first, *last;
	} list[CLIENT_WAITS];
	/* counters: connections made, and closed since; closed for being late, by wait */
	uint64_t connected, closed, late[CLIENT_WAITS];
};

/* MHD's handler; `cls` is the server. */
void clients_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code);

struct client *client_of(struct MHD_Connection *connection);

/* From now on this is what @client is waited for, instead of what was before. */
void client_wait(struct clients *clients, struct client *client, enum client_wait wait);

/*
 * Answers in MHD's place, which takes no answer while a request is still coming in. The connection
 * has to be closed next.
 */
void client_dismiss(struct server *server, struct client *client, unsigned code);

/* Ends the connections of late clients. Returns in how many ms the next will be late, or -1. */
int clients_expire(struct server *server);

#endif
