/* SPDX-License-Identifier: Apache-2.0 */
/* Never ends; no watchdog. */
#include <unistd.h>

#include "test.h"

int main(void)
{
	for (;;)
		pause();
	return test_finish("hanging");
}
