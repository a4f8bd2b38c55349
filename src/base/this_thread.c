/* SPDX-License-Identifier: Apache-2.0 */
/* The thread-local object: see this_thread.h. */
#include "base/this_thread.h"

_Thread_local struct filchi_this_thread filchi_this_thread;

void filchi_this_thread_forked(void)
{
	filchi_this_thread = (struct filchi_this_thread){
		.plan = filchi_this_thread.plan,
		.seat = filchi_this_thread.seat,
		.gives_way = filchi_this_thread.gives_way,
		.delivery = filchi_this_thread.delivery,
	};
}
