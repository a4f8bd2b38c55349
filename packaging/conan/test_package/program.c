/* SPDX-License-Identifier: Apache-2.0 */
#include <filch/filch.h>
#include <stdio.h>

FILCH_TASK(long, sum, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, sum, n / 2);
	long b = FILCH_CALL(sum, n - n / 2);
	return b + FILCH_SYNC(a);
}

int main(void)
{
	long result = 0;

	if (FILCH_RUN(NULL, &result, sum, 1000) || result != 1000)
		return 1;
	puts("filch works");
	return 0;
}
