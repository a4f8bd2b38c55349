/* SPDX-License-Identifier: Apache-2.0 */
/* The generation of forks: see fork.h. */
#include "base/fork.h"

#include <unistd.h>

filch_atomic_u32 filchi_forks;

void filchi_child_end(int status)
{
	_exit(status);
}

void filchi_fork_count(void)
{
	filch_store_relaxed(&filchi_forks, filch_load_relaxed(&filchi_forks) + 1);
}
