/* SPDX-License-Identifier: Apache-2.0 */
/* A trace of a part of a program, with spans of its own. */
#include <stdio.h>
#include <unistd.h>

#include <filch/filch.h>

FILCH_TASK(double, area, (double, from), (double, to), (int, depth))
{
	if (!depth) {
		double sum = 0, step = (to - from) / 100;

		for (int i = 0; i < 100; i++)
			sum += 4 / (1 + (from + i * step) * (from + i * step)) * step;
		return sum;
	}
	FILCH_SPAWN(left, area, from, (from + to) / 2, depth - 1);
	double right = FILCH_CALL(area, (from + to) / 2, to, depth - 1);
	return FILCH_SYNC(left) + right;
}

int main(void)
{
	struct filch_trace_config config = FILCH_TRACE_CONFIG_INIT;
	struct filch_pool *pool;
	double pi;

	if (filch_pool_create(&pool, NULL))
		return 1;
	config.file = "traced.json";
	if (filch_trace_start(&config))
		return 1;
	filch_trace_begin("pi");
	if (FILCH_RUN(pool, &pi, area, 0, 1, 12))
		return 1;
	filch_trace_end();
	if (filch_trace_stop())
		return 1;
	printf("%.3f, and traced.json\n", pi);
	(void)unlink("traced.json"); /* so that the tests leave nothing behind */
	return filch_pool_destroy(pool) != 0;
}
