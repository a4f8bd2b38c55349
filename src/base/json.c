/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON: see json.h. */
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static void quoted(FILE *out, const char *text, size_t size)
{
	fputc('"', out);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fputc('\\', out);
		fputc(c < ' ' || c > '~' ? '?' : c, out);
	}
	fputc('"', out);
}

/* All that stands before a value. */
static void item(struct filchi_json *json, const char *key)
{
	if (json->more)
		fputc(',', json->out);
	if (json->indented)
		fprintf(json->out, "\n%*s", json->indented - 1, "");
	json->more = true;
	json->indented = 0;
	if (key) {
		quoted(json->out, key, strlen(key));
		fputc(':', json->out);
	}
}

static void begin(struct filchi_json *json, const char *key, int bracket)
{
	item(json, key);
	fputc(bracket, json->out);
	json->more = false;
}

static void end(struct filchi_json *json, int bracket)
{
	fputc(bracket, json->out);
	json->more = true;
}

void filchi_json_object(struct filchi_json *json, const char *key)
{
	begin(json, key, '{');
}

void filchi_json_array(struct filchi_json *json, const char *key)
{
	begin(json, key, '[');
}

void filchi_json_end_object(struct filchi_json *json)
{
	end(json, '}');
}

void filchi_json_end_array(struct filchi_json *json)
{
	end(json, ']');
}

void filchi_json_int(struct filchi_json *json, const char *key, int64_t value)
{
	item(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void filchi_json_bool(struct filchi_json *json, const char *key, bool value)
{
	item(json, key);
	fputs(value ? "true" : "false", json->out);
}

void filchi_json_string(struct filchi_json *json, const char *key, const char *text, size_t size)
{
	item(json, key);
	quoted(json->out, text, size);
}

void filchi_json_line(struct filchi_json *json, int blanks)
{
	json->indented = blanks + 1;
}
