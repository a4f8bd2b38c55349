/* SPDX-License-Identifier: Apache-2.0 */
/* Scopes: opened here or as a job, cancelled, asked for. */
#include "calls/scopes.h"

#include <errno.h>

#include <filch/job.h>
#include <filch/scope.h>

#include "base/import.h"
#include "calls/submit.h"

#define SCOPE_CONFIG_SIZE_V1 24 /* of the first release that has it; never changes */

/* Ends the scope on top. @status stands, unless the scope was cancelled with another. */
static int leave(struct filchi_worker *w, int status)
{
	uint64_t cancelled = filchi_load_acquire(&filchi_segment_top(&w->deque)->cancelled);

	filchi_assert(filchi_segment_is_scope(filchi_segment_top(&w->deque)));
	filchi_segment_close(&w->deque);
	return cancelled ? (int)(int32_t)(uint32_t)cancelled : status;
}

int filch_scope_enter(struct filch_worker *hot)
{
	return filchi_scope_open(&filchi_worker_of(hot)->deque) ? 0 : -ENOBUFS;
}

int filch_scope_leave(struct filch_worker *hot)
{
	return leave(filchi_worker_of(hot), 0);
}

/* @width as in the config. */
static int enter(struct filchi_worker *w, uint32_t width)
{
	struct filchi_crew *crew = NULL;

	if (width > FILCHI_CREW_MOST)
		width = w->pool->workers > FILCHI_CREW_MOST ? FILCHI_CREW_MOST : 0;
	if (width && width < w->pool->workers) {
		crew = filchi_crew_open(&w->deque, w->id, width);
		if (!crew)
			return w->deque.crew ? -ENOBUFS : -ENOMEM;
	}
	if (filchi_scope_open_with(&w->deque, crew))
		return 0;
	if (crew)
		w->deque.crews--;
	return -ENOBUFS;
}

/* A call of filch_scope(), as a task. */
struct call {
	struct filch_task task; /* first */
	int (*fn)(void *arg);
	void *arg;
	uint32_t width;
	bool is_free; /* FILCH_JOB_FREE */
	int status;
};

static void run(struct filch_worker *hot, filch_index index, struct filch_task *task)
{
	struct filchi_worker *w = filchi_worker_of(hot);
	struct call *call = (struct call *)(void *)task;

	(void)index; /* what is called here asks for its own */
	call->status = enter(w, call->width);
	if (!call->status)
		call->status = leave(w, call->is_free ? filchi_worker_run_free(call->fn, call->arg)
						      : call->fn(call->arg));
}

int filch_scope(struct filch_pool *pool, const struct filch_scope_config *config,
	int (*fn)(void *arg), void *arg)
{
	struct filch_scope_config as = FILCH_SCOPE_INIT;
	struct call call = { .fn = fn, .arg = arg };
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int error;

	if (!fn)
		return -EINVAL;
	error = config ? filchi_import(&as, sizeof as, config, SCOPE_CONFIG_SIZE_V1) : 0;
	if (error)
		return error;
	if (as.flags & ~FILCH_JOB_FREE || as.lane >= FILCH_LANES ||
		!filchi_deadline_ok(as.finish_by))
		return -EINVAL;
	call.width = as.width;
	call.is_free = as.flags & FILCH_JOB_FREE;
	how.lane = as.lane;
	how.finish_by = as.finish_by;
	error = filchi_run_as(pool, &call.task, run, &how);
	return error ? error : call.status;
}

static struct filchi_segment *here(void)
{
	struct filchi_worker *w = filchi_worker_self();

	return w ? filchi_scope_here(w) : NULL;
}

int filch_scope_cancel(int status)
{
	struct filchi_segment *scope = here();
	uint64_t none = 0;

	if (!scope)
		return -EPERM;
	filch_tsan_release(&scope->cancelled);
	return filchi_cas_acq_rel(
		       &scope->cancelled, &none, FILCHI_SCOPE_CANCELLED | (uint32_t)status)
		       ? 0
		       : -EALREADY;
}

int filch_scope_slot(void)
{
	struct filchi_segment *scope = here();
	struct filchi_crew *crew;
	uint32_t me;
	bool inside;

	if (!scope)
		return -1;
	me = filchi_worker_self()->id;
	crew = filch_load_relaxed(&scope->crew);
	return crew ? (int)(filchi_crew_find(crew, me, &inside) - crew->place) : (int)me;
}

bool filchi_scope_is_cancelled(struct filchi_segment *scope)
{
	/* all open, the innermost as well: it is around the caller */
	for (; scope; scope = filch_load_relaxed(&scope->outer)) {
		if (FILCH_UNLIKELY(filchi_load_acquire(&scope->cancelled))) {
			filch_tsan_acquire(&scope->cancelled);
			return true;
		}
	}
	return false;
}

bool filch_cancelled(void)
{
	return filch_job_cancelled() || filchi_scope_is_cancelled(here());
}
