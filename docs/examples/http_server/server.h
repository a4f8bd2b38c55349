/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the server share: http_server.c (the loop), requests.c (the requests), figures.c (/stats). */
#ifndef SERVER_H
#define SERVER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>

#include "handover.h"

struct request;

/* Each figure counts since the start, and is exact: one thread touches it. */
struct server_counts {
	uint64_t requests;           /* begun */
	uint64_t open;               /* begun, and the answer not yet sent */
	uint64_t accepted, answered; /* pieces of work handed over; those whose end has come back and was made an answer */
	uint64_t answers[600];       /* by code */
};

struct server {
	struct MHD_Daemon *daemon;
	struct handover *pool;
	bool stopping;               /* no more work is taken, connections end with their answer */
	bool abandoned;              /* what was queued has been cancelled too */
	bool resumed;                /* MHD has connections to go on with: its timeout does not say so, and nothing wakes it */
	struct server_counts counts;
	struct request *soonest;     /* requests with a deadline, the nearest first */
};

/* MHD's handlers; `cls` is the server. */
enum MHD_Result requests_begin(void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
			       const char *upload, size_t *upload_size, void **request);
void requests_end(void *cls, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode why);

/* Answers all work that has ended. */
void requests_reap(struct server *server);

/* Cancels work whose deadline has passed. Returns in how many milliseconds the next one does, or -1. */
int requests_expire(struct server *server);

/* Writes the figures, as one JSON object or as Prometheus's text. */
void figures_write(struct server *server, FILE *out, bool prometheus);

#endif
