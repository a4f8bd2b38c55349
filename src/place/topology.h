/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topology: the machine as plain arrays: which cores there are, their CPUs, and which groups (L2,
 * L3, NUMA node, package) each core belongs to.
 *
 * hwloc is asked once, on a thread of its own, its answer is copied, and hwloc's own structure is
 * destroyed at once:
 * nothing above this file knows hwloc. A load is slow, so the last answer is kept for the process.
 * Its keys are the affinity mask of the calling thread and the environment variables that change
 * hwloc's answer. A pool created again costs a comparison.
 *
 * What must stay true: an array never names a CPU that the caller may not use. Two things ensure
 * it:
 *
 *   - hwloc's RESTRICT_TO_CPUBINDING, which also keeps its discovery from visiting CPUs of others
 *   - the intersection with the mask: hwloc's notion of the process's binding is the union over its
 *     threads, and may be wider than the caller's
 *
 * A machine described by HWLOC_SYNTHETIC or HWLOC_XMLFILE is `simulated`. Its CPU numbers mean
 * nothing here, no mask of this process applies to it, and nobody may pin by it.
 *
 * Rejected:
 *   - parsing /sys/devices
 *   - keeping the hwloc topology for later questions: it holds megabytes on large machines, and its
 *     lazily filled parts need a lock
 *   - a matrix of distances: many machines have none, and the tree's groups are enough
 */
#ifndef FILCHI_TOPOLOGY_H
#define FILCHI_TOPOLOGY_H

#include "place/cpuset.h"

/*
 * Groups of cores, in the order in which ties are named: of two equal groups the first in this list
 * is meant.
 */
enum filchi_level {
	FILCHI_LEVEL_CORE,
	FILCHI_LEVEL_L2,
	FILCHI_LEVEL_L3,
	FILCHI_LEVEL_NODE,
	FILCHI_LEVEL_PACKAGE,
	FILCHI_LEVEL_MACHINE,
	FILCHI_LEVELS
};

/* One core. Where hwloc finds no core objects, each CPU is taken for a core of its own. */
struct filchi_core {
	/* equal numbers: same group; -1: the machine does not say; CORE: own index, MACHINE: 0 */
	int32_t group[FILCHI_LEVELS];
	/* how many of topology's cores the group has; 0 where group is -1 */
	uint32_t size[FILCHI_LEVELS];
	int32_t node;             /* NUMA node, operating system index, or -1 */
	int32_t package;          /* counted from 0, or -1 */
	int32_t kind;             /* efficiency rank: higher is faster; -1 unknown */
	uint32_t first_cpu, cpus; /* its CPUs are cpu[first_cpu .. first_cpu + cpus) */
};

struct filchi_topology {
	uint32_t cores, cpus;
	uint32_t nodes, packages; /* how many the machine shows; 0: it does not say */
	uint32_t machine_cpus;    /* online on the whole machine, usable or not */
	bool simulated;           /* another machine's description: never pin by it */
	bool without_cores;       /* no core objects: CPUs stand for cores */
	const char *fallback;     /* why the affinity mask alone had to do, or NULL */
	struct filchi_core *core; /* [cores], neighbours next to each other */
	uint32_t *cpu;            /* [cpus] operating system indices */
};

/*
 * The machine as the calling thread may use it, or -errno: -ENOMEM, or -EIO when neither hwloc nor
 * the affinity mask can be had. @mask is that thread's affinity mask; it is not applied to a
 * simulated machine. Never empty. The result is shared and constant; give it back with
 * filchi_topology_put. Any thread, and a forked child: the lock is held over fork (topology.c).
 */
int filchi_topology_get(const struct filchi_cpuset *mask, const struct filchi_topology **topology);

/* Registers the fork handlers of this file, if that has not been done. */
void filchi_topology_guard_fork(void);
void filchi_topology_put(const struct filchi_topology *topology);

/* How often hwloc was asked since the process began: for the tests of the cache. */
uint64_t filchi_topology_loads(void);

/* "core", "L2", "L3", "node", "package", "machine". */
const char *filchi_level_name(enum filchi_level level);

#endif
