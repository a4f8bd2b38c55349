/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snippets of docs/tuning.md and docs/servers.md on how many workers run: a pool with others in
 * reserve, resized and paused, and jobs that block while spares take their place.
 */
#include <filch/filch.h>
#include <stdatomic.h>
#include <unistd.h>

static struct filch_pool *pool;
static int pipe_of[2];
static atomic_int served;

static int start(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;     /* so many run at first */
	config.workers_max = 2; /* and so many when it is resized */
	config.spares = 4;      /* besides, while jobs block: at most so many at once */
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	return filch_pool_create(&pool, &config);
}

static int read_and_serve(void *arg)
{
	char byte;
	ssize_t n;

	(void)arg;
	(void)filch_blocking_begin();
	n = read(pipe_of[0], &byte, 1); /* a spare has the core meanwhile */
	(void)filch_blocking_end();
	if (n == 1)
		atomic_fetch_add(&served, 1);
	return n == 1 ? 0 : -1;
}

/* What the readers wait for. With one worker and no spare it would not start. */
static int write_one(void *arg)
{
	(void)arg;
	return write(pipe_of[1], "x", 1) == 1 ? 0 : -1;
}

/* Nothing is started meanwhile, though others go on to submit. */
static int without_new_work(int (*fn)(void))
{
	int error = filch_pool_pause(pool);

	if (error)
		return error;
	error = fn();
	return error ? error : filch_pool_resume(pool);
}

static int reload(void)
{
	return 0;
}

int main(void)
{
	int64_t id[8];

	if (pipe(pipe_of) || start() || without_new_work(reload))
		return 1;
	for (int i = 0; i < 8; i++) {
		id[i] = filch_submit(pool, i < 4 ? read_and_serve : write_one, NULL, NULL);
		if (id[i] < 0)
			return 1;
	}
	for (int i = 0; i < 8; i++)
		if (filch_wait(pool, id[i], NULL, NULL))
			return 1;
	if (filch_pool_resize(pool, 2) || filch_pool_workers(pool) != 2)
		return 1;
	return filch_pool_destroy(pool) || atomic_load(&served) != 4;
}
