/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pzip's outside: options and files as gzip has them, errors, the gzip frame.
 *
 * FILE becomes FILE.gz with its mode and times, and goes, unless -k or -c says otherwise; output
 * that was not finished goes in any case: after an error here, after a signal in the handler. Exit
 * status: 0, 1 an error, 2 wrong options.
 *
 * FILE is a regular file. What else a name may lead to, such as a directory, a device or a fifo, is
 * refused before it is opened: to open a fifo is to take its writer's reader away again. A symbolic
 * link is followed with -f, and with -c and -o, where FILE stays; otherwise it is refused as by
 * gzip, for it is the link that would go and not the file. Standard input may be anything.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
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
#include <unistd.h>

#define WORKERS_MAX 1024

struct command {
	const char *in, *out; /* NULL: standard input and output */
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
	const unsigned char head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0,
		level == 9   ? 2
		: level == 1 ? 4
			     : 0,
		3 };

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

static int complain_in_words(const char *what, const char *words)
{
	pzip_progress_end_line();
	fprintf(stderr, "pzip: %s: %s\n", what ? what : "standard input or output", words);
	return 1;
}

static int complain(const char *what, int error)
{
	return complain_in_words(what, strerror(error < 0 ? -error : error));
}

/* A number from 1 to @max. */
static bool number(const char *option, const char *text, unsigned long max, uint32_t *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || text[0] < '1' || text[0] > '9' || n > max) {
		fprintf(stderr, "pzip: %s must be a number from 1 to %lu\n", option, max);
		return false;
	}
	*out = (uint32_t)n;
	return true;
}

static bool parse(int argc, char **argv, struct command *cmd)
{
	static const struct option longs[] = { { "serial", no_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "123456789cfkvhp:o:", longs, NULL)) != -1) {
		if (c >= '1' && c <= '9') {
			cmd->level = c - '0';
			continue;
		}
		switch (c) {
		case 'p':
			if (!number("-p", optarg, WORKERS_MAX, &cmd->workers))
				return false;
			break;
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
	if (argc - optind > 1 || (cmd->to_stdout && cmd->out)) {
		fprintf(stderr, "pzip: %s\n",
			argc - optind > 1 ? "one FILE at a time" : "either -c or -o");
		return false;
	}
	if (optind < argc && strcmp(argv[optind], "-"))
		cmd->in = argv[optind];
	cmd->keep |= cmd->to_stdout || cmd->out || !cmd->in;
	return true;
}

/* Why a file cannot be FILE, or NULL. */
static const char *no_input(mode_t mode)
{
	return S_ISREG(mode)    ? NULL
	       : S_ISDIR(mode)  ? strerror(EISDIR)
	       : S_ISLNK(mode)  ? "a symbolic link (followed with -f, -c or -o)"
	       : S_ISFIFO(mode) ? "a fifo, not a regular file"
	       : S_ISCHR(mode)  ? "a device, not a regular file"
	       : S_ISBLK(mode)  ? "a device, not a regular file"
	       : S_ISSOCK(mode) ? "a socket, not a regular file"
				: "not a regular file";
}

/* The descriptor, or -1: it has complained. */
static int open_input(const struct command *cmd, struct stat *st)
{
	bool follow = cmd->force || cmd->to_stdout || cmd->out;
	const char *words;
	int fd = STDIN_FILENO;

	if (cmd->in) {
		if (follow ? stat(cmd->in, st) : lstat(cmd->in, st))
			return -complain(cmd->in, errno);
		words = no_input(st->st_mode);
		if (words)
			return -complain_in_words(cmd->in, words);
		/* it may be another file by now, which must not make us wait */
		fd = open(cmd->in,
			O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
	}
	if (fd < 0 || fstat(fd, st))
		return -complain(cmd->in, errno);
	words = cmd->in || S_ISDIR(st->st_mode) ? no_input(st->st_mode) : NULL;
	return words ? -complain_in_words(cmd->in, words) : fd;
}

/*
 * Where the output goes; the name is cmd->out afterwards, or NULL. A descriptor or a negative
 * errno.
 */
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

	if (!stat(cmd->out, &made) && S_ISREG(made.st_mode) && made.st_dev == in->st_dev &&
		made.st_ino == in->st_ino)
		return -EINVAL; /* the input itself: it would be empty now */
	/* another FILE.gz is replaced and not written into: it may be a link to something else */
	if (cmd->out == name && cmd->force && unlink(name) && errno != ENOENT)
		return -errno;
	fd = open(cmd->out,
		O_WRONLY | O_CREAT | O_CLOEXEC |
			(cmd->force && cmd->out != name ? O_TRUNC : O_EXCL),
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
	double began = pzip_seconds();
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
	options.in = open_input(&cmd, &st);
	if (options.in < 0)
		return 1;
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
		fprintf(stderr,
			"in %" PRIu64 " out %" PRIu64 " workers %d seconds %.4f resident_kib %ld\n",
			totals.bytes_in, totals.bytes_out, totals.workers, pzip_seconds() - began,
			usage_now.ru_maxrss);
	}
	return 0;
}
