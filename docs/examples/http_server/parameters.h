/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers behind a path's question mark, checked. */
#ifndef PARAMETERS_H
#define PARAMETERS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

/* A path says which it takes. */
enum { PARAMETER_N = 1, PARAMETER_TAG = 2, PARAMETER_MS = 4 };

struct parameters {
	uint64_t n, tag, ms;
	unsigned given;
	char error[160]; /* what is wrong, in words that fit a JSON string */
};

/*
 * Fills @p from what the client has written; what is not given keeps its value. False: @p->error
 * names the first parameter that is wrong.
 */
bool parameters_read(struct MHD_Connection *connection, const char *path, unsigned allowed,
	unsigned needed, struct parameters *p);

#endif
