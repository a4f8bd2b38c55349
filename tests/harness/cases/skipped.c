/* SPDX-License-Identifier: Apache-2.0 */
/* Skips itself, with a reason. */
#include "test.h"

int main(void)
{
	test_skip("this machine has no %s", "moon");
}
