/* SPDX-License-Identifier: Apache-2.0 */
/* The environment: see environment.h. */
#define _GNU_SOURCE
#include "base/environment.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"

#define QUOTED_MOST 40 /* characters of a value in a line about it */

static const char *const names[FILCHI_ENV_VARIABLES] = {
	[FILCHI_ENV_WORKERS] = "FILCH_WORKERS",
	[FILCHI_ENV_CPUSET] = "FILCH_CPUSET",
	[FILCHI_ENV_NO_PIN] = "FILCH_NO_PIN",
	[FILCHI_ENV_PIN] = "FILCH_PIN",
	[FILCHI_ENV_SEARCH_NS] = "FILCH_SEARCH_NS",
	[FILCHI_ENV_MEMBARRIER] = "FILCH_MEMBARRIER",
	[FILCHI_ENV_VERBOSE] = "FILCH_VERBOSE",
	[FILCHI_ENV_LIVE] = "FILCH_LIVE",
	[FILCHI_ENV_TRACE] = "FILCH_TRACE",
	[FILCHI_ENV_TRACE_EVENTS] = "FILCH_TRACE_EVENTS",
	[FILCHI_ENV_SERIAL] = "FILCH_SERIAL",
	[FILCHI_ENV_SEED] = "FILCH_SEED",
};

const char *filchi_env_name(enum filchi_variable variable)
{
	return names[variable];
}

const char *filchi_env_text(enum filchi_variable variable)
{
	return secure_getenv(names[variable]);
}

bool filchi_env_number(enum filchi_variable variable, uint32_t most, uint32_t *value, FILE *notes)
{
	const char *text = filchi_env_text(variable);
	char may_be[40];

	if (!text)
		return false;
	if (filchi_number_is(text, most, value))
		return true;
	snprintf(may_be, sizeof may_be, "a number from 0 to %u", most);
	filchi_env_ignored(variable, may_be, notes);
	return false;
}

bool filchi_env_switch(enum filchi_variable variable, bool *on, FILE *notes)
{
	const char *text = filchi_env_text(variable);

	if (!text)
		return false;
	if (strcmp(text, "0") && strcmp(text, "1")) {
		filchi_env_ignored(variable, "0 or 1", notes);
		return false;
	}
	*on = *text == '1';
	return true;
}

void filchi_env_ignored(enum filchi_variable variable, const char *may_be, FILE *notes)
{
	const char *text = filchi_env_text(variable);

	if (!notes || !text)
		return;
	fprintf(notes, "ignored: %s=\"", names[variable]);
	for (size_t i = 0; text[i] && i < QUOTED_MOST; i++)
		fputc(text[i] >= ' ' && text[i] < 127 && text[i] != '"' ? text[i] : '?', notes);
	fprintf(notes, "%s\": it may be %s\n",
		strnlen(text, QUOTED_MOST + 1) > QUOTED_MOST ? "..." : "", may_be);
}
