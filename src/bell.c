/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor of a bell: an eventfd(2), see bell.h. Never blocks: it is non-blocking, and its count cannot come near its limit. */
#include "bell.h"

#include <errno.h>
#include <unistd.h>

void filchi_bell_write(struct filchi_bell *b)
{
	uint32_t fd = filchi_load_acquire(&b->fd);
	uint64_t one = 1;
	int old = errno; /* the poster may be on its way back from a system call of its own */

	if (fd) {
		while (write((int)fd - 1, &one, sizeof one) < 0 && errno == EINTR)
			;
	}
	errno = old;
}

void filchi_bell_clear(struct filchi_bell *b)
{
	uint32_t fd = filchi_load_acquire(&b->fd);
	uint64_t count;
	int old = errno;

	if (fd) {
		while (read((int)fd - 1, &count, sizeof count) < 0 && errno == EINTR)
			; /* EAGAIN: the ring has not come yet, or somebody else has cleared it */
	}
	errno = old;
}
