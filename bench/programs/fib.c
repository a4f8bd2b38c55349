/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fib: two additions per task and no cut-off. It measures the price of a spawn and its sync, and
 * nothing else.
 *
 * Not good for: anything about real work. No memory is touched, the tree is regular, there is
 * always something to steal, and the serial form is what the compiler makes of plain recursion (it
 * inlines several levels), so the ratio to serial says little.
 */
#include "bench.h"
#include BENCH_BACKEND

BENCH_TASK_INLINE(long, fib, (int, n))
{
	if (n < 2)
		return n;
	BENCH_SPAWN(a, fib, n - 1);
	long y = BENCH_CALL(fib, n - 2);
	return BENCH_SYNC(a) + y;
}

/* arg: n. value: fib(n). tasks: calls, 2 fib(n+1) - 1, by formula. */
int BENCH_ENTRY(fib)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	long result = 0;
	int n = (int)size->arg[0];
	int err = BENCH_RUN(engine, &result, fib, n);
	uint64_t a = 0, b = 1;

	for (int i = 0; i < n; i++) {
		uint64_t sum = a + b;

		a = b;
		b = sum;
	}
	*out = (struct bench_outcome){ .value = { (uint64_t)result }, .tasks = 2 * b - 1 };
	return err;
}
