/* SPDX-License-Identifier: Apache-2.0 */
/*
 * membarrier(2), private expedited: the heavy half of filch's asymmetric fences.
 *
 * A process must register before it may use the command. A forked child has new memory and must
 * register again. So every pool that is created asks for it; this is idempotent and costs one
 * system call.
 *
 * A kernel may refuse: ENOSYS, or EPERM under a seccomp filter. The pool then runs in the fenced
 * mode, in which owners carry full fences themselves. FILCH_MEMBARRIER=0 in the environment asks
 * for that mode; the tests use it. A filter that is installed while pools are there must allow the
 * call: a process of which it does not ends.
 */
#include "base/membarrier.h"

#include <filch/detail/fast_deque.h>

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/environment.h"

bool filchi_membarrier_unwanted(void)
{
	bool wanted = true;

	(void)filchi_env_switch(FILCHI_ENV_MEMBARRIER, &wanted, NULL);
	return !wanted;
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
	/*
	 * registered and tried at creation. A filter that came later takes away what owners rely on
	 * at every take, and nothing else stands for it.
	 */
	while (FILCH_UNLIKELY(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))) {
		if (errno == ENOMEM) /* for a mask of processors */
			continue;
		filch_misuse("membarrier(2) was allowed when the pool was created, and is refused "
			     "now: allow it, or set FILCH_MEMBARRIER=0",
			"of any pool");
	}
}
