/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of the lanes, for filch_pool_lane_stats() and for the live page. */
#ifndef FILCHI_COUNTERS_H
#define FILCHI_COUNTERS_H

#include "core/types.h"

/* Jobs of a lane that are not complete. */
struct filchi_lane_look {
	uint64_t queued, running;
	uint64_t waiting;   /* for others that they come after, or held by their group */
	uint64_t oldest_at; /* when the oldest queued one was submitted; 0 = none is queued */
};

/* Any thread: looks at all slots that have been used, @look is [FILCH_LANES]. */
void filchi_lanes_look(struct filch_pool *pool, struct filchi_lane_look *look);

/* Any thread: adds to the fields of @sum that are counted, of jobs that have ended. */
void filchi_lane_counted(struct filch_pool *pool, uint32_t lane, struct filch_lane_stats *sum);

#endif
