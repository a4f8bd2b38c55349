/* SPDX-License-Identifier: Apache-2.0 */
/* See parameters.h. */
#include "parameters.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define N_MAX          UINT64_C(10000000000)
#define TAG_MAX        (UINT64_C(1) << 53) /* what JSON's readers hold exactly */
#define MS_MAX         60000
#define NAME_MAX_SHOWN 32

static const struct kind {
	const char *name;
	unsigned bit;
	size_t offset;
	uint64_t min, max;
} kinds[] = {
	{ "n", PARAMETER_N, offsetof(struct parameters, n), 0, N_MAX },
	{ "tag", PARAMETER_TAG, offsetof(struct parameters, tag), 0, TAG_MAX },
	{ "ms", PARAMETER_MS, offsetof(struct parameters, ms), 1, MS_MAX },
};

#define KINDS (sizeof kinds / sizeof kinds[0])

struct reader {
	struct parameters *p;
	const char *path;
	unsigned allowed;
};

/* Digits only, at most @max. */
static bool number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		unsigned digit = (unsigned)*text - '0';

		if (digit > 9 || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

/* The name comes from the client: what a JSON string may not hold is shown as a question mark. */
static void say_unknown(const struct reader *reader, const char *key)
{
	char name[NAME_MAX_SHOWN + 1];
	size_t n = 0;

	for (; key[n] && n < NAME_MAX_SHOWN; n++) {
		char c = key[n];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';

		name[n] = plain ? c : '?';
	}
	name[n] = '\0';
	snprintf(reader->p->error, sizeof reader->p->error, "%s takes no parameter %s",
		reader->path, name);
}

static enum MHD_Result read_one(
	void *arg, enum MHD_ValueKind value_kind, const char *key, const char *value)
{
	struct reader *reader = arg;
	struct parameters *p = reader->p;
	const struct kind *kind = NULL;
	uint64_t got;

	(void)value_kind;
	for (size_t i = 0; i < KINDS; i++)
		if (reader->allowed & kinds[i].bit && !strcmp(key, kinds[i].name))
			kind = &kinds[i];
	if (!kind) {
		say_unknown(reader, key);
		return MHD_NO; /* the first error is told */
	}
	if (p->given & kind->bit) {
		snprintf(p->error, sizeof p->error, "%s is given twice", kind->name);
		return MHD_NO;
	}
	if (!number(value, kind->max, &got) || got < kind->min) {
		snprintf(p->error, sizeof p->error,
			"%s must be a number from %" PRIu64 " to %" PRIu64, kind->name, kind->min,
			kind->max);
		return MHD_NO;
	}
	memcpy((char *)p + kind->offset, &got, sizeof got);
	p->given |= kind->bit;
	return MHD_YES;
}

bool parameters_read(struct MHD_Connection *connection, const char *path, unsigned allowed,
	unsigned needed, struct parameters *p)
{
	struct reader reader = { p, path, allowed };

	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, read_one, &reader);
	for (size_t i = 0; i < KINDS && !p->error[0]; i++)
		if (needed & ~p->given & kinds[i].bit)
			snprintf(p->error, sizeof p->error,
				"%s is missing: a number from %" PRIu64 " to %" PRIu64,
				kinds[i].name, kinds[i].min, kinds[i].max);
	return !p->error[0];
}
