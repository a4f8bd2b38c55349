/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topology: the arrays say what the machine says, never name a CPU outside the mask, and are loaded
 * once.
 *
 * Each test runs in a process of its own: environment, affinity and cache are private.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <place/topology.h>
#include <unistd.h>

static struct filchi_cpuset own;

/* The topology under the mask @mask (NULL: our own), on @synthetic (NULL: this machine). */
static const struct filchi_topology *get(const char *synthetic, const struct filchi_cpuset *mask)
{
	const struct filchi_topology *t = NULL;

	if (synthetic)
		setenv("HWLOC_SYNTHETIC", synthetic, 1);
	if (!mask) {
		cr_assert_eq(filchi_cpuset_affinity(&own), 0);
		mask = &own;
	}
	cr_assert_eq(filchi_topology_get(mask, &t), 0);
	return t;
}

Test(topology, cores_know_their_cpus_and_their_groups)
{
	const struct filchi_topology *t = get("package:2 [numa] l3:2 l2:2 core:2 pu:2", NULL);

	cr_assert(t->simulated && !t->without_cores && !t->fallback);
	cr_assert_eq(t->cores, 16);
	cr_assert_eq(t->cpus, 32);
	cr_assert_eq(t->machine_cpus, 32);
	cr_assert_eq(t->packages, 2);
	cr_assert_eq(t->nodes, 2);
	for (uint32_t c = 0; c < t->cores; c++) {
		const struct filchi_core *core = &t->core[c];
		const int32_t n = (int32_t)c;

		cr_assert_eq(core->cpus, 2);
		cr_assert_eq(t->cpu[core->first_cpu], 2 * c);
		cr_assert_eq(t->cpu[core->first_cpu + 1], 2 * c + 1);
		cr_assert_eq(core->group[FILCHI_LEVEL_CORE], n);
		cr_assert_eq(core->group[FILCHI_LEVEL_L2], n / 2);
		cr_assert_eq(core->group[FILCHI_LEVEL_L3], n / 4);
		cr_assert_eq(core->group[FILCHI_LEVEL_NODE], n / 8);
		cr_assert_eq(core->group[FILCHI_LEVEL_PACKAGE], n / 8);
		cr_assert_eq(core->group[FILCHI_LEVEL_MACHINE], 0);
		cr_assert_eq(core->size[FILCHI_LEVEL_CORE], 1);
		cr_assert_eq(core->size[FILCHI_LEVEL_L2], 2);
		cr_assert_eq(core->size[FILCHI_LEVEL_L3], 4);
		cr_assert_eq(core->size[FILCHI_LEVEL_NODE], 8);
		cr_assert_eq(core->size[FILCHI_LEVEL_MACHINE], 16);
		cr_assert_eq(core->node, n / 8);
		cr_assert_eq(core->kind, -1);
	}
	filchi_topology_put(t);
}

Test(topology, without_core_objects_cpus_stand_for_cores)
{
	const struct filchi_topology *t = get("pu:4", NULL);

	cr_assert(t->without_cores);
	cr_assert_eq(t->cores, 4);
	cr_assert_eq(t->cpus, 4);
	cr_assert_eq(t->core[3].group[FILCHI_LEVEL_L3], -1);
	cr_assert_eq(t->core[3].size[FILCHI_LEVEL_L3], 0);
	filchi_topology_put(t);
}

Test(topology, a_node_may_hold_several_caches_and_a_cache_several_nodes)
{
	const struct filchi_topology *t =
		get("package:1 l3:1 [numa] l2:2 [numa] core:2 pu:1", NULL);

	cr_assert_eq(t->nodes, 3);
	for (uint32_t c = 0; c < 4; c++) {
		cr_assert_eq(t->core[c].size[FILCHI_LEVEL_NODE], 2,
			"the smallest node around a core is the one that counts");
		cr_assert_eq(t->core[c].size[FILCHI_LEVEL_L3], 4);
	}
	cr_assert_neq(t->core[0].node, t->core[2].node);
	filchi_topology_put(t);
}

Test(topology, this_machine_is_not_simulated_and_within_the_mask)
{
	const struct filchi_topology *t = get(NULL, NULL);

	cr_assert(!t->simulated);
	cr_assert_eq(t->cpus, filchi_cpuset_count(&own));
	for (uint32_t i = 0; i < t->cpus; i++)
		cr_assert(filchi_cpuset_has(&own, t->cpu[i]), "CPU %u is not ours", t->cpu[i]);
	filchi_topology_put(t);
}

Test(topology, a_thread_bound_to_one_cpu_sees_that_one)
{
	cpu_set_t all, one;

	cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		const struct filchi_topology *t;

		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
		t = get(NULL, NULL);
		cr_assert_eq(t->cores, 1);
		cr_assert_eq(t->cpus, 1);
		cr_assert_eq(t->cpu[0], cpu);
		cr_assert_geq(t->machine_cpus, (uint32_t)CPU_COUNT(&all));
		filchi_topology_put(t);
	}
}

Test(topology, a_description_that_names_other_cpus_falls_back_to_the_mask)
{
	const struct filchi_topology *t;

	setenv("HWLOC_THISSYSTEM", "1", 1);
	t = get("core:2 pu:1(indexes=8000,8001)", NULL);
	cr_assert(!t->simulated);
	cr_assert_not_null(t->fallback);
	cr_assert_eq(t->cpus, filchi_cpuset_count(&own));
	cr_assert_eq(t->cores, t->cpus);
	for (uint32_t i = 0; i < t->cpus; i++)
		cr_assert(filchi_cpuset_has(&own, t->cpu[i]));
	filchi_topology_put(t);
}

Test(topology, a_broken_description_still_gives_a_machine)
{
	char file[] = P_tmpdir "/filch-topology-XXXXXX";
	const struct filchi_topology *t;
	int fd = mkstemp(file);

	cr_assert(fd >= 0 && write(fd, "<x", 2) == 2 && !close(fd));
	setenv("HWLOC_XMLFILE", file, 1);
	t = get(NULL, NULL);
	unlink(file);
	cr_assert_gt(t->cores, 0);
	cr_assert(!t->simulated);
	for (uint32_t i = 0; i < t->cpus; i++)
		cr_assert(filchi_cpuset_has(&own, t->cpu[i]));
	filchi_topology_put(t);
}

Test(topology, the_same_question_is_asked_once)
{
	const struct filchi_topology *first = get("core:4 pu:1", NULL);

	cr_assert_eq(filchi_topology_loads(), 1);
	for (int i = 0; i < 10000; i++) {
		const struct filchi_topology *t = get(NULL, NULL);

		cr_assert_eq(t, first);
		filchi_topology_put(t);
	}
	cr_assert_eq(filchi_topology_loads(), 1);
	filchi_topology_put(first);
}

Test(topology, another_mask_or_another_environment_is_another_question)
{
	const struct filchi_topology *a = get("core:4 pu:1", NULL), *b, *c;
	struct filchi_cpuset other = own;

	filchi_cpuset_add(&other, 4000);
	b = get(NULL, &other);
	cr_assert_neq(a, b);
	cr_assert_eq(filchi_topology_loads(), 2);
	c = get("core:2 pu:1", &other);
	cr_assert_eq(filchi_topology_loads(), 3);
	cr_assert_eq(c->cores, 2);
	cr_assert_eq(a->cores, 4, "what is in use stays, though the cache has moved on");
	filchi_topology_put(a);
	filchi_topology_put(b);
	filchi_topology_put(c);
	filchi_topology_put(NULL);
}

static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;
static bool stop_loading;

/* Whether the loader shall end; sets that if @now. */
static bool stopped(bool now)
{
	bool stop;

	pthread_mutex_lock(&stop_lock);
	stop = stop_loading |= now;
	pthread_mutex_unlock(&stop_lock);
	return stop;
}

/* Loads without pause: each mask differs from the last. */
static void *load_always(void *arg)
{
	struct filchi_cpuset mask = own;

	for (uint32_t n = 0; !stopped(false); n++) {
		const struct filchi_topology *t;

		mask.word[100] = n + 1;
		if (!filchi_topology_get(&mask, &t))
			filchi_topology_put(t);
	}
	return arg;
}

Test(topology, a_child_forked_during_a_load_can_load, .timeout = 120)
{
	pthread_t loader;

	filchi_topology_put(get("core:4 pu:1", NULL));
	cr_assert_eq(pthread_create(&loader, NULL, load_always, NULL), 0);
	for (int i = 0; i < 100; i++) {
		pid_t child = fork();
		int status = 0;

		if (!child) {
			struct filchi_cpuset mask = own;
			const struct filchi_topology *t;

			alarm(20); /* a hang is the failure looked for */
			mask.word[101] = 1;
			if (filchi_topology_get(&mask, &t))
				_exit(1);
			_exit(t->cores == 4 ? 0 : 2);
		}
		cr_assert(child > 0 && waitpid(child, &status, 0) == child);
		cr_assert_eq(
			status, 0, "round %d: wait status %#x (0xe: it hung)", i, (unsigned)status);
	}
	stopped(true);
	pthread_join(loader, NULL);
}
