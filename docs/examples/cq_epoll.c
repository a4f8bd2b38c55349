/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A completion queue in an event loop on epoll(7): a thousand requests, their answers through the
 * queue's descriptor, and the loop never waits for the pool. When the queue is full the request is
 * put back and taken up again after the next answers.
 */
#include <errno.h>
#include <filch/filch.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { REQUESTS = 1000, AT_ONCE = 64 };

struct request {
	uint32_t n;   /* the message ... */
	uint64_t sum; /* ... and its answer */
};

static struct request request[REQUESTS];
static struct filch_pool *pool;
static struct filch_cq *cq;
static int asked, answered, busy, wrong;

static int add_up(void *arg)
{
	struct request *r = arg;

	for (uint64_t i = 1; i <= r->n; i++)
		r->sum += i;
	return 0;
}

/* False: busy, try again after the next answer. */
static bool ask(struct request *r)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	how.when_full = FILCH_TRY; /* a loop never waits */
	how.cq = cq;
	id = filch_submit(pool, add_up, r, &how);
	if (id < 0 && id != -EAGAIN && id != -ENOBUFS)
		wrong++;
	return id > 0;
}

static void answer(const struct filch_completion *done)
{
	const struct request *r = done->arg;

	if (done->status || r->sum != (uint64_t)r->n * (r->n + 1) / 2)
		wrong++;
	answered++;
}

/* The queue's descriptor is readable: reaps until there is nothing, which clears it. */
static void on_completions(void)
{
	struct filch_completion done[16];
	int n;

	while ((n = filch_cq_reap(cq, done, 16)) > 0) {
		for (int i = 0; i < n; i++)
			answer(&done[i]);
	}
	if (n < 0)
		wrong++;
}

int main(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET }; /* level-triggered is as good */
	int loop = epoll_create1(EPOLL_CLOEXEC), fd;

	if (loop < 0 || filch_pool_create(&pool, NULL) || filch_cq_create(&cq, AT_ONCE))
		return 1;
	fd = filch_cq_fd(cq);
	event.data.fd = fd;
	if (fd < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event))
		return 1;
	for (int i = 0; i < REQUESTS; i++)
		request[i].n = (uint32_t)(i * 7 % 1000);
	while (answered < REQUESTS && !wrong) {
		while (asked < REQUESTS && ask(&request[asked]))
			asked++;
		if (asked < REQUESTS)
			busy++;
		/* something is in flight: AT_ONCE jobs, or what is left */
		if (epoll_wait(loop, &event, 1, -1) == 1 && event.data.fd == fd)
			on_completions();
	}
	printf("%d answers, %d times busy\n", answered, busy);
	if (filch_pool_destroy(pool) || filch_cq_destroy(cq))
		return 1;
	close(loop);
	return wrong != 0;
}
