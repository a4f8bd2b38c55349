/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests: which there are, what each is answered with.
 *
 * Everything here runs on the event loop's thread, so a request is touched by one thread at a time:
 * by the loop, or, between submit and reap, its `work` by a worker. The order that libmicrohttpd
 * wants:
 *
 *   in its handler           suspend, then submit; when submit refuses: queue the answer, resume
 *   when the work has ended  queue the answer, resume, and never touch the connection again
 *
 * A suspended connection does not time out and hides that its client has gone: that is noticed when
 * the answer is sent. Work that should end early has a finish_by, as that of /slow.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"
#include "parameters.h"
#include "server.h"
#include "work.h"

#define REAP_MAX 64
#define TEXT_MAX 512
#define BODY_MAX 65536 /* of a request's body, which no path has a use for */
#define MS_USUAL 200

#ifndef MHD_HTTP_CONTENT_TOO_LARGE /* before 0.9.74 */
#define MHD_HTTP_CONTENT_TOO_LARGE 413
#endif

enum { N = PARAMETER_N, TAG = PARAMETER_TAG, MS = PARAMETER_MS };

struct request;

struct route {
	const char *path;
	unsigned allowed, needed; /* parameters */
	int (*work)(void *arg);   /* NULL: answered at once, by `at_once` */
	enum MHD_Result (*at_once)(struct request *r);
	unsigned flags;
	bool deadline; /* its work has until ms have passed */
};

struct request {
	struct work work; /* the message: a worker's between submit and reap */
	struct server *server;
	struct MHD_Connection *connection;
	struct client *client;
	const struct route *route; /* NULL: there is no such path */
	struct timespec begun;
	size_t body; /* bytes of it that have come */
	uint64_t ms;
};

static enum MHD_Result answer_home(struct request *r);
static enum MHD_Result answer_stats(struct request *r);
static enum MHD_Result answer_metrics(struct request *r);

static const struct route routes[] = {
	{ "/", 0, 0, NULL, answer_home, 0, false },
	{ "/stats", 0, 0, NULL, answer_stats, 0, false },
	{ "/metrics", 0, 0, NULL, answer_metrics, 0, false },
	{ "/compute", N | TAG, N, work_compute, NULL, 0, false },
	{ "/crash", TAG, 0, work_crash, NULL, HANDOVER_GUARDED, false },
	{ "/slow", MS | TAG, 0, work_slow, NULL, 0, true },
	{ "/stubborn", MS | TAG, 0, work_stubborn, NULL, 0, false },
};

#define ROUTES (sizeof routes / sizeof routes[0])
_Static_assert(ROUTES + 1 == PATHS, "one place for each path, and one for all others");

const char *requests_path(size_t index)
{
	return index < ROUTES ? routes[index].path : index == ROUTES ? "other" : NULL;
}

/* --- answers ---------------------------------------------------------- */

/*
 * Queues the answer; the connection may be suspended. Without memory for it the connection is
 * closed.
 */
static enum MHD_Result answer(struct server *s, struct MHD_Connection *connection, unsigned code,
	const char *type, const char *body)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
		strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
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
	if (queued == MHD_YES) {
		s->counts.answers[code]++;
		client_wait(&s->clients, client_of(connection), CLIENT_ANSWER);
	}
	return queued;
}

static enum MHD_Result answer_error(
	struct server *s, struct MHD_Connection *connection, unsigned code, const char *what)
{
	char body[TEXT_MAX];

	snprintf(body, sizeof body, "{\"error\":\"%s\"}\n", what);
	return answer(s, connection, code, "application/json", body);
}

static enum MHD_Result answer_home(struct request *r)
{
	return answer(r->server, r->connection, MHD_HTTP_OK, "text/plain",
		"filch's example: GET /compute?n=40000000&tag=1, /crash, /slow?ms=200, "
		"/stubborn?ms=200, /stats, /metrics\n");
}

static enum MHD_Result answer_figures(
	struct request *r, void (*write)(struct server *, FILE *), const char *type)
{
	enum MHD_Result queued = MHD_NO;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return MHD_NO;
	write(r->server, out);
	if (!fclose(out))
		queued = answer(r->server, r->connection, MHD_HTTP_OK, type, text);
	free(text);
	return queued;
}

static enum MHD_Result answer_stats(struct request *r)
{
	return answer_figures(r, figures_write_json, "application/json");
}

static enum MHD_Result answer_metrics(struct request *r)
{
	return answer_figures(r, figures_write_metrics, "text/plain; version=0.0.4; charset=utf-8");
}

/* The answer of work that has ended; its connection is suspended. */
static void answer_end(struct request *r, const struct handover_end *end)
{
	char body[TEXT_MAX];
	unsigned code = MHD_HTTP_OK;
	int used = snprintf(
		body, sizeof body, "{\"id\":%" PRId64 ",\"tag\":%" PRIu64, end->id, r->work.tag);
	char *more = body + used;
	size_t left = sizeof body - (size_t)used;

	if (end->signal) {
		const char *name = sigabbrev_np(end->signal);

		code = MHD_HTTP_INTERNAL_SERVER_ERROR;
		snprintf(more, left,
			",\"error\":\"crashed\",\"signal\":%d,\"name\":\"SIG%s\","
			"\"address\":\"0x%" PRIx64 "\"}\n",
			end->signal, name ? name : "?", end->address);
	} else if (end->status == 0) {
		snprintf(more, left,
			",\"n\":%" PRIu64 ",\"result\":%" PRIu64
			",\"worker\":%d,\"queued_ns\":%" PRIu64 ",\"run_ns\":%" PRIu64 "}\n",
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

/* --- one request ------------------------------------------------------ */

/* Nothing was handed over: the answer, for a connection that is suspended. */
static void answer_refusal(struct request *r, int64_t error)
{
	unsigned code = MHD_HTTP_INTERNAL_SERVER_ERROR;
	const char *what = "cannot hand over";

	if (error == -EAGAIN || error == -ENOBUFS) {
		code = MHD_HTTP_SERVICE_UNAVAILABLE;
		what = "the queue is full";
	} else if (error == -ENOTSUP) {
		code = MHD_HTTP_NOT_IMPLEMENTED;
		what = "not with these workers";
	}
	(void)answer_error(r->server, r->connection, code, what);
	resume(r);
}

/* Suspends the connection and hands its work over. */
static enum MHD_Result hand_over(struct request *r)
{
	struct server *s = r->server;
	struct timespec finish_by;
	int64_t id;

	if (s->stopping)
		return answer_error(
			s, r->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the server stops");
	finish_by = deadline_after(r->ms);
	client_wait(&s->clients, r->client, CLIENT_NO_WAIT);
	MHD_suspend_connection(r->connection);
	id = handover_submit(s->pool, r->route->work, &r->work, r->route->flags,
		r->route->deadline ? &finish_by : NULL);
	if (id <= 0) {
		answer_refusal(r, id);
		return MHD_YES;
	}
	s->counts.accepted++;
	return MHD_YES;
}

/* The whole request is here. */
static enum MHD_Result perform(struct request *r)
{
	struct parameters p = { .ms = MS_USUAL };

	if (!r->route)
		return answer_error(r->server, r->connection, MHD_HTTP_NOT_FOUND, "no such path");
	if (!parameters_read(
		    r->connection, r->route->path, r->route->allowed, r->route->needed, &p))
		return answer_error(r->server, r->connection, MHD_HTTP_BAD_REQUEST, p.error);
	r->work.n = p.n;
	r->work.tag = p.tag;
	r->work.ms = r->ms = p.ms;
	return r->route->work ? hand_over(r) : r->route->at_once(r);
}

/* Whether the header says that the body is longer than is read. */
static bool says_too_long(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length && strtoull(length, NULL, 10) > BODY_MAX;
}

/* The header is here, a body may follow. */
static enum MHD_Result begin(struct server *s, struct MHD_Connection *connection, const char *url,
	const char *method, void **request)
{
	struct client *client = client_of(connection);
	struct request *r = client && !client->dismissed ? calloc(1, sizeof *r) : NULL;

	if (!r)
		return MHD_NO;
	r->server = s;
	r->connection = connection;
	r->client = client;
	r->begun = deadline_after(0);
	for (size_t i = 0; i < ROUTES; i++)
		if (!strcmp(url, routes[i].path))
			r->route = &routes[i];
	*request = r;
	s->counts.requests++;
	s->counts.open++;
	if (strcmp(method, MHD_HTTP_METHOD_GET))
		return answer_error(s, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only");
	if (says_too_long(connection))
		return answer_error(
			s, connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long");
	/* a connection's first request has had some of its time already */
	if (client->wait == CLIENT_NEXT)
		client_wait(&s->clients, client, CLIENT_REQUEST);
	client->begun = true;
	return MHD_YES;
}

/*
 * A piece of the body. It means nothing to a GET, but what follows it on the connection does, so it
 * is read. Where the header did not say how long it is, it may turn out to be too long: MHD takes
 * no answer before its end.
 */
static enum MHD_Result take_body(struct request *r, size_t *size)
{
	r->body += *size;
	r->server->counts.body_bytes += *size;
	*size = 0;
	if (r->body <= BODY_MAX)
		return MHD_YES;
	client_dismiss(r->server, r->client, MHD_HTTP_CONTENT_TOO_LARGE);
	return MHD_NO;
}

enum MHD_Result requests_begin(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **request)
{
	struct request *r = *request;

	(void)version;
	(void)upload;
	if (!r)
		return begin(cls, connection, url, method, request);
	if (r->client->dismissed) /* what it sent has come too late */
		return MHD_NO;
	if (*upload_size)
		return take_body(r, upload_size);
	r->client->begun = false;
	return perform(r);
}

/*
 * The answer is sent, or the connection is gone. Not before its work has come back: a suspended
 * connection is left alone.
 */
void requests_end(void *cls, struct MHD_Connection *connection, void **request,
	enum MHD_RequestTerminationCode why)
{
	struct server *s = cls;
	struct request *r = *request;

	(void)connection;
	if (!r)
		return;
	s->counts.open--;
	r->client->begun = false;
	if (why == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
		histogram_add(&s->answer_time[r->route ? (size_t)(r->route - routes) : ROUTES],
			deadline_ns_since(&r->begun));
		client_wait(&s->clients, r->client, CLIENT_NEXT);
	}
	free(r);
	*request = NULL;
}

void requests_reap(struct server *s)
{
	struct handover_end end[REAP_MAX];
	size_t n;

	while ((n = handover_reap(s->pool, end, REAP_MAX)) > 0) {
		for (size_t i = 0; i < n; i++) {
			struct request *r = end[i].arg; /* its work is its first member */

			histogram_add(&s->queue_time, end[i].queued_ns);
			if (end[i].run_ns)
				histogram_add(&s->run_time, end[i].run_ns);
			answer_end(r, &end[i]);
			s->counts.answered++;
			resume(r);
		}
	}
}
