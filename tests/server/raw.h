/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single connections for tests that send what no well-behaved client does: bodies in pieces, half
 * of a header, requests whose answers are not read. Every call blocks; the watchdog is the bound.
 */
#ifndef RAW_H
#define RAW_H

#include <stdbool.h>
#include <stddef.h>

struct raw_answer {
	int code; /* 0: the connection has ended without a byte of an answer */
	char head[4096];
	char body[65536]; /* ends in a 0 */
};

/* A connection from the address @from (127.0.0.1, .2, ...); @receive: its buffer, 0: as usual. */
int raw_connect(const char *from, int receive);

/* Sends all of it; false: the connection has ended. */
bool raw_send(int fd, const void *data, size_t size);
bool raw_text(int fd, const char *text);

/* One answer and not a byte more. 100 Continue is an answer. */
void raw_answer(int fd, struct raw_answer *answer);

/* Whether the other side closes it now, without another byte. Closes it too. */
bool raw_ended(int fd);

#endif
