/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pzip's outside: options and files as gzip has them, errors, the gzip frame, the progress bar.
 *
 * FILE becomes FILE.gz with its mode and times, and goes, unless -k or -c says otherwise; output that was not finished goes in any
 * case: after an error here, after a signal in the handler. Exit status: 0, 1 an error, 2 wrong options.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include "pzip.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BAR 40

struct command {
	const char *in, *out;   /* NULL: standard input and output */
	int level;
	uint32_t workers;
	bool keep, force, serial, verbose, to_stdout;
};

/* What a signal handler removes. Set when the file exists, NULL when it is whole. */
static const char *volatile unfinished;

int pzip_read(int fd, unsigned char *to, size_t size, size_t *got)
{
	while (size) {
		ssize_t n = read(fd, to, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		to += n;
		size -= (size_t)n;
		*got += (size_t)n;
	}
	return 0;
}

int pzip_write(int fd, const unsigned char *from, size_t size)
{
	while (size) {
		ssize_t n = write(fd, from, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		size -= (size_t)n;
	}
	return 0;
}

int pzip_write_head(int fd, int level)
{
	/* deflate, no name, no time, what the level says of speed, Unix */
	const unsigned char head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, level == 9 ? 2 : level == 1 ? 4 : 0, 3 };

	return pzip_write(fd, head, sizeof head);
}

int pzip_write_tail(int fd, uint32_t check, uint64_t size)
{
	unsigned char tail[8];

	for (unsigned i = 0; i < 4; i++) {
		tail[i] = (unsigned char)(check >> 8 * i);
		tail[4 + i] = (unsigned char)(size >> 8 * i);
	}
	return pzip_write(fd, tail, sizeof tail);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void pzip_progress(const struct pzip_options *options, uint64_t in, uint64_t out, bool end)
{
	static double began, drawn;
	double now;
	int filled = BAR;

	if (!options->progress)
		return;
	now = seconds();
	if (began <= 0)
		began = now;
	if (!end && now - drawn < 0.1)
		return;
	drawn = now;
	if (options->expected && in < options->expected)
		filled = (int)((double)BAR * (double)in / (double)options->expected);
	fprintf(stderr, "\r[%.*s%*s] %6.1f MB in, %6.1f MB out, %5.0f MB/s%s", filled, "########################################",
		BAR - filled, "", (double)in / 1e6, (double)out / 1e6, now > began ? (double)in / 1e6 / (now - began) : 0.0,
		end ? "\n" : "");
	fflush(stderr);
}

static void remove_unfinished(int signal)
{
	if (unfinished)
		unlink(unfinished);
	_exit(128 + signal);
}

static void usage(FILE *to)
{
	fputs("usage: pzip [-p N] [-1..-9] [-c | -o OUTPUT] [-k] [-f] [-v] [--serial] [FILE]\n"
	      "Compresses FILE to FILE.gz on all cores, or standard input to standard output.\n"
	      "  -p N      N workers (default: what this process may use)\n"
	      "  -c        to standard output, FILE stays\n"
	      "  -o OUTPUT to OUTPUT, FILE stays\n"
	      "  -k        FILE stays\n"
	      "  -f        an existing output is overwritten\n"
	      "  -v        prints sizes, time and the most memory used\n"
	      "  --serial  one plain zlib stream on this thread, for comparison\n",
		to);
}

static int complain(const char *what, int error)
{
	fprintf(stderr, "pzip: %s: %s\n", what ? what : "standard input or output", strerror(error < 0 ? -error : error));
	return 1;
}

static bool parse(int argc, char **argv, struct command *cmd)
{
	static const struct option longs[] = { { "serial", no_argument, NULL, 'S' }, { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "123456789cfkvhp:o:", longs, NULL)) != -1) {
		if (c >= '1' && c <= '9') {
			cmd->level = c - '0';
			continue;
		}
		switch (c) {
		case 'p': {
			unsigned long n = strtoul(optarg, &end, 10);

			if (*end || optarg[0] < '1' || optarg[0] > '9' || n > 1024)
				return false;
			cmd->workers = (uint32_t)n;
			break;
		}
		case 'c':
			cmd->to_stdout = true;
			break;
		case 'o':
			cmd->out = optarg;
			break;
		case 'k':
			cmd->keep = true;
			break;
		case 'f':
			cmd->force = true;
			break;
		case 'v':
			cmd->verbose = true;
			break;
		case 'S':
			cmd->serial = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return false;
		}
	}
	if (argc - optind > 1 || (cmd->to_stdout && cmd->out))
		return false;
	if (optind < argc && strcmp(argv[optind], "-"))
		cmd->in = argv[optind];
	cmd->keep |= cmd->to_stdout || cmd->out || !cmd->in;
	return true;
}

/* Where the output goes; the name is cmd->out afterwards, or NULL. A descriptor or a negative errno. */
static int open_output(struct command *cmd, const struct stat *in)
{
	static char name[4096];
	int fd;

	if (cmd->in && !cmd->out && !cmd->to_stdout) {
		if (snprintf(name, sizeof name, "%s.gz", cmd->in) >= (int)sizeof name)
			return -ENAMETOOLONG;
		cmd->out = name;
	}
	if (!cmd->out)
		return STDOUT_FILENO;
	struct stat made;

	if (!stat(cmd->out, &made) && S_ISREG(made.st_mode) && made.st_dev == in->st_dev && made.st_ino == in->st_ino)
		return -EINVAL; /* the input itself: it would be empty now */
	fd = open(cmd->out, O_WRONLY | O_CREAT | O_CLOEXEC | (cmd->force ? O_TRUNC : O_EXCL),
		S_ISREG(in->st_mode) ? (in->st_mode & 0666) | S_IWUSR : 0666);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &made) && S_ISREG(made.st_mode))
		unfinished = cmd->out; /* a device is not to be removed */
	return fd;
}

/* Closes the output, which may be what tells of an error, and gives it the input's times. */
static int finish(const struct command *cmd, int fd, const struct stat *in)
{
	const struct timespec times[2] = { in->st_atim, in->st_mtim };

	if (cmd->out && cmd->in && S_ISREG(in->st_mode))
		(void)futimens(fd, times); /* a courtesy: not every file system can */
	return close(fd) ? -errno : 0;
}

int main(int argc, char **argv)
{
	struct command cmd = { .level = 6 };
	struct pzip_options options = { 0 };
	struct pzip_totals totals;
	struct rusage usage_now;
	double began = seconds();
	struct stat st;
	int error;

	if (!parse(argc, argv, &cmd)) {
		usage(stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* these two become errors of write() */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGINT, remove_unfinished);
	signal(SIGTERM, remove_unfinished);
	signal(SIGHUP, remove_unfinished);
	options.in = cmd.in ? open(cmd.in, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (options.in < 0 || fstat(options.in, &st))
		return complain(cmd.in, errno);
	if (S_ISDIR(st.st_mode))
		return complain(cmd.in, EISDIR);
	options.out = open_output(&cmd, &st);
	if (options.out < 0)
		return complain(cmd.out, options.out);
	if (!cmd.out && isatty(options.out) && !cmd.force)
		return complain("standard output is a terminal (-f: nevertheless)", EINVAL);
	options.level = cmd.level;
	options.workers = cmd.workers;
	options.expected = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	options.progress = isatty(STDERR_FILENO);

	error = cmd.serial ? pzip_serial(&options, &totals) : pzip_parallel(&options, &totals);
	if (!error)
		error = finish(&cmd, options.out, &st);
	if (error) {
		if (unfinished)
			unlink(unfinished);
		return complain(cmd.out ? cmd.out : cmd.in, error);
	}
	unfinished = NULL;
	if (cmd.in && !cmd.keep && unlink(cmd.in))
		return complain(cmd.in, errno);
	if (cmd.verbose) {
		getrusage(RUSAGE_SELF, &usage_now);
		fprintf(stderr, "in %" PRIu64 " out %" PRIu64 " workers %d seconds %.4f resident_kib %ld\n", totals.bytes_in,
			totals.bytes_out, totals.workers, seconds() - began, usage_now.ru_maxrss);
	}
	return 0;
}
