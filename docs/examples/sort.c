/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two stable sorts: by a comparison that is compiled in, and by a comparison function as for
 * qsort_r().
 */
#include <filch/filch.h>
#include <stdio.h>
#include <stdlib.h>

struct event {
	double time;
	int source;
};

#define BY_TIME(a, b) ((a).time < (b).time)
FILCH_SORT_DEFINE(sort_by_time, struct event, BY_TIME);

static int by_source(const void *a, const void *b, void *arg)
{
	const struct event *x = a, *y = b;

	(void)arg;
	return (x->source > y->source) - (x->source < y->source);
}

int main(void)
{
	const size_t n = 100000;
	struct event *event = malloc(n * sizeof *event);
	struct filch_pool *pool;
	int bad = 0;

	if (!event || filch_pool_create(&pool, NULL))
		return 1;
	for (size_t i = 0; i < n; i++)
		event[i] = (struct event){ (double)(i * 7919 % n), (int)(i % 10) };
	if (sort_by_time(pool, event, n) ||
		filch_sort(pool, event, n, sizeof *event, by_source, NULL))
		return 1;
	/* by source, and of one source by time: the second sort kept the order of the first */
	for (size_t i = 1; i < n; i++)
		bad |= event[i - 1].source > event[i].source ||
		       (event[i - 1].source == event[i].source &&
			       event[i - 1].time > event[i].time);
	printf("%zu events in order\n", n);
	bad |= filch_pool_destroy(pool);
	free(event);
	return bad;
}
