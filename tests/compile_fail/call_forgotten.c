/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task is called as if it were a function. The compiler says in its own words that there is none.
 * The plain name is left to the program, which may have a function of it: see name_is_free.c.
 *
 * first: (implicit declaration of function|undeclared identifier) .fib.|.fib. was not declared
 */
#include <filch/filch.h>

FILCH_TASK(long, fib, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
#ifdef MENDED
	long b = FILCH_CALL(fib, n - 2);
#else
	long b = fib(n - 2);
#endif
	return FILCH_SYNC(a) + b;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, fib, 2);
}
