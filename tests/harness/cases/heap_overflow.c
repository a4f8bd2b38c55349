/* SPDX-License-Identifier: Apache-2.0 */
/* Writes behind a heap object. */
#include <stdlib.h>

#include <criterion/criterion.h>

static volatile int behind = 8;

Test(bad, writes_behind_the_object)
{
	volatile char *object = malloc(8);

	cr_assert_not_null(object);
	object[behind] = 1;
	free((void *)object);
}
