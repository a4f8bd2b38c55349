/* SPDX-License-Identifier: Apache-2.0 */
/* The faults that a guarded job may end by, each for real. Call ill_begin() first. */
#ifndef ILL_H
#define ILL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

/* Small stacks, so that an overflow is soon had; a sanitizer wants room for its own in each. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ILL_STACK     (2 << 20)
#define ILL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ILL_STACK     (2 << 20)
#define ILL_SANITIZED 1
#endif
#endif
#ifndef ILL_STACK
#define ILL_STACK     (256 << 10)
#define ILL_SANITIZED 0
#endif

enum ailment {
	NULL_STORE,
	PAST_THE_END,
	PAST_THE_FILE,
	DIVISION,
	BAD_INSTRUCTION,
	RECURSION,
	AILMENTS
};

__attribute__((unused)) static const int signal_of[AILMENTS] = { SIGSEGV, SIGSEGV, SIGBUS, SIGFPE,
	SIGILL, SIGSEGV };

/* A division by zero is 0 on ARM, and no fault. */
static inline bool ill_is_possible(enum ailment ailment)
{
#if defined(__x86_64__)
	(void)ailment;
	return true;
#else
	return ailment != DIVISION;
#endif
}

static char *two_pages;  /* the second may not be touched */
static char *short_file; /* mapped beyond its end */

static inline bool ill_begin(void)
{
	FILE *file = tmpfile();

	short_file = file ? mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0) : MAP_FAILED;
	if (file)
		fclose(file);
	two_pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return short_file != MAP_FAILED && two_pages != MAP_FAILED &&
	       !mprotect(two_pages + 4096, 4096, PROT_NONE);
}

__attribute__((noinline, unused, no_sanitize("thread"), no_sanitize("address"))) static int deeper(
	volatile char *outer)
{
	volatile char here[128];

	here[0] = (char)(outer[0] + 1);
	/* never equal, which the compiler cannot know */
	return outer[0] == here[0] ? 0 : deeper(here) + here[0];
}

/*
 * Does the fault of its name; returns only if that was not refused. The volatiles hide it from the
 * compiler.
 */
__attribute__((noinline, unused, no_sanitize("undefined"), no_sanitize("thread"),
	no_sanitize("address"))) static int
fall_ill(enum ailment ailment)
{
	volatile int one = 1, zero = 0;
	volatile int *volatile null = NULL;
	volatile char *volatile page;
	volatile char start = 0;

	switch (ailment) {
	case NULL_STORE:
		*null = 1;
		return 0;
	case PAST_THE_END:
		page = two_pages;
		return page[4096];
	case PAST_THE_FILE:
		page = short_file;
		return page[0];
	case DIVISION:
		return one / zero;
	case BAD_INSTRUCTION:
#if defined(__aarch64__)
		__asm__ volatile("udf #0"); /* a trap is a breakpoint there */
#endif
		__builtin_trap();
	case RECURSION:
		return deeper(&start);
	default:
		return 0;
	}
}

#endif
