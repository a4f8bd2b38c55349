/* SPDX-License-Identifier: Apache-2.0 */
/* Callbacks of jobs: called one after another, whatever becomes due in one of them. */
#include "struct/callbacks.h"

#include "base/cpu_control.h"
#include "base/fork.h"

/* Contexts but those of the pool's own work begin a struct filchi_job_context. */
static struct filchi_job_context *job_context(struct filchi_context *context)
{
	return (struct filchi_job_context *)(void *)context;
}

/* A callback has returned: its job is over, and nothing of it lies on this stack. */
static void leave_callback(const struct filchi_job_context *here)
{
	filchi_context_leave(&here->context);
	filchi_job_be_gone(here->jobs, here->job);
}

static bool call_due(struct filchi_job_context *here);

/*
 * The program has ended its thread in the callback. That has had the completion, and its job is
 * over. Callbacks that became due in it are called from here.
 */
static void callback_exited(void *arg)
{
	struct filchi_job_context *here = arg;

	if (!filchi_this_thread.context)
		return; /* in the child of a fork */
	if (here->jobs->left)
		here->jobs->left();
	leave_callback(here);
	(void)call_due(here);
}

/* Calls the callback of here->job. False: it has forked, and this is the child. */
static bool call_one(struct filchi_job_context *here)
{
	const struct filchi_cpu_control control = filchi_cpu_control();
	uint32_t generation = filchi_fork_generation();
	struct filch_completion completion;

	filchi_job_completion(here->job, &completion);
	filchi_context_enter(&here->context, FILCHI_CONTEXT_CALLBACK);
	pthread_cleanup_push(callback_exited, here);
	here->job->on_complete(&completion);
	pthread_cleanup_pop(0);
	filchi_cpu_control_restore(control); /* the thread is the caller's, or runs jobs next */
	if (filchi_forked_since(generation))
		return false; /* where the thread is in no context any more */
	leave_callback(here);
	return true;
}

/* Calls what became due in a callback that is over, and in these. False as call_one(). */
static bool call_due(struct filchi_job_context *here)
{
	bool goes_on = true;

	while (goes_on && here->due) {
		here->job = here->due;
		here->due = filch_load_relaxed(&here->job->after);
		goes_on = call_one(here);
	}
	return goes_on;
}

/*
 * The callback of @jobs that the calling thread is in, if only other callbacks lie above it. Work
 * in between, which a callback waits for or runs, may rely on what it cancels being over.
 */
static struct filchi_job_context *callback_around(const struct filchi_jobs *jobs)
{
	struct filchi_context *c = filchi_this_thread.context;

	while (c && c->kind == FILCHI_CONTEXT_CALLBACK && job_context(c)->jobs != jobs)
		c = c->outer;
	return c && c->kind == FILCHI_CONTEXT_CALLBACK ? job_context(c) : NULL;
}

/* Callbacks nest where one ends a job of another pool. */
uint64_t filchi_call_back(struct filchi_jobs *jobs, struct filchi_job *job)
{
	struct filchi_job_context here = { .jobs = jobs, .job = job },
				  *around = callback_around(jobs);

	if (!around)
		return call_one(&here) && call_due(&here) ? 0 : FILCHI_JOB_IN_CHILD;
	filch_store_relaxed(&job->after, NULL);
	if (around->due)
		filch_store_relaxed(&around->last_due->after, job);
	else
		around->due = job;
	around->last_due = job;
	return 0;
}

const struct filchi_job_context *filchi_context_find(
	unsigned kind, const struct filchi_jobs *jobs, const struct filchi_job *job)
{
	for (struct filchi_context *c = filchi_this_thread.context; c; c = c->outer) {
		const struct filchi_job_context *of = job_context(c);

		if (c->kind == kind && (!jobs || of->jobs == jobs) && (!job || of->job == job))
			return of;
	}
	return NULL;
}

struct filchi_job *filchi_contexts_lost(void)
{
	struct filchi_job *due = NULL, *last = NULL;

	for (struct filchi_context *c; (c = filchi_this_thread.context);) {
		const struct filchi_job_context *here = job_context(c);

		if (c->kind != FILCHI_CONTEXT_CALLBACK) {
			filchi_context_leave(c);
			continue;
		}
		leave_callback(here);
		for (struct filchi_job *job = here->due; job;
			job = filch_load_relaxed(&job->after)) {
			filch_store_relaxed(&job->due_in, here->jobs);
			if (last)
				filch_store_relaxed(&last->after, job);
			else
				due = job;
			last = job;
		}
	}
	return due;
}

void filchi_job_call_due(struct filchi_job *job)
{
	struct filchi_jobs *jobs = filch_load_relaxed(&job->due_in);

	filch_store_relaxed(&job->cq, NULL);
	(void)filchi_call_back(jobs, job);
}
