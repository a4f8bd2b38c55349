/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program around plugin.c: loads, calls and unloads it three times, and forks in between. It
 * looks for two of filch's names where the process would see them: there must be none.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fork_and_wait(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	for (int i = 0; i < 3; i++) {
		void *plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) : NULL;
		long (*fib)(long);
		void *symbol;

		if (!plugin) {
			printf("%s\n", argc > 1 ? dlerror() : "usage: host PLUGIN");
			return 1;
		}
		symbol = dlsym(plugin, "plugin_fib");
		memcpy(&fib, &symbol, sizeof fib);
		if (!symbol || fib(20) != 6765)
			return 1;
		if (dlsym(RTLD_DEFAULT, "filch_pool_create") || dlsym(RTLD_DEFAULT, "filch_for"))
			return 1;
		if (dlclose(plugin) || fork_and_wait())
			return 1;
	}
	printf("loaded, called and unloaded three times\n");
	return 0;
}
