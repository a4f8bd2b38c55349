/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of a command line: the one place where they are read. */
#include "number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool bench_number(const char *option, const char *text, size_t length, bool whole, double least,
	double most, double *value)
{
	const char *digits = whole ? "0123456789" : "0123456789.";
	char *end = NULL;

	if (length && strspn(text, digits) >= length) {
		*value = strtod(text, &end);
		if (end == text + length && *value >= least && *value <= most)
			return true;
	}
	fprintf(stderr, "%s takes a %s from %g to %g, and not \"%.*s\"\n", option,
		whole ? "whole number" : "number", least, most, (int)length, text);
	return false;
}
