/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The task half of docs/from-other-libraries.md: tasks and taskwait, sections, a task group, loops
 * inside tasks, children in a loop.
 */
#include <filch/filch.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
	struct node *left, *right;
	long value;
};

FILCH_TASK(long, tree_sum, (const struct node *, t))
{
	if (!t)
		return 0;
	FILCH_SPAWN(left, tree_sum, t->left);
	long right = FILCH_CALL(tree_sum, t->right);
	return FILCH_SYNC(left) + right + t->value;
}

struct part {
	const int *in;
	int n;
	long result;
};

static void sum(void *arg)
{
	struct part *p = arg;

	for (int i = 0; i < p->n; i++)
		p->result += p->in[i];
}

static void maximum(void *arg)
{
	struct part *p = arg;

	for (int i = 0; i < p->n; i++)
		p->result = p->in[i] > p->result ? p->in[i] : p->result;
}

struct item {
	struct item *next;
	int visited;
};

/* A directory of files, each of which may be worth a task. */
FILCH_TASK(long, measure, (const char *, file))
{
	long length = 0;

	while (file[length])
		length++;
	return length;
}

static inline void add(long *total, long length)
{
	*total += length;
}

FILCH_TASK(long, measure_all, (const char *const *, file), (int, files))
{
	long total = 0;

	FILCH_CHILDREN_FOLD(kids, measure, add, &total);
	for (int i = 0; i < files; i++)
		FILCH_SPAWN_CHILD(&kids, file[i]);
	FILCH_SYNC_CHILDREN(&kids);
	return total;
}

/* A list of unknown length; the tasks return nothing. */
FILCH_VOID_TASK(visit, (struct item *, item))
{
	item->visited++;
}

FILCH_VOID_TASK(visit_all, (struct item *, first))
{
	FILCH_CHILDREN(kids, visit);
	for (struct item *i = first; i; i = i->next)
		FILCH_SPAWN_CHILD(&kids, i);
	FILCH_SYNC_CHILDREN(&kids);
}

static void scale(size_t begin, size_t end, void *arg)
{
	double *row = arg;

	for (size_t i = begin; i < end; i++)
		row[i] *= 2.0;
}

enum { ROWS = 50, COLUMNS = 1000 };

/* A loop whose bodies are loops: a NULL pool is the one whose worker runs the body. */
static void scale_rows(size_t begin, size_t end, void *arg)
{
	double(*matrix)[COLUMNS] = arg;

	for (size_t i = begin; i < end; i++)
		(void)filch_for(NULL, 0, COLUMNS, 0, scale, matrix[i]);
}

int main(void)
{
	static struct node node[7];
	static int number[1000];
	static double matrix[ROWS][COLUMNS];
	static const char *const name[] = { "a", "bc", "def" };
	static struct item item[100];
	struct part total = { number, 1000, 0 }, most = { number, 1000, 0 };
	struct node *root = &node[0];
	struct filch_pool *pool;
	long result = 0;
	int error, bad = 0;

	for (int i = 0; i < 7; i++)
		node[i] = (struct node){ i < 3 ? &node[2 * i + 1] : NULL,
			i < 3 ? &node[2 * i + 2] : NULL, i };
	for (int i = 0; i < 1000; i++)
		number[i] = i;
	for (int i = 0; i < ROWS * COLUMNS; i++)
		matrix[i / COLUMNS][i % COLUMNS] = 1.0;
	if (filch_pool_create(&pool, NULL))
		return 1;

	error = FILCH_RUN(pool, &result, tree_sum, root);
	bad |= error || result != 21;

	void (*const section[])(void *) = { sum, maximum };
	void *const of[] = { &total, &most };
	error = filch_invoke(pool, 2, section, of);
	bad |= error || total.result != 499500 || most.result != 999;

	error = FILCH_RUN(pool, &result, measure_all, name, 3);
	bad |= error || result != 6;

	for (int i = 0; i < 99; i++)
		item[i].next = &item[i + 1];
	error = FILCH_RUN(pool, NULL, visit_all, item);
	bad |= error;
	for (int i = 0; i < 100; i++)
		bad |= item[i].visited != 1;

	error = filch_for(pool, 0, ROWS, 1, scale_rows, matrix);
	for (int i = 0; i < ROWS * COLUMNS; i++)
		bad |= matrix[i / COLUMNS][i % COLUMNS] != 2.0;
	printf("tree, sections, group, nested loops: %s\n", bad || error ? "wrong" : "as expected");
	return filch_pool_destroy(pool) || error || bad;
}
