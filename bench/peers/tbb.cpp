/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tbb: oneTBB. Tasks in an arena of its own, made as backends/tbb.h says.
 *
 * The arena has as many places as there are workers, one of them for the driver's thread, which
 * enters it for the time of a program; jobs have a second arena, without a place for it. An
 * observer pins each of oneTBB's threads to the CPU of its place as it enters, for they go from
 * arena to arena. How many threads oneTBB may have is set before each measurement: one more than
 * workers, because the caller counts as one and jobs have to run on as many workers as everywhere.
 *
 * Jobs: task_arena::enqueue has no bound and no id. For a round trip the job sets a flag and wakes
 *       who waits; the waiter looks at
 * the flag for some 5 us, then sleeps on a condition variable, as the baseline's does.
 */
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <sched.h>
#include <vector>

#define TBB_PREVIEW_GLOBAL_CONTROL 1
#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>
#include <oneapi/tbb/version.h>

#include "backends/tbb.h"
#include "bench.h"
#include "programs/dag.h"

BENCH_ENTRY_TABLE

namespace
{

/*
 * oneTBB has a waiting thread steal until half of this is used, and believes it of the driver's
 * thread too, whose stack the driver raises to 100 MiB: so half of it must lie well below that.
 * What cheap UTS uses of the driver's stack is 6 MiB.
 */
const size_t STACK_BYTES = size_t{ 128 } << 20;

/*
 * Pins oneTBB's threads to the CPU of their place as they enter the arena; they stay there until
 * they enter another one.
 */
class pinner : public tbb::task_scheduler_observer
{
	std::vector<int> cpus;
	static thread_local int pinned;

      public:
	pinner(tbb::task_arena &arena, const int *cpu, int n)
	    : task_scheduler_observer(arena), cpus(cpu, cpu + n)
	{
		observe(true);
	}
	~pinner() override
	{
		observe(false);
	}
	void on_scheduler_entry(bool worker) override
	{
		int cpu = cpus[static_cast<size_t>(tbb::this_task_arena::current_thread_index()) %
			       cpus.size()];

		if (worker && pinned != cpu)
			bench_pin(cpu);
		if (worker)
			pinned = cpu;
	}
};
thread_local int pinner::pinned = -1;

struct engine {
	int workers, first_cpu;
	/*
	 * for deep trees; pages that are not touched cost nothing. Read when the first arena is
	 * made
	 */
	tbb::global_control stack;
	std::unique_ptr<tbb::global_control> threads;
	tbb::task_arena arena, jobs;
	pinner pins, pins_of_jobs;
	/* The answer to the one call under way. */
	std::mutex lock;
	std::condition_variable answered;
	std::atomic<uint64_t> answers{ 0 };

	engine(int n, const int *cpus)
	    : workers(n), first_cpu(cpus[0]),
	      stack(tbb::global_control::thread_stack_size, STACK_BYTES), threads(limit(n)),
	      arena(n, 1), jobs(n, 0), pins(arena, cpus, n), pins_of_jobs(jobs, cpus, n)
	{
		threads.reset();
	}
	static tbb::global_control *limit(int n)
	{
		return new tbb::global_control(
			tbb::global_control::max_allowed_parallelism, static_cast<size_t>(n) + 1);
	}
};

int begin(void *engine_)
{
	engine *e = static_cast<engine *>(engine_);

	e->threads.reset(engine::limit(e->workers));
	return 0;
}

void end(void *engine_)
{
	static_cast<engine *>(engine_)->threads.reset();
}

int bare(void *engine_, struct bench_job *job)
{
	static_cast<engine *>(engine_)->jobs.enqueue([job] { job->fn(job); });
	return 0;
}

/* One caller at a time. */
int call_job(void *engine_, struct bench_job *job)
{
	const int looks = 12, pauses = 16;
	engine *e = static_cast<engine *>(engine_);
	uint64_t before = e->answers.load(std::memory_order_relaxed);

	e->jobs.enqueue([job, e] {
		job->fn(job);
		std::lock_guard<std::mutex> guard(e->lock);
		e->answers.fetch_add(1, std::memory_order_release);
		e->answered.notify_one();
	});
	for (int i = 0; i < looks; i++) {
		if (e->answers.load(std::memory_order_acquire) != before)
			return 0;
		for (int k = 0; k < pauses; k++)
			__builtin_ia32_pause();
		sched_yield();
	}
	std::unique_lock<std::mutex> guard(e->lock);
	e->answered.wait(guard,
		[e, before] { return e->answers.load(std::memory_order_relaxed) != before; });
	return 0;
}

/*
 * The driver's thread is the arena's first meanwhile, so it is pinned to that place: once, not each
 * time that it enters.
 */
int call(
	void *engine_, bench_entry_fn *fn, const struct bench_size *size, struct bench_outcome *out)
{
	cpu_set_t before;
	bool known = !sched_getaffinity(0, sizeof before, &before);

	bench_pin(static_cast<engine *>(engine_)->first_cpu);
	int err = fn(engine_, size, out);

	if (known)
		sched_setaffinity(0, sizeof before, &before);
	return err;
}

const struct bench_job_ops job_ops = { bare, nullptr, call_job, nullptr, nullptr, nullptr };

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
	c.begin = begin;
	c.end = end;
	c.entry = entry_of;
	c.call = call;
	c.jobs = &job_ops;
	return c;
}

const bench_contestant tbb_contestant = make_contestant();

} // namespace

tbb::task_group_context *tbb_context;

void tbb_in_arena(void *e, void (*fn)(void *), void *arg)
{
	static_cast<engine *>(e)->arena.execute([fn, arg] {
		tbb::task_group_context context(tbb::task_group_context::isolated);

		tbb_context = &context;
		fn(arg);
	});
}

namespace
{

/* A flow graph belongs to the arena in which it was made. */
struct dag {
	typedef tbb::flow::continue_node<tbb::flow::continue_msg> node;
	void *engine;
	uint32_t stamp = 0;
	std::unique_ptr<tbb::flow::graph> graph;
	std::vector<std::unique_ptr<node>> nodes;

	void build()
	{
		nodes.clear();
		graph.reset(new tbb::flow::graph);
		for (uint32_t i = 0; i < bench_dag.n; i++) {
			nodes.emplace_back(new node(*graph, [i](const tbb::flow::continue_msg &) {
				bench_dag_visit(i);
				return tbb::flow::continue_msg();
			}));
			for (uint32_t k = bench_dag.first_before[i];
				k < bench_dag.first_before[i + 1]; k++)
				tbb::flow::make_edge(*nodes[bench_dag.before[k]], *nodes[i]);
		}
		stamp = bench_dag.stamp;
	}
	void run()
	{
		for (uint32_t i = 0; i < bench_dag.n; i++)
			if (bench_dag.first_before[i] == bench_dag.first_before[i + 1])
				nodes[i]->try_put(tbb::flow::continue_msg());
		graph->wait_for_all();
	}
};

/* Never freed: the arenas are gone before. */
std::vector<dag *> &dags()
{
	static std::vector<dag *> *all = new std::vector<dag *>;
	return *all;
}

} // namespace

int tbb_dag(void *engine)
{
	dag *of = nullptr;

	for (dag *d : dags())
		if (d->engine == engine)
			of = d;
	if (!of) {
		of = new dag;
		of->engine = engine;
		dags().push_back(of);
	}
	tbb_in_arena(
		engine,
		[](void *arg) {
			dag *d = static_cast<dag *>(arg);

			if (d->stamp != bench_dag.stamp)
				d->build();
			d->run();
		},
		of);
	return 0;
}

extern "C" __attribute__((visibility("default"))) const struct bench_contestant *bench_module(void);

const struct bench_contestant *bench_module(void)
{
	return &tbb_contestant;
}
