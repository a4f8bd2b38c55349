/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: prints a plan, for people and for programs. See placement.h.
 *
 * Both forms hold the same facts. The text form names ranges of workers ("1-7,0"), in the order in
 * which a thief meets them before its draw; the JSON form lists them one by one. Reasons are lines
 * that other files wrote.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/placement.h"

#include <errno.h>
#include <filch/pool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/libc.h"

bool filchi_plan_mask_now(const struct filchi_plan *plan, const struct filchi_pin_state *state,
	uint32_t w, struct filchi_cpuset *mask)
{
	if (plan->simulated || !state)
		return filchi_plan_mask(plan, w, mask);
	return state->tid && w < state->workers && state->tid[w] &&
	       !filchi_cpuset_of_thread(state->tid[w], mask);
}

const char *filchi_plan_pin_word(
	const struct filchi_plan *plan, const struct filchi_pin_state *state, uint32_t w)
{
	struct filchi_cpuset planned, now;

	if (!filchi_plan_mask(plan, w, &planned))
		return "off";
	if (plan->simulated)
		return "simulated";
	if (!state || w >= state->workers || state->error[w] == FILCHI_PIN_PENDING)
		return "planned";
	if (!filchi_plan_mask_now(plan, state, w, &now))
		return state->error[w] ? "failed" : "pinned";
	/* also one that failed at first, and whose CPUs were allowed later */
	if (!memcmp(&planned, &now, sizeof now))
		return plan->pin && w < plan->seated ? "pinned" : "set";
	if (state->error[w])
		return "failed";
	return filchi_plan_wide(plan, w, &planned) && !memcmp(&planned, &now, sizeof now)
		       ? "gave way"
		       : "moved";
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
		fprintf(out, last == i ? "%s%u" : "%s%u-%u", i == begin ? "" : ",", row[i],
			row[last]);
	}
}

static void write_text(
	const struct filchi_plan *plan, FILE *out, const struct filchi_pin_state *state)
{
	static const char *const word[] = { [FILCHI_BIND_NONE] = "not pinned",
		[FILCHI_BIND_SET] = "not pinned",
		[FILCHI_BIND_SEAT] = "pinned",
		[FILCHI_BIND_CPU] = "pinned" };
	struct filchi_cpuset mask;

	fprintf(out, "workers %u, usable %u, %s%s\n", plan->at_first, plan->usable,
		word[plan->binding], plan->simulated ? ", simulated" : "");
	fprintf(out, "reasons\n");
	for (const char *s = plan->reasons, *end; *s; s = end + 1) {
		end = strchr(s, '\n');
		fprintf(out, "  %.*s\n", (int)(end - s), s);
	}
	fprintf(out, "seats\n   worker      cpu     core     node  package     kind  pin       "
		     " mask\n");
	for (uint32_t w = 0; w < plan->workers; w++) {
		const struct filchi_seat *seat = &plan->seat[w];

		cell(out, seat->worker);
		cell(out, seat->pu);
		cell(out, seat->core);
		cell(out, seat->node);
		cell(out, seat->package);
		cell(out, seat->kind);
		fprintf(out, "  %-9s  ", filchi_plan_pin_word(plan, state, w));
		if (filchi_plan_mask_now(plan, state, w, &mask))
			filchi_cpuset_print(&mask, out);
		else
			fputc('-', out);
		if (filchi_plan_wide(plan, w, &mask)) {
			fputs(" of ", out);
			filchi_cpuset_print(&mask, out);
		}
		if (pin_error(state, w))
			fprintf(out, " (%s)", filchi_error_name(pin_error(state, w)));
		fputc('\n', out);
	}
	fprintf(out, "steal order\n");
	for (uint32_t w = 0; w < plan->workers; w++) {
		const uint16_t *row = plan->order + (size_t)w * (plan->workers - 1);
		const uint16_t *end = plan->tier_end + (size_t)w * FILCHI_TIERS;

		fprintf(out, "%9u ", w);
		for (uint32_t r = 0; r < plan->tiers[w]; r++) {
			fprintf(out, "%s %s ", r ? " |" : "",
				filchi_level_name(plan->tier_level[w * FILCHI_TIERS + r]));
			ranges(out, row, r ? end[r - 1] : 0, end[r]);
		}
		fputs(plan->tiers[w] ? "\n" : " nobody\n", out);
	}
}

/* The reasons, a string for each line. */
static void json_reasons(struct filchi_json *json, const struct filchi_plan *plan)
{
	filchi_json_array(json, "reasons");
	for (const char *s = plan->reasons, *end; *s; s = end + 1) {
		end = strchr(s, '\n');
		filchi_json_line(json, 2);
		filchi_json_string(json, NULL, s, (size_t)(end - s));
	}
	filchi_json_end_array(json);
}

/* A list of CPUs; NULL: none. */
static void json_cpus(struct filchi_json *json, const char *key, const struct filchi_cpuset *cpus)
{
	char *text = NULL;
	size_t size = 0;
	FILE *list = cpus ? open_memstream(&text, &size) : NULL;

	if (list) {
		filchi_cpuset_print(cpus, list);
		(void)fclose(list);
	}
	filchi_json_string(json, key, text ? text : "", size);
	free(text);
}

static void json_seat(struct filchi_json *json, const struct filchi_plan *plan,
	const struct filchi_pin_state *state, uint32_t w)
{
	const struct filchi_seat *seat = &plan->seat[w];
	const char *pin = filchi_plan_pin_word(plan, state, w);
	struct filchi_cpuset mask;

	filchi_json_line(json, 2);
	filchi_json_object(json, NULL);
	filchi_json_int(json, "worker", seat->worker);
	filchi_json_int(json, "cpu", seat->pu);
	filchi_json_int(json, "core", seat->core);
	filchi_json_int(json, "node", seat->node);
	filchi_json_int(json, "package", seat->package);
	filchi_json_int(json, "kind", seat->kind);
	filchi_json_string(json, "pin", pin, strlen(pin));
	filchi_json_int(json, "error", pin_error(state, w));
	json_cpus(json, "mask", filchi_plan_mask_now(plan, state, w, &mask) ? &mask : NULL);
	json_cpus(json, "gives_way_to", filchi_plan_wide(plan, w, &mask) ? &mask : NULL);
	filchi_json_end_object(json);
}

/* In which order worker @w steals, tier by tier. */
static void json_order(struct filchi_json *json, const struct filchi_plan *plan, uint32_t w)
{
	const uint16_t *row = plan->order + (size_t)w * (plan->workers - 1);
	const uint16_t *end = plan->tier_end + (size_t)w * FILCHI_TIERS;

	filchi_json_line(json, 2);
	filchi_json_object(json, NULL);
	filchi_json_int(json, "worker", w);
	filchi_json_array(json, "tiers");
	for (uint32_t r = 0, i = 0; r < plan->tiers[w]; r++) {
		const char *level = filchi_level_name(plan->tier_level[w * FILCHI_TIERS + r]);

		filchi_json_object(json, NULL);
		filchi_json_string(json, "level", level, strlen(level));
		filchi_json_array(json, "workers");
		for (; i < end[r]; i++)
			filchi_json_int(json, NULL, row[i]);
		filchi_json_end_array(json);
		filchi_json_end_object(json);
	}
	filchi_json_end_array(json);
	filchi_json_end_object(json);
}

static void write_json(
	const struct filchi_plan *plan, FILE *out, const struct filchi_pin_state *state)
{
	static const char *const binding[] = { [FILCHI_BIND_NONE] = "none",
		[FILCHI_BIND_SET] = "set",
		[FILCHI_BIND_SEAT] = "seat",
		[FILCHI_BIND_CPU] = "cpu" };
	struct filchi_json json = { .out = out };

	filchi_json_object(&json, NULL);
	filchi_json_int(&json, "workers", plan->at_first);
	if (plan->workers > plan->at_first) {
		filchi_json_int(&json, "workers_max", plan->seated);
		filchi_json_int(&json, "spares", plan->workers - plan->seated);
	}
	filchi_json_int(&json, "usable", plan->usable);
	filchi_json_bool(&json, "pin", plan->pin);
	filchi_json_string(
		&json, "binding", binding[plan->binding], strlen(binding[plan->binding]));
	filchi_json_bool(&json, "simulated", plan->simulated);
	filchi_json_line(&json, 1);
	json_reasons(&json, plan);
	filchi_json_line(&json, 1);
	filchi_json_array(&json, "seats");
	for (uint32_t w = 0; w < plan->workers; w++)
		json_seat(&json, plan, state, w);
	filchi_json_end_array(&json);
	filchi_json_line(&json, 1);
	filchi_json_array(&json, "steal_order");
	for (uint32_t w = 0; w < plan->workers; w++)
		json_order(&json, plan, w);
	filchi_json_end_array(&json);
	filchi_json_end_object(&json);
	fputc('\n', out);
}

int filchi_plan_write(
	const struct filchi_plan *plan, FILE *out, int format, const struct filchi_pin_state *state)
{
	if (format == FILCH_TEXT)
		write_text(plan, out, state);
	else if (format == FILCH_JSON)
		write_json(plan, out, state);
	else
		return -EINVAL;
	return ferror(out) ? -EIO : 0;
}
