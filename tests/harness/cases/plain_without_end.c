/* SPDX-License-Identifier: Apache-2.0 */
/* Returns 0 before its end, as a driver does that takes a wrong turn. */
#include "test.h"

static void nothing(void)
{
}

int main(void)
{
	test_case("nothing happens", nothing);
	return 0;
}
