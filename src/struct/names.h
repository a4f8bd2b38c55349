/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of jobs: filch_submit.name, for those who look at a pool. They are kept apart from the
 * slots, since few jobs have one, and are mapped with the first. A name is found by the id it was
 * given for, so that a job without one need not clear what its slot had before.
 */
#ifndef FILCHI_NAMES_H
#define FILCHI_NAMES_H

#include "struct/job_slot.h"

struct filchi_name {
	filch_atomic_u64 id;
	FILCH_ATOMIC(const char *) text;
};

/* The submitter of job @id, which has not ended. Without memory it has no name. */
void filchi_name_set(struct filchi_jobs *jobs, int64_t id, const char *text);

/*
 * Any thread: the name of job @id, or NULL. Where its slot passes to another job meanwhile it may
 * be that one's; so a reader looks again whether the job is there.
 */
const char *filchi_name_of(struct filchi_jobs *jobs, int64_t id);

/* With the slots. */
void filchi_names_free(struct filchi_jobs *jobs);

#endif
