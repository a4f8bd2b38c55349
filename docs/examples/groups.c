/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups. First a request that is made of many jobs: the first one that fails cancels the others,
 * and the request is over when all are. Then a pipeline without a thread of its own for the
 * writing: pieces are read here, worked on by any worker, and written in the order of the input,
 * with a bound on the pieces that are in memory.
 */
#include <filch/filch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTS = 200, BAD = 120, PIECES = 2000, IN_MEMORY = 32 };

static struct filch_pool *pool;

/* --- a request ------------------------------------------------------- */

struct request {
	struct filch_group *parts;
	atomic_int error; /* the first one */
	atomic_int done;
	int bad; /* the part that fails */
};

struct part {
	struct request *of;
	int number;
};

static int do_part(void *arg)
{
	struct part *p = arg;
	int none = 0;

	if (p->number == p->of->bad) {
		if (atomic_compare_exchange_strong(&p->of->error, &none, -1))
			filch_group_cancel(p->of->parts);
		return -1;
	}
	p->of->done++;
	return 0;
}

/* 0, or the error of the first part that has failed. */
static int serve(struct request *request)
{
	static struct part part[PARTS];
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int error;

	if (filch_group_create(&request->parts, pool, NULL))
		return -2;
	how.group = request->parts;
	how.flags = FILCH_JOB_DETACHED;
	for (int i = 0; i < PARTS && !request->error; i++) {
		part[i] = (struct part){ request, i };
		if (filch_submit(pool, do_part, &part[i], &how) < 0)
			abort();
	}
	error = filch_group_wait(request->parts, NULL);
	if (error || filch_group_destroy(request->parts))
		abort();
	return request->error;
}

/* --- a pipeline ------------------------------------------------------ */

struct piece {
	int n;      /* what was read ... */
	int primes; /* ... and what was made of it: primes below n */
};

static int next, wrong; /* the writer's: one write comes after the other */

static int work(void *arg)
{
	struct piece *p = arg;

	for (int i = 2; i < p->n; i++) {
		int d = 2;

		while (d * d <= i && i % d)
			d++;
		p->primes += d * d > i;
	}
	return 0;
}

static int write_out(void *arg)
{
	struct piece *p = arg;

	wrong += p->n != next++ % 300;
	if (p->n == 299 && next == 300)
		printf("%d primes below %d\n", p->primes, p->n);
	free(p);
	return 0;
}

static struct piece *read_next(int i)
{
	struct piece *p = i < PIECES ? calloc(1, sizeof *p) : NULL;

	if (p)
		p->n = i % 300; /* of uneven work: they end in another order */
	return p;
}

static int pipeline(void)
{
	struct filch_group_config config = FILCH_GROUP_INIT;
	struct filch_submit worked = FILCH_SUBMIT_INIT, written = FILCH_SUBMIT_INIT;
	struct filch_group *group;
	int64_t before[2] = { 0, 0 };
	struct piece *p;

	config.unfinished_max = 2 * IN_MEMORY;
	if (filch_group_create(&group, pool, &config))
		return 1;
	worked.group = written.group = group;
	worked.flags = written.flags = FILCH_JOB_DETACHED;
	written.after = before;
	for (int i = 0; (p = read_next(i)); i++) {
		before[0] = filch_submit(pool, work, p, &worked);
		written.after_count = i ? 2 : 1; /* this piece's work, and the write before */
		before[1] = filch_submit(pool, write_out, p, &written);
		if (before[0] < 0 || before[1] < 0)
			abort();
	}
	if (filch_group_wait(group, NULL) || filch_group_destroy(group))
		return 1;
	return next != PIECES || wrong;
}

int main(void)
{
	struct request good = { .bad = -1 }, bad = { .bad = BAD };
	int status;

	if (filch_pool_create(&pool, NULL))
		return 1;
	status = serve(&good) != 0 || good.done != PARTS || serve(&bad) != -1 || bad.done >= PARTS;
	printf("one request did %d parts, the other %d\n", good.done, bad.done);
	status += pipeline();
	return filch_pool_destroy(pool) || status;
}
