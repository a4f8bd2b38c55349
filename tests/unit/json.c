/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of JSON: commas, keys, escapes, lines. */
#include <criterion/criterion.h>

#include "unit.h"

#include <stdlib.h>

#include <base/json.h>

static struct filchi_json json;
static char *text;
static size_t size;

static void begin(void)
{
	json = (struct filchi_json){ .out = open_memstream(&text, &size) };
	cr_assert(json.out);
}

static void expect(const char *wanted)
{
	EQ(fclose(json.out), 0);
	cr_assert_str_eq(text, wanted);
	free(text);
}

Test(json, commas_stand_between_items_and_nowhere_else)
{
	begin();
	filchi_json_object(&json, NULL);
	filchi_json_array(&json, "none");
	filchi_json_end_array(&json);
	filchi_json_int(&json, "least", INT64_MIN);
	filchi_json_bool(&json, "yes", true);
	filchi_json_bool(&json, "no", false);
	filchi_json_array(&json, "many");
	filchi_json_int(&json, NULL, 1);
	filchi_json_object(&json, NULL);
	filchi_json_end_object(&json);
	filchi_json_object(&json, NULL);
	filchi_json_int(&json, "x", 2);
	filchi_json_end_object(&json);
	filchi_json_end_array(&json);
	filchi_json_string(&json, "after", "it", 2);
	filchi_json_end_object(&json);
	expect("{\"none\":[],\"least\":-9223372036854775808,\"yes\":true,\"no\":false,"
	       "\"many\":[1,{},{\"x\":2}],\"after\":\"it\"}");
}

Test(json, a_string_is_valid_whatever_it_holds)
{
	const char all[] = "a\"b\\c\n\t\x01\x7f\xc3\xa4\0z";

	begin();
	filchi_json_array(&json, NULL);
	filchi_json_string(&json, NULL, all, sizeof all - 1);
	filchi_json_string(&json, NULL, "cut here", 3);
	filchi_json_string(&json, NULL, "", 0);
	filchi_json_end_array(&json);
	expect("[\"a\\\"b\\\\c???????z\",\"cut\",\"\"]");
}

Test(json, an_item_may_begin_a_line)
{
	begin();
	filchi_json_array(&json, NULL);
	for (int i = 0; i < 3; i++) {
		filchi_json_line(&json, i);
		filchi_json_int(&json, NULL, i);
	}
	filchi_json_int(&json, NULL, 3);
	filchi_json_end_array(&json);
	expect("[\n0,\n 1,\n  2,3]");
}
