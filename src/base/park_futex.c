/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping and waking on a futex(2): see park_futex.h. FUTEX_WAIT_BITSET has an absolute time-out.
 */
#include "base/park_futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

int filchi_futex_wait(filch_atomic_u32 *word, uint32_t expected, const struct timespec *deadline)
{
	if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline, NULL,
		    FUTEX_BITSET_MATCH_ANY) &&
		errno == ETIMEDOUT)
		return -ETIMEDOUT;
	return 0;
}

void filchi_futex_wake(filch_atomic_u32 *word, int threads)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}
