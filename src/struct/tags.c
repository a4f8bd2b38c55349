/* SPDX-License-Identifier: Apache-2.0 */
/* The tags of living pools: see tags.h. */
#include "struct/tags.h"

#include <pthread.h>
#include <string.h>

#include "struct/job_slot.h"

/*
 * Tags of living pools. A tag is given again only after all others have been: ids of a pool that is
 * gone stay unknown for long.
 */
static pthread_mutex_t tag_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char tag_used[1 << FILCHI_TAG_BITS];
static uint32_t tag_last;
static uint64_t tags_given;

uint32_t filchi_tag_take(uint64_t *generation)
{
	uint32_t tag = 0;

	pthread_mutex_lock(&tag_lock);
	for (uint32_t i = 1; i < 1 << FILCHI_TAG_BITS && !tag; i++) {
		uint32_t next = (tag_last + i) % (1 << FILCHI_TAG_BITS);
		if (next && !tag_used[next])
			tag = next;
	}
	if (tag) {
		tag_used[tag] = 1;
		tag_last = tag;
		tags_given++;
	}
	/* pools that have had the same tag start their generations far apart */
	*generation = tags_given / (1 << FILCHI_TAG_BITS) * UINT64_C(0x9e3779b9) + 1;
	pthread_mutex_unlock(&tag_lock);
	return tag;
}

void filchi_tag_give(uint32_t tag)
{
	pthread_mutex_lock(&tag_lock);
	tag_used[tag] = 0;
	pthread_mutex_unlock(&tag_lock);
}

bool filchi_jobs_none(void)
{
	bool none;

	if (pthread_mutex_trylock(&tag_lock))
		return false;
	none = !memchr(tag_used, 1, sizeof tag_used);
	pthread_mutex_unlock(&tag_lock);
	return none;
}

void filchi_jobs_before_fork(void)
{
	pthread_mutex_lock(&tag_lock);
}

void filchi_jobs_after_fork(void)
{
	pthread_mutex_unlock(&tag_lock);
}
