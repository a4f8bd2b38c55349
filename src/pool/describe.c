/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool tells of itself: its plan, with its reasons, and what has become of it. */
#define _GNU_SOURCE
#include "pool/describe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/libc.h"
#include "core/given.h"

pid_t *filchi_pool_threads(struct filch_pool *pool)
{
	pid_t *tid = filchi_forked(pool) ? NULL : calloc(pool->running, sizeof *tid);

	for (uint32_t i = 0; tid && i < pool->running; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (filchi_load_acquire(&w->runs_on) || (!i && pool->has_caller))
			tid[i] = (pid_t)filch_load_relaxed(&w->tid);
	}
	return tid;
}

int filchi_pool_reasons(struct filch_pool *pool, char **text)
{
	const char *told = filchi_load_acquire(&pool->notes), *notes = told ? told : "";
	uint32_t vacant = filchi_load_acquire(&pool->vacant);
	int length;

	if (vacant)
		length = asprintf(text, "%s%s%u of %u workers lost and not replaced: %s\n",
			pool->plan->reasons, notes, vacant, pool->running,
			filchi_error_text((int)filch_load_relaxed(&pool->vacant_error)));
	else
		length = asprintf(text, "%s%s", pool->plan->reasons, notes);
	return length < 0 ? -ENOMEM : 0;
}

static int describe_pool(const struct filch_pool *pool, FILE *out, int format)
{
	/* read only, the loads want them plain */
	struct filch_pool *p = (struct filch_pool *)(uintptr_t)pool;
	struct filchi_plan plan;
	char *text = NULL;
	pid_t *tid;
	int error;

	if (!out)
		return -EINVAL;
	error = filchi_given(&p);
	if (error)
		return error;
	plan = *p->plan;
	error = filchi_pool_reasons(p, &text);
	if (error)
		return error;
	plan.reasons = text;
	tid = filchi_pool_threads(p);
	error = filchi_plan_write(&plan, out, format,
		&(struct filchi_pin_state){
			.error = p->pin_error, .tid = tid, .workers = p->running });
	free(tid);
	free(text);
	return error;
}

/*
 * A thread that is cancelled in here would leave a lock of the C library held. It ends at its next
 * cancellation point instead.
 */
int filch_pool_describe(const struct filch_pool *pool, FILE *out, int format)
{
	int before, error;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	error = describe_pool(pool, out, format);
	(void)pthread_setcancelstate(before, &before);
	return error;
}
