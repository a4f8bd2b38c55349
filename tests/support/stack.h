/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much stack is left: for tests of workers with little of it. Needs _GNU_SOURCE before the
 * first header.
 */
#ifndef FILCH_TEST_STACK_H
#define FILCH_TEST_STACK_H

#include <pthread.h>
#include <stdint.h>

#include "test.h"

/* Bytes from here to the end of this worker's stack. */
static inline uint64_t stack_left(void)
{
	static _Thread_local uintptr_t end;

	if (!end) {
		pthread_attr_t attr;
		void *low;
		size_t size;

		CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
		CHECK_EQ(pthread_attr_getstack(&attr, &low, &size), 0);
		pthread_attr_destroy(&attr);
		end = (uintptr_t)low;
	}
	return (uintptr_t)__builtin_frame_address(0) - end;
}

#endif
