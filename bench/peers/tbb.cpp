/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tbb: oneTBB. Tasks by task_group in an arena of its own.
 *
 * The arena has as many places as there are workers, one of them for the driver's thread, which enters it for the time of a
 * program. An observer pins each thread to the CPU of its place as it enters, and unpins it as it leaves: oneTBB's threads go from
 * arena to arena. How many threads oneTBB makes is raised where more workers are asked for than there are CPUs.
 */
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <sched.h>
#include <vector>

#define TBB_PREVIEW_GLOBAL_CONTROL 1
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>
#include <oneapi/tbb/version.h>

#include "backends/tbb.h"
#include "bench.h"

BENCH_ENTRY_TABLE

namespace {

/* Pins who enters the arena to the CPU of its place. */
class pinner : public tbb::task_scheduler_observer {
	std::vector<int> cpus;
	cpu_set_t whole;

public:
	pinner(tbb::task_arena &arena, const int *cpu, int n) : task_scheduler_observer(arena), cpus(cpu, cpu + n)
	{
		sched_getaffinity(0, sizeof whole, &whole);
		observe(true);
	}
	~pinner() override
	{
		observe(false);
	}
	void on_scheduler_entry(bool) override
	{
		int place = tbb::this_task_arena::current_thread_index();
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(static_cast<unsigned>(cpus[static_cast<size_t>(place) % cpus.size()]), &set);
		sched_setaffinity(0, sizeof set, &set);
	}
	void on_scheduler_exit(bool) override
	{
		sched_setaffinity(0, sizeof whole, &whole);
	}
};

struct engine {
	tbb::global_control threads;
	tbb::task_arena arena;
	pinner pins;

	engine(int workers, const int *cpus)
	    : threads(tbb::global_control::max_allowed_parallelism,
		      std::max<size_t>(static_cast<size_t>(workers) + 1,
				       tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism))),
	      arena(workers, 1), pins(arena, cpus, workers)
	{
		arena.initialize();
	}
};

int open_engine(void **to, int workers, const int *cpus)
{
	engine *e = new (std::nothrow) engine(workers, cpus);

	*to = e;
	return e ? 0 : -ENOMEM;
}

void close_engine(void *e)
{
	delete static_cast<engine *>(e);
}

const char *version()
{
	return TBB_runtime_version();
}

bench_contestant make_contestant()
{
	bench_contestant c = {};

	c.abi = BENCH_ABI;
	c.name = "tbb";
	c.version = version;
	c.open = open_engine;
	c.close = close_engine;
	c.entry = entry_of;
	return c;
}

const bench_contestant tbb_contestant = make_contestant();

}

void tbb_in_arena(void *e, void (*fn)(void *), void *arg)
{
	static_cast<engine *>(e)->arena.execute([fn, arg] { fn(arg); });
}

extern "C" __attribute__((visibility("default"))) const struct bench_contestant *bench_module(void);

const struct bench_contestant *bench_module(void)
{
	return &tbb_contestant;
}
