/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A completion queue in a libuv loop: uv_poll_t watches the queue's descriptor. Unlike
 * uv_queue_work() the pool is bounded, the loop learns so at once, and completions come in lots,
 * without a system call for each.
 */
#include <filch/filch.h>
#include <stdio.h>
#include <uv.h>

enum { REQUESTS = 500, AT_ONCE = 32 };

static uint64_t square[REQUESTS];
static struct filch_pool *pool;
static struct filch_cq *cq;
static int asked, answered, ticks, wrong;

static int square_it(void *arg)
{
	uint64_t *x = arg;

	*x *= *x;
	return 0;
}

/* As many as there is room for. */
static void ask(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = FILCH_TRY;
	how.cq = cq;
	while (asked < REQUESTS && filch_submit(pool, square_it, &square[asked], &how) > 0)
		asked++;
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct filch_completion done[8];
	int n;

	(void)events;
	if (status)
		wrong++;
	while ((n = filch_cq_reap(cq, done, 8)) > 0) {
		for (int i = 0; i < n; i++) {
			uint64_t *x = done[i].arg, i_asked = (uint64_t)(x - square);

			if (done[i].status || *x != i_asked * i_asked)
				wrong++;
			answered++;
		}
	}
	if (n < 0)
		wrong++;
	ask();
	if (answered == REQUESTS || wrong)
		/* before filch_cq_destroy(), which closes the descriptor */
		uv_close((uv_handle_t *)handle, NULL);
}

static void on_idle(uv_idle_t *handle)
{
	if (answered == REQUESTS || wrong)
		uv_close((uv_handle_t *)handle, NULL);
	ticks++; /* the loop goes on while the pool works */
}

int main(void)
{
	uv_loop_t loop;
	uv_poll_t poll;
	uv_idle_t idle;
	int fd;

	if (filch_pool_create(&pool, NULL) || filch_cq_create(&cq, AT_ONCE))
		return 1;
	fd = filch_cq_fd(cq);
	if (fd < 0 || uv_loop_init(&loop) || uv_poll_init(&loop, &poll, fd) ||
		uv_idle_init(&loop, &idle))
		return 1;
	for (uint64_t i = 0; i < REQUESTS; i++)
		square[i] = i;
	if (uv_poll_start(&poll, UV_READABLE, on_readable) || uv_idle_start(&idle, on_idle))
		return 1;
	ask();
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	printf("%d answers in %d turns of the loop\n", answered, ticks);
	if (uv_loop_close(&loop) || filch_pool_destroy(pool) || filch_cq_destroy(cq))
		return 1;
	return wrong || answered != REQUESTS;
}
