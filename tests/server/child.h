/* SPDX-License-Identifier: Apache-2.0 */
/* The example server as a child of a driver, on a free port of the loopback interface. */
#ifndef CHILD_H
#define CHILD_H

#include <stdint.h>
#include <sys/types.h>

#define EXIT_CUT_SHORT 3 /* the server's status when its time for stopping was over */

extern struct server_child {
	const char *program;
	pid_t pid;
	uint16_t port;
} server;

/* What the server said when it ended. */
struct farewell {
	unsigned long long requests, accepted, answered, not_sent;
};

/* Starts the program with these options, a NULL behind the last. */
void server_start(const char *option, ...) __attribute__((sentinel));

/* Waits for its end, which must have this status; 0 is one with all accepted work answered. */
struct farewell server_end(int status);

/* SIGTERM, and an end with status 0. */
struct farewell server_stop(void);

/* A number of /stats. */
uint64_t server_figure(const char *name);

/* Runs the program with @arguments, which it must refuse: status 2, and @words on its stderr. */
void server_refuses(char *const *arguments, const char *words);

#endif
