/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of blocks for a compressed file: put() takes the next block and may wait for room, get()
 * gives the oldest that is ready, flush() says when all are. The shape of libraries that write
 * compressed files block by block. Many files share one pool of workers, and one file is flushed or
 * given up while others go on. Here a file is an ordered completion queue.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "pools.h"

enum { BLOCKS = 8, BYTES = 512 };

/* --- the shape ---------------------------------------------------------- */

struct block {
	uint32_t number;
	unsigned length;
	unsigned char plain[BYTES], packed[2 * BYTES];
	unsigned packed_length;
	int64_t id;
};

struct file {
	struct filch_pool *pool;
	struct filch_cq *cq;
	unsigned out; /* blocks that were put and not got */
	struct block block[BLOCKS];
	uint32_t put, got;
	uint64_t hash; /* of the packed blocks, in order */
	uint64_t given_up;
};

/* Runs of equal bytes, each as length and byte. */
static int pack(void *arg)
{
	struct block *b = arg;
	unsigned n = 0;

	for (unsigned i = 0, run; i < b->length; i += run) {
		for (run = 1; run < 255 && i + run < b->length; run++)
			if (b->plain[i + run] != b->plain[i])
				break;
		b->packed[n++] = (unsigned char)run;
		b->packed[n++] = b->plain[i];
	}
	b->packed_length = n;
	return 0;
}

static void file_open(struct file *f, struct filch_pool *pool)
{
	struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;

	*f = (struct file){ .pool = pool };
	config.flags = FILCH_CQ_ORDERED;
	config.capacity = BLOCKS;
	CHECK_EQ(filch_cq_create_with(&f->cq, &config), 0);
}

/* Gets the oldest block, which it waits for. */
static void file_get(struct file *f)
{
	struct filch_completion done;
	struct block *b;

	CHECK_EQ(filch_cq_wait(f->cq, &done, 1, NULL), 1);
	b = done.arg;
	CHECK_EQ(b->number, f->got);
	f->got++;
	f->out--;
	if (done.status == -ECANCELED) {
		f->given_up++;
		return;
	}
	CHECK_EQ(done.status, 0);
	for (unsigned i = 0; i < b->packed_length; i++)
		f->hash = (f->hash ^ b->packed[i]) * UINT64_C(1099511628211);
}

static void file_put(struct file *f, const unsigned char *bytes, unsigned n)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct block *b;

	if (f->out == BLOCKS)
		file_get(f);
	b = &f->block[f->put % BLOCKS];
	b->number = f->put++;
	b->length = n;
	memcpy(b->plain, bytes, n);
	how.cq = f->cq;
	b->id = filch_submit(f->pool, pack, b, &how);
	CHECK(b->id > 0, "%lld", (long long)b->id);
	f->out++;
}

static void file_flush(struct file *f)
{
	while (f->out)
		file_get(f);
}

/* What has not begun ends now; all of it is got. */
static void file_give_up(struct file *f)
{
	for (uint32_t i = f->got; i != f->put; i++) {
		int error = filch_cancel(f->pool, f->block[i % BLOCKS].id);

		CHECK(error == 0 || error == -ESRCH || error == -EALREADY, "%d", error);
	}
	file_flush(f);
}

static void file_close(struct file *f)
{
	file_flush(f);
	CHECK_EQ(filch_cq_destroy(f->cq), 0);
}

/* --- a program of that shape ------------------------------------------- */

static struct filch_pool *pool;

struct writer {
	uint64_t seed, blocks, flushes, given_up, abandoned;
	pthread_t thread;
};

static void fill(uint64_t *rng, unsigned char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		bytes[i] = (unsigned char)(test_random(rng) % 3);
}

/* The hash that the blocks of @seed have, made by one thread. */
static uint64_t alone(uint64_t seed, uint64_t blocks)
{
	uint64_t hash = 0;
	struct block b;

	for (uint64_t i = 0; i < blocks; i++) {
		b.length = BYTES - (unsigned)(i % 100);
		fill(&seed, b.plain, b.length);
		(void)pack(&b);
		for (unsigned k = 0; k < b.packed_length; k++)
			hash = (hash ^ b.packed[k]) * UINT64_C(1099511628211);
	}
	return hash;
}

static void *write_files(void *arg)
{
	struct writer *w = arg;
	uint64_t seed = w->seed, rng = seed;
	unsigned char bytes[BYTES];
	struct file f;

	file_open(&f, pool);
	for (uint64_t i = 0; i < w->blocks; i++) {
		unsigned n = BYTES - (unsigned)(i % 100);

		fill(&rng, bytes, n);
		file_put(&f, bytes, n);
		if (i % 37 == 36) {
			file_flush(&f);
			w->flushes++;
			CHECK_EQ(f.got, i + 1);
		}
	}
	file_close(&f);
	CHECK_EQ(f.got, w->blocks);
	CHECK_EQ(f.given_up, 0);
	CHECK_EQ(f.hash, alone(seed, w->blocks));

	/* another that is given up again and again, beside those of the other writers */
	file_open(&f, pool);
	for (uint64_t i = 0; i < w->blocks; i++) {
		fill(&rng, bytes, BYTES);
		file_put(&f, bytes, BYTES);
		if (test_random(&rng) % 5 == 0) {
			file_give_up(&f);
			w->abandoned++;
			CHECK_EQ(f.got, i + 1);
		}
	}
	file_close(&f);
	w->given_up = f.given_up;
	return NULL;
}

static void files_are_written_in_order_and_one_is_given_up_alone(void)
{
	enum { WRITERS = 4 };
	uint64_t given_up = 0, seed = test_seed();

	pool = pool_open(2, 0);
	for (int round = 0; round < 100 && !given_up; round++) {
		struct writer w[WRITERS] = { 0 };

		test_watchdog(120);
		for (uint64_t i = 0; i < WRITERS; i++) {
			w[i].seed = test_random(&seed) | 1;
			w[i].blocks = test_scaled(10000);
			CHECK_EQ(pthread_create(&w[i].thread, NULL, write_files, &w[i]), 0);
		}
		for (int i = 0; i < WRITERS; i++) {
			pthread_join(w[i].thread, NULL);
			given_up += w[i].given_up;
		}
	}
	printf("    blocks given up: %llu\n", (unsigned long long)given_up);
	CHECK(given_up, "every block had begun before it was given up");
	pool_close(pool);
}

int main(void)
{
	test_case("files are written in order, and one is given up alone",
		files_are_written_in_order_and_one_is_given_up_alone);
	return test_finish("block_pool");
}
