/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of a command line. */
#ifndef BENCH_NUMBER_H
#define BENCH_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads the @length characters at @text into *@value: digits, and a point unless it must be @whole,
 * from @least to @most. Anything else is refused, with a message that names the @option: false.
 */
bool bench_number(const char *option, const char *text, size_t length, bool whole, double least,
	double most, double *value);

#endif
