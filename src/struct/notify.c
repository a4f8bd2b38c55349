/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor of a notifier: an eventfd(2), see notify.h. It never blocks: it is non-blocking,
 * and its count cannot come near its limit. Bare system calls: write(2) and read(2) are
 * cancellation points, and a thread that ended here would leave a completion half told.
 */
#include "struct/notify.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fork.h"

/* As in b->fd; none in a child, which shares the eventfd itself with its parent. */
static uint32_t descriptor(struct filchi_notifier *b)
{
	return filchi_forked_since(b->fork_generation) ? 0 : filchi_load_acquire(&b->fd);
}

void filchi_notify_write_fd(struct filchi_notifier *b)
{
	uint32_t fd = descriptor(b);
	uint64_t one = 1;
	int old = errno; /* the poster may be on its way back from a system call of its own */

	if (fd) {
		while (syscall(SYS_write, (int)fd - 1, &one, sizeof one) < 0 && errno == EINTR)
			;
	}
	errno = old;
}

void filchi_notify_clear_fd(struct filchi_notifier *b)
{
	uint32_t fd = descriptor(b);
	uint64_t count;
	int old = errno;

	if (fd) {
		while (syscall(SYS_read, (int)fd - 1, &count, sizeof count) < 0 && errno == EINTR)
			; /* EAGAIN: the write has not come yet, or another reader has cleared it */
	}
	errno = old;
}
