/* SPDX-License-Identifier: Apache-2.0 */
/* A parallel loop. The body takes a range, so that the compiler can vectorise it. */
#include <filch/filch.h>
#include <stdio.h>
#include <stdlib.h>

struct axpy {
	float a;
	const float *x;
	float *y;
};

static void axpy(size_t begin, size_t end, void *arg)
{
	const struct axpy *v = arg;

	for (size_t i = begin; i < end; i++)
		v->y[i] += v->a * v->x[i];
}

int main(void)
{
	const size_t n = 1000000;
	float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
	struct axpy v = { 2.0f, x, y };
	struct filch_pool *pool;
	int bad = 0;

	if (!x || !y || filch_pool_create(&pool, NULL))
		return 1;
	for (size_t i = 0; i < n; i++) {
		x[i] = 1.0f;
		y[i] = 1.0f;
	}
	if (filch_for(pool, 0, n, 0, axpy, &v)) /* grain 0: chosen from the range and the workers */
		return 1;
	for (size_t i = 0; i < n; i++)
		bad |= y[i] < 2.5f || y[i] > 3.5f;
	printf("y[0] = %g\n", (double)y[0]);
	bad |= filch_pool_destroy(pool);
	free(x);
	free(y);
	return bad;
}
