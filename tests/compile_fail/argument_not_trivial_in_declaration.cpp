/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same in the declaration of a task.
 *
 * first: an argument of a task is copied as bytes: its type must be trivially
 */
#include <filch/filch.h>
#include <memory>

#ifdef MENDED
FILCH_TASK_DECL(long, value, (const std::unique_ptr<long> *, p));
#else
FILCH_TASK_DECL(long, value, (std::unique_ptr<long>, p));
#endif

int main()
{
	std::unique_ptr<long> p;

#ifdef MENDED
	return FILCH_RUN(nullptr, nullptr, value, &p);
#endif
}

#ifdef MENDED
FILCH_TASK_IMPL(long, value, (const std::unique_ptr<long> *, p))
{
	return **p;
}
#endif
