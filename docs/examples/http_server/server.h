/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the server share: http_server.c (the loop), clients.c (how long a client is
 * waited for), requests.c and parameters.c (the requests), figures.c (/stats and /metrics).
 */
#ifndef SERVER_H
#define SERVER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>

#include "clients.h"
#include "handover.h"

#define PATHS 8 /* those with an answer, and one place for all others */

struct request;

/* Each figure counts since the start, and is exact: one thread touches it. */
struct server_counts {
	uint64_t requests; /* begun */
	uint64_t open;     /* begun, and the answer not yet sent */
	/* pieces of work handed over; those whose end has come back and was made an answer */
	uint64_t accepted, answered;
	uint64_t answers[600]; /* by code */
	uint64_t body_bytes;   /* of requests, read and thrown away */
};

/* Lengths of time. The bounds are in figures.c. */
#define BUCKETS 12
struct histogram {
	uint64_t bucket[BUCKETS + 1]; /* the last is for what is longer than every bound */
	uint64_t sum_ns;
};

struct server {
	struct MHD_Daemon *daemon;
	struct handover *pool;
	bool stopping;  /* no more work is taken, connections end with their answer */
	bool abandoned; /* what was queued has been cancelled too */
	bool cut_short; /* because the time for stopping was over */
	uint64_t stop_ms;
	struct timespec end_by; /* of a stopping server */
	/* MHD has connections to go on with: its timeout does not say so, and nothing wakes it */
	bool resumed;
	struct server_counts counts;
	struct clients clients;
	struct histogram answer_time[PATHS]; /* from a request's header to its answer's end */
	struct histogram queue_time, run_time;
	double started; /* seconds since 1970 */
};

/* MHD's handlers; `cls` is the server. */
enum MHD_Result requests_begin(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **request);
void requests_end(void *cls, struct MHD_Connection *connection, void **request,
	enum MHD_RequestTerminationCode why);

/* Answers all work that has ended. */
void requests_reap(struct server *server);

/* The name of one of PATHS; NULL: there are no more. */
const char *requests_path(size_t index);

void histogram_add(struct histogram *histogram, uint64_t ns);

/* Writes the figures: one JSON object, or what Prometheus reads. */
void figures_write_json(struct server *server, FILE *out);
void figures_write_metrics(struct server *server, FILE *out);

#endif
