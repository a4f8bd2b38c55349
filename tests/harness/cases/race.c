/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads write one variable, nothing orders them. */
#include <pthread.h>

#include "test.h"

static long shared;

static void *adds(void *unused)
{
	(void)unused;
	for (int i = 0; i < 100000; i++)
		*(volatile long *)&shared = shared + 1;
	return NULL;
}

static void two_threads_add_without_order(void)
{
	pthread_t thread[2];

	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&thread[i], NULL, adds, NULL), "thread %d", i);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	test_case("two threads add without order", two_threads_add_without_order);
	return test_finish("race");
}
