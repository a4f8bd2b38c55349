/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON: commas, keys and escapes, so that they are right everywhere once they are right
 * here. What is opened must be closed by the caller; errors stay in the stream's error flag.
 */
#ifndef FILCHI_JSON_H
#define FILCHI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Starts as { out }. */
struct filchi_json {
	FILE *out;
	bool more; /* the list that is open has an item: a comma comes before the next */
	/* the next item begins a line, after so many blanks less one; 0 = it does not */
	int indented;
};

/* An item's @key is NULL in an array, and for the value as a whole. */
void filchi_json_object(struct filchi_json *json, const char *key);
void filchi_json_array(struct filchi_json *json, const char *key);
void filchi_json_end_object(struct filchi_json *json);
void filchi_json_end_array(struct filchi_json *json);

void filchi_json_int(struct filchi_json *json, const char *key, int64_t value);
void filchi_json_bool(struct filchi_json *json, const char *key, bool value);

/*
 * @size bytes of @text. The output is ASCII and valid whatever they are: a control character, and a
 * byte above ASCII, of which nobody knows the encoding, become question marks.
 */
void filchi_json_string(struct filchi_json *json, const char *key, const char *text, size_t size);

/* The next item begins a line with @blanks: for people who read it all the same. */
void filchi_json_line(struct filchi_json *json, int blanks);

#endif
