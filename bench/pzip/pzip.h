/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pzip.c compresses; main.c has options, files and the gzip frame; progress.c the bar. Errors are
 * negative errno.
 */
#ifndef PZIP_H
#define PZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pzip_options {
	int in, out;       /* descriptors */
	int level;         /* 1 to 9 */
	uint32_t workers;  /* 0: the pool's own choice */
	uint64_t expected; /* bytes of input, for the progress bar; 0: not known */
	bool progress;
};

struct pzip_totals {
	uint64_t bytes_in, bytes_out;
	int workers; /* 0: serial */
};

/* Compresses `in` to `out` on a pool. */
int pzip_parallel(const struct pzip_options *options, struct pzip_totals *totals);

/* The same on this thread, as one plain zlib stream: what the parallel form is compared with. */
int pzip_serial(const struct pzip_options *options, struct pzip_totals *totals);

/* Reads until @size bytes or the end, whatever pieces come; adds to @got. */
int pzip_read(int fd, unsigned char *to, size_t size, size_t *got);

int pzip_write(int fd, const unsigned char *from, size_t size);

/* The frame of a gzip member (RFC 1952). */
int pzip_write_head(int fd, int level);
int pzip_write_tail(int fd, uint32_t check, uint64_t size);

/*
 * Draws the bar, ten times a second at most; @end: for the last time. @in: bytes of input whose
 * output is written. The first call is the beginning of the time it tells.
 */
void pzip_progress(const struct pzip_options *options, uint64_t in, uint64_t out, bool end);

/* Before something else is printed. */
void pzip_progress_end_line(void);

/* On CLOCK_MONOTONIC. */
double pzip_seconds(void);

#endif
