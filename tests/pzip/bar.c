/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pzip's progress bar on a terminal, of which this driver holds the other end: it fits the width,
 * whatever that is, and after the terminal was resized; it goes from 0 to 100 %, says how long it
 * will take, and is not there where standard error is no terminal.
 *
 * The output goes through a pipe that the driver empties, so pzip is where the driver wants it to
 * be. The bar is drawn ten times a second at most: the driver lets that time pass before it lets
 * pzip go on, and what is drawn does not depend on how much more time passes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "test.h"

#define SIZE      (4 << 20) /* bytes of input, which do not get smaller */
#define LINES_MAX 512
#define LINE_SIZE 600

static const char *program;
static char input[64] = "/tmp/pzip-bar-XXXXXX";

/* pzip, its terminal and its output. */
static struct {
	pid_t pid;
	int terminal, output;
	char text[1 << 18];
	size_t used;
	char line[LINES_MAX][LINE_SIZE]; /* what was drawn, without what ends it */
	size_t lines;
} run;

/* --- pzip as a child -------------------------------------------------- */

static void set_width(unsigned columns)
{
	struct winsize size = { .ws_row = 24, .ws_col = (unsigned short)columns };

	CHECK_EQ(ioctl(run.terminal, TIOCSWINSZ, &size), 0);
}

/* A terminal of that width; returns the end that is pzip's. */
static int open_terminal(unsigned columns)
{
	struct termios raw;
	const char *name;
	int end;

	run.terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(run.terminal >= 0 && !grantpt(run.terminal) && !unlockpt(run.terminal), "%s",
		strerror(errno));
	name = ptsname(run.terminal);
	end = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	CHECK(end >= 0, "ptsname: %s", strerror(errno));
	CHECK_EQ(tcgetattr(end, &raw), 0);
	cfmakeraw(&raw); /* a new line stays one byte */
	CHECK_EQ(tcsetattr(end, TCSANOW, &raw), 0);
	set_width(columns);
	return end;
}

/* @in: its standard input, or -1: the input's name is its argument. @error: its standard error. */
static void start(int in, int error, const char *option)
{
	int end[2];

	run.used = run.lines = 0;
	CHECK_EQ(pipe2(end, O_CLOEXEC), 0);
	fflush(stdout);
	run.pid = fork();
	CHECK(run.pid >= 0, "fork: %s", strerror(errno));
	if (!run.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(end[1], STDOUT_FILENO);
		dup2(error, STDERR_FILENO);
		if (in >= 0)
			dup2(in, STDIN_FILENO);
		execl(program, program, "-1", "-c", option, in < 0 ? input : NULL, (char *)NULL);
		_exit(127);
	}
	close(end[1]);
	close(error);
	run.output = end[0];
}

/* What the terminal has got by now; with @all until nobody has its other end. */
static void read_terminal(bool all)
{
	struct pollfd p = { .fd = run.terminal, .events = POLLIN };

	while (poll(&p, 1, all ? -1 : 0) > 0) {
		ssize_t n = read(run.terminal, run.text + run.used, sizeof run.text - 1 - run.used);

		if (n <= 0)
			break;
		run.used += (size_t)n;
	}
	run.text[run.used] = '\0';
}

/* Lets pzip write so much more; 0: all there is. The terminal must not fill meanwhile. */
static void take_output(size_t size)
{
	static char bytes[65536];
	size_t left = size;

	while (!size || left) {
		ssize_t n =
			read(run.output, bytes, size && left < sizeof bytes ? left : sizeof bytes);

		CHECK(n >= 0, "read: %s", strerror(errno));
		if (n == 0)
			break;
		left -= size ? (size_t)n : 0;
		read_terminal(false);
	}
}

/* Cuts the text into what was drawn, one over the other. */
static void cut_lines(void)
{
	for (const char *at = run.text; *at;) {
		size_t n;

		CHECK(*at == '\r', "a line that is not drawn over the one before: %s", at);
		at++;
		n = strcspn(at, "\r\n");
		CHECK(run.lines < LINES_MAX && n < LINE_SIZE, "%zu lines, %zu bytes", run.lines, n);
		snprintf(run.line[run.lines++], LINE_SIZE, "%.*s", (int)n, at);
		at += n;
		if (*at == '\n') {
			CHECK(!at[1], "something behind the last line: %s", at + 1);
			break;
		}
	}
}

static void finish(int expected)
{
	int status;

	take_output(0);
	CHECK_EQ(waitpid(run.pid, &status, 0), run.pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected, "wait status 0x%x",
		(unsigned)status);
	close(run.output);
	if (run.terminal >= 0)
		read_terminal(true);
	close(run.terminal);
	run.terminal = -1;
}

/* A whole run on a terminal of @columns. */
static void run_on(unsigned columns, const char *option)
{
	start(-1, open_terminal(columns), option);
	finish(0);
	cut_lines();
}

/* --- what is on a line ------------------------------------------------ */

/* The last column stays free; what was longer before is written over. */
static void check_width(const char *line, size_t columns)
{
	CHECK(strlen(line) == columns - 1, "%zu bytes on a terminal of %zu columns: %s",
		strlen(line), columns, line);
	for (const char *c = line; *c; c++)
		CHECK(*c >= ' ' && *c <= '~', "byte 0x%x", (unsigned)*c);
}

static int percent(const char *line)
{
	const char *sign = strchr(line, '%');
	int value;

	if (!sign)
		return -1;
	while (sign > line && sign[-1] >= '0' && sign[-1] <= '9')
		sign--;
	value = atoi(sign);
	CHECK(value >= 0 && value <= 100, "%s", line);
	return value;
}

/* The bar's part that is filled, in percent and rounded down; -1: there is none. */
static int filled(const char *line)
{
	size_t n, whole;

	if (*line != '[')
		return -1;
	n = strspn(line + 1, "#");
	whole = n + strspn(line + 1 + n, " ");
	CHECK(line[1 + whole] == ']' && whole >= 8, "%s", line);
	return (int)(100 * n / whole);
}

/* Whether it says a time, as 0:07 or 1:02:03, before @word. */
static bool has_time(const char *line, const char *word)
{
	const char *at = strstr(line, word);

	return at && at - line >= 5 && at[-1] == ' ' && at[-2] >= '0' && at[-2] <= '9' &&
	       at[-3] >= '0' && at[-3] <= '9' && at[-4] == ':' && at[-5] >= '0' && at[-5] <= '9';
}

/* --- cases ------------------------------------------------------------ */

static void it_fits_every_width(void)
{
	static const unsigned widths[] = { 1, 2, 3, 4, 5, 6, 8, 12, 16, 17, 18, 20, 24, 28, 32, 40,
		48, 56, 64, 72, 80, 100, 132, 200, 500 };
	size_t lines = 0;

	for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
		const char *last;

		test_watchdog(60);
		run_on(widths[i], i % 2 ? "-p2" : "--serial");
		CHECK(run.lines >= 2, "%zu lines", run.lines);
		for (size_t j = 0; j < run.lines; j++)
			check_width(run.line[j], widths[i]);
		last = run.line[run.lines - 1];
		CHECK_EQ(percent(last), widths[i] > 4 ? 100 : -1);
		CHECK_EQ(percent(run.line[0]), widths[i] > 4 ? 0 : -1);
		CHECK(has_time(last, "taken") == (widths[i] > 16), "%s", last);
		CHECK_EQ(filled(last), widths[i] > 40 ? 100 : filled(last));
		CHECK((strstr(last, "4.2 of 4.2 MB") != NULL) == (widths[i] > 48), "%s", last);
		lines += run.lines;
	}
	printf("    %zu lines on %zu terminals\n", lines, sizeof widths / sizeof widths[0]);
}

/* Until the bar has been drawn once more, after some more output. */
static void go_on(void)
{
	size_t before = run.used;

	while (run.used == before) {
		poll(NULL, 0, 101); /* now the next block that is written is shown */
		take_output(200000);
	}
}

static void it_follows_the_terminal_and_tells_the_time_left(void)
{
	static const unsigned widths[] = { 100, 41, 30, 132, 9 };
	size_t n = sizeof widths / sizeof widths[0];
	int last = -1;

	start(-1, open_terminal(80), "-p2");
	for (size_t i = 0; i < n; i++) {
		go_on();
		set_width(widths[i]); /* what comes from here on is after a call of ours */
	}
	finish(0);
	cut_lines();
	CHECK(run.lines > n, "%zu lines", run.lines);
	for (size_t i = 0, width = 80, next = 0; i < run.lines; i++) {
		int now = percent(run.line[i]), bar = filled(run.line[i]);

		while (strlen(run.line[i]) != width - 1) { /* the next of its widths, or none */
			CHECK(next < n, "%zu bytes: %s", strlen(run.line[i]), run.line[i]);
			width = widths[next++];
		}
		CHECK(now >= last, "%d %% after %d %%", now, last);
		CHECK(bar < 0 || (bar <= now && bar >= now - 13), "%d %%: %s", now, run.line[i]);
		if (width > 20 && now > 0)
			CHECK(has_time(run.line[i], now < 100 ? "left" : "taken"), "%s",
				run.line[i]);
		last = now;
	}
	CHECK_EQ(strlen(run.line[0]), 79);
	CHECK_EQ(strlen(run.line[run.lines - 1]), 8);
	CHECK_EQ(last, 100);
	/* it tells what is written, of which little was taken by then; much more had been read */
	CHECK(percent(run.line[1]) < 25, "%s", run.line[1]);
	printf("    %zu lines, %zu widths\n", run.lines, n + 1);
}

static void a_terminal_that_knows_no_width_is_as_wide_as_columns_says(void)
{
	static const struct {
		const char *columns;
		unsigned terminal, width;
	} cases[] = {
		{ "33", 0, 33 },
		{ "120", 0, 120 },
		{ "33", 50, 50 },
		{ NULL, 0, 80 },
		{ "", 0, 80 },
		{ "0", 0, 80 },
		{ "-5", 0, 80 },
		{ "wide", 0, 80 },
		{ "99999999999999999999", 0, 512 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		test_watchdog(60);
		unsetenv("COLUMNS");
		if (cases[i].columns)
			setenv("COLUMNS", cases[i].columns, 1);
		run_on(cases[i].terminal, "-p2");
		check_width(run.line[run.lines - 1], cases[i].width);
	}
	unsetenv("COLUMNS");
}

static void without_a_size_there_is_no_percentage(void)
{
	int end[2];
	static char bytes[65536];

	CHECK_EQ(pipe2(end, O_CLOEXEC), 0);
	start(end[0], open_terminal(60), "-p2");
	close(end[0]);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(write(end[1], bytes, sizeof bytes), sizeof bytes);
	close(end[1]);
	finish(0);
	cut_lines();
	for (size_t i = 0; i < run.lines; i++) {
		check_width(run.line[i], 60);
		CHECK(!strchr(run.line[i], '%') && strstr(run.line[i], "MB in"), "%s", run.line[i]);
	}
	CHECK(strstr(run.line[run.lines - 1], "0.5 MB in"), "%s", run.line[run.lines - 1]);
}

static void an_empty_file_is_done(void)
{
	CHECK_EQ(truncate(input, 0), 0);
	run_on(60, "-p2");
	CHECK(!strchr(run.line[run.lines - 1], '%'), "%s", run.line[run.lines - 1]);
	check_width(run.line[run.lines - 1], 60);
}

/* The pipe's reader goes away after the bar was drawn. */
static void an_error_has_a_line_of_its_own(void)
{
	const char *at;
	int status;

	start(-1, open_terminal(60), "-p2");
	take_output(200000); /* so the bar has been drawn */
	close(run.output);
	CHECK_EQ(waitpid(run.pid, &status, 0), run.pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1, "wait status 0x%x", (unsigned)status);
	read_terminal(true);
	close(run.terminal);
	run.terminal = -1;
	at = strstr(run.text, "pzip: ");
	CHECK(at && at > run.text && at[-1] == '\n' && strstr(at, "Broken pipe"), "%s", run.text);
}

static void without_a_terminal_there_is_none(void)
{
	int end[2];
	char byte;

	CHECK_EQ(pipe2(end, O_CLOEXEC), 0);
	start(-1, end[1], "-p2");
	finish(0);
	CHECK_EQ(read(end[0], &byte, 1), 0);
	close(end[0]);
}

static void make_input(void)
{
	static unsigned char bytes[SIZE];
	uint64_t state = test_seed();
	int fd = mkstemp(input);

	CHECK(fd >= 0, "%s: %s", input, strerror(errno));
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)test_random(&state);
	CHECK_EQ(write(fd, bytes, SIZE), SIZE);
	close(fd);
}

static void remove_input(void)
{
	unlink(input);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2, "usage: %s PZIP", argv[0]);
	program = argv[1];
	run.terminal = -1;
	test_watchdog(60);
	make_input();
	atexit(remove_input);
	unsetenv("COLUMNS");
	test_case("it fits every width", it_fits_every_width);
	test_case("it follows the terminal and tells the time left",
		it_follows_the_terminal_and_tells_the_time_left);
	test_case("a terminal that knows no width is as wide as COLUMNS says",
		a_terminal_that_knows_no_width_is_as_wide_as_columns_says);
	test_case("without a size there is no percentage", without_a_size_there_is_no_percentage);
	test_case("an error has a line of its own", an_error_has_a_line_of_its_own);
	test_case("without a terminal there is none", without_a_terminal_there_is_none);
	test_case("an empty file is done", an_empty_file_is_done);
	return test_finish("bar");
}
