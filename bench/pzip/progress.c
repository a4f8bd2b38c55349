/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress bar: one line on a terminal, drawn over the one before it.
 *
 *   [##########              ]  42%  4.2 of 10.0 MB  21.0 MB/s  0:01 left
 *
 * The terminal is asked for its width each time, so the line fits after it was resized; one that
 * does not know is as wide as COLUMNS says, or 80. Where the line would be too long it says less.
 * The last column stays free, because many terminals go to the next line once it is written.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "pzip.h"

#define LINE_MAX_SIZE 512
#define USUAL_WIDTH   80
#define BAR_MIN       8   /* shorter ones say nothing */
#define EVERY         0.1 /* seconds */

static bool open_line; /* the bar is on a line that has not ended */

double pzip_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t terminal_width(void)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");
	unsigned long width;

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	if (!columns || *columns < '0' || *columns > '9')
		return USUAL_WIDTH;
	width = strtoul(columns, NULL, 10);
	return width ? width : USUAL_WIDTH;
}

/* 0:07, 12:34, 1:02:03; without an idea of it -:-- */
static void write_time(char *to, size_t size, double seconds)
{
	unsigned long s = seconds < 0 || seconds >= 360000 ? 0 : (unsigned long)(seconds + 0.5);

	if (seconds < 0 || seconds >= 360000)
		snprintf(to, size, "-:--");
	else if (s < 3600)
		snprintf(to, size, "%lu:%02lu", s / 60, s % 60);
	else
		snprintf(to, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

/* What stands behind the bar; each further @brevity says less. False: there is no shorter one. */
static bool write_known(char *to, size_t size, unsigned brevity, double in, double expected,
	double elapsed, bool end)
{
	double left = in > 0 && elapsed > 0 ? elapsed * (expected - in) / in : -1;
	int percent = (int)(100 * in / expected);
	double rate = elapsed > 0 ? in / 1e6 / elapsed : 0;
	const char *word = end ? "taken" : "left";
	char time[32];

	write_time(time, sizeof time, end ? elapsed : left);
	if (brevity == 0)
		snprintf(to, size, "%3d%%  %.1f of %.1f MB  %.1f MB/s  %s %s", percent, in / 1e6,
			expected / 1e6, rate, time, word);
	else if (brevity == 1)
		snprintf(to, size, "%3d%%  %.1f MB/s  %s %s", percent, rate, time, word);
	else if (brevity == 2)
		snprintf(to, size, "%3d%%  %s %s", percent, time, word);
	else
		snprintf(to, size, "%3d%%", percent);
	return brevity <= 3;
}

/* The same for an input of which nobody knows how long it is. */
static bool write_unknown(
	char *to, size_t size, unsigned brevity, double in, double out, double elapsed)
{
	if (brevity == 0)
		snprintf(to, size, "%.1f MB in, %.1f MB out, %.1f MB/s", in / 1e6, out / 1e6,
			elapsed > 0 ? in / 1e6 / elapsed : 0.0);
	else
		snprintf(to, size, "%.1f MB", in / 1e6);
	return brevity <= 1;
}

/* "[###   ] @text" of @room bytes, or only @text where that leaves no room for a bar. */
static void write_bar(char *to, size_t room, const char *text, double part)
{
	size_t used = strlen(text), filled;

	memset(to, ' ', room);
	to[room] = '\0';
	if (part < 0 || room < used + BAR_MIN + 3) {
		memcpy(to, text, used);
		return;
	}
	room -= used + 3;
	filled = (size_t)((double)room * part);
	to[0] = '[';
	memset(to + 1, '#', filled);
	to[room + 1] = ']';
	memcpy(to + room + 3, text, used);
}

static void write_line(char *to, size_t room, const struct pzip_options *o, double in, double out,
	double elapsed, bool end)
{
	double expected = (double)o->expected;
	char text[128] = "";

	if (end || in > expected) /* a file may have grown, or shrunk */
		expected = in;
	if (o->expected && expected <= 0)
		expected = in = 1; /* it is empty: all of nothing */
	for (unsigned brevity = 0;; brevity++) {
		bool any = o->expected
				   ? write_known(
					     text, sizeof text, brevity, in, expected, elapsed, end)
				   : write_unknown(text, sizeof text, brevity, in, out, elapsed);
		/* a bar is worth more than numbers, but not than the percentage and the time */
		size_t need = strlen(text) + (o->expected && brevity < 2 ? BAR_MIN + 3 : 0);

		if (!any)
			text[0] = '\0';
		if (!any || need <= room)
			break;
	}
	write_bar(to, room, text, o->expected && text[0] ? in / expected : -1);
}

void pzip_progress(const struct pzip_options *options, uint64_t in, uint64_t out, bool end)
{
	static double began, drawn;
	char line[LINE_MAX_SIZE + 1];
	double now;
	size_t width;

	if (!options->progress)
		return;
	now = pzip_seconds();
	if (began <= 0)
		began = now;
	if (!end && now - drawn < EVERY)
		return;
	drawn = now;
	width = terminal_width();
	if (width > LINE_MAX_SIZE)
		width = LINE_MAX_SIZE;
	write_line(line, width - 1, options, (double)in, (double)out, now - began, end);
	fprintf(stderr, "\r%s%s", line, end ? "\n" : "");
	fflush(stderr);
	open_line = !end;
}

void pzip_progress_end_line(void)
{
	if (open_line)
		fputc('\n', stderr);
	open_line = false;
}
