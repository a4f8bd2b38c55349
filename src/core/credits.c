/* SPDX-License-Identifier: Apache-2.0 */
/* Workers of another pool that wait for room in a completion queue: as stays, see abroad.h. */
#include "core/stays.h"
#include "struct/credit.h"

static bool is_there(void *cq)
{
	return filchi_credit_is_there(cq);
}

static bool may_come(void *cq)
{
	return filchi_credit_may_come(cq);
}

static bool take(void *cq, uint32_t *cell)
{
	return filchi_credit_take(cq, cell, 1);
}

/*
 * In an ordered queue one alone counts, the first that has not ended: what comes back next is its
 * credit. A reaper that has passed a cell and not freed it will free that one.
 */
static bool is_held_by(void *of, struct filch_pool *pool, struct filchi_job *job)
{
	struct filch_cq *cq = of;
	uint64_t head;

	(void)pool;
	if (filch_load_relaxed(&job->cq) != cq)
		return false;
	if (!cq->ordered)
		return true;
	head = filchi_load_acquire(&cq->order.head);
	return filch_load_relaxed(&job->cell) == head % cq->capacity &&
	       filchi_load_acquire(&cq->order.tail) == head + cq->capacity;
}

static struct filchi_source source_of(struct filch_cq *cq)
{
	return (struct filchi_source){ .of = cq,
		.awaited = &cq->blocked,
		.is_there = is_there,
		.may_come = may_come,
		.take = take,
		.is_held_by = is_held_by,
		.size = cq->ordered ? 1 : cq->capacity };
}

int filchi_abroad_credit(struct filchi_worker *w, struct filch_pool *pool, struct filch_cq *cq,
	const struct filch_group *group, const struct timespec *deadline, uint32_t *cell)
{
	const struct filchi_source source = source_of(cq);

	return filchi_abroad_source(w, pool, &source, group, deadline, cell);
}

int filchi_outside_credit(struct filch_pool *pool, struct filch_cq *cq,
	const struct filch_group *group, const struct timespec *deadline, uint32_t *cell)
{
	const struct filchi_source source = source_of(cq);
	struct filchi_outsider o = { .pool = pool, .source = &source, .group = group };
	int error;

	/*
	 * In an ordered queue those that hold a credit are not counted, and this may have one when
	 * a look takes it for one that waits.
	 */
	if (deadline || cq->ordered || !group || !group->unfinished_max)
		return filchi_credit_wait(cq, &pool->closing, deadline, cell);
	filchi_outsider_enter(&o);
	error = filchi_credit_wait(cq, &pool->closing, NULL, cell);
	filchi_outsider_leave(&o);
	return error;
}

void filchi_abroad_has_credit(struct filch_cq *cq)
{
	filchi_abroad_has_some(cq);
}
