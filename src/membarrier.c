/* SPDX-License-Identifier: Apache-2.0 */
/*
 * membarrier(2), private expedited: the heavy half of filch's asymmetric fences.
 *
 * A process must register before it may use the command; a forked child, whose memory is new, registers again, which is why the
 * registration is asked for by every pool that is created (it is idempotent and costs one system call). A kernel that refuses
 * (ENOSYS, or EPERM under a seccomp filter) puts the pool in the fenced mode: its owners carry full fences themselves.
 * FILCH_MEMBARRIER=0 in the environment asks for that mode; the tests use it.
 */
#include "membarrier.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "atomic.h"
#include "check.h"

bool filchi_membarrier_unwanted(void)
{
	const char *env = getenv("FILCH_MEMBARRIER");

	return env && !strcmp(env, "0");
}

bool filchi_membarrier_register(void)
{
	if (filchi_membarrier_unwanted())
		return false;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		return false;
	/* a filter may let the registration pass and refuse the command: try it once */
	return !syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

void filchi_membarrier(void)
{
	/* registered and tried at creation; the kernel has no way to fail it later */
	long error = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);

	(void)error;
	filchi_assert(!error);
}
