/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipeline: one thread reads, the workers compute, one thread writes in the order of the input.
 * An ordered completion queue keeps the order. Its capacity bounds the memory: the reader waits
 * while so many pieces are out.
 */
#include <filch/filch.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECES = 2000, AT_ONCE = 16 };

struct piece {
	uint32_t n;      /* what was read ... */
	uint32_t primes; /* ... and what was made of it: primes below n */
};

static struct filch_pool *pool;
static struct filch_cq *cq;

static int compute(void *arg)
{
	struct piece *p = arg;

	for (uint32_t i = 2; i < p->n; i++) {
		uint32_t d = 2;

		while (d * d <= i && i % d)
			d++;
		p->primes += d * d > i;
	}
	return 0;
}

static void *read_all(void *unused)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	(void)unused;
	how.cq = cq;
	how.flags = FILCH_JOB_WAIT_CQ;
	for (uint32_t i = 0; i < PIECES; i++) {
		struct piece *p = calloc(1, sizeof *p);

		if (!p)
			abort();
		p->n = i % 300; /* of uneven work: they end in another order */
		if (filch_submit(pool, compute, p, &how) < 0)
			abort();
	}
	return NULL;
}

/* The oldest piece first; its number is the count of those before it. */
static int write_all(void)
{
	struct filch_completion done[AT_ONCE];
	int wrong = 0;

	for (uint32_t next = 0; next < PIECES;) {
		int n = filch_cq_wait(cq, done, AT_ONCE, NULL);

		for (int i = 0; i < n; i++) {
			struct piece *p = done[i].arg;

			wrong += done[i].status != 0 || p->n != next % 300;
			if (next++ % 500 == 299)
				printf("%" PRIu32 " primes below %" PRIu32 "\n", p->primes, p->n);
			free(p);
		}
	}
	return wrong;
}

int main(void)
{
	struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;
	pthread_t reader;
	int wrong;

	config.flags = FILCH_CQ_ORDERED;
	config.capacity = AT_ONCE;
	if (filch_pool_create(&pool, NULL) || filch_cq_create_with(&cq, &config))
		return 1;
	if (pthread_create(&reader, NULL, read_all, NULL))
		return 1;
	wrong = write_all();
	pthread_join(reader, NULL);
	return filch_pool_destroy(pool) || filch_cq_destroy(cq) || wrong;
}
