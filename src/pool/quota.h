/* SPDX-License-Identifier: Apache-2.0 */
/* A quota that is followed: FILCH_POOL_FOLLOW_QUOTA. See quota.c. */
#ifndef FILCHI_QUOTA_H
#define FILCHI_QUOTA_H

#include "core/types.h"

/* The attendant: reads the quota, and lets as many workers run as it allows now. */
void filchi_quota_look(struct filch_pool *pool);

/* For tests: from now on it is read below these roots, which must stay. */
void filchi_quota_set_roots(struct filch_pool *pool, const struct filchi_roots *roots);

#endif
