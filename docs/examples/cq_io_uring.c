/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A completion queue in an io_uring loop: a multishot poll of the queue's descriptor, armed once,
 * posts an entry for each of its rings. Where the kernel refuses io_uring (seccomp, sysctl) the
 * program says so and leaves with 77.
 */
#include <errno.h>
#include <filch/filch.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { REQUESTS = 500, AT_ONCE = 32 };

static uint64_t square[REQUESTS];
static struct filch_pool *pool;
static struct filch_cq *cq;
static int asked, answered, wrong;

static int square_it(void *arg)
{
	uint64_t *x = arg;

	*x *= *x;
	return 0;
}

static void ask(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = FILCH_TRY;
	how.cq = cq;
	while (asked < REQUESTS && filch_submit(pool, square_it, &square[asked], &how) > 0)
		asked++;
}

static void reap(void)
{
	struct filch_completion done[8];
	int n;

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
}

static int watch(struct io_uring *ring, int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	return io_uring_submit(ring) == 1 ? 0 : -EIO;
}

int main(void)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	int error = io_uring_queue_init(8, &ring, 0), fd;

	if (error) {
		printf("skipped: io_uring is refused here: %s\n", strerror(-error));
		return 77;
	}
	if (filch_pool_create(&pool, NULL) || filch_cq_create(&cq, AT_ONCE))
		return 1;
	for (uint64_t i = 0; i < REQUESTS; i++)
		square[i] = i;
	fd = filch_cq_fd(cq);
	if (fd < 0 || watch(&ring, fd))
		return 1;
	ask();
	while (answered < REQUESTS && !wrong) {
		bool more;

		error = io_uring_wait_cqe(&ring, &cqe);
		if (error == -EINTR)
			continue;
		if (error || cqe->res < 0)
			return 1;
		more = cqe->flags & IORING_CQE_F_MORE;
		io_uring_cqe_seen(&ring, cqe);
		/* the kernel has ended the multishot: before the reap, or an edge is missed */
		if (!more && watch(&ring, fd))
			return 1;
		reap();
		ask();
	}
	printf("%d answers\n", answered);
	io_uring_queue_exit(&ring); /* before filch_cq_destroy(), which closes the descriptor */
	if (filch_pool_destroy(pool) || filch_cq_destroy(cq))
		return 1;
	return wrong != 0;
}
