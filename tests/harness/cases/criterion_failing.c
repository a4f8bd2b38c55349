/* SPDX-License-Identifier: Apache-2.0 */
/* An assertion fails. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(bad, two_and_two_are_five)
{
	volatile int two = 2;

	cr_assert(eq(int, two + two, 5));
}
