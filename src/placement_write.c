/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: prints a plan, for people and for programs. See placement.h.
 *
 * Both forms hold the same facts. The text form names ranges of workers ("1-7,0"), in the order in which a thief meets them
 * before its draw; the JSON form lists them one by one. Reasons are lines of printable text that other files wrote; whatever
 * is not plain ASCII in them (a cgroup's name) becomes a question mark in JSON, which must stay valid.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include "placement.h"

#include <errno.h>
#include <filch/pool.h>
#include <string.h>

/* What pinning did to worker @w, in one word. */
static const char *pin_word(const struct filchi_plan *plan, const struct filchi_pin_state *state, uint32_t w)
{
	if (!plan->pin)
		return "off";
	if (plan->simulated)
		return "simulated";
	if (!state || w >= state->workers || state->error[w] == FILCHI_PIN_PENDING)
		return "planned";
	return state->error[w] ? "failed" : "pinned";
}

/* The errno of a failed pin of worker @w, positive, or 0. */
static int pin_error(const struct filchi_pin_state *state, uint32_t w)
{
	return state && w < state->workers && state->error[w] < 0 ? -state->error[w] : 0;
}

/* One cell of the table of seats: a number or a dash. */
static void cell(FILE *out, int value)
{
	if (value < 0)
		fprintf(out, "%9s", "-");
	else
		fprintf(out, "%9d", value);
}

/* The members row[begin .. end) as ranges. */
static void ranges(FILE *out, const uint16_t *row, uint32_t begin, uint32_t end)
{
	for (uint32_t i = begin, last; i < end; i = last + 1) {
		for (last = i; last + 1 < end && row[last + 1] == row[last] + 1; last++)
			;
		fprintf(out, last == i ? "%s%u" : "%s%u-%u", i == begin ? "" : ",", row[i], row[last]);
	}
}

static void write_text(const struct filchi_plan *plan, FILE *out, const struct filchi_pin_state *state)
{
	fprintf(out, "workers %u, usable %u, %s%s\n", plan->workers, plan->usable, plan->pin ? "pinned" : "not pinned",
		plan->simulated ? ", simulated" : "");
	fprintf(out, "reasons\n");
	for (const char *s = plan->reasons, *end; *s; s = end + 1) {
		end = strchr(s, '\n');
		fprintf(out, "  %.*s\n", (int)(end - s), s);
	}
	fprintf(out, "seats\n   worker      cpu     core     node  package     kind  pin\n");
	for (uint32_t w = 0; w < plan->workers; w++) {
		const struct filchi_seat *seat = &plan->seat[w];

		cell(out, seat->worker);
		cell(out, seat->pu);
		cell(out, seat->core);
		cell(out, seat->node);
		cell(out, seat->package);
		cell(out, seat->kind);
		fprintf(out, "  %s", pin_word(plan, state, w));
		if (pin_error(state, w)) {
			const char *name = strerrorname_np(pin_error(state, w));

			fprintf(out, " (%s)", name ? name : "unknown error");
		}
		fputc('\n', out);
	}
	fprintf(out, "steal order\n");
	for (uint32_t w = 0; w < plan->workers; w++) {
		const uint16_t *row = plan->order + (size_t)w * (plan->workers - 1);
		const uint16_t *end = plan->ring_end + (size_t)w * FILCHI_RINGS;

		fprintf(out, "%9u ", w);
		for (uint32_t r = 0; r < plan->rings[w]; r++) {
			fprintf(out, "%s %s ", r ? " |" : "", filchi_level_name(plan->ring_level[w * FILCHI_RINGS + r]));
			ranges(out, row, r ? end[r - 1] : 0, end[r]);
		}
		fputs(plan->rings[w] ? "\n" : " nobody\n", out);
	}
}

/* @n bytes of @text as a JSON string. */
static void json_string(FILE *out, const char *text, size_t n)
{
	fputc('"', out);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else
			fputc(c < ' ' || c > 126 ? '?' : c, out);
	}
	fputc('"', out);
}

static void write_json(const struct filchi_plan *plan, FILE *out, const struct filchi_pin_state *state)
{
	fprintf(out, "{\"workers\":%u,\"usable\":%u,\"pin\":%s,\"simulated\":%s,\n \"reasons\":[", plan->workers, plan->usable,
		plan->pin ? "true" : "false", plan->simulated ? "true" : "false");
	for (const char *s = plan->reasons, *end; *s; s = end + 1) {
		end = strchr(s, '\n');
		fputs(s == plan->reasons ? "\n  " : ",\n  ", out);
		json_string(out, s, (size_t)(end - s));
	}
	fputs("],\n \"seats\":[", out);
	for (uint32_t w = 0; w < plan->workers; w++) {
		const struct filchi_seat *seat = &plan->seat[w];

		fprintf(out,
			"%s\n  {\"worker\":%d,\"cpu\":%d,\"core\":%d,\"node\":%d,\"package\":%d,\"kind\":%d,\"pin\":\"%s\","
			"\"error\":%d}",
			w ? "," : "", seat->worker, seat->pu, seat->core, seat->node, seat->package, seat->kind,
			pin_word(plan, state, w), pin_error(state, w));
	}
	fputs("],\n \"steal_order\":[", out);
	for (uint32_t w = 0; w < plan->workers; w++) {
		const uint16_t *row = plan->order + (size_t)w * (plan->workers - 1);
		const uint16_t *end = plan->ring_end + (size_t)w * FILCHI_RINGS;

		fprintf(out, "%s\n  {\"worker\":%u,\"rings\":[", w ? "," : "", w);
		for (uint32_t r = 0; r < plan->rings[w]; r++) {
			fprintf(out, "%s{\"level\":\"%s\",\"workers\":[", r ? "," : "",
				filchi_level_name(plan->ring_level[w * FILCHI_RINGS + r]));
			for (uint32_t i = r ? end[r - 1] : 0; i < end[r]; i++)
				fprintf(out, "%s%u", i == (r ? end[r - 1] : 0) ? "" : ",", row[i]);
			fputs("]}", out);
		}
		fputs("]}", out);
	}
	fputs("]}\n", out);
}

int filchi_plan_write(const struct filchi_plan *plan, FILE *out, int format, const struct filchi_pin_state *state)
{
	if (format == FILCH_TEXT)
		write_text(plan, out, state);
	else if (format == FILCH_JSON)
		write_json(plan, out, state);
	else
		return -EINVAL;
	return ferror(out) ? -EIO : 0;
}
