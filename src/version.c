/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of the library, as a program sees it at run time. What must stay true: the number is the one of the headers this
 * file was compiled with, so it is taken from them and written nowhere else.
 */
#include <filch/version.h>

/* See filch/version.h. */
int filch_version(void)
{
	return FILCH_VERSION;
}
