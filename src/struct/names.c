/* SPDX-License-Identifier: Apache-2.0 */
/* Names of jobs: see names.h. */
#include "struct/names.h"

#include "base/map.h"

static struct filchi_name *begin(struct filchi_jobs *jobs)
{
	struct filchi_name *names = filchi_map(jobs->slots * sizeof *names), *other = NULL;

	if (!names || filchi_cas_acq_rel(&jobs->names, &other, names))
		return names;
	filchi_unmap(names, jobs->slots * sizeof *names);
	return other;
}

void filchi_name_set(struct filchi_jobs *jobs, int64_t id, const char *text)
{
	struct filchi_name *names = filchi_load_acquire(&jobs->names);
	uint64_t slot = (uint64_t)(filchi_job_find(jobs, id) - jobs->slot);

	if (!names)
		names = begin(jobs);
	if (!names)
		return;
	/* the text first: found with the id is this one, or that of a later job */
	filch_store_relaxed(&names[slot].text, text);
	filchi_store_release(&names[slot].id, (uint64_t)id);
}

const char *filchi_name_of(struct filchi_jobs *jobs, int64_t id)
{
	struct filchi_name *names = filchi_load_acquire(&jobs->names);
	struct filchi_job *job = filchi_job_find(jobs, id);

	if (!names || !job || filchi_load_acquire(&names[job - jobs->slot].id) != (uint64_t)id)
		return NULL;
	return filch_load_relaxed(&names[job - jobs->slot].text);
}

void filchi_names_free(struct filchi_jobs *jobs)
{
	filchi_unmap(filch_load_relaxed(&jobs->names), jobs->slots * sizeof(struct filchi_name));
}
