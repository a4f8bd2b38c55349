/* SPDX-License-Identifier: Apache-2.0 */
/* The warden: one thread of a guarding or watching pool, which sees to lost threads and stuck jobs. See warden.c. */
#ifndef FILCHI_WARDEN_H
#define FILCHI_WARDEN_H

#include "seat.h"

/* The creator, before the workers: 0 or an errno (positive). */
int filchi_warden_start(struct filch_pool *pool);

/* Destroy, when no job is left: every lost thread is joined, the warden gone. */
void filchi_warden_stop(struct filch_pool *pool);

#endif
