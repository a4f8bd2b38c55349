/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: any type passes through a task unharmed, as argument and as result, called, synced by its
 * owner and stolen; frames keep the alignment of what they hold; arrays are copied at the spawn.
 */
#include "task_support.h"

#include <stdlib.h>

__extension__ typedef __int128 wide;
typedef int (*function)(int, int);
typedef void *pointer;
struct small {
	char a;
	short b;
};
struct large {
	uint64_t word[8];
};
struct aligned {
	_Alignas(16) char byte[16];
};
struct very_aligned {
	_Alignas(64) char byte[64];
};
union either {
	double d;
	char c[3];
};

/* A task that gives back what it got: called, synced, and stolen where that can be. */
#define ECHO(name, T)                                                           \
	FILCH_TASK(T, name, (T, x), (struct gate *, g))                         \
	{                                                                       \
		if (g)                                                          \
			gate_raise(g);                                          \
		return x;                                                       \
	}                                                                       \
	FILCH_VOID_TASK(name##_all, (T, x), (T *, out))                         \
	{                                                                       \
		struct gate g = GATE_INIT;                                      \
		out[0] = FILCH_CALL(name, x, NULL);                             \
		FILCH_SPAWN(near, name, x, NULL);                               \
		out[1] = FILCH_SYNC(near);                                      \
		FILCH_SPAWN(far, name, x, &g);                                  \
		let_it_be_stolen(&g);                                           \
		out[2] = FILCH_SYNC(far);                                       \
	}                                                                       \
	static void name##_check(struct filch_pool *pool, T x)                  \
	{                                                                       \
		T out[4];                                                       \
		memset((void *)out, 0x5a, sizeof out);                          \
		EQ(FILCH_RUN(pool, NULL, name##_all, x, out), 0);               \
		EQ(FILCH_RUN(pool, &out[3], name, x, NULL), 0);                 \
		for (int i = 0; i < 4; i++)                                     \
			cr_assert(name##_equal(&out[i], &x), #T ", way %d", i); \
	}
#define ECHO_VALUE(name, T)                              \
	static bool name##_equal(const T *a, const T *b) \
	{                                                \
		return *a == *b;                         \
	}                                                \
	ECHO(name, T)
#define ECHO_BYTES(name, T)                              \
	static bool name##_equal(const T *a, const T *b) \
	{                                                \
		return !memcmp(a, b, sizeof *a);         \
	}                                                \
	ECHO(name, T)

ECHO_VALUE(echo_char, char)
ECHO_VALUE(echo_bool, bool)
ECHO_VALUE(echo_unsigned, unsigned long long)
ECHO_VALUE(echo_float, float)
ECHO_VALUE(echo_double, double)
ECHO_VALUE(echo_long_double, long double)
ECHO_VALUE(echo_wide, wide)
ECHO_VALUE(echo_pointer, pointer)
ECHO_VALUE(echo_function, function)
static bool echo_small_equal(const struct small *a, const struct small *b)
{
	return a->a == b->a && a->b == b->b; /* not the hole between them */
}
ECHO(echo_small, struct small)
ECHO_BYTES(echo_large, struct large)
ECHO_BYTES(echo_aligned, struct aligned)
ECHO_BYTES(echo_very_aligned, struct very_aligned)
ECHO_BYTES(echo_either, union either)

static int add(int a, int b)
{
	return a + b;
}

static void check_types(struct filch_pool *pool)
{
	struct small small;
	struct large large;
	struct aligned aligned;
	struct very_aligned very_aligned;
	union either either;

	memset(&small, 1, sizeof small);
	memset(&large, 2, sizeof large);
	memset(&aligned, 3, sizeof aligned);
	memset(&very_aligned, 4, sizeof very_aligned);
	memset(&either, 5, sizeof either);
	echo_char_check(pool, 'x');
	echo_bool_check(pool, true);
	echo_unsigned_check(pool, 0x8000000000000001);
	echo_float_check(pool, 1.5f);
	echo_double_check(pool, -2.25);
	echo_long_double_check(pool, 3.125L);
	echo_wide_check(pool, (wide)1 << 100 | 7);
	echo_pointer_check(pool, &small);
	echo_function_check(pool, add);
	echo_small_check(pool, small);
	echo_large_check(pool, large);
	echo_aligned_check(pool, aligned);
	echo_very_aligned_check(pool, very_aligned);
	echo_either_check(pool, either);
}

Test(task_types, every_type_passes_unharmed_called_synced_and_stolen)
{
	on_each_pool(check_types);
}

Test(task_types, the_same_where_membarrier_is_refused)
{
	setenv("FILCH_MEMBARRIER", "0", 1);
	on_each_pool(check_types);
}

FILCH_TASK(bool, is_aligned, (char, before), (struct very_aligned, x), (wide, y))
{
	(void)before;
	return (uintptr_t)&x % 64 == 0 && (uintptr_t)&y % 16 == 0;
}

FILCH_TASK(bool, frames_are_aligned)
{
	FILCH_FRAME(is_aligned) kid[3];
	bool all = true;

	for (int i = 0; i < 3; i++) {
		all &= (uintptr_t)&kid[i].x % 64 == 0 && (uintptr_t)&kid[i].y % 16 == 0;
		FILCH_SPAWN_INTO(&kid[i], is_aligned, 'a', (struct very_aligned){ { 0 } }, 1);
	}
	for (int i = 2; i >= 0; i--)
		all &= FILCH_SYNC_FROM(is_aligned, &kid[i]);
	return all;
}

Test(task_types, arguments_keep_their_alignment_in_frames)
{
	struct filch_pool *pool = pool_of(2, 0);
	bool all = false;

	EQ(FILCH_RUN(pool, &all, frames_are_aligned), 0);
	cr_assert(all);
	EQ(filch_pool_destroy(pool), 0);
}

typedef int vector[6];

FILCH_TASK(int, sum_vector, (vector, v), (int (*)(int, int), plus))
{
	int sum = 0;

	for (int i = 0; i < 6; i++) {
		sum = plus(sum, v[i]);
		v[i] = -1; /* the copy in the frame, or the caller's when called */
	}
	return sum;
}

FILCH_TASK(int, spawn_vectors)
{
	vector v = { 1, 2, 3, 4, 5, 6 };

	FILCH_SPAWN(a, sum_vector, v, add);
	v[0] = 100;
	FILCH_SPAWN(b, sum_vector, v, add);
	v[0] = 1000;
	int second = FILCH_SYNC(b);
	int first = FILCH_SYNC(a);
	return first + 1000 * second + (v[0] == 1000 && v[1] == 2 ? 0 : 500000);
}

static void check_vectors(struct filch_pool *pool)
{
	int r = 0;

	EQ(FILCH_RUN(pool, &r, spawn_vectors), 0);
	EQ(r, 21 + 1000 * 120);
}

Test(task_types, an_array_is_copied_at_the_spawn_and_a_function_type_may_hold_commas)
{
	on_each_pool(check_vectors);
}
