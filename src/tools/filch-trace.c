/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch-trace: tells what a trace says (FILCH_TRACE, filch/trace.h), in words or as a page.
 *
 * Exit status: 0; 1 the file is no trace or could not be read, or the output failed; 2 the
 * arguments were wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <filch/version.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/trace_write.h"

static const struct option options[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *out)
{
	fputs("usage: filch-trace stat FILE\n"
	      "       filch-trace view FILE [-o PAGE]\n"
	      "Tells what a trace of a program with filch says: FILCH_TRACE=FILE program.\n"
	      "  stat          in words: what limits the run\n"
	      "  view          as one page of HTML, which needs no network\n"
	      "  -o, --output  where to; without it to the standard output\n"
	      "  --help, --version\n"
	      "Perfetto (ui.perfetto.dev) and Chrome (about:tracing) open the file as it is.\n",
		out);
}

static int write_out(const struct look *look, bool page, const char *from, const char *to)
{
	FILE *out = to ? fopen(to, "we") : stdout;
	bool failed;

	if (!out) {
		fprintf(stderr, "filch-trace: %s: %s\n", to, strerror(errno));
		return 1;
	}
	if (page)
		trace_write_page(look, from, out);
	else
		trace_write_stat(look, out);
	failed = fflush(out) || ferror(out);
	if (to && fclose(out))
		failed = true;
	if (failed)
		fprintf(stderr, "filch-trace: the output could not be written\n");
	return failed;
}

static int tell(const char *from, bool page, const char *to)
{
	struct trace trace;
	struct look look;
	int status = 1;

	if (!trace_read(&trace, from)) {
		fprintf(stderr, "filch-trace: %s: %s\n", from, trace.why);
	} else {
		if (look_at(&look, &trace))
			status = write_out(&look, page, from, to);
		else
			fprintf(stderr, "filch-trace: no memory\n");
		look_free(&look);
	}
	trace_free(&trace);
	return status;
}

int main(int argc, char **argv)
{
	const char *to = NULL, *what;
	int code;

	while ((code = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (code) {
		case 'o':
			to = optarg;
			break;
		case 'h':
			usage(stdout);
			return fflush(stdout) ? 1 : 0;
		case 'v':
			printf("filch-trace %s\n", FILCH_VERSION_STRING);
			return fflush(stdout) ? 1 : 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	what = optind < argc ? argv[optind] : "";
	if (optind + 2 != argc || (strcmp(what, "stat") != 0 && strcmp(what, "view") != 0)) {
		usage(stderr);
		return 2;
	}
	return tell(argv[optind + 1], *what == 'v', to);
}
