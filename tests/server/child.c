/* SPDX-License-Identifier: Apache-2.0 */
/* See child.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "test.h"

#define OPTIONS_MAX 16

struct server_child server;

static FILE *child_out;

/* Starts a child whose descriptor @fd leads to the returned stream. */
static FILE *spawn(char *const *argv, int fd)
{
	int end[2];
	FILE *out;

	CHECK_EQ(pipe2(end, O_CLOEXEC), 0);
	fflush(stdout);
	server.pid = fork();
	CHECK(server.pid >= 0, "fork: %s", strerror(errno));
	if (!server.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed check leaves no server behind */
		dup2(end[1], fd);
		execv(server.program, argv);
		_exit(127);
	}
	close(end[1]);
	out = fdopen(end[0], "r");
	CHECK(out, "fdopen: %s", strerror(errno));
	return out;
}

void server_start(const char *option, ...)
{
	char *argv[OPTIONS_MAX + 4] = { (char *)(uintptr_t)server.program,
		(char *)(uintptr_t) "--port", (char *)(uintptr_t) "0" };
	int port = 0, n = 3;
	char line[256];
	va_list more;

	va_start(more, option);
	for (; option && n < OPTIONS_MAX; option = va_arg(more, const char *))
		argv[n++] = (char *)(uintptr_t)option;
	va_end(more);
	child_out = spawn(argv, STDOUT_FILENO);
	CHECK(fgets(line, sizeof line, child_out), "%s did not start", server.program);
	CHECK(sscanf(line, "listening on 127.0.0.1:%d", &port) == 1 && port > 0, "%s", line);
	server.port = (uint16_t)port;
}

/* The server has ended without its last line. How it ended fails the driver. */
static _Noreturn void server_ended(void)
{
	int status = 0;

	CHECK_EQ(waitpid(server.pid, &status, 0), server.pid);
	CHECK(!WIFSIGNALED(status), "the server ended by signal %d", WTERMSIG(status));
	test_fail(__FILE__, __LINE__, "the server runs", "it ended: wait status 0x%x",
		(unsigned)status);
}

struct farewell server_end(int expected)
{
	struct farewell f;
	char line[256];
	int status;

	if (!fgets(line, sizeof line, child_out))
		server_ended();
	CHECK(sscanf(line, "stopped: %llu requests, %llu accepted, %llu answered, %llu not sent",
		      &f.requests, &f.accepted, &f.answered, &f.not_sent) == 4,
		"%s", line);
	CHECK_EQ(strstr(line, "cut short") != NULL, expected == EXIT_CUT_SHORT);
	fclose(child_out);
	CHECK_EQ(waitpid(server.pid, &status, 0), server.pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected, "wait status 0x%x, not %d",
		(unsigned)status, expected);
	if (!expected)
		CHECK_EQ(f.accepted, f.answered);
	return f;
}

struct farewell server_stop(void)
{
	CHECK_EQ(kill(server.pid, SIGTERM), 0);
	return server_end(0);
}

uint64_t server_figure(const char *name)
{
	char body[16384];

	CHECK_EQ(client_get(server.port, "/stats", body, sizeof body), 200);
	return client_number(body, name);
}

void server_refuses(char *const *arguments, const char *words)
{
	char *argv[OPTIONS_MAX + 2] = { (char *)(uintptr_t)server.program };
	char said[4096];
	size_t n;
	int status;
	FILE *out;

	for (n = 0; arguments[n] && n < OPTIONS_MAX; n++)
		argv[n + 1] = arguments[n];
	out = spawn(argv, STDERR_FILENO);
	n = fread(said, 1, sizeof said - 1, out);
	said[n] = '\0';
	fclose(out);
	CHECK_EQ(waitpid(server.pid, &status, 0), server.pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%s %s: wait status 0x%x",
		arguments[0], arguments[1] ? arguments[1] : "", (unsigned)status);
	CHECK(strstr(said, words), "\"%s\" is not in: %s", words, said);
}
