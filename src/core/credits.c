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

static bool is_held_by(void *cq, struct filch_pool *pool, struct filchi_job *job)
{
	(void)pool;
	return filch_load_relaxed(&job->cq) == cq;
}

int filchi_abroad_credit(struct filchi_worker *w, struct filch_pool *pool, struct filch_cq *cq,
	const struct timespec *deadline, uint32_t *cell)
{
	const struct filchi_source source = { .of = cq,
		.awaited = &cq->blocked,
		.is_there = is_there,
		.may_come = may_come,
		.take = take,
		.is_held_by = is_held_by,
		.size = cq->capacity };

	return filchi_abroad_source(w, pool, &source, deadline, cell);
}

void filchi_abroad_has_credit(struct filch_cq *cq)
{
	filchi_abroad_has_some(cq);
}
