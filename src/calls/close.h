/* SPDX-License-Identifier: Apache-2.0 */
/* Closing a pool: nothing more is accepted, what has not started ends. */
#ifndef FILCHI_CLOSE_H
#define FILCHI_CLOSE_H

#include "core/types.h"

/* Any thread: submits get -ESHUTDOWN from now on. */
void filchi_pool_close(struct filch_pool *pool);

/* Any thread: completes queued jobs with -ECANCELED, and raises the flag of running ones. */
void filchi_pool_cancel_all(struct filch_pool *pool);

#endif
