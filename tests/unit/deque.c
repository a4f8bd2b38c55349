/* SPDX-License-Identifier: Apache-2.0 */
/* The deque with the indices that ship: see deque_cases.h. */
#define SUITE deque
#include <criterion/criterion.h>

#include "deque_cases.h"

Test(deque, indices_are_sixty_four_bits_and_start_at_zero)
{
	EQ(sizeof(filch_index), 8);
	EQ(FILCH_INDEX_START, 0);
}
