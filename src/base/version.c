/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of the library, as a program sees it at run time. The number comes from the headers
 * this file was compiled with, and is written nowhere else.
 */
#include <filch/version.h>

/* See filch/version.h. */
int filch_version(void)
{
	return FILCH_VERSION;
}
