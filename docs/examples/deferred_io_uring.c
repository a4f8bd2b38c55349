/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads that end jobs: a job hands its read to the kernel, defers its end, and returns. Its worker
 * is free at once. The thread that takes the kernel's answers finishes the jobs, with what each
 * read returned. Where the kernel refuses io_uring (seccomp, sysctl) the program says so and leaves
 * with 77.
 */
#include <errno.h>
#include <filch/filch.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 200, BLOCK = 4096 };

struct block {
	uint64_t number;
	unsigned char data[BLOCK];
};

static struct filch_pool *pool;
static struct io_uring ring;
static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER; /* workers share its one end */
static int file;

static int read_block(void *arg)
{
	struct block *b = arg;
	int64_t id = filch_job_defer(); /* before the kernel can have an answer */
	struct io_uring_sqe *sqe;

	pthread_mutex_lock(&ring_lock);
	sqe = io_uring_get_sqe(&ring);
	if (sqe) {
		io_uring_prep_read(sqe, file, b->data, BLOCK, b->number * BLOCK);
		sqe->user_data = (uint64_t)id; /* all that the answer needs */
		(void)io_uring_submit(&ring);
	}
	pthread_mutex_unlock(&ring_lock);
	/* nobody else will: a job can finish itself */
	return sqe ? 0 : filch_job_finish(pool, id, -EBUSY);
}

/* Takes one answer and finishes its job. False: something is wrong. */
static bool finish_one(void)
{
	struct io_uring_cqe *cqe;
	int error;

	do
		error = io_uring_wait_cqe(&ring, &cqe);
	while (error == -EINTR);
	if (error)
		return false;
	error = filch_job_finish(pool, (int64_t)cqe->user_data, cqe->res);
	io_uring_cqe_seen(&ring, cqe);
	return !error;
}

static bool make_file(void)
{
	static unsigned char data[BLOCK];
	char name[] = "/tmp/filch-blocks-XXXXXX";

	file = mkstemp(name);
	if (file < 0 || unlink(name))
		return false;
	for (int i = 0; i < BLOCKS; i++) {
		memset(data, i, BLOCK);
		if (write(file, data, BLOCK) != BLOCK)
			return false;
	}
	return true;
}

int main(void)
{
	static struct block block[BLOCKS];
	static int64_t id[BLOCKS];
	int error = io_uring_queue_init(256, &ring, 0), wrong = 0;

	if (error) {
		printf("skipped: io_uring is refused here: %s\n", strerror(-error));
		return 77;
	}
	if (!make_file() || filch_pool_create(&pool, NULL))
		return 1;
	for (int i = 0; i < BLOCKS; i++) {
		block[i].number = (uint64_t)i;
		id[i] = filch_submit(pool, read_block, &block[i], NULL);
		if (id[i] < 0)
			return 1;
	}
	for (int i = 0; i < BLOCKS; i++)
		if (!finish_one())
			return 1;
	for (int i = 0; i < BLOCKS; i++) {
		struct filch_completion done;

		/* its status is what the read returned */
		if (filch_wait(pool, id[i], NULL, &done) || done.status != BLOCK ||
			block[i].data[0] != (unsigned char)i ||
			block[i].data[BLOCK - 1] != (unsigned char)i)
			wrong++;
	}
	printf("%d blocks, %d wrong\n", BLOCKS, wrong);
	error = filch_pool_destroy(pool);
	io_uring_queue_exit(&ring);
	close(file);
	return error || wrong;
}
