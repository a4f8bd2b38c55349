/* SPDX-License-Identifier: Apache-2.0 */
/* The span and the critical path of a trace: part of look_at(). */
#ifndef FILCHI_TRACE_PATH_H
#define FILCHI_TRACE_PATH_H

#include "tools/trace_look.h"

/* Fills span, burdened, step and path. False: no memory. */
bool look_path(struct look *look);

#endif
