/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver, the programs and the contestants agree on.
 *
 * A program is written once, with the BENCH_ macros, and compiled once per contestant; each
 * compilation yields one entry function. A contestant is a table: how to open and close it, its
 * entry for each program, and how it takes jobs. The driver knows nothing else about it, so a
 * contestant may as well live in a module of its own (peers/).
 *
 * The macros, as FILCH_'s in <filch/task.h>:
 *   BENCH_TASK(R, name, (T, a), ...) { body }      1 to 6 arguments and a result
 *   BENCH_TASK_INLINE(...) { body }                the same, the body declared inline for every
 *                                                  contestant, serial too
 *   BENCH_SPAWN(h, name, args...);                 BENCH_SYNC(h)               newest first
 *   BENCH_CALL(name, args...) BENCH_FRAME(name) kid[n];  BENCH_SPAWN_INTO(&kid[i], name, args...);
 *   BENCH_SYNC_FROM(name, &kid[i])
 *   BENCH_CHILDREN_FOLD(kids, name, fold, into)    BENCH_SPAWN_CHILD(&kids, args...)
 *   BENCH_SYNC_CHILDREN(&kids)                     of serial and filch alone
 *   BENCH_RUN(engine, &result, name, args...)      in the entry only; 0 or a negative errno
 *   BENCH_LOOP(engine, begin, end, grain, body, arg)
 *                                                  body(b, e, arg) over the range, from outside: in
 *                                                  the entry only; 0 or a negative errno. A backend
 *                                                  without: programs cut the range by tasks
 *
 * Between a spawn and its sync a frame may do anything but return. A peer without single joins
 * (OpenMP, TBB) waits at the first sync of a frame for all that the frame has spawned, as one
 * writes it by hand there. One peer is C++: a program is valid as GNU C++20 as well (a cast at void
 * *, initialisers in the order of their fields, constants initialised).
 *
 * A contestant with loops of its own defines those of programs/loops.c, one with graphs that of
 * programs/dag.h.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_CAT_(a, b) a##b
#define BENCH_CAT(a, b)  BENCH_CAT_(a, b)
#define BENCH_NAMED(program, contestant) \
	BENCH_CAT(BENCH_CAT(BENCH_CAT(bench_, program), _), contestant)
#define BENCH_ENTRY(program) BENCH_NAMED(program, BENCH_NAME)

/* Every program; its sizes are in catalogue.c. */
/* clang-format off */
#define BENCH_PROGRAMS(X)                                                                     \
	X(fib)                                                                                \
	X(queens)                                                                             \
	X(uts)                                                                                \
	X(cheap_uts) X(skynet) X(sort) X(sort_typed) X(sort_void) X(sort_int64) X(sort_int32) \
		X(matmul) X(strassen) X(sparse_lu) X(fft) X(heat) X(cholesky) X(knapsack)     \
			X(integrate) X(tiny) X(tiny_caller) X(saxpy) X(grains) X(grains_ptr)  \
				X(triangle) X(queens_children) X(cheap_uts_children) \
					X(wavefront) X(random_dag) X(cholesky_dag)
/* clang-format on */

/*
 * What a program computed: the driver compares it with what is known, for every contestant and
 * round.
 */
struct bench_outcome {
	uint64_t value[3];
	uint64_t tasks;
};

/* One size of a program. */
struct bench_size {
	const char *label;
	double arg[6]; /* what they mean is the program's business */
	struct bench_outcome expect;
	int quick; /* 1: also in --quick; 2: only there */
};

typedef int bench_entry_fn(void *engine, const struct bench_size *size, struct bench_outcome *out);

/* A job of the job benchmarks, one cache line; its fields are the benchmark's. */
struct bench_job {
	int (*fn)(void *job);
	struct bench_latch *latch; /* counts down when the job has run, unless NULL */
	void *reply; /* where a contestant without ids sends it when done, else NULL */
	int64_t id;
	uint64_t seed, result;
	uint32_t rounds; /* how long it computes */
	uint32_t runs;   /* how often it ran: exactly once */
} __attribute__((aligned(64)));

/*
 * How a contestant takes jobs from outside; any thread. 0, or a negative errno. A form it does not
 * have is NULL.
 */
struct bench_job_ops {
	/* nobody asks for its end; waits for room if there is a bound */
	int (*bare)(void *engine, struct bench_job *job);
	/* by each thread after its last bare job; or NULL */
	int (*flush)(void *engine);
	int (*call)(void *engine, struct bench_job *job); /* there and back */
	/* waits for room; returns an id > 0 */
	int64_t (*submit)(void *engine, struct bench_job *job);
	/* reaps the one completion of that job */
	int (*wait)(void *engine, int64_t id);
	/* @n bare jobs in one call, BENCH_BATCH at most; waits for room */
	int (*batch)(void *engine, struct bench_job *job, size_t n);
};

#define BENCH_BATCH 64

#define BENCH_ABI 3

struct bench_contestant {
	int abi; /* BENCH_ABI, so that an old module is refused */
	const char *name;
	/* of the peer's library, for the head of the table; or NULL */
	const char *(*version)(void);
	/* one thread on each of cpus[0 .. workers-1] */
	int (*open)(void **engine, int workers, const int *cpus);
	void (*close)(void *engine);
	/* before each measurement, outside its time; or NULL */
	int (*begin)(void *engine);
	void (*end)(void *engine); /* after it; or NULL */
	/* NULL, or returns NULL: cannot run it */
	bench_entry_fn *(*entry)(const char *program);
	/* Calls @fn where the contestant's programs start; NULL: on the driver's thread. */
	int (*call)(void *engine, bench_entry_fn *fn, const struct bench_size *size,
		struct bench_outcome *out);
	const struct bench_job_ops *jobs; /* NULL: takes no jobs */
};

extern const struct bench_contestant bench_serial, bench_baseline, bench_filch, bench_caller;

/* A module in peers/ exports this. */
typedef const struct bench_contestant *bench_module_fn(void);

/*
 * The CPUs on which filch would put up to @max workers, so that everybody else is pinned to the
 * same. Returns how many.
 */
int bench_plan(int *cpus, int max);

/* Pins the calling thread, best effort. */
void bench_pin(int cpu);

/* The first @n of @cpus as a list for filch_config.cpuset. */
void bench_cpuset(const int *cpus, int n, char *text, size_t room);

/*
 * Entries of one contestant by name: BENCH_ENTRY_TABLE defines `entry_of`. A program it was not
 * compiled with is NULL there.
 */
#define BENCH_ENTRY_DECLARE(program) bench_entry_fn BENCH_ENTRY(program) __attribute__((weak));
#define BENCH_ENTRY_ROW(program)     { #program, BENCH_ENTRY(program) },
#define BENCH_ENTRY_TABLE                                                     \
	BENCH_PROGRAMS(BENCH_ENTRY_DECLARE)                                   \
	static bench_entry_fn *entry_of(const char *program)                  \
	{                                                                     \
		static const struct {                                         \
			const char *name;                                     \
			bench_entry_fn *fn;                                   \
		} table[] = { BENCH_PROGRAMS(BENCH_ENTRY_ROW) };              \
		for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) \
			if (!strcmp(table[i].name, program))                  \
				return table[i].fn;                           \
		return NULL;                                                  \
	}

/* splitmix64: the mixer of Steele, Lea, Flood (2014); cheap UTS and the jobs use it. */
static inline uint64_t bench_splitmix64(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

#ifdef __cplusplus
}
#endif

#endif
