/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A graph of work: the tiles of an image, each of which waits for its neighbours to the left and
 * above. Built once, run for each image. Its first rows as text, for graphviz(7).
 */
#include <filch/filch.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 16, TILE = 32, WIDTH = SIDE * TILE };

static unsigned image[WIDTH][WIDTH];

struct tile {
	size_t row, column;
};
static struct tile tile[SIDE][SIDE];

/* Each pixel comes from those to the left and above, over the borders of tiles as well. */
static int fill(void *arg)
{
	const struct tile *t = arg;

	for (size_t y = t->row * TILE; y < (t->row + 1) * TILE; y++)
		for (size_t x = t->column * TILE; x < (t->column + 1) * TILE; x++)
			image[y][x] = (x ? image[y][x - 1] : 1) + (y ? image[y - 1][x] : 1);
	return 0;
}

static int build(struct filch_graph *graph)
{
	int error = 0;

	for (size_t row = 0; row < SIDE && !error; row++) {
		for (size_t column = 0; column < SIDE && !error; column++) {
			int64_t node;

			tile[row][column] = (struct tile){ row, column };
			node = filch_graph_node(graph, fill, &tile[row][column]);
			if (node < 0)
				return (int)node;
			if (column > 0)
				error = filch_graph_edge(graph, node - 1, node);
			if (row > 0 && !error)
				error = filch_graph_edge(graph, node - SIDE, node);
		}
	}
	return error;
}

int main(void)
{
	struct filch_pool *pool;
	struct filch_graph *graph;
	unsigned expected;
	int error;

	if (filch_pool_create(&pool, NULL) || filch_graph_create(&graph))
		return 1;
	error = build(graph);
	for (int frame = 0; frame < 100 && !error; frame++)
		error = filch_graph_run(pool, graph);
	if (error) {
		fprintf(stderr, "the graph: %d\n", error);
		return 1;
	}
	expected = image[WIDTH - 1][WIDTH - 1];
	for (size_t y = 0; y < WIDTH; y++)
		for (size_t x = 0; x < WIDTH; x++)
			image[y][x] = (x ? image[y][x - 1] : 1) + (y ? image[y - 1][x] : 1);
	printf("the last pixel is %u, and should be %u\n", expected, image[WIDTH - 1][WIDTH - 1]);
	error = expected != image[WIDTH - 1][WIDTH - 1];
	if (getenv("DOT"))
		error |= filch_graph_dot(graph, stdout);
	filch_graph_destroy(graph);
	filch_pool_destroy(pool);
	return error != 0;
}
