/* SPDX-License-Identifier: Apache-2.0 */
/* A plain driver that passes, under every sanitizer. */
#include "test.h"

static void two_and_two_are_four(void)
{
	volatile int two = 2;

	CHECK_EQ(two + two, 4);
}

int main(void)
{
	test_watchdog(60);
	test_case("two and two are four", two_and_two_are_four);
	return test_finish("good_plain");
}
