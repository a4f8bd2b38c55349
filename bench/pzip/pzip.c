/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pzip: compresses a file on all cores into what gzip -d reads. A batch tool on jobs and an ordered
 * completion queue.
 *
 * The input is cut into blocks of 128 KiB. Each is one job: it deflates its block with the 32 KiB
 * before it as dictionary, so that cutting costs little of the ratio, and ends at a byte boundary;
 * the pieces in order are one deflate stream, and with a header and trailer one gzip member, as
 * pigz writes it. (A member per block would be simpler and needs no dictionary: 20 bytes more per
 * block, and 3 to 5 % larger output on sources.) Checksums are per block as well, and joined.
 *
 * The main thread reads, submits and writes. The queue gives the blocks back in the order in which
 * they were read. Memory is bounded: the blocks are a ring, as many as the queue has room. If all
 * are out, the main thread waits for the oldest and writes it. The pool's queue is smaller than
 * that: a submit waits there for a worker (FILCH_BLOCK).
 *
 * Each worker has one deflate state, which it uses again for every block: filch_worker_id() says
 * which.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "pzip.h"

#include <errno.h>
#include <filch/filch.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BLOCK       ((size_t)128 << 10)
#define DICTIONARY  ((size_t)32 << 10)
#define WORKERS_MAX 1024
#define REAP_MAX    64

struct block {
	struct pzip *run;
	size_t size, dictionary; /* bytes of input, and of what comes before it */
	bool last;
	unsigned char *in; /* dictionary, then input */
	unsigned char *out;
	size_t out_size;
	uint32_t check;
};

struct pzip {
	const struct pzip_options *options;
	struct filch_pool *pool;
	struct filch_cq *cq;
	z_stream *deflate; /* one per worker; opaque is NULL until it is first used */
	bool *ready;
	int workers;
	size_t blocks, out_room; /* how many there are, and each one's room for output */
	struct block *block;
	uint64_t next_in, next_out; /* numbers: block n is at n % blocks */
	uint32_t check;
	uint64_t bytes_in, bytes_done,
		bytes_out; /* read; of these, those whose output is written */
};

/* The job. Returns 0, or -ENOMEM, or -EIO: zlib is of another opinion about its own bounds. */
static int compress_block(void *arg)
{
	struct block *b = arg;
	struct pzip *p = b->run;
	int worker = filch_worker_id(), status;
	z_stream *z = &p->deflate[worker];

	if (!p->ready[worker]) {
		if (deflateInit2(z, p->options->level, Z_DEFLATED, -MAX_WBITS, 8,
			    Z_DEFAULT_STRATEGY) != Z_OK)
			return -ENOMEM;
		p->ready[worker] = true;
	} else {
		deflateReset(z);
	}
	if (b->dictionary)
		deflateSetDictionary(z, b->in + DICTIONARY - b->dictionary, (uInt)b->dictionary);
	z->next_in = b->in + DICTIONARY;
	z->avail_in = (uInt)b->size;
	z->next_out = b->out;
	z->avail_out = (uInt)p->out_room;
	status = deflate(z, b->last ? Z_FINISH : Z_SYNC_FLUSH);
	if (status != (b->last ? Z_STREAM_END : Z_OK) || z->avail_in || !z->avail_out)
		return -EIO;
	b->out_size = p->out_room - z->avail_out;
	b->check = (uint32_t)crc32(crc32(0, NULL, 0), b->in + DICTIONARY, (uInt)b->size);
	return 0;
}

static int write_block(struct pzip *p, const struct block *b)
{
	int error = pzip_write(p->options->out, b->out, b->out_size);

	if (error)
		return error;
	p->bytes_out += b->out_size;
	p->bytes_done += b->size;
	p->check = (uint32_t)crc32_combine(p->check, b->check, (z_off_t)b->size);
	pzip_progress(p->options, p->bytes_done, p->bytes_out, false);
	return 0;
}

/* Waits for the oldest block, takes those that are done behind it, and writes them. */
static int reap(struct pzip *p, bool write)
{
	struct filch_completion done[REAP_MAX];
	int n = filch_cq_wait(p->cq, done, REAP_MAX, NULL), error = 0;

	for (int i = 0; i < n; i++) {
		p->next_out++;
		if (!error)
			error = done[i].status;
		if (!error && write)
			error = write_block(p, done[i].arg);
	}
	return n < 0 ? n : error;
}

static int submit(struct pzip *p, struct block *b)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	how.cq = p->cq;
	id = filch_submit(p->pool, compress_block, b, &how);
	p->next_in += id > 0;
	return id < 0 ? (int)id : 0;
}

/*
 * Reads the next block into @b, behind the end of the one before it. Sets `last` when there is no
 * more.
 */
static int fill(struct pzip *p, struct block *b, unsigned char *tail, size_t *tail_size, bool *more)
{
	unsigned char probe;
	int error;

	b->last = false;
	b->dictionary = *tail_size;
	memcpy(b->in + DICTIONARY - *tail_size, tail, *tail_size);
	b->size = 0;
	/* the byte by which the block before this one knew that it was not the last */
	if (p->next_in > 0) {
		b->in[DICTIONARY] = tail[DICTIONARY];
		b->size = 1;
	}
	error = pzip_read(p->options->in, b->in + DICTIONARY + b->size, BLOCK - b->size, &b->size);
	if (error)
		return error;
	*more = false;
	if (b->size == BLOCK) {
		size_t got = 0;

		error = pzip_read(p->options->in, &probe, 1, &got);
		if (error)
			return error;
		*more = got == 1;
	}
	b->last = !*more;
	p->bytes_in += b->size;
	if (*more) {
		memcpy(tail, b->in + BLOCK, DICTIONARY); /* its last 32 KiB */
		tail[DICTIONARY] = probe;
		*tail_size = DICTIONARY;
	}
	return 0;
}

static int run(struct pzip *p)
{
	static unsigned char tail[DICTIONARY + 1];
	size_t tail_size = 0;
	bool more = true;
	int error = pzip_write_head(p->options->out, p->options->level);

	pzip_progress(p->options, 0, 0, false);
	while (!error && more) {
		struct block *b = &p->block[p->next_in % p->blocks];

		if (p->next_in - p->next_out == p->blocks)
			error = reap(p, true);
		if (!error)
			error = fill(p, b, tail, &tail_size, &more);
		if (!error)
			error = submit(p, b);
	}
	while (p->next_out < p->next_in) { /* after an error too: the jobs hold our memory */
		int late = reap(p, !error);

		if (!error)
			error = late;
	}
	if (!error)
		error = pzip_write_tail(p->options->out, p->check, p->bytes_in);
	if (!error)
		pzip_progress(p->options, p->bytes_done, p->bytes_out, true);
	return error;
}

static int open_run(struct pzip *p)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_cq_config queue = FILCH_CQ_CONFIG_INIT;
	int error;

	config.workers = p->options->workers;
	config.flags = p->options->workers ? FILCH_POOL_OVERSUBSCRIBE : 0;
	config.name = "pzip";
	config.queue_capacity = 2 * (p->options->workers ? p->options->workers : 16);
	error = filch_pool_create(&p->pool, &config);
	if (error)
		return error;
	p->workers = filch_pool_workers(p->pool);
	/* twice as many as can be at work or queued: the rest is done and waits for an older one */
	p->blocks = 2 * ((size_t)p->workers + config.queue_capacity);
	queue.flags = FILCH_CQ_ORDERED;
	queue.capacity = (uint32_t)p->blocks;
	error = filch_cq_create_with(&p->cq, &queue);
	if (error)
		return error;
	p->out_room = compressBound(BLOCK) + 64;
	p->deflate = calloc((size_t)p->workers, sizeof *p->deflate);
	p->ready = calloc((size_t)p->workers, sizeof *p->ready);
	p->block = calloc(p->blocks, sizeof *p->block);
	if (!p->deflate || !p->ready || !p->block)
		return -ENOMEM;
	for (size_t i = 0; i < p->blocks; i++) {
		struct block *b = &p->block[i];

		*b = (struct block){
			.run = p, .in = malloc(DICTIONARY + BLOCK), .out = malloc(p->out_room)
		};
		if (!b->in || !b->out)
			return -ENOMEM;
	}
	return 0;
}

static void close_run(struct pzip *p)
{
	if (p->pool && filch_pool_destroy(p->pool))
		return;
	if (p->cq && filch_cq_destroy(p->cq))
		return;
	for (size_t i = 0; p->block && i < p->blocks; i++) {
		free(p->block[i].in);
		free(p->block[i].out);
	}
	for (int i = 0; p->deflate && p->ready && i < p->workers; i++)
		if (p->ready[i])
			deflateEnd(&p->deflate[i]);
	free(p->block);
	free(p->ready);
	free(p->deflate);
}

int pzip_parallel(const struct pzip_options *options, struct pzip_totals *totals)
{
	struct pzip p = { .options = options };
	int error = open_run(&p);

	if (!error)
		error = run(&p);
	*totals = (struct pzip_totals){ p.bytes_in, p.bytes_out, p.workers };
	close_run(&p);
	return error;
}

int pzip_serial(const struct pzip_options *options, struct pzip_totals *totals)
{
	static unsigned char in[BLOCK], out[BLOCK];
	uint32_t check = 0;
	z_stream z = { 0 };
	size_t size;
	int error = pzip_write_head(options->out, options->level);

	*totals = (struct pzip_totals){ 0, 0, 0 };
	if (!error && deflateInit2(&z, options->level, Z_DEFLATED, -MAX_WBITS, 8,
			      Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	pzip_progress(options, 0, 0, false);
	do {
		size = 0;
		if (!error)
			error = pzip_read(options->in, in, BLOCK, &size);
		if (error)
			break;
		check = (uint32_t)crc32(check, in, (uInt)size);
		totals->bytes_in += size;
		z.next_in = in;
		z.avail_in = (uInt)size;
		do {
			z.next_out = out;
			z.avail_out = BLOCK;
			deflate(&z, size < BLOCK ? Z_FINISH : Z_NO_FLUSH);
			totals->bytes_out += BLOCK - z.avail_out;
			error = pzip_write(options->out, out, BLOCK - z.avail_out);
		} while (!error && z.avail_out == 0);
		pzip_progress(options, totals->bytes_in, totals->bytes_out, false);
	} while (!error && size == BLOCK);
	deflateEnd(&z);
	if (!error)
		error = pzip_write_tail(options->out, check, totals->bytes_in);
	if (!error)
		pzip_progress(options, totals->bytes_in, totals->bytes_out, true);
	return error;
}
