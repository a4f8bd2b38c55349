/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tasks of one name.
 *
 * first: redefinition of .(struct )?leaf_filch.
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

#ifndef MENDED
FILCH_TASK(long, leaf, (long, n))
{
	return n + 1;
}
#endif

int main(void)
{
	return FILCH_RUN(NULL, NULL, leaf, 1);
}
