/* SPDX-License-Identifier: Apache-2.0 */
/* Never ends; the watchdog barks after a second. */
#include <unistd.h>

#include "test.h"

static void waits_for_ever(void)
{
	for (;;)
		pause();
}

int main(void)
{
	test_watchdog(1);
	test_case("waits for ever", waits_for_ever);
	return test_finish("hanging_under_watchdog");
}
