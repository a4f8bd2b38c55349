/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: work. A task's steps follow from its own members, so that any order of execution makes the
 * same tree, and a walk over it tells work, critical path and tasks beforehand.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "programs/uts_tree.h"
#include "sim.h"

#include <string.h>

/* What filch_for takes for a chunk that is long enough, src/algo/chunk.h: ticks at 3 to a ns. */
#define CHUNK_NS 3333u

_Static_assert(CHUNK <= SIM_KIDS, "a node of UTS has up to CHUNK children in one step");
_Static_assert(sizeof(((struct sim_task *)0)->state) == sizeof(struct state), "a SHA-1 digest");

static void add_kid(struct sim_step *step, int64_t begin, int64_t end, uint16_t depth)
{
	step->kid[step->kids++] = (struct sim_task){ .begin = begin, .end = end, .depth = depth };
}

static void fib_step(
	const struct sim_work *work, const struct sim_task *task, uint32_t n, struct sim_step *step)
{
	(void)n;
	if (task->end < 2) {
		step->ns = work->leaf_ns;
		return;
	}
	add_kid(step, 0, task->end - 1, 0);
	add_kid(step, 0, task->end - 2, 0);
}

/* A range is halved down to the grain; the right half is spawned. As filch_for does it. */
static void range_step(
	const struct sim_work *work, const struct sim_task *task, uint32_t n, struct sim_step *step)
{
	int64_t length = task->end - task->begin, middle = task->begin + length / 2;

	(void)n;
	if ((uint64_t)length <= work->grain) {
		step->ns = work->leaf_ns * (uint64_t)length;
		return;
	}
	add_kid(step, middle, task->end, task->depth);
	add_kid(step, task->begin, middle, task->depth);
}

/* The cells of a square, one diagonal after another, each a loop over its cells. */
static void wavefront_step(
	const struct sim_work *work, const struct sim_task *task, uint32_t n, struct sim_step *step)
{
	int64_t side = work->size, diagonal = (int64_t)n + 1;

	if (task->depth)
		range_step(work, task, n, step);
	else if (diagonal < 2 * side)
		add_kid(step, 0, diagonal <= side ? diagonal : 2 * side - diagonal, 1);
}

/* The children begin to end of a node whose state the task has; programs/uts.c, search(). */
static void uts_step(const struct sim_work *work, const struct sim_task *task,
	const struct shape *shape, struct sim_step *step)
{
	int64_t begin = task->begin, end = task->end;
	uint16_t depth = task->depth;
	struct state from;

	memcpy(from.byte, task->state, sizeof(from.byte));
	if (end - begin == 1) {
		struct state parent = from;

		step->ns = work->leaf_ns;
		hash(parent.byte, sizeof(parent.byte), (uint32_t)begin, &from);
		begin = 0;
		end = children(shape, &from, depth++);
		if (!end)
			return;
		if (end > CHUNK) {
			add_kid(step, begin, end, depth);
			memcpy(step->kid[0].state, from.byte, sizeof(from.byte));
			return;
		}
	}
	if (end - begin > CHUNK) {
		int64_t middle = begin + (end - begin) / 2;

		add_kid(step, middle, end, depth);
		add_kid(step, begin, middle, depth);
	} else {
		for (; begin < end; begin++)
			add_kid(step, begin, begin + 1, depth);
	}
	for (uint32_t i = 0; i < step->kids; i++)
		memcpy(step->kid[i].state, from.byte, sizeof(from.byte));
}

static struct shape t1_shape(const struct sim_work *work)
{
	return (struct shape){ .log_1p = log(1 - 1 / (1 + 4.0)), .depth = (uint32_t)work->size };
}

static const struct shape t3_shape = { .q = 0.124875, .m = 8 };

static void t1_step(
	const struct sim_work *work, const struct sim_task *task, uint32_t n, struct sim_step *step)
{
	struct shape shape = t1_shape(work);

	(void)n;
	uts_step(work, task, &shape, step);
}

static void t3_step(
	const struct sim_work *work, const struct sim_task *task, uint32_t n, struct sim_step *step)
{
	(void)n;
	uts_step(work, task, &t3_shape, step);
}

static const struct {
	struct sim_work work;
	const char *meaning;
} known[] = {
	{ { .name = "fib", .step = fib_step, .size = 24 },
		"fib(size), all its time in the leaves" },
	{ { .name = "tree", .step = range_step, .size = 100000, .grain = 1 },
		"a balanced tree of so many leaves" },
	{ { .name = "loop", .step = range_step, .size = 1000000 },
		"a loop of so many bodies, in chunks as filch_for's" },
	{ { .name = "t1", .step = t1_step, .size = 8 }, "UTS T1, geometric, to this depth" },
	{ { .name = "t3", .step = t3_step, .size = 2000 },
		"UTS T3, binomial, so many children of the root" },
	{ { .name = "wavefront", .step = wavefront_step, .size = 200, .grain = 1 },
		"a square of so many cells a side, diagonal by diagonal" },
	{ { .name = "burst",
		  .step = range_step,
		  .size = 256,
		  .grain = 1,
		  .bursts = 20,
		  .gap_ns = 500000 },
		"20 times a balanced tree of so many leaves, 0.5 ms apart" },
	{ { .name = "jobs",
		  .step = range_step,
		  .size = 1,
		  .grain = 1,
		  .bursts = 20,
		  .jobs = 32,
		  .gap_ns = 500000 },
		"20 times 32 jobs from outside, 0.5 ms apart" },
};

bool sim_work_make(
	struct sim_work *work, const char *name, int64_t size, uint64_t leaf_ns, uint32_t workers)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(known[i].work.name, name) != 0)
			continue;
		*work = known[i].work;
		if (size > 0)
			work->size = size;
		work->leaf_ns = leaf_ns;
		work->steps = work->step == wavefront_step ? 2 * (uint32_t)work->size : 1;
		if (!work->bursts)
			work->bursts = 1;
		if (!work->jobs)
			work->jobs = 1;
		if (!work->grain) /* a loop of few bodies is split to single ones */
			work->grain = work->size <= 8 * (int64_t)workers || leaf_ns >= CHUNK_NS
					      ? 1
					      : CHUNK_NS / (leaf_ns ? leaf_ns : 1);
		return true;
	}
	return false;
}

void sim_work_list(FILE *out)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		(void)fprintf(out, "  %-12s %s; %lld\n", known[i].work.name, known[i].meaning,
			(long long)known[i].work.size);
}

struct sim_task sim_work_root(const struct sim_work *work)
{
	static const unsigned char zero[16] = { 0 };
	struct sim_task root = { .end = work->size };
	struct state state;

	if (work->step == t1_step || work->step == t3_step) {
		bool geometric = work->step == t1_step;
		struct shape shape = geometric ? t1_shape(work) : t3_shape;

		hash(zero, sizeof(zero), geometric ? 19 : 42, &state);
		root.end = geometric ? (int64_t)children(&shape, &state, 0) : work->size;
		root.depth = 1;
		memcpy(root.state, state.byte, sizeof(state.byte));
	}
	return root;
}

/* Of @task with all below it, added to @sum; returns its critical path. */
static uint64_t measure(const struct sim_work *work, const struct sim_costs *costs,
	const struct sim_task *task, bool is_root, struct sim_amount *sum)
{
	uint64_t at = 0, kid_ends[SIM_KIDS];

	sum->tasks++;
	for (uint32_t n = 0; n < (is_root ? work->steps : 1); n++) {
		struct sim_step step = { .ns = 0 };
		uint64_t own;

		work->step(work, task, n, &step);
		own = step.ns;
		sum->leaves += !step.kids && !n;
		sum->work += own;
		at += own;
		if (!step.kids)
			break;
		for (uint32_t i = 0; i < step.kids; i++) {
			bool spawned = i + 1 < step.kids;

			if (spawned)
				at += costs->spawn;
			kid_ends[i] = at + measure(work, costs, &step.kid[i], false, sum);
		}
		at = kid_ends[step.kids - 1];
		for (uint32_t i = step.kids - 1; i-- > 0;) {
			at += costs->sync;
			at = kid_ends[i] > at ? kid_ends[i] : at;
		}
		sum->work += (costs->spawn + costs->sync) * (step.kids - 1);
	}
	return at;
}

struct sim_amount sim_work_measure(const struct sim_work *work, const struct sim_costs *costs)
{
	struct sim_task root = sim_work_root(work);
	struct sim_amount sum = { .work = 0 };

	sum.span = measure(work, costs, &root, true, &sum);
	return sum;
}
