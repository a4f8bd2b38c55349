/* SPDX-License-Identifier: Apache-2.0 */
/* A pool's report, in parts: see describe.c. */
#ifndef FILCHI_DESCRIBE_H
#define FILCHI_DESCRIBE_H

#include <sys/types.h>

#include "core/types.h"

/*
 * The kernel's numbers of the workers' threads, to be freed; NULL: without memory, or in the child
 * of a fork, whose numbers they are not.
 */
pid_t *filchi_pool_threads(struct filch_pool *pool);

/*
 * In *@text, to be freed: the plan's reasons, the notes of the create, and whether seats are empty.
 * 0 or -ENOMEM.
 */
int filchi_pool_reasons(struct filch_pool *pool, char **text);

#endif
