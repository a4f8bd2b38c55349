/* SPDX-License-Identifier: Apache-2.0 */
/* What filch-trace writes. */
#ifndef FILCHI_TOOLS_TRACE_WRITE_H
#define FILCHI_TOOLS_TRACE_WRITE_H

#include <stdio.h>

#include "tools/trace_look.h"

/* In words: what limits the run. */
void trace_write_stat(const struct look *look, FILE *out);

/* trace_page.html, compiled in. */
extern const char trace_page[];

/* One page of HTML that needs nothing else. */
void trace_write_page(const struct look *look, const char *title, FILE *out);

#endif
