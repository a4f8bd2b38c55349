/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a job that has a callback. See callbacks.c. */
#ifndef FILCHI_CALLBACKS_H
#define FILCHI_CALLBACKS_H

#include "struct/job_slot.h"

/*
 * The owner of a job that is over: calls its callback, or leaves that to the callback around. 0, or
 * FILCHI_JOB_IN_CHILD: it has forked, and this is the child.
 */
uint64_t filchi_call_back(struct filchi_jobs *jobs, struct filchi_job *job);

/* job_slot.c: what is told of a job that is over; and its end, when all is told. */
void filchi_job_completion(const struct filchi_job *job, struct filch_completion *out);
void filchi_job_be_gone(struct filchi_jobs *jobs, struct filchi_job *job);

#endif
