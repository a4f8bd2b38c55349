/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snippets of docs/servers.md: a pool beside an event loop, requests with a deadline, answers
 * through a descriptor, an end that leaves nothing unanswered.
 */
#include <errno.h>
#include <filch/filch.h>
#include <poll.h>
#include <stdio.h>

enum { REQUESTS = 300 };

struct request {
	uint64_t n, sum;
	int code; /* 0: not answered */
};

static struct request request[REQUESTS];
static struct filch_pool *pool;
static struct filch_cq *cq;
static int in_flight, answered[600];

/* The work, on a worker. It looks at its flag now and then. */
static int work(void *arg)
{
	struct request *r = arg;

	for (uint64_t i = 1; i <= r->n; i++) {
		if (i % 4096 == 0 && filch_job_cancelled())
			return -ECANCELED;
		r->sum += i;
	}
	return 0;
}

static void answer(struct request *r, int code)
{
	r->code = code;
	answered[code]++;
}

/* A request has come in, on the loop's thread. It never waits here. */
static void on_request(struct request *r)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct timespec start_by = filch_after(UINT64_C(2000000000)); /* in two seconds */
	int64_t id;

	how.when_full = FILCH_TRY;
	how.start_by = &start_by; /* not started by then: shed, with -ETIMEDOUT */
	how.cq = cq;
	how.name = "request"; /* what filch-top calls it: a text that stays */
	id = filch_submit(pool, work, r, &how);
	if (id > 0)
		in_flight++;
	else
		answer(r, 503); /* -EAGAIN, -ENOBUFS: busy; -ESHUTDOWN: going down */
}

/* The descriptor is readable: reap until there is nothing, which clears it. */
static int on_completions(void)
{
	struct filch_completion done[32];
	int n;

	while ((n = filch_cq_reap(cq, done, 32)) > 0) {
		for (int i = 0; i < n; i++) {
			int status = done[i].status;

			answer(done[i].arg, !status ? 200 : status == -ETIMEDOUT ? 504 : 500);
		}
		in_flight -= n;
	}
	return n;
}

static int start(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	int error;

	config.reserve_cores = 1;   /* for the thread of the loop */
	config.queue_capacity = 64; /* so many may wait: a bound on the wait, and on memory */
	config.name = "work";       /* threads are work/0, work/1 ... */
	error = filch_pool_create(&pool, &config);
	if (error)
		return error;
	error = filch_cq_create(&cq, 256); /* more than are ever in flight */
	return error ? error : filch_cq_fd(cq);
}

/* Every accepted request is answered, the ones that have not started with an error. */
static int stop(void)
{
	struct timespec soon = filch_after(UINT64_C(5000000000));
	int error = filch_pool_shutdown(pool, FILCH_DRAIN, &soon);

	if (error == -ETIMEDOUT)
		error = filch_pool_shutdown(pool, FILCH_ABANDON, NULL);
	if (!error)
		error = on_completions();
	if (!error)
		error = filch_pool_destroy(pool);
	return error ? error : filch_cq_destroy(cq);
}

int main(void)
{
	struct pollfd watched = { .events = POLLIN };
	struct filch_lane_stats lane = FILCH_LANE_STATS_INIT;
	int error;

	watched.fd = start();
	if (watched.fd < 0)
		return 1;
	for (int i = 0; i < REQUESTS; i++) {
		request[i].n = 20000;
		on_request(&request[i]);
		/* a real loop has other descriptors in this set */
		if (poll(&watched, 1, 0) == 1 && on_completions())
			return 1;
	}
	if (filch_pool_lane_stats(pool, FILCH_LANE_NORMAL, &lane))
		return 1;
	error = stop();
	printf("200: %d, 503: %d; refused %d\n", answered[200], answered[503], (int)lane.rejected);
	return error || in_flight || answered[200] + answered[503] != REQUESTS ||
	       (int)lane.rejected != answered[503];
}
