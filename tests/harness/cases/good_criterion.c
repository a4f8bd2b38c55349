/* SPDX-License-Identifier: Apache-2.0 */
/* A Criterion suite that passes, under every sanitizer. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(good, two_and_two_are_four)
{
	volatile int two = 2;

	cr_assert(eq(int, two + two, 4));
}
