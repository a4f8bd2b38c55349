/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP client for tests: some connections to 127.0.0.1, kept alive, on each at most one
 * request under way, one epoll set, one thread. It parses what a server of ours answers (a status
 * line, headers, Content-Length), and fails the driver on anything else: bytes nobody asked for, an
 * answer cut short, a second answer.
 *
 * 	client_run(&client)   asks `next` for a request whenever a connection is idle, tells
 * 	                      `answered` of each answer, and returns when nothing is under way
 * 	                      and `next` has nothing more
 *
 * A server that closes a connection between requests is met by a new connection; once it refuses
 * those it is `gone`, and `next` is no longer asked. A request that was sent and not answered by a
 * single byte before the connection ended is counted in `unanswered`, and `next` may be asked for
 * another instead.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_answer {
	uint64_t number; /* of the request, as `next` gave it */
	int code;
	const char *body; /* ends in a 0 */
	const char *head; /* all header lines; ends in a 0 */
	size_t length;
};

struct client {
	uint16_t port;
	unsigned connections;
	/*
	 * Writes a request's path (or "POST /path") to @to; false: none now. It is asked again
	 * after the next answer.
	 */
	bool (*next)(void *arg, uint64_t *number, char *to, size_t size);
	void (*answered)(void *arg, const struct client_answer *answer);
	void *arg;
	/* what came of it */
	uint64_t sent, received, unanswered, under_way;
	bool gone;
};

void client_run(struct client *c);

/* One request on a connection of its own; the body is copied to @body. Returns the code. */
int client_get(uint16_t port, const char *path, char *body, size_t size);

/* Sends one request and closes the connection without waiting for the answer. */
void client_abandon(uint16_t port, const char *path);

/* Whether somebody listens there. */
bool client_connects(uint16_t port);

/* The number after "@key": in @json; fails the driver if there is none. */
uint64_t client_number(const char *json, const char *key);

/* Whether the header lines of an answer hold this line, value included. */
bool client_header(const struct client_answer *a, const char *line);

#endif
