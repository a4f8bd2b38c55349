/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop whose bodies are told the number of their thread, and keep a buffer by it: the shape of
 * read mappers. Here the number is the slot in a scope of limited width. A body may go on with its
 * buffer after a loop of its own, which stands in a scope.
 *
 * The work: for each sequence, the number of different words of twelve letters in it. A buffer that
 * another body touches meanwhile shows in the result.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "pools.h"

enum { WORD = 12, LETTERS = 600, WORDS = LETTERS - WORD + 1, WIDTH_MAX = 8 };

/* --- the shape ---------------------------------------------------------- */

struct kt_for {
	void (*func)(void *data, long i, int tid);
	void *data;
	long n;
};

static void kt_bodies(size_t begin, size_t end, void *arg)
{
	const struct kt_for *kt = arg;

	for (size_t i = begin; i < end; i++)
		kt->func(kt->data, (long)i, filch_scope_slot());
}

static int kt_loop(void *arg)
{
	return filch_for(NULL, 0, (size_t)((struct kt_for *)arg)->n, 1, kt_bodies, arg);
}

/* @func for each of @n, on at most @threads threads, whose numbers are 0 to @threads - 1. */
static int kt_for(struct filch_pool *pool, unsigned threads,
	void (*func)(void *data, long i, int tid), void *data, long n)
{
	struct filch_scope_config config = FILCH_SCOPE_INIT;
	struct kt_for kt = { func, data, n };

	config.width = threads;
	return filch_scope(pool, &config, kt_loop, &kt);
}

/* --- a program of that shape ------------------------------------------- */

struct buffer {
	uint32_t word[WORDS];
	const char *sequence;
	pthread_t owner;
	_Atomic uint64_t helped; /* parts of its loop that other threads ran */
};

struct mapper {
	struct buffer buffer[WIDTH_MAX];
	unsigned threads;
	bool nested;
	char *sequences;
	uint32_t *different; /* by sequence */
	_Atomic uint64_t used[WIDTH_MAX];
};

static void letters_to_words(size_t begin, size_t end, void *arg)
{
	struct buffer *b = arg;

	if (!pthread_equal(b->owner, pthread_self())) {
		atomic_fetch_add_explicit(&b->helped, 1, memory_order_relaxed);
		sched_yield(); /* so the owner has to wait, and looks for something to run */
	} else if (begin == 0 && end < WORDS) {
		sched_yield(); /* so that others come */
	}
	for (size_t i = begin; i < end; i++) {
		b->word[i] = 0;
		for (size_t k = 0; k < WORD; k++)
			b->word[i] = b->word[i] << 2 | (uint32_t)(b->sequence[i + k] & 3);
	}
}

static int words_by_loop(void *arg)
{
	return filch_for(NULL, 0, WORDS, 16, letters_to_words, arg);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t count_different(struct buffer *b)
{
	uint32_t n = 1;

	qsort(b->word, WORDS, sizeof b->word[0], compare);
	for (size_t i = 1; i < WORDS; i++)
		n += b->word[i] != b->word[i - 1];
	return n;
}

static void map_one(void *data, long i, int tid)
{
	struct mapper *m = data;
	struct buffer *b = &m->buffer[tid];

	CHECK(tid >= 0 && (unsigned)tid < m->threads, "slot %d of %u", tid, m->threads);
	atomic_fetch_add_explicit(&m->used[tid], 1, memory_order_relaxed);
	b->sequence = m->sequences + i * LETTERS;
	b->owner = pthread_self();
	if (m->nested)
		CHECK_EQ(filch_scope(NULL, NULL, words_by_loop, b), 0);
	else
		letters_to_words(0, WORDS, b);
	m->different[i] = count_different(b);
}

static void map_all(uint32_t workers, unsigned threads, bool nested)
{
	const long n = (long)test_scaled(4000);
	struct filch_pool *pool = pool_open(workers, 0);
	struct mapper *m = calloc(1, sizeof *m);
	struct buffer alone = { .owner = pthread_self() };
	uint64_t rng = test_seed(), others = 0, helped = 0;

	CHECK(m, "no memory");
	m->threads = threads;
	m->nested = nested;
	m->sequences = malloc((size_t)n * LETTERS);
	m->different = calloc((size_t)n, sizeof m->different[0]);
	CHECK(m->sequences && m->different, "no memory");
	for (long i = 0; i < n * LETTERS; i++)
		m->sequences[i] = (char)(test_random(&rng) % (i / LETTERS % 3 ? 4 : 2));
	/* on few processors the others may come late: again until they have come */
	for (int round = 0; round < 100 && !(others && (helped || !nested)); round++) {
		test_watchdog(120);
		CHECK_EQ(kt_for(pool, threads, map_one, m, n), 0);
		for (long i = 0; i < n; i++) {
			alone.sequence = m->sequences + i * LETTERS;
			letters_to_words(0, WORDS, &alone);
			CHECK_EQ(m->different[i], count_different(&alone));
			m->different[i] = 0;
		}
		for (unsigned t = 1; t < threads; t++)
			others += m->used[t];
		for (unsigned t = 0; t < threads; t++)
			helped += m->buffer[t].helped;
	}
	printf("    %u workers, %u numbers: %llu bodies on others than 0, helped %llu\n", workers,
		threads, (unsigned long long)others, (unsigned long long)helped);
	CHECK(others, "only one thread came");
	CHECK(helped || !nested, "no body had help");
	pool_close(pool);
	free(m->sequences);
	free(m->different);
	free(m);
}

static void each_body_has_a_buffer_of_its_own(void)
{
	map_all(4, 4, false);
	map_all(32, 8, false);
	map_all(4, 2, false);
}

static void a_buffer_stays_over_a_loop_inside_the_body(void)
{
	map_all(4, 4, true);
	map_all(32, 8, true);
}

int main(void)
{
	test_case("each body has a buffer of its own", each_body_has_a_buffer_of_its_own);
	test_case("a buffer stays over a loop inside the body",
		a_buffer_stays_over_a_loop_inside_the_body);
	return test_finish("kt_for");
}
