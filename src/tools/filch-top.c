/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch-top: what the live pools of this user are at, again and again or once. A pool is live where
 * its program was started with FILCH_LIVE=1, or has called filch_pool_live(). It reads pages, and
 * asks and disturbs nobody.
 *
 * Exit status: 0; 1 there is no such process, or the output failed; 2 the options were wrong.
 *
 * The screen is drawn with the sequences that all terminals know since the VT100: no library. The
 * terminal is put back at the end, however it comes about but by a kill: signals that end or stop
 * the program are heeded in the loop, where nothing is half written.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <filch/version.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "tools/live_print.h"

enum option_code {
	OPT_PID = 1,
	OPT_ONCE,
	OPT_JSON,
	OPT_PROMETHEUS,
	OPT_INTERVAL,
	OPT_DIRECTORY,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option options[] = {
	{ "pid", required_argument, NULL, OPT_PID },
	{ "once", no_argument, NULL, OPT_ONCE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "prometheus", no_argument, NULL, OPT_PROMETHEUS },
	{ "interval", required_argument, NULL, OPT_INTERVAL },
	{ "directory", required_argument, NULL, OPT_DIRECTORY },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *out)
{
	fputs("usage: filch-top [option...]\n"
	      "Shows what live filch pools are at. A pool is live if its program was started with\n"
	      "FILCH_LIVE=1 or calls filch_pool_live().\n"
	      "  --pid N              only this process\n"
	      "  --once               print everything once\n"
	      "  --json               once, for programs\n"
	      "  --prometheus         once, in the text format of Prometheus\n"
	      "  --interval SECONDS   between two looks; default 1, at least 0.1\n"
	      "  --directory DIR      read pages there instead of /dev/shm/filch-UID\n"
	      "  --help, --version\n"
	      "Keys: q ends, n and p change the pool, s sorts by use, t l w show and hide times,\n"
	      "lanes and workers, j k move through workers, space stops and goes on, + - speed.\n",
		out);
}

/* What is asked for. */
struct asked {
	int64_t pid;
	const char *directory;
	bool once, json, prometheus;
	uint32_t interval_ms;
};

static int wrong(const char *option, const char *value)
{
	fprintf(stderr, "filch-top: %s: '%s' is not valid\n", option, value);
	usage(stderr);
	return 2;
}

/* Seconds with a fraction, as milliseconds. */
static bool take_interval(const char *text, uint32_t *ms)
{
	uint64_t whole = 0, part = 0;
	const char *point;

	if (!filchi_number(&text, 3600, &whole))
		return false;
	if (*text == '.') {
		uint64_t scale = 100;

		for (point = ++text; *text >= '0' && *text <= '9'; text++, scale /= 10)
			part += (uint64_t)(*text - '0') * scale;
		if (text == point)
			return false;
	}
	*ms = (uint32_t)(whole * 1000 + part);
	return !*text && *ms >= 100;
}

static bool take_value(struct asked *a, int code, const char *value)
{
	uint32_t pid;

	switch (code) {
	case OPT_PID:
		if (!filchi_number_is(value, INT32_MAX, &pid) || !pid)
			return false;
		a->pid = pid;
		return true;
	case OPT_INTERVAL:
		return take_interval(value, &a->interval_ms);
	default: /* OPT_DIRECTORY */
		a->directory = value;
		return true;
	}
}

/* Reads all options. Returns -1 to go on, or the exit status. */
static int read_options(int argc, char **argv, struct asked *a)
{
	int code, index;

	while ((code = getopt_long(argc, argv, "", options, &index)) != -1) {
		char option[24];

		if (code == OPT_HELP) {
			usage(stdout);
			return fflush(stdout) ? 1 : 0;
		}
		if (code == OPT_VERSION) {
			printf("filch-top %s\n", FILCH_VERSION_STRING);
			return fflush(stdout) ? 1 : 0;
		}
		if (code == '?') {
			usage(stderr);
			return 2;
		}
		(void)snprintf(option, sizeof option, "--%s", options[index].name);
		a->once |= code == OPT_ONCE || code == OPT_JSON || code == OPT_PROMETHEUS;
		a->json |= code == OPT_JSON;
		a->prometheus |= code == OPT_PROMETHEUS;
		if (optarg && !take_value(a, code, optarg))
			return wrong(option, optarg);
	}
	if (a->json && a->prometheus)
		return wrong("--prometheus", "with --json");
	return optind < argc ? wrong("argument", argv[optind]) : -1;
}

/* --- once ------------------------------------------------------------- */

static void write_text(const struct live_list *list, FILE *out)
{
	const struct live_view all = { .lanes = true, .times = true, .workers = true };

	for (size_t i = 0; i < list->count; i++) {
		const struct live_process *p = &list->process[i];

		live_title(p, out);
		fputc('\n', out);
		for (uint32_t j = 0; j < p->header->pools; j++)
			live_write_pool(p, p->pool[j], &all, out);
	}
	if (!list->count)
		fprintf(out, "no live pool (see filch-top --help)\n");
}

static int once(const struct asked *a)
{
	struct live_list list;
	int error = live_read(&list, a->directory, a->pid);
	bool missing = a->pid && !list.count;

	if (list.why[0])
		fprintf(stderr, "filch-top: %s\n", list.why);
	if (missing && !error)
		fprintf(stderr, "filch-top: process %lld has no live pool, or is not yours\n",
			(long long)a->pid);
	if (!error && !missing) {
		if (a->json)
			live_write_json(&list, stdout);
		else if (a->prometheus)
			live_write_prometheus(&list, stdout);
		else
			write_text(&list, stdout);
	}
	live_free(&list);
	if (ferror(stdout) || fflush(stdout)) {
		fprintf(stderr, "filch-top: the output could not be written\n");
		return 1;
	}
	return error || missing ? 1 : 0;
}

/* --- the screen ------------------------------------------------------- */

static volatile sig_atomic_t caught; /* the last signal to be heeded */
static struct termios before;

static void on_signal(int number)
{
	if (number != SIGWINCH && caught != SIGTERM && caught != SIGINT && caught != SIGHUP)
		caught = number;
}

static void put(const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(STDOUT_FILENO, text, size);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			text += n;
			size -= (size_t)n;
		}
	}
}

static void screen_enter(void)
{
	struct termios raw = before;
	static const char begin[] = "\033[?1049h\033[?25l";

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	put(begin, sizeof begin - 1);
}

static void screen_leave(void)
{
	static const char end[] = "\033[?25h\033[?1049l";

	put(end, sizeof end - 1);
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

/* Stopped from the keyboard: the terminal is the shell's meanwhile. */
static void stop_here(void)
{
	screen_leave();
	(void)kill(getpid(), SIGSTOP); /* goes on after a SIGCONT */
	screen_enter();
}

/* Puts @text on the screen, as much of each line and as many lines as there is room for. */
static void draw(const char *text, size_t size)
{
	struct winsize window = { .ws_row = 24, .ws_col = 80 };
	char *shown = NULL;
	size_t shown_size = 0;
	const char *end = text + size;
	FILE *out = open_memstream(&shown, &shown_size);

	if (!out)
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) || !window.ws_row || !window.ws_col)
		window = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	fputs("\033[H", out);
	for (unsigned row = 0; row < window.ws_row && text < end; row++) {
		const char *line = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((line ? line : end) - text);

		fprintf(out, "%s%.*s\033[K", row ? "\r\n" : "",
			(int)(n < window.ws_col ? n : window.ws_col), text);
		text += n + (line != NULL);
	}
	fputs("\033[J", out);
	if (!fclose(out))
		put(shown, shown_size);
	free(shown);
}

struct screen {
	struct live_view view;
	size_t chosen; /* the pool, counted over all processes */
	bool stopped;
};

/* Where pool number @chosen of all is; the last one, if there are fewer. */
static const struct filchi_page_pool *find_pool(
	const struct live_list *list, size_t *chosen, size_t *all, const struct live_process **of)
{
	const struct filchi_page_pool *pool = NULL;

	*all = 0;
	for (size_t i = 0; i < list->count; i++)
		*all += list->process[i].header->pools;
	if (*chosen >= *all)
		*chosen = *all ? *all - 1 : 0;
	for (size_t i = 0, at = 0; i < list->count; i++) {
		const struct live_process *p = &list->process[i];

		if (*chosen - at < p->header->pools && *chosen >= at) {
			*of = p;
			pool = p->pool[*chosen - at];
		}
		at += p->header->pools;
	}
	return pool;
}

static void show(const struct asked *a, struct screen *s)
{
	struct live_list list;
	const struct live_process *p = NULL;
	const struct filchi_page_pool *pool;
	char *text = NULL, clock[16] = "";
	size_t size = 0, all;
	time_t now = time(NULL);
	struct tm tm;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	(void)live_read(&list, a->directory, a->pid);
	pool = find_pool(&list, &s->chosen, &all, &p);
	if (localtime_r(&now, &tm))
		(void)strftime(clock, sizeof clock, "%H:%M:%S", &tm);
	fprintf(out, "filch-top %s  pool %zu of %zu, every %.1f s  (q n p s t l w j k space + -)\n",
		clock, all ? s->chosen + 1 : 0, all, a->interval_ms / 1000.0);
	if (pool) {
		if (s->view.from >= pool->workers)
			s->view.from = pool->workers ? pool->workers - 1 : 0;
		live_title(p, out);
		fputc('\n', out);
		live_write_pool(p, pool, &s->view, out);
	} else {
		fprintf(out, "%s\n", list.why[0] ? list.why : "no live pool");
	}
	live_free(&list);
	if (!fclose(out))
		draw(text, size);
	free(text);
}

/* False: the end. */
static bool key(struct asked *a, struct screen *s, char c)
{
	switch (c) {
	case 'q':
		return false;
	case 'n':
	case '\t':
		s->chosen++;
		s->view.from = 0;
		break;
	case 'p':
		s->chosen -= s->chosen > 0;
		s->view.from = 0;
		break;
	case 's':
		s->view.by_use = !s->view.by_use;
		break;
	case 't':
		s->view.times = !s->view.times;
		break;
	case 'l':
		s->view.lanes = !s->view.lanes;
		break;
	case 'w':
		s->view.workers = !s->view.workers;
		break;
	case 'j':
		s->view.from++;
		break;
	case 'k':
		s->view.from -= s->view.from > 0;
		break;
	case ' ':
		s->stopped = !s->stopped;
		break;
	case '+':
		if (a->interval_ms >= 200)
			a->interval_ms /= 2;
		break;
	case '-':
		if (a->interval_ms <= 30000)
			a->interval_ms *= 2;
		break;
	default:
		break;
	}
	return true;
}

/* Until q, the end of the input, or a signal, which is returned. */
static int look_on(struct asked *a)
{
	struct screen s = { .view = { .lanes = true, .times = true, .workers = true } };
	sigset_t open, ours;
	bool goes_on = true;

	/* signals come in ppoll() alone */
	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGINT);
	(void)sigaddset(&ours, SIGTERM);
	(void)sigaddset(&ours, SIGHUP);
	(void)sigaddset(&ours, SIGTSTP);
	(void)sigaddset(&ours, SIGWINCH);
	(void)sigprocmask(SIG_BLOCK, &ours, &open);
	screen_enter();
	while (goes_on) {
		const struct timespec wait = { .tv_sec = a->interval_ms / 1000,
			.tv_nsec = (long)(a->interval_ms % 1000) * 1000000 };
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		char typed[16];
		ssize_t n;

		if (!s.stopped)
			show(a, &s);
		if (ppoll(&input, 1, s.stopped ? NULL : &wait, &open) <= 0) {
			if (caught == SIGTSTP) {
				caught = 0;
				stop_here();
			}
			if (caught)
				break;
			continue;
		}
		n = read(STDIN_FILENO, typed, sizeof typed);
		if (n <= 0)
			break;
		for (ssize_t i = 0; goes_on && i < n; i++)
			goes_on = key(a, &s, typed[i]);
	}
	screen_leave();
	(void)sigprocmask(SIG_SETMASK, &open, NULL);
	return caught;
}

static int run(struct asked *a)
{
	static const int heeded[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH };
	struct sigaction action = { .sa_handler = on_signal };
	int number;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before))
		return once(a); /* into a file or a pipe */
	for (size_t i = 0; i < sizeof heeded / sizeof heeded[0]; i++)
		(void)sigaction(heeded[i], &action, NULL);
	number = look_on(a);
	if (number) { /* ends by it, as its sender expects */
		(void)signal(number, SIG_DFL);
		(void)raise(number);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct asked a = { .interval_ms = 1000 };
	int status = read_options(argc, argv, &a);

	if (status >= 0)
		return status;
	return a.once ? once(&a) : run(&a);
}
