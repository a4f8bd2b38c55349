/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lambda of a task's body spawns, and a loop runs it: above tasks that the body's index does not
 * know, or on another worker.
 *
 * run: task leaf: (unknown tasks lie above this body's|a lambda of a task's body runs on another)
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return n;
}

FILCH_TASK(long, both, (long, n))
{
	FILCH_SPAWN(a, leaf, n);
	FILCH_CALL(leaf, n);
	return FILCH_SYNC(a);
}

FILCH_TASK(int, top, (long, n))
{
#ifdef MENDED
	auto body = [&](size_t b, size_t e) {
		for (; b < e; b++)
			(void)FILCH_RUN(nullptr, nullptr, both, n);
	};
#else
	auto body = [&](size_t b, size_t e) {
		for (; b < e; b++) {
			FILCH_SPAWN(a, leaf, n);
			FILCH_CALL(leaf, n);
			FILCH_SYNC(a);
		}
	};
#endif
	auto piece = [](size_t b, size_t e, void *arg) {
		(*static_cast<decltype(body) *>(arg))(b, e);
	};

	return filch_for(nullptr, 0, 64, 1, piece, &body);
}

int main()
{
	filch_config config = FILCH_CONFIG_INIT;
	filch_pool *pool;
	int result = -1;

	config.workers = 4;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	if (filch_pool_create(&pool, &config))
		return 1;
	for (int i = 0; i < 20; i++)
		if (FILCH_RUN(pool, &result, top, 1L) || result)
			return 1;
	return filch_pool_destroy(pool);
}
