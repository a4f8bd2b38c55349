/* SPDX-License-Identifier: Apache-2.0 */
/* How the tools print what is on pages: numbers, times, rates, states. */
#ifndef FILCHI_LIVE_PRINT_H
#define FILCHI_LIVE_PRINT_H

#include <stdio.h>

#include "tools/live_read.h"

/* Texts of at most seven characters. */
struct live_text {
	char text[24];
};

/* "0", "37", "12.3k", "4.56M": at most three digits that say something. */
struct live_text live_number(double value);

/* "0", "340ns", "12.3us", "4.56ms", "7.80s", "12m", "3.4h", "12d" */
struct live_text live_time(uint64_t ns);

/* "37%"; "-" where nothing can be said. */
struct live_text live_share(uint64_t part, uint64_t whole);

/* "busy" and so on. */
const char *live_state(uint32_t state);

/* How much a sum has grown from one moment to the other; 0 if it has fallen. */
static inline uint64_t live_growth(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

/* The same for each second. */
double live_rate(const struct filchi_page_pool *pool, uint64_t now, uint64_t then);

/* The sums of all workers of a pool, and of threads outside for the counters. */
void live_sum(const struct filchi_page_pool *pool, int moment, struct filchi_page_times *sum);

/* Whether a lane has had anything. */
bool live_lane_is_used(const struct filchi_page_lane *lane);

/* What a process is, in one line, without its end. */
void live_title(const struct live_process *p, FILE *out);

/* filch-top --once: everything, for people, programs, and Prometheus' text format. */
struct live_view {
	bool lanes, times, workers; /* which parts to show */
	bool by_use;                /* the busiest workers first */
	uint32_t from;              /* the first worker that is shown */
};
void live_write_pool(const struct live_process *p, const struct filchi_page_pool *pool,
	const struct live_view *view, FILE *out);
void live_write_json(const struct live_list *list, FILE *out);
void live_write_prometheus(const struct live_list *list, FILE *out);

/* filch-info --pid: seats with their reasons, and what has changed. @json: for programs. */
void live_write_seats(const struct live_process *p, bool json, FILE *out);

#endif
