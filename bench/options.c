/* SPDX-License-Identifier: Apache-2.0 */
/* filch-bench's command line: what it offers, and its defaults. */
#include "options.h"

#include "number.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* that the rounds of a whole run take, about; what one gets at least comes on top */
#define SECONDS_FULL  400.0
#define SECONDS_QUICK 70.0
#define SECONDS_MAX   1e6

bool bench_listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, n) && (p[n] == ',' || !p[n]))
			return true;
	return !list;
}

static const char *const contestant_names[] = { "serial", "baseline", "filch", "caller", "gomp",
	"omp", "tbb", "glib", "uv" };

/* Whether all names between commas are known, built or not. */
static bool contestants(const char *text)
{
	const size_t known = sizeof contestant_names / sizeof contestant_names[0];

	for (;; text++) {
		size_t length = strcspn(text, ","), i = 0;

		while (i < known && (strlen(contestant_names[i]) != length ||
					    strncmp(contestant_names[i], text, length) != 0))
			i++;
		if (i == known) {
			fprintf(stderr, "filch-bench: --contestants: nobody is called \"%.*s\"\n",
				(int)length, text);
			return false;
		}
		text += length;
		if (!*text)
			return true;
	}
}

static void usage(FILE *out)
{
	fputs("filch-bench: serial, mutex-queue baseline, filch and peers on the same programs\n"
	      "  --list               name benchmarks, sizes and contestants, run nothing\n"
	      "  --only REGEX         only those whose \"name size\" matches\n"
	      "  --workers 1,2        numbers of workers (default: 1 and all usable cores)\n"
	      "  --rounds N           rounds (default 11; 5 with --quick)\n"
	      "  --seconds S          time for all rounds: slow ones get fewer, 3 at least\n"
	      "                       (default 400; 70 with --quick; no limit with --rounds)\n"
	      "  --contestants a,b    of serial, baseline, filch, caller, gomp, omp, tbb, glib,\n"
	      "                       uv (default: all that were built)\n"
	      "  --json FILE          also write the JSON there\n"
	      "  --report DIR         where JSON and page go (default: report/ beside\n"
	      "                       this program)\n"
	      "  --busy               ratios of several workers also where others used the\n"
	      "                       processors meanwhile\n"
	      "  --quick              smaller sizes, within two minutes\n"
	      "  --check              tiny sizes, once, in seconds: results are verified, times\n"
	      "                       mean nothing, no report\n"
	      "  --help               this text\n",
		out);
}

/* The numbers between commas. */
static bool workers(const char *text, struct bench_options *o)
{
	for (o->workers_n = 0; o->workers_n < BENCH_WORKERS_N_MAX; text++) {
		size_t length = strcspn(text, ",");
		double n;

		if (!bench_number(
			    "filch-bench: --workers", text, length, true, 1, BENCH_WORKERS_MAX, &n))
			return false;
		o->workers[o->workers_n++] = (int)n;
		text += length;
		if (!*text)
			return true;
	}
	fprintf(stderr, "filch-bench: --workers takes at most %d numbers\n", BENCH_WORKERS_N_MAX);
	return false;
}

int bench_options_parse(int argc, char **argv, struct bench_options *o)
{
	static const struct option known[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "only", required_argument, NULL, 'o' },
		{ "workers", required_argument, NULL, 'w' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "contestants", required_argument, NULL, 'c' },
		{ "json", required_argument, NULL, 'j' },
		{ "report", required_argument, NULL, 'd' },
		{ "busy", no_argument, NULL, 'b' },
		{ "quick", no_argument, NULL, 'q' },
		{ "check", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};

	double n;

	for (int opt; (opt = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (opt) {
		case 'l':
			o->list = true;
			break;
		case 'o':
			o->only = optarg;
			break;
		case 'r':
			if (!bench_number("filch-bench: --rounds", optarg, strlen(optarg), true, 1,
				    BENCH_ROUNDS_MAX, &n))
				return 2;
			o->rounds = (int)n;
			break;
		case 's':
			if (!bench_number("filch-bench: --seconds", optarg, strlen(optarg), false,
				    0.001, SECONDS_MAX, &o->seconds))
				return 2;
			break;
		case 'c':
			if (!contestants(optarg))
				return 2;
			o->contestants = optarg;
			break;
		case 'j':
			o->json = optarg;
			break;
		case 'd':
			o->report = optarg;
			break;
		case 'b':
			o->busy = true;
			break;
		case 'q':
			o->quick = true;
			break;
		case 'k':
			o->check = true;
			break;
		case 'w':
			if (!workers(optarg, o))
				return 2;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	if (!o->rounds && o->seconds == 0 && !o->check)
		o->seconds = o->quick ? SECONDS_QUICK : SECONDS_FULL;
	if (!o->rounds)
		o->rounds = o->check ? 1 : o->quick ? 5 : 11;
	return -1;
}
