/* SPDX-License-Identifier: Apache-2.0 */
/* The environment: numbers, switches, and what is said of a value that is ignored. */
#include <criterion/criterion.h>

#include "unit.h"

#include <stdlib.h>

#include <base/environment.h>
#include <base/number.h>

static char *text;
static size_t size;

/* What reading variable @v as a number up to @most, or (0) as a switch, says; "" if nothing. */
static const char *said(enum filchi_variable v, const char *value, uint32_t most, bool taken)
{
	uint32_t number = 77;
	bool on = true, got;
	FILE *notes;

	free(text); /* of the call before */
	notes = open_memstream(&text, &size);
	if (value)
		setenv(filchi_env_name(v), value, 1);
	else
		unsetenv(filchi_env_name(v));
	got = most ? filchi_env_number(v, most, &number, notes) : filchi_env_switch(v, &on, notes);
	cr_assert(got == taken, "%s", value);
	if (most)
		EQ(number, got ? strtoul(value, NULL, 10) : 77);
	else
		EQ(on, got ? *value == '1' : true);
	/* the same without a place for notes */
	got = most ? filchi_env_number(v, most, &number, NULL) : filchi_env_switch(v, &on, NULL);
	cr_assert(got == taken, "%s", value);
	EQ(fclose(notes), 0);
	return text;
}

Test(environment, every_variable_has_a_name_of_ours)
{
	for (int v = 0; v < FILCHI_ENV_VARIABLES; v++)
		cr_assert(!strncmp(filchi_env_name((enum filchi_variable)v), "FILCH_", 6));
}

Test(environment, a_number_is_digits_and_not_too_large)
{
	const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1.0", "101", "4294967297",
		"18446744073709551617", "99999999999999999999999999" };

	cr_assert_str_empty(said(FILCHI_ENV_WORKERS, NULL, 100, false));
	cr_assert_str_empty(said(FILCHI_ENV_WORKERS, "0", 100, true));
	cr_assert_str_empty(said(FILCHI_ENV_WORKERS, "100", 100, true));
	cr_assert_str_empty(said(FILCHI_ENV_WORKERS, "0000000000000000000000007", 100, true));
	cr_assert_str_empty(said(FILCHI_ENV_SEARCH_NS, "4294967295", UINT32_MAX, true));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char wanted[128];

		snprintf(wanted, sizeof wanted,
			"ignored: FILCH_WORKERS=\"%s\": it may be a number from 0 to 100\n",
			bad[i]);
		cr_assert_str_eq(said(FILCHI_ENV_WORKERS, bad[i], 100, false), wanted);
	}
}

Test(environment, a_switch_is_0_or_1)
{
	cr_assert_str_empty(said(FILCHI_ENV_VERBOSE, NULL, 0, false));
	cr_assert_str_empty(said(FILCHI_ENV_VERBOSE, "0", 0, true));
	cr_assert_str_empty(said(FILCHI_ENV_VERBOSE, "1", 0, true));
	cr_assert_str_eq(said(FILCHI_ENV_VERBOSE, "", 0, false),
		"ignored: FILCH_VERBOSE=\"\": it may be 0 or 1\n");
	cr_assert_str_eq(said(FILCHI_ENV_NO_PIN, "01", 0, false),
		"ignored: FILCH_NO_PIN=\"01\": it may be 0 or 1\n");
}

Test(environment, a_line_about_a_value_is_short_and_printable)
{
	char longest[60] = "\"\x1b[2J\n\xc3";

	memset(longest + 7, 'x', 33);
	cr_assert_str_eq(said(FILCHI_ENV_MEMBARRIER, longest, 0, false),
		"ignored: FILCH_MEMBARRIER=\"??[2J??xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\": it may "
		"be 0 or 1\n");
	longest[40] = 'y';
	cr_assert_str_eq(said(FILCHI_ENV_MEMBARRIER, longest, 0, false),
		"ignored: FILCH_MEMBARRIER=\"??[2J??xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\": it "
		"may be 0 or 1\n");
}

Test(environment, a_number_leaves_what_follows_it)
{
	const char *at = "18446744073709551615,18446744073709551616";
	uint64_t v = 0;

	cr_assert(filchi_number(&at, UINT64_MAX, &v));
	EQ(v == UINT64_MAX && *at == ',', true);
	at++;
	cr_assert(!filchi_number(&at, UINT64_MAX, &v));
	EQ(v == UINT64_MAX && *at == '1', true);
	at = "3";
	cr_assert(!filchi_number(&at, 2, &v) && *at == '3');
	cr_assert(filchi_number(&at, 3, &v) && v == 3 && !*at);
	cr_assert(!filchi_number(&at, 3, &v));
}
