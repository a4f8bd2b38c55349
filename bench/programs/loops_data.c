/* SPDX-License-Identifier: Apache-2.0 */
/* The arrays of the loop programs, one for all contestants: see loops.h. */
#include "programs/loops.h"

struct bench_loops bench_loops;
