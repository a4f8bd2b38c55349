/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of a live process: what is on it compared with what was done, read as the tools read it;
 * and what the tools do with a page that is not as it should be.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "unit.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "core/live_words.h"
#include "struct/names.h"
#include "tools/live_print.h"

#define WORKERS 3u

static struct filch_pool *pool;
static struct live_list list;
static const struct live_process *me;
static const struct filchi_page_pool *page;

/* A page of now, read: its first pool. */
static void look(void)
{
	if (test_is_emulated())
		cr_skip_test("qemu-user tells another start of a process at each look");
	live_free(&list);
	EQ(filch_pool_live(pool, 1), 0);
	EQ(live_read(&list, NULL, getpid()), 0);
	cr_assert_str_eq(list.why, "");
	EQ(list.count, 1);
	me = &list.process[0];
	EQ(me->header->pools, 1);
	page = me->pool[0];
}

static void begin(uint32_t workers, uint64_t flags)
{
	pool = pool_of(workers, flags);
	look();
}

static void end(void)
{
	live_free(&list);
	EQ(filch_pool_destroy(pool), 0);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* Returns when @ns have passed. */
static void burn(uint64_t ns)
{
	for (uint64_t since = filchi_now(); filchi_now() - since < ns;)
		;
}

static int burn_50us(void *arg)
{
	(void)arg;
	burn(50000);
	return 0;
}

/* A job that is inside until it is let go. */
static struct gate inside = GATE_INIT, let_go = GATE_INIT;

static int stay(void *arg)
{
	(void)arg;
	gate_raise(&inside);
	gate_wait(&let_go, 1);
	return 0;
}

static int64_t submit(filch_job_fn *fn, uint32_t lane, const char *name)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	how.lane = lane;
	how.name = name;
	id = filch_submit(pool, fn, NULL, &how);
	cr_assert(id > 0);
	return id;
}

static void wait_for(int64_t id)
{
	EQ(filch_wait(pool, id, NULL, NULL), 0);
}

/* The worker that is at job @id, or NULL. */
static const struct filchi_page_worker *worker_at(int64_t id)
{
	for (uint32_t i = 0; i < page->workers; i++)
		if (live_worker(page, i)->job == id)
			return live_worker(page, i);
	return NULL;
}

/* --- what is on it ------------------------------------------------------ */

Test(live, the_page_counts_what_the_pool_counts)
{
	struct filchi_page_times sum;
	struct filch_stats s = FILCH_STATS_INIT;
	const int jobs = (int)test_scaled(2000);

	begin(WORKERS, 0);
	for (int i = 0; i < jobs; i++)
		wait_for(submit(nothing, i % 2 ? 3 : 0, NULL));
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_pool_stats(pool, &s), 0);
	look();
	live_sum(page, FILCHI_PAGE_NOW, &sum);
	EQ(sum.counter[FILCHI_PAGE_jobs], jobs);
	EQ(s.jobs, jobs);
	EQ(page->lane[0].ended[FILCHI_PAGE_NOW].completed, (jobs + 1) / 2);
	EQ(page->lane[3].ended[FILCHI_PAGE_NOW].completed, jobs / 2);
	EQ(page->lane[1].ended[FILCHI_PAGE_NOW].completed, 0);
	EQ(page->workers, WORKERS);
	EQ(page->allowed, WORKERS);
	EQ(page->queued, 0);
	cr_assert_str_eq(page->name, "filch");
	end();
}

Test(live, the_time_of_workers_adds_up_to_all_time)
{
	begin(WORKERS, 0);
	for (int i = 0; i < 200; i++)
		wait_for(submit(burn_50us, 0, NULL));
	look();
	for (uint32_t i = 0; i < page->workers; i++) {
		const struct filchi_page_times *t = &live_worker(page, i)->times[FILCHI_PAGE_NOW];

		EQ(t->busy + t->searching + t->waiting + t->asleep,
			page->at[FILCHI_PAGE_NOW] - page->since);
	}
	end();
}

Test(live, work_is_busy_and_a_sleep_is_not)
{
	struct filchi_page_times before, after;
	uint64_t begun, burnt = 0;

	begin(WORKERS, 0);
	for (int i = 0; i < 500; i++)
		wait_for(submit(burn_50us, 0, NULL));
	burnt = UINT64_C(500) * 50000;
	look();
	live_sum(page, FILCHI_PAGE_NOW, &before);
	cr_assert(before.busy >= burnt, "%llu ns busy of %llu", (unsigned long long)before.busy,
		(unsigned long long)burnt);
	/* now all sleep: whatever time passes is asleep, and none of it busy */
	for (struct filch_stats s = FILCH_STATS_INIT; s.asleep < WORKERS; sched_yield())
		EQ(filch_pool_stats(pool, &s), 0);
	do
		look();
	while (live_worker(page, 0)->state != FILCHI_PAGE_ASLEEP ||
		live_worker(page, 1)->state != FILCHI_PAGE_ASLEEP ||
		live_worker(page, 2)->state != FILCHI_PAGE_ASLEEP);
	burn(1000000); /* for a sleep that was decided on to be written */
	look();
	live_sum(page, FILCHI_PAGE_NOW, &before);
	begun = page->at[FILCHI_PAGE_NOW];
	burn(20000000);
	look();
	live_sum(page, FILCHI_PAGE_NOW, &after);
	EQ(after.asleep - before.asleep, WORKERS * (page->at[FILCHI_PAGE_NOW] - begun));
	EQ(after.busy, before.busy);
	end();
}

Test(live, a_pool_that_becomes_live_while_its_workers_sleep_counts_their_sleep)
{
	struct filchi_page_times first, second;

	pool = pool_of(WORKERS, 0);
	for (struct filch_stats s = FILCH_STATS_INIT; s.asleep < WORKERS || s.parks < WORKERS;
		sched_yield())
		EQ(filch_pool_stats(pool, &s), 0);
	burn(1000000);
	look();
	look();
	live_sum(page, FILCHI_PAGE_NOW, &first);
	burn(5000000);
	look();
	live_sum(page, FILCHI_PAGE_NOW, &second);
	EQ(second.busy, first.busy);
	EQ(second.searching, first.searching);
	end();
}

Test(live, a_running_job_is_on_it_with_name_and_age)
{
	uint64_t before, started;
	int64_t id;

	begin(2, 0);
	before = filchi_now();
	id = submit(stay, 0, "resize");
	gate_wait(&inside, 1);
	started = filchi_now();
	burn(3000000);
	look();
	cr_assert_not_null(worker_at(id));
	cr_assert_str_eq(worker_at(id)->name, "resize");
	EQ(worker_at(id)->state, FILCHI_PAGE_BUSY);
	EQ(worker_at(id)->depth, 1);
	cr_assert(worker_at(id)->job_since >= before && worker_at(id)->job_since <= started);
	EQ(page->lane[0].running, 1);
	gate_raise(&let_go);
	wait_for(id);
	look();
	cr_assert_null(worker_at(id));
	end();
}

static size_t slot_of(int64_t id)
{
	return (size_t)(filchi_job_find(&pool->jobs, id) - pool->jobs.slot);
}

Test(live, a_job_without_a_name_has_not_that_of_the_one_before_in_its_slot)
{
	static bool named[1 << 15];
	int met = 0;

	begin(1, 0);
	for (int i = 0; i < 1000; i++) {
		int64_t id = submit(nothing, 0, "before");

		named[slot_of(id)] = true;
		wait_for(id);
	}
	for (int i = 0; i < 100; i++) {
		int64_t id;

		inside = let_go = (struct gate)GATE_INIT;
		id = submit(stay, 0, NULL);
		gate_wait(&inside, 1);
		met += named[slot_of(id)];
		look();
		cr_assert_not_null(worker_at(id));
		cr_assert_str_eq(worker_at(id)->name, "");
		gate_raise(&let_go);
		wait_for(id);
	}
	cr_assert(met > 0, "no slot was used again");
	end();
}

Test(live, batches_followers_and_held_jobs_have_their_names)
{
	const struct filch_job_spec spec[2] = { { .fn = stay }, { .fn = stay } };
	struct filch_group_config group = FILCH_GROUP_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id[2], after, held[2];

	begin(2, 0);
	how.name = "batch";
	EQ(filch_submit_batch(pool, spec, 2, &how, id), 2);
	gate_wait(&inside, 2);
	look();
	cr_assert_str_eq(worker_at(id[0])->name, "batch");
	cr_assert_str_eq(worker_at(id[1])->name, "batch");
	how.name = "after";
	how.after = id;
	how.after_count = 2;
	after = filch_submit(pool, nothing, NULL, &how);
	cr_assert(after > 0);
	cr_assert_str_eq(filchi_name_of(&pool->jobs, after), "after");
	how = (struct filch_submit)FILCH_SUBMIT_INIT;
	group.running_max = 1;
	EQ(filch_group_create(&how.group, pool, &group), 0);
	how.name = "group";
	held[0] = filch_submit(pool, nothing, NULL, &how);
	how.name = "held";
	held[1] = filch_submit(pool, nothing, NULL, &how);
	cr_assert_str_eq(filchi_name_of(&pool->jobs, held[0]), "group");
	cr_assert_str_eq(filchi_name_of(&pool->jobs, held[1]), "held");
	look();
	EQ(page->lane[0].waiting, 2);
	EQ(page->lane[0].queued, 1);
	EQ(page->lane[0].running, 2);
	gate_raise(&let_go);
	wait_for(id[0]);
	wait_for(id[1]);
	wait_for(after);
	wait_for(held[0]);
	wait_for(held[1]);
	EQ(filch_group_destroy(how.group), 0);
	end();
}

Test(live, what_a_live_pool_and_names_need_of_memory_is_told)
{
	struct filch_memory before = FILCH_MEMORY_INIT, live = FILCH_MEMORY_INIT,
			    named = FILCH_MEMORY_INIT;

	pool = pool_of(WORKERS, 0);
	EQ(filch_pool_memory(pool, &before), 0);
	look();
	EQ(filch_pool_memory(pool, &live), 0);
	wait_for(submit(nothing, 0, "name"));
	EQ(filch_pool_memory(pool, &named), 0);
	EQ(live.workers.reserved - before.workers.reserved,
		WORKERS * sizeof(struct filchi_live_words));
	EQ(live.slots.reserved, before.slots.reserved);
	EQ(named.slots.reserved - live.slots.reserved,
		pool->jobs.slots * sizeof(struct filchi_name));
	end();
}

Test(live, lanes_have_their_depth_and_the_age_of_the_oldest)
{
	uint64_t before, queued;
	int64_t first, id[7];

	begin(1, 0);
	first = submit(stay, 0, NULL);
	gate_wait(&inside, 1);
	before = filchi_now();
	for (int i = 0; i < 7; i++)
		id[i] = submit(nothing, i < 5 ? 2 : 6, NULL);
	queued = filchi_now();
	look();
	EQ(page->queued, 7);
	EQ(page->lane[2].queued, 5);
	EQ(page->lane[6].queued, 2);
	EQ(page->lane[0].queued, 0);
	cr_assert(page->lane[2].oldest <= page->lanes_at - before);
	cr_assert(page->lane[2].oldest + queued - before >=
		  page->lanes_at - before - (queued - before));
	EQ(page->lane[0].oldest, 0);
	gate_raise(&let_go);
	wait_for(first);
	for (int i = 0; i < 7; i++)
		wait_for(id[i]);
	end();
}

/* Waits for the job whose id it is given; another worker is at it. */
static int wait_inside(void *arg)
{
	const int64_t *id = arg;

	return filch_wait(pool, *id, NULL, NULL);
}

Test(live, a_worker_whose_job_waits_for_another_is_waiting)
{
	int64_t id, waiter;

	begin(2, 0);
	id = submit(stay, 0, NULL);
	gate_wait(&inside, 1);
	waiter = filch_submit(pool, wait_inside, &id, NULL);
	cr_assert(waiter > 0);
	do
		look();
	while (!worker_at(waiter) || worker_at(waiter)->state != FILCHI_PAGE_WAITING);
	EQ(page->waiting, 1);
	burn(2000000);
	look();
	cr_assert(worker_at(waiter)->times[FILCHI_PAGE_NOW].waiting >= 1000000);
	gate_raise(&let_go);
	wait_for(waiter);
	end();
}

/* --- histograms --------------------------------------------------------- */

Test(live, every_value_lies_in_its_bucket)
{
	uint64_t state = test_seed();

	for (uint32_t i = 0; i < FILCHI_HISTOGRAM_BUCKETS; i++) {
		EQ(filchi_histogram_index(filchi_histogram_least(i)), i);
		EQ(filchi_histogram_index(filchi_histogram_least(i + 1) - 1), i);
	}
	EQ(filchi_histogram_index(UINT64_MAX), FILCHI_HISTOGRAM_BUCKETS - 1);
	for (int i = 0; i < 100000; i++) {
		uint64_t v = test_random(&state) >> (24 + i % 40);
		uint32_t at = filchi_histogram_index(v);
		uint64_t least = filchi_histogram_least(at), next = filchi_histogram_least(at + 1);

		cr_assert(least <= v && v < next && (next - least) * 8 <= (v < 8 ? 8 : v + 7));
	}
}

Test(live, quantiles_are_those_of_the_values)
{
	static struct filchi_histogram h;
	static uint64_t copy[FILCHI_HISTOGRAM_BUCKETS];

	for (uint64_t v = 1; v <= 1000; v++)
		filchi_histogram_add(&h, v * 1000, 2);
	for (uint32_t i = 0; i < FILCHI_HISTOGRAM_BUCKETS; i++)
		copy[i] = filch_load_relaxed(&h.bucket[i]);
	EQ(filchi_histogram_count(copy), 2000);
	for (uint32_t share = 1; share <= 1000; share += 37) {
		uint64_t q = filchi_histogram_quantile(copy, share);

		cr_assert(q >= share * 1000 && q <= share * 1125 + 8, "%u: %llu", share,
			(unsigned long long)q);
	}
	memset(copy, 0, sizeof copy);
	EQ(filchi_histogram_quantile(copy, 500), 0);
}

Test(live, each_long_job_is_in_the_histograms)
{
	const int jobs = 300;

	begin(2, 0);
	for (int i = 0; i < jobs; i++)
		wait_for(submit(burn_50us, 0, NULL));
	look();
	EQ(filchi_histogram_count(page->run_time), jobs);
	EQ(filchi_histogram_count(page->queue_time), jobs);
	cr_assert(filchi_histogram_quantile(page->run_time, 1) >= 50000);
	end();
}

Test(live, short_jobs_stand_for_each_other)
{
	const int jobs = (int)test_scaled(100000);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	uint64_t entered;

	begin(2, 0);
	how.flags = FILCH_JOB_DETACHED;
	for (int i = 0; i < jobs; i++) {
		int64_t id = filch_submit(pool, nothing, NULL, &how);

		if (id == -ENOBUFS) {
			EQ(filch_pool_drain(pool, NULL), 0);
			i--;
			continue;
		}
		cr_assert(id > 0);
	}
	EQ(filch_pool_drain(pool, NULL), 0);
	look();
	entered = filchi_histogram_count(page->run_time);
	/* each worker's last one may stand for jobs that have not come yet, or not be entered */
	cr_assert(entered + 2 * FILCHI_LIVE_MOST >= (uint64_t)jobs &&
			  entered <= (uint64_t)jobs + 2 * FILCHI_LIVE_MOST,
		"%llu of %d", (unsigned long long)entered, jobs);
	EQ(filchi_histogram_count(page->queue_time), 0);
	end();
}

/* --- changes ------------------------------------------------------------ */

Test(live, what_changes_is_told)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 2;
	config.workers_max = 4;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&pool, &config), 0);
	look();
	EQ(page->workers, 4);
	EQ(page->allowed, 2);
	cr_assert(strstr(live_reasons(page), "workers: "));
	EQ(filch_pool_resize(pool, 3), 0);
	look();
	EQ(page->allowed, 3);
	cr_assert_not_null(strstr(live_changes(page), "3 workers may run, were 2\n"));
	EQ(filch_pool_pause(pool), 0);
	look();
	EQ(page->flags & FILCHI_PAGE_PAUSED, FILCHI_PAGE_PAUSED);
	cr_assert_not_null(strstr(live_changes(page), "paused\n"));
	EQ(filch_pool_resume(pool), 0);
	look();
	EQ(page->flags & FILCHI_PAGE_PAUSED, 0);
	cr_assert_not_null(strstr(live_changes(page), "resumed\n"));
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	look();
	cr_assert_not_null(strstr(live_changes(page), "closed for submits\n"));
	end();
}

Test(live, the_oldest_changes_make_room)
{
	begin(2, 0);
	for (int i = 0; i < 300; i++) {
		EQ(filch_pool_pause(pool), 0);
		look();
		EQ(filch_pool_resume(pool), 0);
		look();
	}
	cr_assert(page->changes_size <= FILCHI_PAGE_MOST && page->changes_size > 2000);
	cr_assert_not_null(strstr(live_changes(page), "resumed\n"));
	EQ(live_changes(page)[0], '2'); /* of the year: it begins with a whole line */
	end();
}

/* --- on and off ---------------------------------------------------------- */

static char *page_path(void)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof path, FILCHI_PAGE_ROOT "/filch-%u/%llu-%llu",
		(unsigned)geteuid(), (unsigned long long)me->header->pid,
		(unsigned long long)me->header->started);
	return path;
}

Test(live, the_page_is_the_users_alone_and_goes_with_the_last_pool)
{
	struct filch_pool *other;
	char path[PATH_MAX];
	struct stat is;

	begin(1, 0);
	(void)snprintf(path, sizeof path, "%s", page_path());
	EQ(stat(path, &is), 0);
	EQ(is.st_mode & 07777, 0600);
	EQ(is.st_uid, geteuid());
	other = pool_of(1, 0);
	EQ(filch_pool_live(other, 1), 0);
	EQ(filch_pool_destroy(pool), 0);
	EQ(stat(path, &is), 0);
	pool = other;
	look();
	EQ(filch_pool_live(pool, 0), 0);
	EQ(stat(path, &is), -1);
	EQ(filch_pool_live(pool, 0), 0); /* once more changes nothing */
	look();
	EQ(stat(path, &is), 0);
	end();
	EQ(stat(path, &is), -1);
}

Test(live, a_pool_goes_live_and_back_while_it_works)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	pool = pool_of(WORKERS, 0);
	how.flags = FILCH_JOB_DETACHED;
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 200; j++)
			cr_assert(filch_submit(pool, nothing, NULL, &how) > 0);
		EQ(filch_pool_live(pool, i % 2), 0);
		for (int j = 0; j < 20; j++)
			wait_for(submit(nothing, 0, NULL));
	}
	look();
	for (uint32_t i = 0; i < page->workers; i++) {
		const struct filchi_page_times *t = &live_worker(page, i)->times[FILCHI_PAGE_NOW];

		EQ(t->busy + t->searching + t->waiting + t->asleep,
			page->at[FILCHI_PAGE_NOW] - page->since);
	}
	end();
}

Test(live, the_environment_makes_pools_live)
{
	setenv("FILCH_LIVE", "1", 1);
	pool = pool_of(2, 0);
	live_free(&list);
	EQ(live_read(&list, NULL, getpid()), 0);
	EQ(list.count, 1);
	EQ(list.process[0].header->pools, 1);
	end();
	EQ(live_read(&list, NULL, getpid()), 0);
	EQ(list.count, 0);
}

static int make_live_in_child(void *arg)
{
	(void)arg;
	return filch_pool_live(pool, 1) == -ECHILD ? 0 : 1;
}

Test(live, the_child_of_a_fork_cannot_make_the_parents_pool_live)
{
	char text[64];

	begin(1, 0);
	EQ(in_child(make_live_in_child, NULL, text, sizeof text), 0);
	look();
	EQ(me->header->pid, getpid());
	end();
}

/* A /dev/shm of its own for the child, @room bytes large; -1: it may not have one. */
static int own_shm(const char *room)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	return mount("none", FILCHI_PAGE_ROOT, "tmpfs", 0, room);
}

/* All the room there is taken away, and again what the publisher may have had just then. */
static bool finds_no_room(struct filch_pool *own)
{
	static const char block[4096];
	int file = open(FILCHI_PAGE_ROOT "/filler", O_CREAT | O_WRONLY | O_APPEND, 0600);
	int error = 0;

	for (int i = 0; i < 1000 && file >= 0 && error != -ENOSPC; i++) {
		while (write(file, block, sizeof block) > 0)
			;
		error = filch_pool_live(own, 1);
	}
	return !close(file) && !unlink(FILCHI_PAGE_ROOT "/filler") && error == -ENOSPC;
}

#define NO_NAMESPACE 99

static int try_directories(void *arg)
{
	struct filch_pool *own;
	struct filch_config config = FILCH_CONFIG_INIT;
	char path[64];

	(void)arg;
	(void)snprintf(path, sizeof path, FILCHI_PAGE_ROOT "/filch-%u", (unsigned)geteuid());
	if (own_shm("size=8k"))
		return NO_NAMESPACE;
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	if (filch_pool_create(&own, &config))
		return 1;
	/* a directory that others may read, a link, a file: none is used */
	if (mkdir(path, 0755) || filch_pool_live(own, 1) != -EPERM || rmdir(path))
		return 2;
	if (symlink("/tmp", path) || filch_pool_live(own, 1) >= 0 || unlink(path))
		return 3;
	if (mknod(path, S_IFREG | 0600, 0) || filch_pool_live(own, 1) != -ENOTDIR || unlink(path))
		return 4;
	/* then there is room for one page, but not for another beside it: the first stays */
	if (filch_pool_live(own, 1) || !finds_no_room(own) || live_read(&list, NULL, getpid()) ||
		list.count != 1)
		return 5;
	live_free(&list);
	if (filch_pool_live(own, 0) || !access(path, F_OK) || umount(FILCHI_PAGE_ROOT) ||
		mount("none", FILCHI_PAGE_ROOT, "tmpfs", 0, "size=1m"))
		return 6;
	if (filch_pool_live(own, 1) || access(path, F_OK))
		return 7;
	return filch_pool_destroy(own) || !access(path, F_OK) ? 8 : 0;
}

Test(live, a_directory_that_is_not_the_users_alone_is_not_used)
{
	char text[256];
	int status;

	if (test_is_emulated())
		cr_skip("qemu-user tells another start of a process at each look");
	status = in_child(try_directories, NULL, text, sizeof text);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACE)
		cr_skip("no namespace of its own for /dev/shm");
	EQ(status, 0);
}

/* --- pages that are not as they should be -------------------------------- */

/* The bytes of a page of this process, to be freed. */
static char *copy_page(size_t *size)
{
	char *copy;

	look();
	*size = me->header->size;
	copy = malloc(*size);
	cr_assert_not_null(copy);
	memcpy(copy, me->header, *size);
	return copy;
}

/* The sum of what is there now, as a forger would write it. */
static void sum_up(char *copy, size_t size)
{
	struct filchi_page_header *h = (void *)copy;

	h->sum = filchi_page_sum(copy + sizeof *h, size - sizeof *h);
}

/* Everything that the tools do with a page that was found good. */
static void print_all(char *copy)
{
	const struct filchi_page_header *h = (const void *)copy;
	const struct filchi_page_pool *pools[4] = { NULL };
	struct live_process p = { .header = h, .pool = pools, .answers = true };
	struct live_list all = { .process = &p, .count = 1 };
	const struct live_view view = {
		.lanes = true, .times = true, .workers = true, .by_use = true
	};
	const char *at = copy + sizeof *h;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	cr_assert(h->pools <= 4);
	for (uint32_t i = 0; i < h->pools; i++) {
		pools[i] = (const void *)at;
		at += pools[i]->size;
		live_write_pool(&p, pools[i], &view, out);
	}
	live_write_json(&all, out);
	live_write_prometheus(&all, out);
	live_write_seats(&p, true, out);
	live_write_seats(&p, false, out);
	fclose(out);
	for (size_t i = 0; i < size; i++)
		cr_assert(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	free(text);
}

Test(live, a_page_that_was_cut_or_changed_is_refused)
{
	size_t size;
	char *copy, *other;

	begin(2, 0);
	copy = copy_page(&size);
	other = malloc(size);
	memcpy(other, copy, size);
	EQ(live_check(other, size) == NULL, 1);
	for (size_t cut = 0; cut < size; cut += 8) {
		memcpy(other, copy, size);
		EQ(live_check(other, cut) != NULL, 1);
	}
	for (size_t i = sizeof(struct filchi_page_header); i < size; i += 61) {
		memcpy(other, copy, size);
		other[i] = (char)(other[i] ^ 1);
		EQ(live_check(other, size) != NULL, 1);
	}
	free(other);
	free(copy);
	end();
}

Test(live, a_hostile_page_is_refused_or_printed)
{
	const int rounds = (int)test_scaled(20000);
	uint64_t state = test_seed();
	int refused = 0, printed = 0;
	size_t size;
	char *copy, *other;

	begin(2, 0);
	(void)submit(nothing, 5, "name");
	EQ(filch_pool_drain(pool, NULL), 0);
	copy = copy_page(&size);
	for (int i = 0; i < rounds; i++) {
		/* exactly as large, for a sanitizer to see what lies behind */
		size_t bytes = i % 8 ? size : size - test_random(&state) % (size / 8) * 8;

		other = malloc(bytes);
		memcpy(other, copy, bytes);
		for (uint64_t n = test_random(&state) % 6; n; n--) {
			size_t at = test_random(&state) % (bytes / 8) * 8;
			uint64_t word = test_random(&state) >> test_random(&state) % 64;

			if (at == offsetof(struct filchi_page_header, sum))
				continue;
			memcpy(other + at, &word, 8);
		}
		if (bytes >= sizeof(struct filchi_page_header)) {
			if (i % 3)
				((struct filchi_page_header *)(void *)other)->size = bytes;
			sum_up(other, bytes);
		}
		if (live_check(other, bytes)) {
			refused++;
		} else {
			printed++;
			print_all(other);
		}
		free(other);
	}
	cr_assert(refused > rounds / 50 && printed > rounds / 50, "%d refused, %d printed", refused,
		printed);
	free(copy);
	end();
}

/* --- directories --------------------------------------------------------- */

static char *directory;

static void make_directory(void)
{
	static char name[] = "/tmp/filch-live-XXXXXX";

	directory = mkdtemp(name);
	cr_assert_not_null(directory);
}

static void put(const char *name, const void *bytes, size_t size, mode_t mode)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
	cr_assert(fd >= 0);
	EQ(write(fd, bytes, size), size);
	EQ(fchmod(fd, mode), 0);
	close(fd);
}

static bool is_there(const char *name)
{
	char path[PATH_MAX];
	struct stat is;

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	return !lstat(path, &is);
}

static void remove_all(void)
{
	char command[PATH_MAX + 16];

	(void)snprintf(command, sizeof command, "rm -rf '%s'", directory);
	EQ(system(command), 0);
}

/* The number of a process that is gone. */
static pid_t gone(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(0);
	EQ(waitpid(child, &status, 0), child);
	return child;
}

Test(live, pages_of_processes_that_are_gone_are_removed)
{
	struct filchi_page_header *h;
	char name[64], later[64], foreign[64], mine[64];
	size_t size;
	char *copy;
	pid_t dead = gone();

	begin(1, 0);
	make_directory();
	copy = copy_page(&size);
	h = (void *)copy;
	(void)snprintf(mine, sizeof mine, "%d-%llu", (int)getpid(), (unsigned long long)h->started);
	put(mine, copy, size, 0600);
	/* the same number, but begun at another time: a process before this one */
	h->started++;
	(void)snprintf(
		later, sizeof later, "%d-%llu", (int)getpid(), (unsigned long long)h->started);
	put(later, copy, size, 0600);
	h->pid = (uint64_t)dead;
	(void)snprintf(name, sizeof name, "%d-%llu", (int)dead, (unsigned long long)h->started);
	put(name, copy, size, 0600);
	/* another container's: nothing is known of it */
	h->pid_namespace++;
	h->started++;
	(void)snprintf(
		foreign, sizeof foreign, "%d-%llu", (int)dead, (unsigned long long)h->started);
	put(foreign, copy, size, 0600);
	strcat(name, ".new");
	put(name, "", 0, 0600);
	live_free(&list);
	EQ(live_read(&list, directory, 0), 0);
	EQ(list.removed, 3);
	EQ(list.count, 2);
	EQ(list.refused, 0);
	cr_assert(is_there(mine) && is_there(foreign) && !is_there(later) && !is_there(name));
	remove_all();
	free(copy);
	end();
}

Test(live, what_is_not_the_users_own_file_is_not_read)
{
	char name[64], path[PATH_MAX], real[PATH_MAX];
	struct filchi_page_header *h;
	size_t size;
	char *copy;

	begin(1, 0);
	make_directory();
	copy = copy_page(&size);
	(void)snprintf(real, sizeof real, "%s", page_path());
	h = (void *)copy;
	(void)snprintf(name, sizeof name, "%d-%llu", (int)getpid(), (unsigned long long)h->started);
	(void)snprintf(path, sizeof path, "%s/%s", directory, name);

#define REFUSED()                                      \
	do {                                           \
		live_free(&list);                      \
		EQ(live_read(&list, directory, 0), 0); \
		EQ(list.count, 0);                     \
		EQ(list.refused, 1);                   \
		cr_assert(list.why[0]);                \
		EQ(unlink(path), 0);                   \
	} while (0)
	put(name, copy, size, 0644); /* others may read it */
	REFUSED();
	put(name, copy, size - 8, 0600);
	REFUSED();
	put(name, "", 0, 0600);
	REFUSED();
	EQ(symlink(real, path), 0); /* a good page, but elsewhere */
	REFUSED();
	EQ(mkfifo(path, 0600), 0);
	REFUSED();
	h->pid++;
	put(name, copy, size, 0600);
	REFUSED();
	h->pid--;
	put("a name\033[31m", copy, size, 0600);
	(void)snprintf(path, sizeof path, "%s/a name\033[31m", directory);
	live_free(&list);
	EQ(live_read(&list, directory, 0), 0);
	cr_assert_null(strchr(list.why, '\033'));
	EQ(unlink(path), 0);
	put(name, copy, size, 0600);
	live_free(&list);
	EQ(live_read(&list, directory, 0), 0);
	EQ(list.count, 1);
	/* and nothing in a directory to which others may write */
	EQ(chmod(directory, 0770), 0);
	live_free(&list);
	EQ(live_read(&list, directory, 0), -EPERM);
	EQ(list.count, 0);
	EQ(live_read(&list, "/no/such/directory", 0), 0);
	EQ(list.count, 0);
	remove_all();
	free(copy);
	end();
}

/* --- numbers ------------------------------------------------------------- */

Test(live, numbers_are_short_and_right)
{
	static const struct {
		double value;
		const char *text;
	} number[] = { { 0, "0" }, { 7, "7" }, { 0.84, "0.8" }, { 999, "999" }, { 1000, "1.00k" },
		{ 12345, "12.3k" }, { 999499, "999k" }, { 999999, "1.00M" }, { 1.8e19, "18.0E" } };
	static const struct {
		uint64_t ns;
		const char *text;
	} time[] = { { 0, "0" }, { 999, "999ns" }, { 1000, "1.00us" }, { 53247, "53.2us" },
		{ 999999, "1.00ms" }, { 1500000000, "1.50s" }, { 90000000000, "90.0s" },
		{ 6000000000000, "1.67h" }, { UINT64_MAX, "213504d" } };

	for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
		cr_assert_str_eq(live_number(number[i].value).text, number[i].text);
	for (size_t i = 0; i < sizeof time / sizeof time[0]; i++)
		cr_assert_str_eq(live_time(time[i].ns).text, time[i].text);
	cr_assert_str_eq(live_share(1, 3).text, "33%");
	cr_assert_str_eq(live_share(5, 3).text, "100%");
	cr_assert_str_eq(live_share(0, 0).text, "-");
}
