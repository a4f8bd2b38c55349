/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No mistake: every macro, with none to eight arguments, in every form.
 *
 * silent: runs
 */
#include "one_worker.h"

typedef long triple[3];
typedef int binary(int, int);

FILCH_TASK_DECL(long, sum_triple, (triple, of), (long, more));
FILCH_VOID_TASK_DECL(store, (long *, to), (long, value));

FILCH_TASK(long, one)
{
	return 1;
}

FILCH_TASK_INLINE(long, fib, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long b = FILCH_CALL(fib, n - 2);
	return b + FILCH_SYNC(a);
}

static inline void add_one(long *sum, long more)
{
	*sum += more;
}

FILCH_VOID_TASK(nothing)
{
}

FILCH_VOID_TASK_INLINE(add, (long *, to), (long, n))
{
	*to += n;
}

FILCH_TASK_IMPL(long, sum_triple, (triple, of), (long, more))
{
	return of[0] + of[1] + of[2] + more;
}

FILCH_VOID_TASK_IMPL(store, (long *, to), (long, value))
{
	*to = value;
}

FILCH_TASK(int, apply, (int (*)(int, int), f), (int, a), (int, b))
{
	return f(a, b);
}

FILCH_TASK(
	int, eight, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g), (int, h))
{
	return a + b + c + d + e + f + g + h;
}

FILCH_TASK(long, children, (long, n))
{
	triple three = { 1, 2, 3 };
	long sum = 0, stored[20] = { 0 };

	if (n < 0)
		return 0;
	FILCH_CHILDREN_FOLD(ones, one, add_one, &sum);
	FILCH_CHILDREN(dropped, eight);
	FILCH_CHILDREN(silent, store);
	FILCH_CHILDREN_FOLD(triples, sum_triple, add_one, &sum);
	for (long i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&ones);
	for (long i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&dropped, 1, 2, 3, 4, 5, 6, 7, 8);
	for (long i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&silent, &stored[i], i);
	if (n)
		FILCH_SPAWN_CHILD(&triples, three, n);
	else
		FILCH_SPAWN_CHILD(&triples, three, 1);
	FILCH_SYNC_CHILDREN(&triples);
	FILCH_SYNC_CHILDREN(&silent);
	FILCH_SYNC_CHILDREN(&dropped);
	FILCH_SYNC_CHILDREN(&ones);
	return sum + stored[n - 1];
}

static int plus(int a, int b)
{
	return a + b;
}

FILCH_TASK(long, all, (long, n))
{
	FILCH_FRAME(fib) kid[3];
	FILCH_FRAME(one) single;
	triple three = { 1, 2, 3 };
	long sum = 0, stored = 0;

	for (int i = 0; i < 3; i++)
		FILCH_SPAWN_INTO(&kid[i], fib, n);
	FILCH_SPAWN_INTO(&single, one);
	FILCH_SPAWN(a, one);
	FILCH_SPAWN(b, nothing);
	FILCH_SPAWN(c, sum_triple, three, n);
	FILCH_SPAWN(d, store, &stored, 5);
	FILCH_SPAWN(e, apply, plus, 1, 2);
	FILCH_SPAWN(f, eight, 1, 2, 3, 4, 5, 6, 7, 8);
	FILCH_CALL(nothing);
	FILCH_CALL(add, &sum, 100);
	sum += FILCH_CALL(one);
	sum += FILCH_CALL(apply, plus, 1, 2);
	sum += FILCH_SYNC(f);
	sum += FILCH_SYNC(e);
	FILCH_SYNC(d);
	sum += FILCH_SYNC(c);
	FILCH_SYNC(b);
	sum += FILCH_SYNC(a);
	sum += FILCH_SYNC_FROM(one, &single);
	for (int i = 2; i >= 0; i--)
		sum += FILCH_SYNC_FROM(fib, &kid[i]);
	return sum + stored;
}

FILCH_TASK(long, scopes, (long, n))
{
	triple three = { 1, 2, 3 };
	long sum = 0;
	int status = 7;

	FILCH_SCOPE(&status, nothing);
	FILCH_SCOPE(NULL, add, &sum, 100);
	sum += FILCH_SCOPE(&status, one) + FILCH_SCOPE(NULL, fib, n);
	sum += FILCH_SCOPE(&status, sum_triple, three, n);
	sum += FILCH_SCOPE(&status, eight, 1, 2, 3, 4, 5, 6, 7, 8);
	return sum + status;
}

struct item {
	int key, value;
};
#define BY_KEY(a, b) ((a).key < (b).key)
FILCH_SORT_DEFINE(sort_items, struct item, BY_KEY);

static inline void add_keys(size_t b, size_t e, struct item *of)
{
	for (size_t i = b; i < e; i++)
		of[i].value += of[i].key;
}
FILCH_FOR_DEFINE(add_all, struct item, add_keys);

int main(void)
{
	struct filch_pool *pool = one_worker();
	struct item item[2] = { { 2, 1 }, { 1, 4 } };
	long r = 0, array[1];
	binary *f = plus;
	long kids = 0, scoped = 0;
	int answer = 0;

	if (!pool || FILCH_RUN(pool, &r, all, 10) || FILCH_RUN(pool, array, one) ||
		FILCH_RUN(pool, &kids, children, 20) || FILCH_RUN(pool, &scoped, scopes, 10) ||
		FILCH_RUN(pool, NULL, all, 10) || FILCH_RUN(pool, 0, nothing) ||
		FILCH_RUN(pool, &answer, apply, f, 20, 22) || FILCH_RUN(pool, NULL, nothing) ||
		sort_items(pool, item, 2) || add_all(pool, 0, 2, 1, item) ||
		filch_pool_destroy(pool))
		return 1;
	return !(r == 100 + 1 + 3 + 36 + 3 + 16 + 1 + 1 + 3 * 55 + 5 && array[0] == 1 &&
		 kids == 20 + 26 + 19 && scoped == 100 + 1 + 55 + 16 + 36 && answer == 42 &&
		 item[0].key == 1 && item[0].value == 5);
}
