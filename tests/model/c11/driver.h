/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the drivers of this directory share: rounds of real threads in an ordinary run, one bounded
 * round for a model checker.
 *
 * A driver compiles headers of src/ alone, as the shipped text, with -DFILCH_ATOMICS_C11
 * -DFILCH_MODEL, and nothing of the library is linked. The small part of the .c files that joins
 * those headers together (whom to wake, how to look again) is written out once more in the driver,
 * and says of which function it is the copy.
 *
 * Ordinary run   threads repeat the scenario many times, with small random delays; FILCH_TEST_SCALE
 *                multiplies the rounds.
 * FILCH_EXPLORE  one round, straight-line threads, assertions at the end; SCENARIO and the like
 * choose its size.
 *
 * Mutants. A driver compiled with -DMUTANT_NAME replaces one operation between the header that
 * defines it and the header that uses it; the shipped text has no trace of mutants. A mutant must
 * make an assertion fail: in an ordinary run (mutant.sh is the test), or, where the driver's head
 * says so, under a model checker only. In an ordinary run a mutant may hold a thread back between
 * the two operations whose order it breaks (hold()): what a store buffer or the scheduler do rarely
 * then happens often.
 *
 * Only the standard headers below; <pthread.h> brings sched_yield().
 */
#ifndef FILCH_MODEL_DRIVER_H
#define FILCH_MODEL_DRIVER_H

#undef NDEBUG /* release builds define it */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* What an ordinary run claims to have met. No mutant counts as found by this one: see mutant.sh. */
#define COVERED(e) assert((e) && "coverage")

/*
 * Whether @p is @place, for a function that compares its parameter with the address of an object.
 * gcc 12 may take such a comparison for false and drop what comes after it, which is wrong. It does
 * so where the argument is a member of what the caller was given in turn: when it inlines both
 * calls it forgets the member's offset. So it may not know the address.
 */
static inline bool is_at(const volatile void *p, const volatile void *place)
{
#if !defined(FILCH_EXPLORE)
	__asm__("" : "+r"(place));
#endif
	return p == place;
}

#if defined(FILCH_EXPLORE)

/* A wait that others end: checkers see through a loop that only loads. */
#define RELAX()           ((void)0)
#define PAUSE_AT_RANDOM() ((void)0)
#define HOLD()            ((void)0)

#else

static _Thread_local uint64_t driver_seed;

/* Threads give themselves different seeds. */
static inline void seed_with(uint64_t n)
{
	driver_seed = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint32_t random_below(uint32_t n)
{
	driver_seed ^= driver_seed << 13;
	driver_seed ^= driver_seed >> 7;
	driver_seed ^= driver_seed << 17;
	return (uint32_t)(driver_seed >> 33) % n;
}

static inline void spin(uint32_t turns)
{
	for (volatile uint32_t i = 0; i < turns; i++)
		;
}

/* Mostly nothing, often a little, sometimes the rest of the time slice. */
static inline void pause_at_random(void)
{
	uint32_t r = random_below(64);

	if (r == 0)
		sched_yield();
	else if (r < 24)
		spin(random_below(r * 8));
}

/*
 * The headers' own race windows (FILCH_HOOK), so that even threads that share a processor meet
 * there. Rare, for they are many.
 */
#define FILCH_HOOKS 1
void filchi_hook(const char *point);
void filchi_hook(const char *point)
{
	uint32_t r = random_below(1024);

	(void)point;
	if (r == 0)
		sched_yield();
	else if (r < 64)
		spin(r);
}

/* What a mutant adds between two operations: long enough for another thread to pass through. */
static inline void hold(void)
{
	uint32_t r = random_below(8);

	if (r == 0)
		sched_yield();
	else if (r < 4)
		spin(random_below(2000));
}

#define RELAX()           sched_yield()
#define PAUSE_AT_RANDOM() pause_at_random()
#define HOLD()            hold()

/*
 * An ordinary run goes on, ten times as long at most, until it has met all that it claims to meet:
 * threads that happen to share one processor for a while meet seldom. The assertion at its end is
 * what can fail.
 */
enum { PATIENCE = 10 };

/* @count, multiplied by FILCH_TEST_SCALE; at least 1. */
static inline uint32_t scaled(uint32_t count)
{
	const char *text = getenv("FILCH_TEST_SCALE");
	double scale = text ? strtod(text, NULL) : 1;
	double n = count * (scale > 0 ? scale : 1);

	return n < 1 ? 1 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* All of @threads meet here; spinning first, so that they leave it together. */
struct meeting {
	atomic_uint arrived, passed;
};

static inline void meet(struct meeting *m, unsigned threads)
{
	unsigned passed = atomic_load(&m->passed);

	if (atomic_fetch_add(&m->arrived, 1) + 1 == threads) {
		atomic_store(&m->arrived, 0);
		atomic_fetch_add(&m->passed, 1);
		return;
	}
	for (unsigned turn = 0; atomic_load(&m->passed) == passed; turn++) {
		if (turn > 200)
			sched_yield();
	}
}

#endif

#endif
