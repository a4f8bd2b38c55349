/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parallel half of the sorts: which task sorts and merges which part. The kernel handles a part
 * (include/filch/detail/sort_merge.h). So typed sorts and the one with a comparison function share
 * every line here.
 *
 * A range is halved until it is a leaf. Halves come back sorted, in the array or in the scratch
 * memory beside it, and are merged from the one into the other. It is a merge sort back and forth:
 * each level moves each element once. A merge is cut into two of equal length by a binary search,
 * which are two tasks again (Merge Path: Odeh, Green, Mwassi, Shmueli and Birk 2012). The depth of
 * the tasks is O(log^2 n), as in Cormen, Leiserson, Rivest and Stein, chapter 27.
 *
 * A range returns where it lies. A part that was in order stays in the array unmoved, and two
 * halves that are in order as they lie are not merged. Halves that lie apart are brought to one
 * side first.
 *
 * Invariant: between two tasks the elements of a range are all on one side. So a cancelled sort can
 * be brought home from anywhere: a task that sees the flag stops comparing and only copies.
 *
 * Rejected:
 * - a merge without scratch memory: in place and stable is O(n log^2 n), and slower at every size;
 * - parallel samplesort: not stable without indices, and needs oversampling to balance;
 * - looking for natural runs of any length (powersort): the gain is for inputs that are rare, and
 *   every other one pays for merges of unequal length.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <filch/pool.h>
#include <filch/scope.h>
#include <filch/sort.h>
#include <filch/task.h>

#include "calls/submit.h"

#define PIECES        16u        /* a worker's share of the tasks, so that uneven parts even out */
#define GRAIN_MOST    (1u << 18) /* elements; so that a cancelled job is noticed */
#define SCRATCH_SMALL 4096u      /* bytes of scratch memory on the stack */
#define SCRATCH_ALIGN 64u
#define SCRATCH_HUGE  (4u << 20) /* bytes; from here on large pages: docs/design.md, Sorts */
#define PAGE_HUGE     (2u << 20)
#define DIRECT_MOST   128u /* bytes; a larger element is not moved, its address is */

/*
 * The result of a range: which side it lies on; and whether it is not sorted, for the job was
 * cancelled.
 */
enum { IN_SCRATCH = 1, CANCELLED = 2 };

struct sort {
	const struct filch_sort_kernel *kernel;
	void *arg;
	size_t grain; /* elements; a range of more is worth a task of its own */
};

static bool less(const struct sort *s, const char *a, const char *b)
{
	return s->kernel->less(a, b, s->arg);
}

FILCH_VOID_TASK(copy, (const char *, from), (char *, to), (size_t, bytes), (size_t, grain))
{
	if (bytes <= grain) {
		memcpy(to, from, bytes);
		return;
	}
	size_t half = bytes / 2;
	FILCH_SPAWN(right, copy, from + half, to + half, bytes - half, grain);
	FILCH_CALL(copy, from, to, half, grain);
	FILCH_SYNC(right);
}

/* Merges two runs into @to. 0 or CANCELLED: then they are there, one behind the other. */
FILCH_TASK(int, merge, (const struct sort *, s), (const char *, a), (size_t, na), (const char *, b),
	(size_t, nb), (char *, to))
{
	const size_t size = s->kernel->size;
	size_t half = (na + nb) / 2, from_a;
	int seen;

	if (!na || !nb || filch_cancelled()) {
		memcpy(to, a, na * size);
		memcpy(to + na * size, b, nb * size);
		return na && nb ? CANCELLED : 0;
	}
	if (na + nb <= s->grain) {
		s->kernel->merge(a, na, b, nb, to, s->arg);
		return 0;
	}
	from_a = s->kernel->cut(a, na, b, nb, half, s->arg);
	FILCH_SPAWN(right, merge, s, a + from_a * size, na - from_a, b + (half - from_a) * size,
		nb - (half - from_a), to + half * size);
	seen = FILCH_CALL(merge, s, a, from_a, b, half - from_a, to);
	return FILCH_SYNC(right) | seen;
}

/*
 * Sorts @n elements of @a with as many at @scratch, by @depth halvings. Returns the side they lie
 * on, and CANCELLED. They lie in scratch memory if @into asks for it and the input gave no reason
 * to do otherwise.
 */
FILCH_TASK(int, range, (const struct sort *, s), (char *, a), (char *, scratch), (size_t, n),
	(unsigned, depth), (int, into))
{
	const size_t half = n / 2, size = s->kernel->size, bytes = n * size, middle = half * size;
	int left, right;

	if (filch_cancelled())
		return CANCELLED;
	if (!depth)
		return s->kernel->leaf(a, scratch, n, into, s->arg) ? IN_SCRATCH : 0;
	if (n > s->grain) {
		FILCH_SPAWN(
			upper, range, s, a + middle, scratch + middle, n - half, depth - 1, !into);
		left = FILCH_CALL(range, s, a, scratch, half, depth - 1, !into);
		right = FILCH_SYNC(upper);
	} else {
		left = FILCH_CALL(range, s, a, scratch, half, depth - 1, !into);
		right = FILCH_CALL(
			range, s, a + middle, scratch + middle, n - half, depth - 1, !into);
	}
	if ((left ^ right) & IN_SCRATCH) { /* bring both to one side */
		bool move_left = (left & IN_SCRATCH) == (into ? IN_SCRATCH : 0);
		size_t at = move_left ? 0 : middle;
		int *moved = move_left ? &left : &right;

		if (*moved & IN_SCRATCH)
			FILCH_CALL(copy, scratch + at, a + at, move_left ? middle : bytes - middle,
				s->grain * size);
		else
			FILCH_CALL(copy, a + at, scratch + at, move_left ? middle : bytes - middle,
				s->grain * size);
		*moved ^= IN_SCRATCH;
	}
	if ((left | right) & CANCELLED)
		return left | right;
	const char *from = left ? scratch : a;
	char *to = left ? a : scratch;
	if (!less(s, from + middle, from + middle - size))
		return left;
	if (less(s, from + bytes - size, from)) { /* all of the right half comes before the left */
		FILCH_CALL(copy, from, to + (bytes - middle), middle, s->grain * size);
		FILCH_CALL(copy, from + middle, to, bytes - middle, s->grain * size);
		return left ^ IN_SCRATCH;
	}
	return (left ^ IN_SCRATCH) | FILCH_CALL(merge, s, from, half, from + middle, n - half, to);
}

static void reverse(char *a, size_t n, size_t size)
{
	char *b = a + (n - 1) * size, chunk[64];

	for (; a < b; a += size, b -= size) {
		for (size_t at = 0; at < size; at += sizeof chunk) {
			size_t bytes = size - at < sizeof chunk ? size - at : sizeof chunk;

			memcpy(chunk, a + at, bytes);
			memcpy(a + at, b + at, bytes);
			memcpy(b + at, chunk, bytes);
		}
	}
}

/*
 * Memory for free(), or NULL. The first writer of a page has it near. Large pages spare most of the
 * faults on the way.
 */
static char *scratch_get(size_t bytes)
{
	const size_t align = bytes < SCRATCH_HUGE ? SCRATCH_ALIGN : PAGE_HUGE,
		     rounded = (bytes + align - 1) / align * align;
	char *scratch = aligned_alloc(align, rounded);

	if (scratch && align == PAGE_HUGE)
		/* a wish: where it is refused, small pages do */
		(void)madvise(scratch, rounded, MADV_HUGEPAGE);
	return scratch;
}

/* All of a sort, two elements or more: 0 or a negative errno. */
FILCH_TASK(int, whole, (const struct sort *, s), (char *, base), (size_t, n))
{
	_Alignas(SCRATCH_ALIGN) char small[SCRATCH_SMALL];
	const size_t bytes = n * s->kernel->size;
	char *scratch = small;
	unsigned depth = 0;
	bool down;
	int end;

	if (s->kernel->run(base, n, &down, s->arg) == n) {
		if (down)
			reverse(base, n, s->kernel->size);
		return 0;
	}
	if (bytes > sizeof small) {
		scratch = scratch_get(bytes);
		if (!scratch)
			return -ENOMEM;
	}
	while ((n - 1) >> depth >= s->kernel->leaf_most)
		depth++;
	end = FILCH_CALL(range, s, base, scratch, n, depth, 0);
	if (end & IN_SCRATCH)
		FILCH_CALL(copy, scratch, base, bytes, s->grain * s->kernel->size);
	if (scratch != small)
		free(scratch);
	return end & CANCELLED ? -ECANCELED : 0;
}

/*
 * Fills @s for @n elements sorted by @pool, which may be NULL. Refuses sizes that no sort could do.
 */
static int prepare(struct sort *s, struct filch_pool *pool, const struct filch_sort_kernel *kernel,
	const void *base, size_t n, void *arg)
{
	int workers;

	if (!kernel->size || (!base && n) || n > PTRDIFF_MAX / kernel->size)
		return -EINVAL;
	if (pool && filchi_forked(pool))
		return -ECHILD;
	workers = n > 1 ? filch_pool_workers(pool) : 1;
	if (workers < 0)
		return workers;
	*s = (struct sort){ .kernel = kernel, .arg = arg, .grain = n / ((size_t)workers * PIECES) };
	if (s->grain < kernel->leaf_most)
		s->grain = kernel->leaf_most;
	if (s->grain > GRAIN_MOST)
		s->grain = GRAIN_MOST;
	return 0;
}

int filch_sort_with(struct filch_pool *pool, const struct filch_sort_kernel *kernel, void *base,
	size_t n, void *arg)
{
	struct sort s;
	int end = 0, error = prepare(&s, pool, kernel, base, n, arg);

	if (!error && n > 1)
		error = FILCH_RUN(pool, &end, whole, &s, (char *)base, n);
	return error ? error : end;
}

/* --- with a comparison function --------------------------------------- */

struct compare {
	int (*cmp)(const void *a, const void *b, void *arg);
	void *arg;
	size_t size;
};

static inline bool cmp_less(const void *a, const void *b, void *arg)
{
	const struct compare *c = arg;

	return c->cmp(a, b, c->arg) < 0;
}

/* Elements are addresses of elements. */
static inline bool cmp_less_there(const void *a, const void *b, void *arg)
{
	const struct compare *c = arg;

	return c->cmp(*(const void *const *)a, *(const void *const *)b, c->arg) < 0;
}

FILCH_SORT_KERNEL(bytes_4, 4, 4, cmp_less);
FILCH_SORT_KERNEL(bytes_8, 8, 8, cmp_less);
FILCH_SORT_KERNEL(bytes_16, 16, 16, cmp_less);
FILCH_SORT_KERNEL(bytes_any, ((const struct compare *)filch_arg_)->size, 1, cmp_less);
FILCH_SORT_KERNEL(address, sizeof(char *), sizeof(char *), cmp_less_there);

/*
 * The kernel's merge for addresses. It branches: a comparison of large elements waits for memory,
 * and a guess at its outcome goes on meanwhile. docs/design.md, Sorts.
 */
static void merge_addresses(const char *a, size_t na, const char *b, size_t nb, char *to, void *arg)
{
	const void *const *x = (const void *const *)(const void *)a, *const *x_end = x + na;
	const void *const *y = (const void *const *)(const void *)b, *const *y_end = y + nb;
	const void **out = (const void **)(void *)to;
	const struct compare *c = arg;

	while (x < x_end && y < y_end) {
		if (c->cmp(*y, *x, c->arg) < 0)
			*out++ = *y++;
		else
			*out++ = *x++;
	}
	memcpy(out, x, (size_t)(x_end - x) * sizeof *x);
	memcpy(out + (x_end - x), y, (size_t)(y_end - y) * sizeof *y);
}

/*
 * Puts at each place of @base the element that address[place] names, round by round; *@hold has
 * room for one.
 */
static void arrange(char *base, size_t n, size_t size, char **address, char *hold)
{
	for (size_t i = 0; i < n; i++) {
		size_t to = i;

		if (address[i] == base + i * size)
			continue;
		memcpy(hold, base + i * size, size);
		for (;;) {
			size_t from = (size_t)(address[to] - base) / size;

			address[to] = base + to * size;
			if (from == i)
				break;
			memcpy(base + to * size, base + from * size, size);
			to = from;
		}
		memcpy(base + to * size, hold, size);
	}
}

/* Sorts the addresses of large elements, then moves each element once. */
FILCH_TASK(int, by_address, (const struct sort *, s), (char *, base), (size_t, n), (size_t, size))
{
	char **address = malloc(n * sizeof *address + size);
	int end;

	if (!address)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		address[i] = base + i * size;
	end = FILCH_CALL(whole, s, (char *)address, n);
	if (!end)
		arrange(base, n, size, address, (char *)(address + n));
	free(address);
	return end;
}

/* The kernel for elements that are moved themselves. */
static struct filch_sort_kernel kernel_of(size_t size)
{
	struct filch_sort_kernel any = bytes_any_filch_kernel;

	switch (size) {
	case 4:
		return bytes_4_filch_kernel;
	case 8:
		return bytes_8_filch_kernel;
	case 16:
		return bytes_16_filch_kernel;
	default:
		any.size = size;
		any.leaf_most = FILCH_SORT_LEAF(size);
		return any;
	}
}

int filch_sort(struct filch_pool *pool, void *base, size_t n, size_t size,
	int (*cmp)(const void *a, const void *b, void *arg), void *arg)
{
	struct compare c = { .cmp = cmp, .arg = arg, .size = size };
	struct filch_sort_kernel kernel;
	struct sort s;
	int end = 0, error;

	if (!cmp || !size || (!base && n) || n > PTRDIFF_MAX / size)
		return -EINVAL;
	if (size > DIRECT_MOST) {
		kernel = address_filch_kernel;
		kernel.merge = merge_addresses;
		error = prepare(&s, pool, &kernel, base, n, &c);
		if (!error && n > 1)
			error = FILCH_RUN(pool, &end, by_address, &s, (char *)base, n, size);
		return error ? error : end;
	}
	kernel = kernel_of(size);
	return filch_sort_with(pool, &kernel, base, n, &c);
}
