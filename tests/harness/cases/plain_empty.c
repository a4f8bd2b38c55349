/* SPDX-License-Identifier: Apache-2.0 */
/* Runs no case at all. */
#include "test.h"

int main(void)
{
	return test_finish("plain_empty");
}
