/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is measured, with the results that every contestant must arrive at. The figures for UTS,
 * n-queens, cheap UTS and skynet are published or defined; the others follow from formulas, or were
 * counted once by the serial form.
 *
 * quick: 1 = in --quick as well, 2 = only there, 3 = only in --check, 0 = only in a full run.
 */
#include "catalogue.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define EXPECT(v0, v1, v2, t)                                                               \
	{                                                                                   \
		.value = { UINT64_C(v0), UINT64_C(v1), UINT64_C(v2) }, .tasks = UINT64_C(t) \
	}

static const struct bench_size fib[] = {
	{ "20", { 20 }, EXPECT(6765, 0, 0, 21891), 3 },
	{ "32", { 32 }, EXPECT(2178309, 0, 0, 7049155), 2 },
	{ "35", { 35 }, EXPECT(9227465, 0, 0, 29860703), 0 },
};

static const struct bench_size queens[] = {
	{ "8", { 8 }, EXPECT(92, 0, 0, 2057), 3 },
	{ "12", { 12 }, EXPECT(14200, 0, 0, 856189), 1 },
	{ "13", { 13 }, EXPECT(73712, 0, 0, 4674890), 0 },
	{ "14", { 14 }, EXPECT(365596, 0, 0, 27358553), 0 },
};

static const struct bench_size uts[] = {
	{ "T1 to 5", { 1, 4, 19, 0, 0, 5 }, EXPECT(3987, 3232, 5, 4499), 3 },
	{ "T1", { 1, 4, 19, 0, 0, 10 }, EXPECT(4130071, 3305118, 10, 4633724), 1 },
	{ "T3", { 0, 2000, 42, 0.124875, 8, 0 }, EXPECT(4112897, 3599034, 1572, 4113407), 0 },
};

static const struct bench_size cheap_uts[] = {
	{ "400x8", { 400 }, EXPECT(168025, 215, 0, 168423), 3 },
	{ "400x8", { 400 }, EXPECT(168025, 215, 0, 168423), 2 },
	{ "2000x8", { 2000 }, EXPECT(16001889, 3388, 0, 16003887), 0 },
};

static const struct bench_size skynet[] = {
	{ "10^4", { 1e4 }, EXPECT(49995000, 0, 0, 11111), 3 },
	{ "10^6", { 1e6 }, EXPECT(499999500000, 0, 0, 1111111), 2 },
	{ "10^7", { 1e7 }, EXPECT(49999995000000, 0, 0, 11111111), 0 },
};

static const struct bench_size sort[] = {
	{ "10^5", { 1e5 }, EXPECT(100000, 1, 0, 448), 3 },
	{ "10^6", { 1e6 }, EXPECT(1000000, 1, 0, 5122), 2 },
	{ "10^7", { 1e7 }, EXPECT(10000000, 1, 0, 114688), 0 },
};

/* Whole sorts: nobody's tasks are counted, items are records. */
static const struct bench_size whole_sort[] = {
	{ "10^5", { 1e5 }, EXPECT(100000, 1, 0, 100000), 3 },
	{ "10^6", { 1e6 }, EXPECT(1000000, 1, 0, 1000000), 2 },
	{ "10^7", { 1e7 }, EXPECT(10000000, 1, 0, 10000000), 0 },
};

static const struct bench_size matmul[] = {
	{ "96", { 96 }, EXPECT(96, 1, 0, 585), 3 },
	{ "384", { 384 }, EXPECT(384, 1, 0, 37449), 2 },
	{ "768", { 768 }, EXPECT(768, 1, 0, 299593), 0 },
};

static const struct bench_size strassen[] = {
	{ "96", { 96, 12 }, EXPECT(96, 1, 0, 400), 3 },
	{ "384", { 384, 48 }, EXPECT(384, 1, 0, 400), 2 },
	{ "768", { 768, 96 }, EXPECT(768, 1, 0, 400), 0 },
};

static const struct bench_size sparse_lu[] = {
	{ "8x16", { 8 }, EXPECT(8, 1, 40, 127), 3 },
	{ "32x16", { 32 }, EXPECT(32, 1, 850, 14791), 2 },
	{ "56x16", { 56 }, EXPECT(56, 1, 2798, 92545), 0 },
};

static const struct bench_size fft[] = {
	{ "2^14", { 1 << 14 }, EXPECT(16384, 1, 0, 128), 3 },
	{ "2^20", { 1 << 20 }, EXPECT(1048576, 1, 0, 14336), 2 },
	{ "2^22", { 1 << 22 }, EXPECT(4194304, 1, 0, 65536), 0 },
};

static const struct bench_size heat[] = {
	{ "128", { 126, 20, 16, 0.2 }, EXPECT(20, 1, 0, 160), 3 },
	{ "512", { 510, 100, 16, 0.2 }, EXPECT(100, 1, 0, 3200), 2 },
	{ "512", { 510, 400, 16, 0.2 }, EXPECT(400, 1, 0, 12800), 0 },
};

static const struct bench_size cholesky[] = {
	{ "4x32", { 4, 32 }, EXPECT(4, 1, 0, 33), 3 },
	{ "16x64", { 16, 64 }, EXPECT(16, 1, 0, 1691), 2 },
	{ "32x64", { 32, 64 }, EXPECT(32, 1, 0, 12339), 0 },
};

static const struct bench_size cholesky_dag[] = {
	{ "4x32", { 4, 32 }, EXPECT(20, 1, 0, 20), 3 },
	{ "16x64", { 16, 64 }, EXPECT(816, 1, 0, 816), 2 },
	{ "32x64", { 32, 64 }, EXPECT(5984, 1, 0, 5984), 0 },
};

/* No number of tasks: it differs from run to run. */
static const struct bench_size knapsack[] = {
	{ "24", { 24, 1 }, EXPECT(14124, 0, 0, 0), 3 },
	{ "64 short", { 64, 28 }, EXPECT(33648, 0, 0, 0), 2 },
	{ "64 long", { 64, 790 }, EXPECT(33958, 0, 0, 0), 0 },
};

static const struct bench_size integrate[] = {
	{ "100", { 100, 1e-3 }, EXPECT(25005000, 4717477438923587343, 0, 7191), 3 },
	{ "10^4 coarse", { 10000, 1e-3 }, EXPECT(2500000050000186, 4837362400268542579, 0, 3506543),
		2 },
	{ "10^4", { 10000, 1e-4 }, EXPECT(2500000050000042, 4837362400268542292, 0, 7288263), 0 },
};

/* Loops: repeats or items; what they must show is said in programs/loops.h. */
static const struct bench_size tiny[] = {
	{ "100 times", { 100 }, EXPECT(1000, 0, 0, 100), 3 },
	{ "1000 bodies", { 20000 }, EXPECT(1000, 0, 0, 20000), 1 },
};

static const struct bench_size saxpy[] = {
	{ "once", { 1 }, EXPECT(1000000, 0, 0, 1000000), 3 },
	{ "10^6", { 20 }, EXPECT(1000000, 0, 0, 20000000), 1 },
};

static const struct bench_size grains[] = {
	{ "10^4", { 1e4 }, EXPECT(10258773413215489460, 0, 0, 10000), 3 },
	{ "10^6", { 1e6 }, EXPECT(16249439123440885743, 0, 0, 1000000), 1 },
};

static const struct bench_size triangle[] = {
	{ "400", { 400 }, EXPECT(11690197698000850835, 0, 0, 400), 3 },
	{ "4000", { 4000 }, EXPECT(14356548920437592164, 0, 0, 4000), 1 },
};

/* Side or nodes, rounds of the mixer in each: 300 are about a microsecond. */
static const struct bench_size wavefront[] = {
	{ "20x20", { 20, 0 }, EXPECT(2962711589951, 1, 0, 400), 3 },
	{ "300x300 empty", { 300, 0 }, EXPECT(4200148343540224531, 1, 0, 90000), 1 },
	{ "200x200 of 1 us", { 200, 300 }, EXPECT(3874866572250460443, 1, 0, 40000), 1 },
};

static const struct bench_size random_dag[] = {
	{ "500", { 500, 0 }, EXPECT(152315, 1, 0, 500), 3 },
	{ "10^5 empty", { 1e5, 0 }, EXPECT(679981393043094387, 1, 0, 100000), 1 },
	{ "40000 of 1 us", { 40000, 300 }, EXPECT(3106159408673879991, 1, 0, 40000), 1 },
};

/*
 * Producers, jobs, rounds of the mixer. Bare jobs do nothing; the others compute for about a third
 * of a microsecond.
 */
#define JOBS(n, rounds, quick)                                                  \
	{ "1 producer", { 1, n, rounds }, EXPECT(n, 0, 0, n), quick },          \
		{ "2 producers", { 2, n, rounds }, EXPECT(n, 0, 0, n), quick }, \
		{ "4 producers", { 4, n, rounds }, EXPECT(n, 0, 0, n), quick }, \
	{                                                                       \
		"8 producers", { 8, n, rounds }, EXPECT(n, 0, 0, n), quick      \
	}
static const struct bench_size jobs_bare[] = { JOBS(200000, 0, 1) };
static const struct bench_size jobs_batch[] = { JOBS(200000, 0, 1) };
static const struct bench_size jobs_ids[] = { JOBS(200000, 100, 1) };

static const struct bench_size trips[] = {
	{ "hot", { 5000, 0 }, EXPECT(5000, 0, 0, 5000), 1 },
	{ "idle", { 50, 2e6 }, EXPECT(50, 0, 0, 50), 2 },
	{ "idle", { 300, 2e6 }, EXPECT(300, 0, 0, 300), 0 },
};

const struct bench bench_catalogue[] = {
	{ "fib", "fib", NULL, 1, { NULL }, fib, N(fib),
		"price of a spawn and its sync, no cut-off" },
	{ "queens", "queens", NULL, 1, { NULL }, queens, N(queens),
		"n-queens by bit masks, a task per placed queen" },
	{ "uts", "uts", NULL, 1, { NULL }, uts, N(uts),
		"Unbalanced Tree Search with SHA-1, as published" },
	{ "cheap_uts", "cheap_uts", NULL, 1, { NULL }, cheap_uts, N(cheap_uts),
		"an unbalanced tree, tiny nodes" },
	{ "queens_children", "queens_children", NULL, 1, { NULL }, queens, N(queens),
		"queens with a set of children in place of an array" },
	{ "cheap_uts_children", "cheap_uts_children", NULL, 1, { NULL }, cheap_uts, N(cheap_uts),
		"cheap_uts with a set of children in place of an array" },
	{ "skynet", "skynet", NULL, 1, { NULL }, skynet, N(skynet),
		"a balanced tree of ten children per node" },
	{ "sort", "sort", NULL, 1, { NULL }, sort, N(sort),
		"stable merge sort of 16-byte records, merges parallel too" },
	{ "sort_typed", "sort_typed", NULL, 1, { NULL }, whole_sort, N(whole_sort),
		"stable sort of 16-byte records, comparison compiled in" },
	{ "sort_void", "sort_void", NULL, 1, { NULL }, whole_sort, N(whole_sort),
		"the same with a comparison function; serial is qsort_r" },
	{ "sort_int64", "sort_int64", NULL, 1, { NULL }, whole_sort, N(whole_sort),
		"typed sort of 64-bit integers" },
	{ "sort_int32", "sort_int32", NULL, 1, { NULL }, whole_sort, N(whole_sort),
		"typed sort of 32-bit integers" },
	{ "matmul", "matmul", NULL, 1, { NULL }, matmul, N(matmul),
		"recursive matrix product, leaves of 12 x 12" },
	{ "strassen", "strassen", NULL, 1, { NULL }, strassen, N(strassen),
		"Strassen's matrix product, seven large tasks a level" },
	{ "sparse_lu", "sparse_lu", NULL, 1, { NULL }, sparse_lu, N(sparse_lu),
		"LU of a sparse matrix of 16 x 16 blocks" },
	{ "fft", "fft", NULL, 1, { NULL }, fft, N(fft), "complex FFT, recursive, in place" },
	{ "heat", "heat", NULL, 1, { NULL }, heat, N(heat),
		"time steps on a grid, each a loop called from outside" },
	{ "cholesky", "cholesky", NULL, 1, { NULL }, cholesky, N(cholesky),
		"Cholesky by tiles of 64 x 64 on OpenBLAS" },
	{ "knapsack", "knapsack", NULL, 1, { NULL }, knapsack, N(knapsack),
		"branch and bound; tasks differ from run to run" },
	{ "integrate", "integrate", NULL, 1, { NULL }, integrate, N(integrate),
		"adaptive quadrature, tiny tasks" },
	{ "tiny", "tiny", NULL, 1, { NULL }, tiny, N(tiny),
		"loops of 1,000 tiny bodies inside one run; an item is a loop" },
	{ "tiny_caller", "tiny_caller", NULL, 1, { NULL }, tiny, N(tiny),
		"the same, each called from outside by the thread that owns the pool" },
	{ "saxpy", "saxpy", NULL, 1, { NULL }, saxpy, N(saxpy),
		"20 loops y = a x + y over 10^6 floats" },
	{ "grains", "grains", NULL, 1, { NULL }, grains, N(grains),
		"one loop, bodies of about 75 ns, a grain of one" },
	{ "grains_ptr", "grains_ptr", NULL, 1, { NULL }, grains, N(grains),
		"the same, each body called through a pointer" },
	{ "triangle", "triangle", NULL, 1, { NULL }, triangle, N(triangle),
		"one loop whose body i costs i" },
	{ "wavefront", "wavefront", NULL, 1, { NULL }, wavefront, N(wavefront),
		"a graph whose nodes wait for those to the left and above" },
	{ "random_dag", "random_dag", NULL, 1, { NULL }, random_dag, N(random_dag),
		"a graph whose nodes wait for up to five before them" },
	{ "cholesky_dag", "cholesky_dag", NULL, 1, { NULL }, cholesky_dag, N(cholesky_dag),
		"a graph of the tiles of cholesky" },
	{ "jobs_bare", NULL, bench_jobs_bare, 0, { NULL, "submit p99.9" }, jobs_bare, N(jobs_bare),
		"empty jobs, nobody waits for one" },
	{ "jobs_batch", NULL, bench_jobs_batch, 0, { NULL }, jobs_batch, N(jobs_batch),
		"the same, 64 to a call" },
	{ "jobs", NULL, bench_jobs_ids, 1, { NULL, "submit p99.9" }, jobs_ids, N(jobs_ids),
		"small jobs, each reaped by its id" },
	{ "trip", NULL, bench_jobs_trips, 0, { "p50", "p99" }, trips, N(trips),
		"one job there and back" },
};
const size_t bench_catalogue_n = N(bench_catalogue);
