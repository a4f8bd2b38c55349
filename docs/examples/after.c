/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that start after others: parts are read and summed, the sums are added when all are there,
 * and the buffers go when nobody needs them any more, whatever has failed. No thread waits in
 * between.
 */
#include <filch/filch.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTS = 8, NUMBERS = 1000 };

struct part {
	int *numbers; /* from the reading to the end */
	int first;
	bool missing;
	long sum;
};

static struct part part[PARTS];
static long total;

static int read_part(void *arg)
{
	struct part *p = arg;

	p->numbers = p->missing ? NULL : malloc(NUMBERS * sizeof p->numbers[0]);
	for (int i = 0; p->numbers && i < NUMBERS; i++)
		p->numbers[i] = p->first + i;
	return p->numbers ? 0 : -1; /* below 0: failed */
}

static int sum_part(void *arg)
{
	struct part *p = arg;

	p->sum = 0;
	for (int i = 0; i < NUMBERS; i++)
		p->sum += p->numbers[i];
	return 0;
}

static int add_up(void *unused)
{
	(void)unused;
	total = 0;
	for (int i = 0; i < PARTS; i++)
		total += part[i].sum;
	return 0;
}

static int free_parts(void *unused)
{
	(void)unused;
	for (int i = 0; i < PARTS; i++) {
		free(part[i].numbers);
		part[i].numbers = NULL;
	}
	return 0;
}

/* The job of @fn(@arg), after @n others. */
static int64_t submit(struct filch_pool *pool, filch_job_fn *fn, void *arg, const int64_t *after,
	size_t n, uint64_t flags)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.after = after;
	how.after_count = n;
	how.flags = flags;
	return filch_submit(pool, fn, arg, &how);
}

/* 0, or how the sum has failed. */
static int run(struct filch_pool *pool)
{
	int64_t read[PARTS], summed[PARTS], added, freed;
	struct filch_completion c;

	for (int i = 0; i < PARTS; i++) {
		read[i] = filch_submit(pool, read_part, &part[i], NULL);
		summed[i] = submit(pool, sum_part, &part[i], &read[i], 1, 0);
		if (read[i] < 0 || summed[i] < 0)
			exit(1);
	}
	added = submit(pool, add_up, NULL, summed, PARTS, 0);
	freed = submit(pool, free_parts, NULL, &added, 1, FILCH_JOB_AFTER_ANY);
	if (added < 0 || freed < 0 || filch_wait(pool, freed, NULL, NULL))
		exit(1);
	for (int i = 0; i < PARTS; i++)
		if (filch_wait(pool, read[i], NULL, NULL) ||
			filch_wait(pool, summed[i], NULL, NULL))
			exit(1);
	if (filch_wait(pool, added, NULL, &c))
		exit(1);
	return c.flags & FILCH_DONE_AFTER ? -1 : c.status;
}

int main(void)
{
	struct filch_pool *pool;
	int whole, partial;

	if (filch_pool_create(&pool, NULL))
		return 1;
	for (int i = 0; i < PARTS; i++)
		part[i].first = i * NUMBERS;
	whole = run(pool);
	printf("whole: %d, total %ld\n", whole, total);
	part[3].missing = true;
	partial = run(pool);
	printf("without a part: %d\n", partial);
	if (filch_pool_destroy(pool))
		return 1;
	return whole != 0 || total != (long)PARTS * NUMBERS * (PARTS * NUMBERS - 1) / 2 ||
	       partial == 0;
}
