/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests: which there are, what each is answered with.
 *
 * Everything here runs on the event loop's thread, so a request is touched by one thread at a time: by the loop, or, between submit
 * and reap, its `work` by a worker. The order that libmicrohttpd wants:
 *
 *   in its handler           suspend, then submit; when submit refuses: queue the answer, resume
 *   when the work has ended  queue the answer, resume, and never touch the connection again
 *
 * A suspended connection does not time out and hides that its client has gone: that is noticed when the answer is sent. Whoever
 * wants such work to end early gives it a deadline, as /slow has one.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "work.h"

#define REAP_MAX  64
#define BODY_MAX  512
#define N_MAX     UINT64_C(10000000000)
#define TAG_MAX   (UINT64_C(1) << 53) /* what JSON's readers hold exactly */
#define MS_MAX    60000
#define MS_USUAL  200

enum { N = 1, TAG = 2, MS = 4, FORMAT = 8 }; /* parameters */

struct route {
	const char *path;
	unsigned allowed, needed; /* parameters */
	int (*work)(void *arg);   /* NULL: answered at once */
	unsigned flags;
};

static const struct route routes[] = {
	{ "/", 0, 0, NULL, 0 },
	{ "/stats", FORMAT, 0, NULL, 0 },
	{ "/compute", N | TAG, N, work_compute, 0 },
	{ "/crash", TAG, 0, work_crash, HANDOVER_GUARDED },
	{ "/slow", MS | TAG, 0, work_slow, 0 },
};

struct request {
	struct work work; /* the message: a worker's between submit and reap */
	struct server *server;
	struct MHD_Connection *connection;
	const struct route *route;
	unsigned given;   /* parameters */
	bool bad, prometheus;
	uint64_t ms;
	int64_t id;       /* 0: no work is under way */
	struct timespec deadline;
	struct request *sooner, *later; /* server->soonest */
};

static const char home[] = "filch's example: GET /compute?n=40000000&tag=1, /crash, /slow?ms=200, /stats, /stats?format=prometheus\n";

/* --- answers ----------------------------------------------------------------------------------------------------------------------- */

/* Queues the answer; the connection may be suspended. Without memory for it the connection is closed. */
static enum MHD_Result answer(struct server *s, struct MHD_Connection *connection, unsigned code, const char *type, const char *body)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result queued;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (code == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET");
	if (s->stopping)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	queued = MHD_queue_response(connection, code, r);
	MHD_destroy_response(r);
	if (queued == MHD_YES)
		s->counts.answers[code]++;
	return queued;
}

static enum MHD_Result answer_error(struct server *s, struct MHD_Connection *connection, unsigned code, const char *what)
{
	char body[BODY_MAX];

	snprintf(body, sizeof body, "{\"error\":\"%s\"}\n", what);
	return answer(s, connection, code, "application/json", body);
}

static enum MHD_Result answer_stats(struct request *r)
{
	enum MHD_Result queued = MHD_NO;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return MHD_NO;
	figures_write(r->server, out, r->prometheus);
	if (!fclose(out))
		queued = answer(r->server, r->connection, MHD_HTTP_OK,
			r->prometheus ? "text/plain; version=0.0.4; charset=utf-8" : "application/json", text);
	free(text);
	return queued;
}

/* The answer of work that has ended; its connection is suspended. */
static void answer_end(struct request *r, const struct handover_end *end)
{
	char body[BODY_MAX];
	unsigned code = MHD_HTTP_OK;
	int used = snprintf(body, sizeof body, "{\"id\":%" PRId64 ",\"tag\":%" PRIu64, end->id, r->work.tag);
	char *more = body + used;
	size_t left = sizeof body - (size_t)used;

	if (end->signal) {
		const char *name = sigabbrev_np(end->signal);

		code = MHD_HTTP_INTERNAL_SERVER_ERROR;
		snprintf(more, left, ",\"error\":\"crashed\",\"signal\":%d,\"name\":\"SIG%s\",\"address\":\"0x%" PRIx64 "\"}\n",
			end->signal, name ? name : "?", end->address);
	} else if (end->status == 0) {
		snprintf(more, left,
			",\"n\":%" PRIu64 ",\"result\":%" PRIu64 ",\"worker\":%d,\"queued_ns\":%" PRIu64 ",\"run_ns\":%" PRIu64 "}\n",
			r->work.n, r->work.result, (int)end->worker, end->queued_ns, end->run_ns);
	} else if (r->server->abandoned) {
		code = MHD_HTTP_SERVICE_UNAVAILABLE;
		snprintf(more, left, ",\"error\":\"the server stops\"}\n");
	} else if (end->status == -ETIMEDOUT || end->status == -ECANCELED) {
		code = MHD_HTTP_GATEWAY_TIMEOUT;
		snprintf(more, left, ",\"error\":\"deadline\",\"ms\":%" PRIu64 "}\n", r->ms);
	} else {
		code = MHD_HTTP_INTERNAL_SERVER_ERROR;
		snprintf(more, left, ",\"error\":\"failed\",\"status\":%d}\n", (int)end->status);
	}
	(void)answer(r->server, r->connection, code, "application/json", body);
}

/* The answer is queued: on with the connection, at MHD's next run; from here on it is MHD's. */
static void resume(struct request *r)
{
	r->server->resumed = true;
	MHD_resume_connection(r->connection);
}

/* --- deadlines --------------------------------------------------------------------------------------------------------------------- */

static bool before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static void set_deadline(struct request *r)
{
	struct request **at = &r->server->soonest, *sooner = NULL;

	while (*at && !before(&r->deadline, &(*at)->deadline)) {
		sooner = *at;
		at = &sooner->later;
	}
	r->sooner = sooner;
	r->later = *at;
	if (r->later)
		r->later->sooner = r;
	*at = r;
}

static void clear_deadline(struct request *r)
{
	if (r->later)
		r->later->sooner = r->sooner;
	if (r->sooner)
		r->sooner->later = r->later;
	else if (r->server->soonest == r)
		r->server->soonest = r->later;
	r->sooner = r->later = NULL;
}

int requests_expire(struct server *s)
{
	struct timespec now;
	int64_t ms;

	if (!s->soonest)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	while (s->soonest && !before(&now, &s->soonest->deadline)) {
		struct request *r = s->soonest;

		clear_deadline(r);
		handover_cancel(s->pool, r->id); /* its end comes out of reap as any other */
	}
	if (!s->soonest)
		return -1;
	ms = ((int64_t)s->soonest->deadline.tv_sec - now.tv_sec) * 1000 + (s->soonest->deadline.tv_nsec - now.tv_nsec) / 1000000;
	return (int)ms + 1;
}

/* --- one request ------------------------------------------------------------------------------------------------------------------- */

/* Digits only, at most @max. */
static bool number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		unsigned digit = (unsigned)*text - '0';

		if (digit > 9 || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

static enum MHD_Result parameter(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct request *r = arg;
	unsigned which = !strcmp(key, "n") ? N : !strcmp(key, "tag") ? TAG : !strcmp(key, "ms") ? MS : !strcmp(key, "format") ? FORMAT : 0;
	bool good = false;

	(void)kind;
	switch (which) {
	case N:
		good = number(value, N_MAX, &r->work.n);
		break;
	case TAG:
		good = number(value, TAG_MAX, &r->work.tag);
		break;
	case MS:
		good = number(value, MS_MAX, &r->ms) && r->ms > 0;
		break;
	case FORMAT:
		r->prometheus = value && !strcmp(value, "prometheus");
		good = r->prometheus || (value && !strcmp(value, "json"));
		break;
	}
	if (!good || !(r->route->allowed & which) || r->given & which)
		r->bad = true;
	r->given |= which;
	return MHD_YES;
}

/* Suspends the connection and hands its work over. */
static enum MHD_Result hand_over(struct request *r)
{
	struct server *s = r->server;
	const struct timespec *start_by = NULL;
	int64_t id;

	if (s->stopping)
		return answer_error(s, r->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the server stops");
	if (r->route->allowed & MS) {
		clock_gettime(CLOCK_MONOTONIC, &r->deadline);
		r->deadline.tv_nsec += (long)(r->ms % 1000) * 1000000;
		r->deadline.tv_sec += (time_t)(r->ms / 1000) + r->deadline.tv_nsec / 1000000000;
		r->deadline.tv_nsec %= 1000000000;
		start_by = &r->deadline;
	}
	MHD_suspend_connection(r->connection);
	id = handover_submit(s->pool, r->route->work, &r->work, r->route->flags, start_by);
	if (id > 0) {
		s->counts.accepted++;
		r->id = id;
		if (start_by)
			set_deadline(r);
		return MHD_YES;
	}
	if (id == -EAGAIN || id == -ENOBUFS)
		(void)answer_error(s, r->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the queue is full");
	else if (id == -ENOTSUP)
		(void)answer_error(s, r->connection, MHD_HTTP_NOT_IMPLEMENTED, "not with these workers");
	else
		(void)answer_error(s, r->connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "cannot hand over");
	resume(r);
	return MHD_YES;
}

enum MHD_Result requests_begin(void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
			       const char *upload, size_t *upload_size, void **request)
{
	struct server *s = cls;
	struct request *r = *request;

	(void)version;
	(void)upload;
	(void)upload_size;
	if (!r) { /* the header is here, a body may follow; of a GET there is none */
		r = calloc(1, sizeof *r);
		if (!r)
			return MHD_NO;
		r->server = s;
		r->connection = connection;
		r->ms = MS_USUAL;
		*request = r;
		s->counts.requests++;
		s->counts.open++;
		return strcmp(method, MHD_HTTP_METHOD_GET) ? answer_error(s, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only") : MHD_YES;
	}
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
		if (!strcmp(url, routes[i].path))
			r->route = &routes[i];
	if (!r->route)
		return answer_error(s, connection, MHD_HTTP_NOT_FOUND, "no such path");
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, parameter, r);
	if (r->bad || (r->given & r->route->needed) != r->route->needed)
		return answer_error(s, connection, MHD_HTTP_BAD_REQUEST, "bad parameters");
	if (r->route->work)
		return hand_over(r);
	return r->route->allowed & FORMAT ? answer_stats(r) : answer(s, connection, MHD_HTTP_OK, "text/plain", home);
}

/* The answer is sent, or the connection is gone. Not before its work has come back: a suspended connection is left alone. */
void requests_end(void *cls, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode why)
{
	struct server *s = cls;

	(void)connection;
	(void)why;
	if (!*request)
		return;
	s->counts.open--;
	free(*request);
	*request = NULL;
}

void requests_reap(struct server *s)
{
	struct handover_end end[REAP_MAX];
	size_t n;

	while ((n = handover_reap(s->pool, end, REAP_MAX)) > 0) {
		for (size_t i = 0; i < n; i++) {
			struct request *r = end[i].arg; /* its work is its first member */

			clear_deadline(r);
			answer_end(r, &end[i]);
			s->counts.answered++;
			resume(r);
		}
	}
}
