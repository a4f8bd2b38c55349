/* SPDX-License-Identifier: Apache-2.0 */
/* Finding jobs that run longer than a limit: see watchdog.c. */
#ifndef FILCHI_WATCHDOG_H
#define FILCHI_WATCHDOG_H

#include "core/worker.h"

/*
 * What the watchdog remembers of a worker: the job at the bottom of its stack. The attendant's
 * alone.
 */
struct filchi_watch {
	int64_t id;     /* 0: none */
	uint64_t since; /* when it was first seen */
	bool told;
};

/*
 * The creator of a pool with a limit, before its threads: 0 or an errno (positive). And destroy,
 * after them.
 */
int filchi_watchdog_install(void);
void filchi_watchdog_remove(void);

/*
 * The attendant, once per half limit: looks at every worker, and reports what has run too
 * long.
 */
void filchi_watchdog_look(struct filch_pool *pool, struct filchi_watch *watch);

/* Held over a fork; the child has no watched pool. */
void filchi_watchdog_before_fork(void);
void filchi_watchdog_after_fork(void);
void filchi_watchdog_in_child(void);

#endif
