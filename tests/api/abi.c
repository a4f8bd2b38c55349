/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of every public structure, and the values of every public constant. If this fails, you
 * changed the ABI: a program that was compiled before would read or write the wrong bytes. A
 * structure that opens with its size may grow at its end; then its size here changes, and nothing
 * else.
 */
#include <stddef.h>
#include <string.h>

#include <filch/filch.h>
#include <test.h>

#define SIZE(type, bytes) CHECK_EQ(sizeof(struct type), bytes)
#define AT(type, field, offset, n)                       \
	(CHECK_EQ(offsetof(struct type, field), offset), \
		CHECK_EQ(sizeof(((struct type *)0)->field), n))

static void configuration(void)
{
	SIZE(filch_config, 120);
	AT(filch_config, size, 0, 8);
	AT(filch_config, flags, 8, 8);
	AT(filch_config, workers, 16, 4);
	AT(filch_config, workload, 20, 4);
	AT(filch_config, reserve_cores, 24, 4);
	AT(filch_config, queue_capacity, 28, 4);
	AT(filch_config, jobs_max, 32, 4);
	AT(filch_config, deque_capacity, 36, 4);
	AT(filch_config, search_ns, 40, 4);
	AT(filch_config, reserved, 44, 4);
	AT(filch_config, stack_bytes, 48, 8);
	AT(filch_config, cpuset, 56, 8);
	AT(filch_config, name, 64, 8);
	AT(filch_config, on_worker_start, 72, 8);
	AT(filch_config, on_worker_stop, 80, 8);
	AT(filch_config, hook_arg, 88, 8);
	AT(filch_config, watchdog_ns, 96, 8);
	AT(filch_config, on_stuck, 104, 8);
	AT(filch_config, workers_max, 112, 4);
	AT(filch_config, spares, 116, 4);
	SIZE(filch_stuck, 72);
	AT(filch_stuck, id, 0, 8);
	AT(filch_stuck, run_ns, 8, 8);
	AT(filch_stuck, worker, 16, 4);
	AT(filch_stuck, frames, 20, 4);
	AT(filch_stuck, frame, 24, 8);
	AT(filch_stuck, fn, 32, 8);
	AT(filch_stuck, arg, 40, 8);
	AT(filch_stuck, user, 48, 8);
	AT(filch_stuck, reserved, 56, 16);
}

static void submission(void)
{
	AT(filch_submit, group, 88, 8);
	AT(filch_submit, finish_by, 80, 8);
	AT(filch_submit, name, 96, 8);
	SIZE(filch_submit, 104);
	AT(filch_submit, size, 0, 8);
	AT(filch_submit, flags, 8, 8);
	AT(filch_submit, when_full, 16, 4);
	AT(filch_submit, lane, 20, 4);
	AT(filch_submit, deadline, 24, 8);
	AT(filch_submit, start_by, 32, 8);
	AT(filch_submit, cq, 40, 8);
	AT(filch_submit, on_complete, 48, 8);
	AT(filch_submit, user, 56, 8);
	AT(filch_submit, after, 64, 8);
	AT(filch_submit, after_count, 72, 8);
	SIZE(filch_group_config, 24);
	AT(filch_group_config, size, 0, 8);
	AT(filch_group_config, flags, 8, 8);
	AT(filch_group_config, running_max, 16, 4);
	AT(filch_group_config, unfinished_max, 20, 4);
	SIZE(filch_job_spec, 24);
	AT(filch_job_spec, fn, 0, 8);
	AT(filch_job_spec, arg, 8, 8);
	AT(filch_job_spec, user, 16, 8);
	SIZE(filch_trace_config, 24);
	AT(filch_trace_config, size, 0, 8);
	AT(filch_trace_config, file, 8, 8);
	AT(filch_trace_config, events, 16, 4);
	AT(filch_trace_config, reserved, 20, 4);
	SIZE(filch_cq_config, 24);
	AT(filch_cq_config, size, 0, 8);
	AT(filch_cq_config, flags, 8, 8);
	AT(filch_cq_config, capacity, 16, 4);
	AT(filch_cq_config, reserved, 20, 4);
}

static void completion(void)
{
	SIZE(filch_completion, 88);
	AT(filch_completion, id, 0, 8);
	AT(filch_completion, arg, 8, 8);
	AT(filch_completion, user, 16, 8);
	AT(filch_completion, status, 24, 4);
	AT(filch_completion, worker, 28, 4);
	AT(filch_completion, flags, 32, 8);
	AT(filch_completion, queued_ns, 40, 8);
	AT(filch_completion, run_ns, 48, 8);
	AT(filch_completion, detail, 56, 16);
	AT(filch_completion, reserved, 72, 16);
}

static void statistics(void)
{
	static const char *const names[] = { "steals", "raced", "barred", "grows", "inlined",
		"joins_waited", "asked", "parks", "wakes", "jobs", "jobs_nested", "expired",
		"cancelled", "faults", "given_up", "replaced", "stuck", "retired" };
	size_t n = 0;

	/*
	 * in this order, one word each: new ones go to the end of the list, which moves queued and
	 * asleep and nothing before them
	 */
#define FIELD(name, meaning)                                                    \
	CHECK(n < 18 && !strcmp(names[n], #name), "field %zu is %s", n, #name); \
	AT(filch_stats, name, 8 + 8 * n, 8);                                    \
	n++;
	FILCH_STATS_LIST(FIELD)
#undef FIELD
	CHECK_EQ(n, 18);
	AT(filch_stats, size, 0, 8);
	AT(filch_stats, queued, 152, 8);
	AT(filch_stats, asleep, 160, 8);
	SIZE(filch_stats, 168);
	AT(filch_lane_stats, queued, 8, 8);
	AT(filch_lane_stats, oldest_ns, 24, 8);
	AT(filch_lane_stats, accepted, 32, 8);
	AT(filch_lane_stats, rejected, 64, 8);
	SIZE(filch_lane_stats, 72);
	AT(filch_memory_part, reserved, 0, 8);
	AT(filch_memory_part, resident, 8, 8);
	SIZE(filch_memory_part, 16);
	AT(filch_memory, stacks, 8, 16);
	AT(filch_memory, workers, 24, 16);
	AT(filch_memory, deques, 40, 16);
	AT(filch_memory, slots, 56, 16);
	AT(filch_memory, queues, 72, 16);
	SIZE(filch_memory, 88);
}

/* what compiled programs have inlined */
static void the_inlined_path(void)
{
	SIZE(filch_task, 16);
	AT(filch_task, word, 0, 8);
	AT(filch_task, saved, 8, 8);
	SIZE(filch_loop, 32);
	AT(filch_loop, state, 0, 8);
	AT(filch_loop, cancelled, 8, 8);
	AT(filch_loop, grain, 16, 8);
	AT(filch_loop, arg, 24, 8);
	SIZE(filch_context, 16);
	AT(filch_context, worker, 0, 8);
	AT(filch_context, index, 8, 8);
	SIZE(filch_worker, 256);
	CHECK_EQ(_Alignof(struct filch_worker), 128);
	AT(filch_worker, bottom, 0, 8);
	AT(filch_worker, array, 8, 8);
	AT(filch_worker, slot, 16, 8);
	AT(filch_worker, mask, 24, 8);
	AT(filch_worker, floor, 32, 8);
	AT(filch_worker, limit, 40, 8);
	AT(filch_worker, patience, 48, 4);
	AT(filch_worker, gate, 128, 8);
	AT(filch_worker, ask, 136, 4);
	AT(filch_worker, sure, 140, 4);
	AT(filch_worker, top, 144, 8);
	CHECK_EQ(sizeof(filch_index), 8);
}

FILCH_TASK(short, typed, (char, a), (double, b), (short, c))
{
	return (short)(a + (int)b + c);
}

static void a_typed_frame(void)
{
	SIZE(typed_filch, 40); /* the task, the result, the arguments in their order */
	CHECK_EQ(offsetof(struct typed_filch, filch_task_), 0);
	CHECK_EQ(offsetof(struct typed_filch, filch_result_), 16);
	CHECK_EQ(offsetof(struct typed_filch, a), 18);
	CHECK_EQ(offsetof(struct typed_filch, b), 24);
	CHECK_EQ(offsetof(struct typed_filch, c), 32);
}

static void constants(void)
{
	CHECK_EQ(FILCH_POOL_NO_PIN, 1);
	CHECK_EQ(FILCH_POOL_OVERSUBSCRIBE, 2);
	CHECK_EQ(FILCH_POOL_USE_SMT, 4);
	CHECK_EQ(FILCH_POOL_NO_SEARCH, 8);
	CHECK_EQ(FILCH_POOL_CALLER, 16);
	CHECK_EQ(FILCH_POOL_GUARD, 32);
	CHECK_EQ(FILCH_POOL_BLOCK_SIGNALS, 64);
	CHECK_EQ(FILCH_POOL_PIN, 128);
	CHECK_EQ(FILCH_POOL_FOLLOW_QUOTA, 256);
	CHECK_EQ(FILCH_WORKLOAD_CPU, 0);
	CHECK_EQ(FILCH_WORKLOAD_IO, 1);
	CHECK_EQ(FILCH_DRAIN, 0);
	CHECK_EQ(FILCH_ABANDON, 1);
	CHECK_EQ(FILCH_TEXT, 0);
	CHECK_EQ(FILCH_JSON, 1);
	CHECK_EQ(FILCH_JOB_DETACHED, 1);
	CHECK_EQ(FILCH_JOB_GUARD, 2);
	CHECK_EQ(FILCH_JOB_FREE, 4);
	CHECK_EQ(FILCH_DONE_FAULT, 1);
	CHECK_EQ(FILCH_DONE_EXITED, 2);
	CHECK_EQ(FILCH_BLOCK, 0);
	CHECK_EQ(FILCH_TRY, 1);
	CHECK_EQ(FILCH_UNTIL, 2);
	CHECK_EQ(FILCH_CALLER_RUNS, 3);
	CHECK_EQ(FILCH_LANE_NORMAL, 0);
	CHECK_EQ(FILCH_LANE_URGENT, 1);
	CHECK_EQ(FILCH_LANES, 8);
}

static void initializers(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_stats stats = FILCH_STATS_INIT;

	CHECK_EQ(config.size, sizeof config);
	CHECK_EQ(how.size, sizeof how);
	CHECK_EQ(stats.size, sizeof stats);
	CHECK(config.flags == 0 && config.hook_arg == NULL && how.user == NULL && stats.asleep == 0,
		"the rest is zero");
}

int main(void)
{
	test_watchdog(60);
	test_case("a configuration has the layout it was released with", configuration);
	test_case("a submission has the layout it was released with", submission);
	test_case("a completion has the layout it was released with", completion);
	test_case("statistics have their fields in the order of the list", statistics);
	test_case("what programs have inlined lies where they think it lies", the_inlined_path);
	test_case("a typed frame is the task, the result, and the arguments in their order",
		a_typed_frame);
	test_case("constants have the values they were released with", constants);
	test_case("initializers set the size and nothing else", initializers);
	return test_finish("abi");
}
