/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default pool: made at its first use, by whichever thread, and there until the process ends.
 *
 * Of threads that come first at once one makes the pool, and the others wait for it. What fails is
 * tried again by the next. Once the pool is there, a load says so.
 *
 * Nothing is locked meanwhile: a fork does not wait for the making. A child that finds one half
 * done forgets it, as it does a pool that another thread was creating.
 *
 * Rejected: making one each, and keeping the first. Each would start its threads, and plan as if
 *           the others' seats were taken.
 *
 * At exit nothing is done: threads may still be inside the pool, and a job that never returns would
 * hold up the process. A static copy that is unloaded with its plugin ends its idle pool, since the
 * workers' code goes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <sys/auxv.h>

#include "core/given.h"
#include "pool/making.h"

static filch_atomic_u32 making; /* 1: some thread makes it; the word that others sleep on */

/*
 * Where a leak checker is in the process: nobody ends this pool, and what hangs on its workers is
 * no leak.
 */
extern void __lsan_register_root_region(const void *at, size_t size) __attribute__((weak));
extern void __lsan_unregister_root_region(const void *at, size_t size) __attribute__((weak));

/* The thread that makes it. */
static int make(void)
{
	struct filch_pool *pool = filchi_load_acquire(&filchi_default);
	int error;

	if (pool)
		return 0; /* another thread was here between our two looks */
	error = filchi_pool_make(&pool, NULL, true);
	if (error)
		return error;
	if (__lsan_register_root_region)
		__lsan_register_root_region(pool->first, pool->map_size);
	filchi_store_release(&filchi_default, pool);
	return 0;
}

int filchi_default_get(struct filch_pool **pool)
{
	int error = filchi_this_thread_forks();

	/* before the look: in a child, ahead of our handler, the pool is still the parent's */
	while (!error && !(*pool = filchi_load_acquire(&filchi_default))) {
		uint32_t nobody = 0;

		if (!filchi_cas_acq_rel(&making, &nobody, 1)) {
			(void)filchi_futex_wait(&making, 1, NULL);
			continue;
		}
		error = make();
		filchi_store_release(&making, 0);
		filchi_futex_wake(&making, INT_MAX);
	}
	return error;
}

struct filch_pool *filch_pool_default(void)
{
	struct filch_pool *pool = NULL;
	int error = filchi_default_get(&pool);

	if (!error)
		return pool;
	errno = -error;
	return NULL;
}

void filchi_default_forget(struct filch_pool *pool)
{
	struct filch_pool *it = pool;

	if (filchi_cas_acq_rel(&filchi_default, &it, NULL) && __lsan_unregister_root_region)
		__lsan_unregister_root_region(pool->first, pool->map_size);
}

void filchi_default_in_child(void)
{
	filch_store_relaxed(&filchi_default, NULL);
	filch_store_relaxed(&making, 0);
}

/* --- a plugin that is unloaded ---------------------------------------- */

#if defined(FILCH_HIDDEN)
/* Whether this copy of the library lies in the program itself, which is never unloaded. */
static int look_at_object(struct dl_phdr_info *info, size_t size, void *is_ours)
{
	uintptr_t here = (uintptr_t)&making;

	(void)size;
	if ((uintptr_t)info->dlpi_phdr != (uintptr_t)getauxval(AT_PHDR))
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type == PT_LOAD &&
			here - (uintptr_t)(info->dlpi_addr + part->p_vaddr) < part->p_memsz)
			*(bool *)is_ours = true;
	}
	return 1;
}

static bool is_idle(struct filch_pool *pool)
{
	const uint32_t begun = filchi_jobs_begun(&pool->jobs);

	for (uint32_t i = 0; i < begun; i++)
		if (filchi_job_is_pending(
			    filchi_load_acquire(&filchi_jobs_at(&pool->jobs, begun, i)->state)))
			return false;
	return !filchi_load_acquire(&pool->clients_inside);
}

/*
 * By dlclose(3), and at exit, which cannot be told from it. At exit a job may never end, so a pool
 * that is at work is left alone; before a dlclose the program ends that work.
 */
__attribute__((destructor(101))) static void unload(void)
{
	struct filch_pool *pool = filchi_load_acquire(&filchi_default);
	bool is_program = false;

	if (!pool || !is_idle(pool))
		return;
	(void)dl_iterate_phdr(look_at_object, &is_program);
	if (!is_program)
		(void)filch_pool_destroy(pool);
}
#endif
