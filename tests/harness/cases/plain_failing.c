/* SPDX-License-Identifier: Apache-2.0 */
/* A check fails. */
#include "test.h"

static void two_and_two_are_five(void)
{
	volatile int two = 2;

	CHECK_EQ(two + two, 5);
}

int main(void)
{
	test_case("two and two are five", two_and_two_are_five);
	return test_finish("plain_failing");
}
