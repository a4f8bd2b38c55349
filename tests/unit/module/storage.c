/* SPDX-License-Identifier: Apache-2.0 */
/* A module with thread-local storage, which every thread that touches it allocates. */
extern void touch(void);

static __thread volatile char large[3000], small[200];

void touch(void)
{
	large[1] = 1;
	small[1] = 1;
}
