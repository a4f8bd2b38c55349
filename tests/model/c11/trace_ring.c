/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of events that the newest overwrite, and a reader that is not to be taken in.
 *
 * labels: model
 *
 * Threads:
 * - writer: puts events into a ring of two. The words of event n are n, n, n, n. Explored: EVENTS
 *   of them (default 3).
 * - reader: gets the oldest event that may be there. Explored: once.
 * - Ordinary run: one more writer shares the ring with the first, and they take it for each event.
 *
 * Asserts: an event that the reader is given has the words that belong to its number.
 *
 * Mutants found by an ordinary run:
 *   get_without_second_look    the reader believes what it has read
 * Found by a model checker alone, for x86-64 keeps stores in order:
 *   words_relaxed              a new word is seen before `next`
 */
#include "driver.h"

#include "base/atomic.h"

#if defined(MUTANT_WORDS_RELAXED)
static inline void store_word(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}
#undef filchi_store_release
#define filchi_store_release(p, v)                                   \
	(sizeof *(p) == 8 ? store_word((_Atomic uint64_t *)(p), (v)) \
			  : atomic_store_explicit((p), (v), memory_order_release))
#endif

#include "struct/trace_ring.h"

#define ROOM 2u

#if defined(FILCH_EXPLORE)
#ifndef EVENTS
#define EVENTS 3
#endif
#endif

static struct filchi_trace_ring *ring;

static void put(void)
{
	uint64_t n = filch_load_relaxed(&ring->next);
	const uint64_t event[FILCHI_TRACE_WORDS] = { n, n, n, n };

	filchi_trace_ring_put(ring, event);
}

/* Whether there was one. */
static bool get(void)
{
	uint64_t next = filchi_load_acquire(&ring->next), event[FILCHI_TRACE_WORDS], at;

	if (!next)
		return false;
	at = next > 1 ? next - 1 - (next & 1) : 0;
#if defined(MUTANT_GET_WITHOUT_SECOND_LOOK)
	(void)filchi_trace_ring_get(ring, at, event);
#else
	if (!filchi_trace_ring_get(ring, at, event))
		return false;
#endif
	for (unsigned i = 0; i < FILCHI_TRACE_WORDS; i++)
		assert(event[i] == at);
	return true;
}

static void begin(void)
{
	ring = aligned_alloc(FILCH_CACHELINE, 2 * FILCH_CACHELINE);
	assert(ring && filchi_trace_ring_size(ROOM) <= 2 * FILCH_CACHELINE);
	ring->mask = ROOM - 1;
	filch_store_relaxed(&ring->next, 0);
	filch_store_relaxed(&ring->taken, 0);
	for (unsigned i = 0; i < ROOM * FILCHI_TRACE_WORDS; i++)
		filch_store_relaxed(&ring->word[i], 0);
}

#if defined(FILCH_EXPLORE)

static void *writer(void *unused)
{
	(void)unused;
	for (int i = 0; i < EVENTS; i++)
		put();
	return NULL;
}

static void *reader(void *unused)
{
	(void)unused;
	(void)get();
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	begin();
	pthread_create(&thread[0], NULL, writer, NULL);
	pthread_create(&thread[1], NULL, reader, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

#else

static struct meeting start;
static filch_atomic_u32 stop;
static atomic_ulong puts_, refused_takes;

static void *writer(void *number)
{
	seed_with((unsigned)(uintptr_t)number);
	meet(&start, 3);
	while (!filchi_load_acquire(&stop)) {
		if (!filchi_trace_ring_take(ring)) {
			atomic_fetch_add_explicit(&refused_takes, 1, memory_order_relaxed);
			RELAX();
			continue;
		}
		put();
		filchi_trace_ring_give(ring);
		atomic_fetch_add_explicit(&puts_, 1, memory_order_relaxed);
		PAUSE_AT_RANDOM();
	}
	return NULL;
}

int main(void)
{
	unsigned long got = 0, refused = 0;
	pthread_t thread[2];
	uint32_t rounds = scaled(100000);

	seed_with(100);
	begin();
	for (unsigned i = 0; i < 2; i++)
		assert(!pthread_create(&thread[i], NULL, writer, (void *)(uintptr_t)i));
	meet(&start, 3);
	for (uint32_t i = 0; i < rounds || ((!got || !refused) && i / PATIENCE < rounds); i++) {
		if (get())
			got++;
		else
			refused++;
		if (i % 64 == 0)
			RELAX();
	}
	filchi_store_release(&stop, 1);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	/* nothing was lost between the two writers */
	assert(filch_load_relaxed(&ring->next) == atomic_load(&puts_));
	COVERED(got && refused);
	return 0;
}

#endif
