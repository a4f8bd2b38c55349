/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decimal numbers in text: of the environment, of lists of CPUs, of the kernel's files. strtoul()
 * takes blanks, signs and what does not fit as well, and none of these is a number here.
 */
#ifndef FILCHI_NUMBER_H
#define FILCHI_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads the digits that @text begins with and moves it behind them. False, with nothing changed, if
 * there are none or the number is above @most.
 */
static inline bool filchi_number(const char **text, uint64_t most, uint64_t *value)
{
	const char *s = *text;
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (digit > most || v > (most - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*text = s;
	*value = v;
	return true;
}

/* The same for a text that is a number and nothing else, of 32 bits. */
static inline bool filchi_number_is(const char *text, uint32_t most, uint32_t *value)
{
	uint64_t v;

	if (!filchi_number(&text, most, &v) || *text)
		return false;
	*value = (uint32_t)v;
	return true;
}

#endif
