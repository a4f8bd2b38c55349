/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread half of docs/from-other-libraries.md: a pool with a queue, futures, what follows a
 * job, stopping one, stopping all.
 */
#include <errno.h>
#include <filch/filch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct request {
	char text[32];
	size_t length; /* the answer */
};

static int serve(void *arg)
{
	struct request *r = arg;

	r->length = strlen(r->text);
	return 0;
}

static struct filch_pool *pool;
static struct request first = { "to be measured", 0 }, second = { "and measured again", 0 };
static atomic_size_t both;

/* Runs where the job ended, when it has ended: the place for what comes next. */
static void then(const struct filch_completion *done)
{
	const struct request *r = done->arg;

	if (!done->status)
		atomic_fetch_add(&both, r->length);
}

/* Looks at its flag: a job is asked to stop, never killed. */
static int until_told(void *arg)
{
	atomic_bool *running = arg;

	atomic_store(running, true);
	while (!filch_job_cancelled())
		;
	return -ECANCELED;
}

/* A future: the id. False where there is no result. */
static bool ask_and_wait(struct request *r)
{
	struct filch_completion done;
	/* as std::async(); waits while the queue is full */
	int64_t id = filch_submit(pool, serve, r, NULL);

	if (id < 0)
		return false;
	return !filch_wait(pool, id, NULL, &done) && !done.status; /* as get(): once */
}

int main(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_completion done;
	atomic_bool running = false;
	int64_t id;
	int error;

	config.queue_capacity = 1000;
	if (filch_pool_create(&pool, &config))
		return 1;
	if (!ask_and_wait(&first) || first.length != 14)
		return 1;

	how.on_complete = then;
	if (filch_submit(pool, serve, &first, &how) < 0 ||
		filch_submit(pool, serve, &second, &how) < 0)
		return 1;

	id = filch_submit(pool, until_told, &running, NULL);
	if (id < 0)
		return 1;
	while (!atomic_load(&running))
		;
	if (filch_cancel(pool, id) || filch_wait(pool, id, NULL, &done) ||
		done.status != -ECANCELED)
		return 1;

	/* no more is accepted; what was accepted is answered */
	error = filch_pool_shutdown(pool, FILCH_DRAIN, NULL);
	printf("%zu characters measured by callbacks\n", atomic_load(&both));
	return filch_pool_destroy(pool) || error || atomic_load(&both) != 14 + 18;
}
