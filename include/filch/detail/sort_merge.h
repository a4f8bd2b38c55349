/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequential half of the sorts of sort.h, inlined into programs. It sorts a piece that fits the
 * first-level cache, merges two sorted runs, and cuts such a merge in two. The other half is
 * src/algo/sort.c, which hands the pieces to tasks. Installed, not API; struct filch_sort_kernel is
 * ABI.
 *
 * Every function here is written once, for elements of @size bytes and a comparison through a
 * pointer. It is always inlined into a place where both are constants: FILCH_SORT_DEFINE, or
 * src/algo/sort.c. So copies become loads and stores, comparisons plain code, and a debugger can
 * still step here. Elements are moved as bytes.
 *
 * The merge works from both ends at once. As long as k elements are left in either run, writing the
 * k smallest and the k largest is safe: neither end can use up more than k. So the loop need not
 * look at the runs' ends. Two chains of loads and comparisons overlap, and no branch depends on a
 * comparison.
 *
 * Sources, of ideas alone:
 * - the parity merge of quadsort, van den Hoven 2020;
 * - the bidirectional merge of glidesort and driftsort, Peters and Bergdoll 2023-2024;
 * - the cut of Merge Path, Odeh, Green, Mwassi, Shmueli and Birk 2012;
 * - its stable form, Siebert and Traeff 2012.
 *
 * Invariants, whatever a comparison answers:
 * - nothing is read or written outside the ranges given;
 * - every loop ends;
 * - the result is a permutation of the input. Where the two ends of a merge do not meet as they
 *   must, the comparison contradicts itself, and the merge is made anew from the left.
 *
 * Rejected:
 * - a quicksort with branchless partition (pdqsort): not stable;
 * - radix sorts: there is only a comparison;
 * - insertion sort as the base case for more than a remainder: a mispredicted branch per element,
 *   where networks of four and small merges have none.
 */
#ifndef FILCH_DETAIL_SORT_H
#define FILCH_DETAIL_SORT_H

#include "words.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* Whether @a must come before @b. @arg as given to the sort. */
typedef bool filch_sort_less(const void *a, const void *b, void *arg);

/*
 * A kind of elements.
 *
 * run: how many elements from @a on are in order; or, @down, fall, each below the one before.
 *
 * leaf: sorts @n elements of @a, not more than leaf_most, with as many at @scratch. The result is
 * left in @a or, if it returns true, in @scratch. @into_scratch asks for that, and gets it unless
 * the input was in order.
 *
 * merge: makes one run of two at @to; of equal elements those of @a come first.
 *
 * cut: how many of the first @k elements of that merge are @a's.
 */
struct filch_sort_kernel {
	size_t size, leaf_most;
	filch_sort_less *less;
	size_t (*run)(const char *a, size_t n, bool *down, void *arg);
	bool (*leaf)(char *a, char *scratch, size_t n, bool into_scratch, void *arg);
	void (*merge)(const char *a, size_t na, const char *b, size_t nb, char *to, void *arg);
	size_t (*cut)(const char *a, size_t na, const char *b, size_t nb, size_t k, void *arg);
};

/* The common entry of every sort of sort.h; the contract is filch_sort()'s. */
FILCH_API int filch_sort_with(struct filch_pool *pool, const struct filch_sort_kernel *kernel,
	void *base, size_t n, void *arg);

FILCH_EXTERN_C_END

#define FILCH_SORT_LEAST 8   /* a run of fewer is merged from the left alone */
#define FILCH_SORT_TWICE 256 /* a merge of so many or more is cut in two that run at once */
#define FILCH_SORT_SMALL 32  /* so many at a time a leaf sorts by networks and fixed merges */

/*
 * A leaf and its scratch are together half of a first-level cache of 32 KiB. The largest elements
 * get at least two small blocks.
 */
#define FILCH_SORT_LEAF(size) ((size) <= 128 ? 8192 / (size) : 64)

FILCH_INLINE void filch_sort_copy(char *to, const char *from, size_t size)
{
	__builtin_memcpy(to, from, size);
}

/* All bits set if @yes, else none. Its origin is hidden: gcc would make branches of it. */
FILCH_INLINE ptrdiff_t filch_sort_mask(bool yes)
{
	ptrdiff_t mask = -(ptrdiff_t)yes;

	__asm__("" : "+r"(mask));
	return mask;
}

/* @b if @second, a mask, is set, else @a. Both lie in one array. */
FILCH_INLINE const char *filch_sort_pick(ptrdiff_t second, const char *a, const char *b)
{
	return a + ((b - a) & second);
}

/* Four elements of @from in order to @to: five comparisons, stable, no branch. */
FILCH_INLINE void filch_sort_four(
	const char *from, char *to, const size_t size, filch_sort_less *less, void *arg)
{
	const ptrdiff_t one = (ptrdiff_t)size;
	ptrdiff_t ba = filch_sort_mask(less(from + size, from, arg)) & one;
	ptrdiff_t dc = filch_sort_mask(less(from + 3 * size, from + 2 * size, arg)) & one;
	const char *a = from + ba, *b = from + one - ba, *c = from + 2 * one + dc,
		   *d = from + 3 * one - dc;
	/* here a <= b and c <= d */
	ptrdiff_t ca = filch_sort_mask(less(c, a, arg)), db = filch_sort_mask(less(d, b, arg));
	const char *left = filch_sort_pick(ca, filch_sort_pick(db, b, c), a);
	const char *right = filch_sort_pick(db, filch_sort_pick(ca, c, b), d);
	ptrdiff_t swap = filch_sort_mask(less(right, left, arg));

	filch_sort_copy(to, filch_sort_pick(ca, a, c), size);
	filch_sort_copy(to + size, filch_sort_pick(swap, left, right), size);
	filch_sort_copy(to + 2 * size, filch_sort_pick(swap, right, left), size);
	filch_sort_copy(to + 3 * size, filch_sort_pick(db, d, b), size);
}

/* Insertion sort of @n elements of @from to @to. */
FILCH_INLINE void filch_sort_insert(
	const char *from, char *to, size_t n, const size_t size, filch_sort_less *less, void *arg)
{
	for (size_t i = 0; i < n; i++) {
		char *hole = to + i * size;

		for (; hole > to && less(from + i * size, hole - size, arg); hole -= size)
			filch_sort_copy(hole, hole - size, size);
		filch_sort_copy(hole, from + i * size, size);
	}
}

/*
 * Merges two runs from the left until one is used up, and copies the rest. A permutation whatever
 * @less answers.
 */
FILCH_INLINE void filch_sort_merge_left(const char *a, size_t na, const char *b, size_t nb,
	char *to, const size_t size, filch_sort_less *less, void *arg)
{
	const char *a_end = a + na * size, *b_end = b + nb * size;
	const ptrdiff_t one = (ptrdiff_t)size;

	while (a < a_end && b < b_end) {
		ptrdiff_t second = filch_sort_mask(less(b, a, arg));

		filch_sort_copy(to, filch_sort_pick(second, a, b), size);
		a += ~second & one;
		b += second & one;
		to += one;
	}
	__builtin_memcpy(to, a, (size_t)(a_end - a));
	__builtin_memcpy(to + (a_end - a), b, (size_t)(b_end - b));
}

/*
 * One step of a merge from the left: writes to @to + @at the element of @a or @b that comes next.
 * @at bytes have been taken before, @used of them from @a; returns how many of @a after that. A
 * merge from the right takes the last elements, and counts below zero.
 */
FILCH_INLINE ptrdiff_t filch_sort_left(const char *a, const char *b, ptrdiff_t used, ptrdiff_t at,
	char *to, const size_t size, filch_sort_less *less, void *arg)
{
	const char *from_a = a + used, *from_b = b + (at - used);
	ptrdiff_t first = filch_sort_mask(!less(from_b, from_a, arg));

	filch_sort_copy(to + at, filch_sort_pick(first, from_b, from_a), size);
	return used + (first & (ptrdiff_t)size);
}

FILCH_INLINE ptrdiff_t filch_sort_right(const char *a, const char *b, ptrdiff_t used, ptrdiff_t at,
	char *to, const size_t size, filch_sort_less *less, void *arg)
{
	const char *from_a = a + used, *from_b = b + (at - used);
	ptrdiff_t first = filch_sort_mask(less(from_b, from_a, arg));

	filch_sort_copy(to + at, filch_sort_pick(first, from_b, from_a), size);
	return used - (first & (ptrdiff_t)size);
}

/* Two runs to be merged to a place. */
struct filch_sort_runs {
	const char *a, *b;
	size_t na, nb;
	char *to;
};

/*
 * Removes from @r the elements that a merge from both ends has taken: @left and @right bytes of its
 * a, @k elements at either end. False, and @r is as it was: that is more than there was of one run,
 * so @less contradicts itself.
 */
FILCH_INLINE bool filch_sort_taken(
	struct filch_sort_runs *r, ptrdiff_t left, ptrdiff_t right, size_t k, const size_t size)
{
	size_t from_a = (size_t)(left - right) / size;

	if (from_a > r->na || 2 * k - from_a > r->nb)
		return false;
	r->a += left;
	r->b += (ptrdiff_t)(k * size) - left;
	r->na -= from_a;
	r->nb -= 2 * k - from_a;
	r->to += k * size;
	return true;
}

/*
 * Puts the @k smallest and the @k largest of two runs, each of @k or more, at both ends of their
 * place; see filch_sort_taken().
 */
FILCH_INLINE bool filch_sort_ends(
	struct filch_sort_runs *r, size_t k, const size_t size, filch_sort_less *less, void *arg)
{
	const char *a = r->a, *b = r->b, *az = a + (r->na - 1) * size, *bz = b + (r->nb - 1) * size;
	char *to = r->to, *to_z = to + (r->na + r->nb - 1) * size;
	ptrdiff_t left = 0, right = 0, end = (ptrdiff_t)(k * size);

	for (ptrdiff_t at = 0; at < end; at += (ptrdiff_t)size) {
		left = filch_sort_left(a, b, left, at, to, size, less, arg);
		right = filch_sort_right(az, bz, right, -at, to_z, size, less, arg);
	}
	return filch_sort_taken(r, left, right, k, size);
}

/*
 * filch_sort_ends() of two merges at once, @k elements at each of the four ends. Four chains of
 * loads and comparisons overlap.
 */
FILCH_INLINE void filch_sort_four_ends(struct filch_sort_runs *r, struct filch_sort_runs *q,
	size_t k, const size_t size, filch_sort_less *less, void *arg)
{
	const char *ra = r->a, *rb = r->b, *raz = ra + (r->na - 1) * size,
		   *rbz = rb + (r->nb - 1) * size;
	const char *qa = q->a, *qb = q->b, *qaz = qa + (q->na - 1) * size,
		   *qbz = qb + (q->nb - 1) * size;
	char *rto = r->to, *rto_z = rto + (r->na + r->nb - 1) * size;
	char *qto = q->to, *qto_z = qto + (q->na + q->nb - 1) * size;
	ptrdiff_t r_left = 0, r_right = 0, q_left = 0, q_right = 0, end = (ptrdiff_t)(k * size);

	for (ptrdiff_t at = 0; at < end; at += (ptrdiff_t)size) {
		r_left = filch_sort_left(ra, rb, r_left, at, rto, size, less, arg);
		q_left = filch_sort_left(qa, qb, q_left, at, qto, size, less, arg);
		r_right = filch_sort_right(raz, rbz, r_right, -at, rto_z, size, less, arg);
		q_right = filch_sort_right(qaz, qbz, q_right, -at, qto_z, size, less, arg);
	}
	filch_sort_taken(r, r_left, r_right, k, size);
	filch_sort_taken(q, q_left, q_right, k, size);
}

/* Merges two runs, from both ends while there is enough of both. */
FILCH_INLINE void filch_sort_merge_runs(
	struct filch_sort_runs r, const size_t size, filch_sort_less *less, void *arg)
{
	while (r.na >= FILCH_SORT_LEAST && r.nb >= FILCH_SORT_LEAST)
		if (!filch_sort_ends(&r, r.na < r.nb ? r.na : r.nb, size, less, arg))
			break;
	filch_sort_merge_left(r.a, r.na, r.b, r.nb, r.to, size, less, arg);
}

/* struct filch_sort_kernel's `cut`. */
FILCH_INLINE size_t filch_sort_cut(const char *a, size_t na, const char *b, size_t nb, size_t k,
	const size_t size, filch_sort_less *less, void *arg)
{
	size_t low = k > nb ? k - nb : 0, high = k < na ? k : na;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (less(b + (k - middle - 1) * size, a + middle * size, arg))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/*
 * struct filch_sort_kernel's `merge`: cut in the middle, and both halves at once while both last.
 */
FILCH_INLINE void filch_sort_merge(const char *a, size_t na, const char *b, size_t nb, char *to,
	const size_t size, filch_sort_less *less, void *arg)
{
	size_t half = (na + nb) / 2,
	       from_a = na + nb < FILCH_SORT_TWICE
				? 0
				: filch_sort_cut(a, na, b, nb, half, size, less, arg);
	size_t from_b = half - from_a, k = from_a < from_b ? from_a : from_b;
	struct filch_sort_runs whole = { a, b, na, nb, to }, both[2] = {
		{ a, b, from_a, from_b, to },
		{ a + from_a * size, b + from_b * size, na - from_a, nb - from_b,
			to + half * size },
	};

	if (na + nb < FILCH_SORT_TWICE) {
		filch_sort_merge_runs(whole, size, less, arg);
		return;
	}
	k = k < both[1].na ? k : both[1].na;
	k = k < both[1].nb ? k : both[1].nb;
	if (k)
		filch_sort_four_ends(&both[0], &both[1], k, size, less, arg);
	for (int i = 0; i < 2; i++)
		filch_sort_merge_runs(both[i], size, less, arg);
}

/* Merges two runs of @n, a constant, that lie one behind the other. */
FILCH_INLINE void filch_sort_merge_pair(const char *from, const size_t n, char *to,
	const size_t size, filch_sort_less *less, void *arg)
{
	struct filch_sort_runs r = { from, from + n * size, n, n, to };

	if (!filch_sort_ends(&r, n, size, less, arg))
		filch_sort_merge_left(from, n, from + n * size, n, to, size, less, arg);
}

/* struct filch_sort_kernel's `run`, for one element or more. */
FILCH_INLINE size_t filch_sort_run(
	const char *a, size_t n, bool *down, const size_t size, filch_sort_less *less, void *arg)
{
	size_t i = 1;

	*down = n > 1 && less(a + size, a, arg);
	while (i < n && less(a + i * size, a + (i - 1) * size, arg) == *down)
		i++;
	return i;
}

/* Turns the elements round. Returns whether they are in @scratch, as @into_scratch asks. */
FILCH_INLINE bool filch_sort_reverse(
	char *a, char *scratch, size_t n, bool into_scratch, const size_t size)
{
	for (size_t i = 0; i < n; i++)
		filch_sort_copy(scratch + i * size, a + (n - 1 - i) * size, size);
	if (!into_scratch)
		__builtin_memcpy(a, scratch, n * size);
	return into_scratch;
}

/* Sorts FILCH_SORT_SMALL elements in place, by merges of runs of constant length. */
FILCH_INLINE void filch_sort_block(
	char *block, char *other, const size_t size, filch_sort_less *less, void *arg)
{
	for (size_t k = 0; k < FILCH_SORT_SMALL; k += 4)
		filch_sort_four(block + k * size, other + k * size, size, less, arg);
	for (size_t k = 0; k < FILCH_SORT_SMALL; k += 8)
		filch_sort_merge_pair(other + k * size, 4, block + k * size, size, less, arg);
	for (size_t k = 0; k < FILCH_SORT_SMALL; k += 16)
		filch_sort_merge_pair(block + k * size, 8, other + k * size, size, less, arg);
	filch_sort_merge_pair(other, 16, block, size, less, arg);
}

/* Merges runs of @width, two at a time, the last of which may be shorter. */
FILCH_INLINE void filch_sort_merge_all(const char *from, char *to, size_t n, size_t width,
	const size_t size, filch_sort_less *less, void *arg)
{
	for (size_t i = 0; i < n; i += 2 * width) {
		size_t na = n - i < width ? n - i : width,
		       nb = n - i - na < width ? n - i - na : width;

		if (!nb || !less(from + (i + na) * size, from + (i + na - 1) * size, arg))
			__builtin_memcpy(to + i * size, from + i * size, (na + nb) * size);
		else
			filch_sort_merge(from + i * size, na, from + (i + na) * size, nb,
				to + i * size, size, less, arg);
	}
}

/* struct filch_sort_kernel's `leaf`. */
FILCH_INLINE bool filch_sort_leaf(char *a, char *scratch, size_t n, bool into_scratch,
	const size_t size, filch_sort_less *less, void *arg)
{
	size_t whole = n / FILCH_SORT_SMALL * FILCH_SORT_SMALL;
	char *from = a, *to = scratch;
	bool down;

	if (filch_sort_run(a, n, &down, size, less, arg) == n)
		return down && filch_sort_reverse(a, scratch, n, into_scratch, size);
	for (size_t i = 0; i < whole; i += FILCH_SORT_SMALL)
		filch_sort_block(a + i * size, scratch + i * size, size, less, arg);
	if (whole < n) {
		filch_sort_insert(
			a + whole * size, scratch + whole * size, n - whole, size, less, arg);
		__builtin_memcpy(a + whole * size, scratch + whole * size, (n - whole) * size);
	}
	for (size_t width = FILCH_SORT_SMALL; width < n; width *= 2) {
		char *swap = from;

		filch_sort_merge_all(from, to, n, width, size, less, arg);
		from = to;
		to = swap;
	}
	if ((from == scratch) != into_scratch)
		__builtin_memcpy(to, from, n * size);
	return into_scratch;
}

/*
 * The functions of a kernel, and the kernel: name_filch_kernel. @bytes may name `filch_arg_`, the
 * comparison's own argument. Then @constant_bytes stands in the kernel, a pattern whose sizes its
 * user has to set.
 */
#define FILCH_SORT_KERNEL(name, bytes, constant_bytes, less)                                    \
	static size_t name##_filch_run(const char *a, size_t n, bool *down, void *filch_arg_)   \
	{                                                                                       \
		return filch_sort_run(a, n, down, (bytes), less, filch_arg_);                   \
	}                                                                                       \
	static bool name##_filch_leaf(                                                          \
		char *a, char *scratch, size_t n, bool into_scratch, void *filch_arg_)          \
	{                                                                                       \
		return filch_sort_leaf(a, scratch, n, into_scratch, (bytes), less, filch_arg_); \
	}                                                                                       \
	static void name##_filch_merge(                                                         \
		const char *a, size_t na, const char *b, size_t nb, char *to, void *filch_arg_) \
	{                                                                                       \
		filch_sort_merge(a, na, b, nb, to, (bytes), less, filch_arg_);                  \
	}                                                                                       \
	static size_t name##_filch_cut(                                                         \
		const char *a, size_t na, const char *b, size_t nb, size_t k, void *filch_arg_) \
	{                                                                                       \
		return filch_sort_cut(a, na, b, nb, k, (bytes), less, filch_arg_);              \
	}                                                                                       \
	static const struct filch_sort_kernel name##_filch_kernel = { (constant_bytes),         \
		FILCH_SORT_LEAF(constant_bytes), less, name##_filch_run, name##_filch_leaf,     \
		name##_filch_merge, name##_filch_cut }

#endif
