/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order: for each worker the others, nearest first. Pure: from cores to arrays. The library makes
 * plans with it, and so does the simulator, for more workers than a plan may have.
 */
#ifndef FILCHI_ORDER_H
#define FILCHI_ORDER_H

#include "place/placement.h"

/*
 * Makes plan->order and its tiers for plan->workers workers, of which worker w sits on *core[w].
 * Within a tier the order starts behind the worker and goes round, so that no worker is everybody's
 * first. Returns 0 or -ENOMEM; filchi_plan_free() frees what was made.
 */
int filchi_order_make(struct filchi_plan *plan, const struct filchi_core *const *core);

#endif
