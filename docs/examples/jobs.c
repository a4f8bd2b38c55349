/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs from outside: submitted, answered when the queue is full, waited for by id, cancelled. */
#include <errno.h>
#include <filch/filch.h>
#include <inttypes.h>
#include <stdio.h>

struct request {
	uint32_t from, to; /* the message ... */
	uint64_t sum;      /* ... and the result, in the same object: nothing is copied */
};

static int add_up(void *arg)
{
	struct request *request = arg;

	if (request->from > request->to)
		return -EINVAL; /* becomes the completion's status */
	for (uint64_t i = request->from; i <= request->to; i++) {
		if (i % 1024 == 0 && filch_job_cancelled())
			return -ECANCELED;
		request->sum += i;
	}
	return 0;
}

int main(void)
{
	struct request good = { 1, 100000, 0 }, bad = { 2, 1, 0 };
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion done;
	struct filch_pool *pool;
	int64_t ids[2];
	int error;

	if (filch_pool_create(&pool, NULL))
		return 1;
	how.when_full = FILCH_TRY; /* a server answers "busy" instead of waiting */
	ids[0] = filch_submit(pool, add_up, &good, &how);
	ids[1] = filch_submit(pool, add_up, &bad, &how);
	if (ids[0] < 0 || ids[1] < 0)
		return 1; /* -EAGAIN: the queue is full; -ENOBUFS: completions were not reaped */
	struct timespec soon = filch_after(UINT64_C(10000000000));
	error = filch_wait(pool, ids[0], &soon, &done);
	if (!error && done.status == 0)
		printf("job %" PRId64 ": %" PRIu64 ", ran %" PRIu64 " ns on worker %d\n", done.id,
			good.sum, done.run_ns, (int)done.worker);
	if (error || good.sum != UINT64_C(5000050000))
		return 1;
	error = filch_wait(pool, ids[1], NULL, &done);
	if (error || done.status != -EINVAL || filch_wait(pool, ids[1], NULL, NULL) != -ESRCH)
		return 1; /* each id is reaped once */

	/* from here on a submit is -ESHUTDOWN */
	error = filch_pool_shutdown(pool, FILCH_DRAIN, NULL);
	if (filch_submit(pool, add_up, &good, &how) != -ESHUTDOWN)
		return 1;
	return filch_pool_destroy(pool) || error;
}
