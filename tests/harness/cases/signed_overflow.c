/* SPDX-License-Identifier: Apache-2.0 */
/* Overflows an int, in a test that Criterion would call passed. */
#include <limits.h>

#include <criterion/criterion.h>

static volatile int most = INT_MAX;

Test(bad, overflows)
{
	most = most + 1;
	cr_assert(most != 0);
}
