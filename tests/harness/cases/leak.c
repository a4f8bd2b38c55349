/* SPDX-License-Identifier: Apache-2.0 */
/* Leaks, in a test that Criterion calls passed. */
#include <stdlib.h>

#include <criterion/criterion.h>

static void *volatile kept;

Test(bad, leaks)
{
	kept = malloc(100);
	cr_assert_not_null(kept);
	kept = NULL;
}
