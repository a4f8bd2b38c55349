/* SPDX-License-Identifier: Apache-2.0 */
/* Leaks, in a plain driver. */
#include <stdlib.h>

#include "test.h"

static void *volatile kept;

static void leaks(void)
{
	kept = malloc(100);
	CHECK(kept, "%p", kept);
	kept = NULL;
}

int main(void)
{
	test_case("leaks", leaks);
	return test_finish("plain_leak");
}
