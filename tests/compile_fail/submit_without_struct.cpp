/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct filch_submit without its first word: the function of that name hides it. g++ has no better
 * words for that than these.
 *
 * first: expected .;. before .how.|must use .struct. tag to refer to type .filch_submit.
 */
#include <filch/filch.h>

static int job(void *)
{
	return 0;
}

int main()
{
#ifdef MENDED
	struct filch_submit how = FILCH_SUBMIT_INIT;
#else
	filch_submit how = FILCH_SUBMIT_INIT;
#endif
	return filch_submit(nullptr, job, nullptr, &how) > 0;
}
