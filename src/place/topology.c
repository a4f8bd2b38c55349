/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topology: see topology.h. First the copy out of hwloc, then the fallback, then the cache.
 *
 * The cache is one entry, counted by its users, under one mutex. The mutex is held while hwloc
 * loads: two pools created at once would otherwise both pay.
 *
 * fork() in another thread could leave that mutex locked for ever in the child, and hwloc's own
 * component lock with it. So a fork handler takes the mutex before, and releases it after on both
 * sides. A child never inherits a load half done, and fork waits at most for one load. The handlers
 * neither allocate nor call hwloc. A child made by _Fork or clone runs no handlers: it may exec,
 * but should not create a pool.
 *
 * hwloc runs on a thread of its own, since it needs more stack than the caller may have. It is
 * initialised on another one, which cannot open files. For hwloc_topology_init() brings in every
 * plugin that it finds, with all their libraries (X11, OpenCL, XML), before its interface can say
 * which are wanted; only the environment could. But that is the program's, and must not be changed
 * under other threads that read it. A seccomp filter is the thread's alone, and ends with it.
 * docs/adr/0024-hwloc-without-plugins.md has what else was looked at.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/topology.h"

#include <errno.h>
#include <hwloc.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"

#define STACK_BYTES ((size_t)1 << 20) /* of addresses; hwloc touches some tens of KiB */

struct entry {
	struct filchi_topology topology; /* first: a user's pointer is the entry's */
	struct filchi_cpuset mask;
	char *environment;
	uint32_t users; /* the cache itself counts as one */
};

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *cached;
static uint64_t loads;

/* What changes hwloc's answer from outside. */
static const char *const hwloc_names[] = {
	"HWLOC_SYNTHETIC",
	"HWLOC_XMLFILE",
	"HWLOC_FSROOT",
	"HWLOC_CPUID_PATH",
	"HWLOC_COMPONENTS",
	"HWLOC_THISSYSTEM",
};

const char *filchi_level_name(enum filchi_level level)
{
	static const char *const name[FILCHI_LEVELS] = { "core", "L2", "L3", "node", "package",
		"machine" };

	return name[level];
}

/* --- on threads of their own ------------------------------------------ */

/*
 * Does @body(@arg) on a thread that lives for that alone, and awaits it. Such a thread takes no
 * signal, and has the caller's CPUs. False: none could be had.
 */
static bool do_apart(void *(*body)(void *arg), void *arg)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int error, state;

	sigfillset(&all);
	error = pthread_attr_init(&attr);
	if (error)
		return false;
	/* the join is a cancellation point, and here are locks and memory */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	error = pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (!error)
		error = pthread_create(&thread, &attr, body, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (!error)
		(void)pthread_join(thread, NULL);
	(void)pthread_setcancelstate(state, NULL);
	return !error;
}

/*
 * From now on the calling thread finds no file when it opens one. Where the kernel refuses, it
 * does; then plugins come in.
 */
static void open_nothing(void)
{
#define FAILS(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), FAIL
#define FAIL        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOENT)
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		FAILS(SYS_openat),
#ifdef SYS_openat2
		FAILS(SYS_openat2),
#endif
#ifdef SYS_open
		FAILS(SYS_open),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };

	/* both are the thread's own */
	if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void *init_without_files(void *topology)
{
	open_nothing();
	if (hwloc_topology_init(topology))
		*(hwloc_topology_t *)topology = NULL;
	return NULL;
}

/*
 * Loads hwloc's view with what is not needed left out. Returns 0 or -1; @topology is initialised
 * only after 0.
 */
static int load(hwloc_topology_t *topology)
{
	const unsigned long flags =
		HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING | HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM;

	*topology = NULL;
	if (!do_apart(init_without_files, topology) && hwloc_topology_init(topology))
		return -1;
	if (!*topology)
		return -1;
	/*
	 * Without the restriction the answer is merely wider; take_cpus() applies the mask in any
	 * case.
	 */
	if (hwloc_topology_set_flags(*topology, flags) &&
		hwloc_topology_set_flags(*topology, HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM))
		goto fail;
	/* Filters only save time: a refused one is no error. */
	(void)hwloc_topology_set_io_types_filter(*topology, HWLOC_TYPE_FILTER_KEEP_NONE);
	(void)hwloc_topology_set_type_filter(
		*topology, HWLOC_OBJ_MISC, HWLOC_TYPE_FILTER_KEEP_NONE);
	if (hwloc_topology_load(*topology))
		goto fail;
	return 0;
fail:
	hwloc_topology_destroy(*topology);
	return -1;
}

/*
 * The efficiency rank of @cpu, or -1. Kinds may name CPUs that are not ours; only the given one is
 * looked up.
 */
static int32_t kind_of(hwloc_topology_t topology, unsigned cpu, hwloc_bitmap_t scratch)
{
	int kind, efficiency = -1;

	hwloc_bitmap_only(scratch, cpu);
	kind = hwloc_cpukinds_get_by_cpuset(topology, scratch, 0);
	if (kind < 0 ||
		hwloc_cpukinds_get_info(topology, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0))
		return -1;
	return efficiency;
}

/*
 * The smallest NUMA node around @cpu, and its number among the nodes' sets; of equal sets (two
 * memories) the first.
 */
static void node_of(hwloc_topology_t topology, unsigned cpu, struct filchi_core *core)
{
	hwloc_obj_t best = NULL;

	for (hwloc_obj_t n = NULL;
		(n = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, n)) != NULL;)
		if (hwloc_bitmap_isset(n->cpuset, cpu) &&
			(!best ||
				hwloc_bitmap_weight(n->cpuset) < hwloc_bitmap_weight(best->cpuset)))
			best = n;
	core->node = best ? (int32_t)best->os_index : -1;
	core->group[FILCHI_LEVEL_NODE] = best ? (int32_t)best->logical_index : -1;
}

/* Fills in the groups around @pu for core number @index. */
static void groups_of(
	hwloc_topology_t topology, hwloc_obj_t pu, int32_t index, struct filchi_core *core)
{
	for (int i = 0; i < FILCHI_LEVELS; i++)
		core->group[i] = -1;
	core->group[FILCHI_LEVEL_CORE] = index;
	core->group[FILCHI_LEVEL_MACHINE] = 0;
	for (hwloc_obj_t o = pu->parent; o; o = o->parent) {
		if (o->type == HWLOC_OBJ_L2CACHE)
			core->group[FILCHI_LEVEL_L2] = (int32_t)o->logical_index;
		else if (o->type == HWLOC_OBJ_L3CACHE)
			core->group[FILCHI_LEVEL_L3] = (int32_t)o->logical_index;
		else if (o->type == HWLOC_OBJ_PACKAGE)
			core->group[FILCHI_LEVEL_PACKAGE] = (int32_t)o->logical_index;
	}
	core->package = core->group[FILCHI_LEVEL_PACKAGE];
	node_of(topology, pu->os_index, core);
}

/* How many objects of @type there are; 0 when the machine does not say. */
static uint32_t objects(hwloc_topology_t topology, hwloc_obj_type_t type)
{
	int n = hwloc_get_nbobjs_by_type(topology, type);

	return n > 0 ? (uint32_t)n : 0;
}

/*
 * Copies every CPU that @mask allows (NULL: all) into @t, grouped into cores. The arrays were sized
 * for all of them. hwloc visits CPUs in tree order, so the CPUs of a core come together and
 * neighbours stay neighbours.
 */
static void take_cpus(hwloc_topology_t topology, const struct filchi_cpuset *mask,
	hwloc_bitmap_t scratch, struct filchi_topology *t)
{
	hwloc_obj_t last = NULL;

	for (hwloc_obj_t pu = NULL;
		(pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL;) {
		hwloc_obj_t unit = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
		struct filchi_core *core;

		if (pu->os_index >= FILCHI_CPUS_MAX ||
			(mask && !filchi_cpuset_has(mask, pu->os_index)))
			continue;
		if (!unit)
			unit = pu;
		if (unit != last) {
			core = &t->core[t->cores];
			groups_of(topology, pu, (int32_t)t->cores, core);
			core->kind = kind_of(topology, pu->os_index, scratch);
			core->first_cpu = t->cpus;
			core->cpus = 0;
			t->cores++;
			last = unit;
		}
		t->core[t->cores - 1].cpus++;
		t->cpu[t->cpus++] = pu->os_index;
	}
}

/* Frees the arrays of @t. */
static void forget(struct filchi_topology *t)
{
	free(t->core);
	free(t->cpu);
	t->core = NULL;
	t->cpu = NULL;
}

/* Gives @t room for @n CPUs. Returns 0 or -ENOMEM with nothing kept. */
static int make_room(struct filchi_topology *t, uint32_t n)
{
	t->core = calloc(n ? n : 1, sizeof(*t->core));
	t->cpu = calloc(n ? n : 1, sizeof(*t->cpu));
	if (t->core && t->cpu)
		return 0;
	forget(t);
	return -ENOMEM;
}

/* Without hwloc: every CPU of the mask is a core, and nothing is known about neighbours. */
static int from_mask(const struct filchi_cpuset *mask, const char *why, struct filchi_topology *t)
{
	uint32_t n = filchi_cpuset_count(mask);

	if (!n)
		return -EIO;
	*t = (struct filchi_topology){ .without_cores = true, .fallback = why };
	if (make_room(t, n))
		return -ENOMEM;
	for (uint32_t cpu = 0; cpu < FILCHI_CPUS_MAX; cpu++) {
		struct filchi_core *core = &t->core[t->cores];

		if (!filchi_cpuset_has(mask, cpu))
			continue;
		for (int i = 0; i < FILCHI_LEVELS; i++)
			core->group[i] = -1;
		core->group[FILCHI_LEVEL_CORE] = (int32_t)t->cores;
		core->group[FILCHI_LEVEL_MACHINE] = 0;
		core->node = core->package = core->kind = -1;
		core->first_cpu = t->cpus;
		core->cpus = 1;
		t->cpu[t->cpus++] = cpu;
		t->cores++;
	}
	return 0;
}

/*
 * Counts the cores of each group. Group numbers are hwloc's or core indices: small. Returns 0 or
 * -ENOMEM.
 */
static int size_groups(struct filchi_topology *t)
{
	uint32_t *count;
	int32_t top = 0;

	for (uint32_t c = 0; c < t->cores; c++)
		for (int level = 0; level < FILCHI_LEVELS; level++)
			if (t->core[c].group[level] > top)
				top = t->core[c].group[level];
	count = calloc((size_t)top + 1, sizeof(*count));
	if (!count)
		return -ENOMEM;
	for (int level = 0; level < FILCHI_LEVELS; level++) {
		memset(count, 0, ((size_t)top + 1) * sizeof(*count));
		for (uint32_t c = 0; c < t->cores; c++)
			if (t->core[c].group[level] >= 0)
				count[t->core[c].group[level]]++;
		for (uint32_t c = 0; c < t->cores; c++)
			if (t->core[c].group[level] >= 0)
				t->core[c].size[level] = count[t->core[c].group[level]];
	}
	free(count);
	return 0;
}

/* What is asked of hwloc, and its answer. */
struct question {
	const struct filchi_cpuset *mask;
	struct filchi_topology *t;
	int err;
};

/* Asks hwloc, or the mask if hwloc has no answer: 0, -ENOMEM or -EIO with nothing kept in q->t. */
static void *ask_hwloc(void *question)
{
	struct question *q = question;
	const struct filchi_cpuset *mask = q->mask;
	struct filchi_topology *t = q->t;
	hwloc_topology_t topology;
	hwloc_bitmap_t scratch;
	int err;

	if (load(&topology)) {
		q->err = from_mask(mask, "hwloc could not load a topology", t);
		return NULL;
	}
	scratch = hwloc_bitmap_alloc();
	err = scratch ? make_room(t, objects(topology, HWLOC_OBJ_PU)) : -ENOMEM;
	if (!err) {
		t->simulated = !hwloc_topology_is_thissystem(topology);
		take_cpus(topology, t->simulated ? NULL : mask, scratch, t);
		t->without_cores = !objects(topology, HWLOC_OBJ_CORE);
		t->packages = objects(topology, HWLOC_OBJ_PACKAGE);
		t->nodes = objects(topology, HWLOC_OBJ_NUMANODE);
	}
	hwloc_bitmap_free(scratch);
	hwloc_topology_destroy(topology);
	if (!err && !t->cpus) {
		forget(t);
		err = from_mask(mask, "hwloc shows none of the allowed CPUs", t);
	}
	q->err = err;
	return NULL;
}

/* The machine under @mask. Returns 0, -ENOMEM or -EIO with nothing kept in @t. */
static int ask(const struct filchi_cpuset *mask, struct filchi_topology *t)
{
	struct question q = { .mask = mask, .t = t };
	long online;

	*t = (struct filchi_topology){ 0 };
	loads++;
	if (!do_apart(ask_hwloc, &q))
		(void)ask_hwloc(&q); /* the caller's stack has to do */
	if (!q.err && size_groups(t)) {
		forget(t);
		q.err = -ENOMEM;
	}
	if (q.err)
		return q.err;
	online = t->simulated ? 0 : sysconf(_SC_NPROCESSORS_ONLN);
	t->machine_cpus =
		online > 0 && (unsigned long)online > t->cpus ? (uint32_t)online : t->cpus;
	return 0;
}

/* All of hwloc_names with their values in one text, or NULL without memory. */
static char *environment(void)
{
	size_t room = 1;
	char *text, *at;

	for (size_t i = 0; i < sizeof(hwloc_names) / sizeof(*hwloc_names); i++) {
		const char *value = getenv(hwloc_names[i]);

		room += strlen(hwloc_names[i]) + 2 + (value ? strlen(value) : 0);
	}
	text = at = malloc(room);
	if (!text)
		return NULL;
	*at = '\0';
	for (size_t i = 0; i < sizeof(hwloc_names) / sizeof(*hwloc_names); i++) {
		const char *value = getenv(hwloc_names[i]);

		if (value)
			at += snprintf(
				at, room - (size_t)(at - text), "%s=%s\n", hwloc_names[i], value);
	}
	return text;
}

/* One user less; the last one frees. The lock is held, or @e was never shared. */
static void drop(struct entry *e)
{
	if (!e || --e->users)
		return;
	forget(&e->topology);
	free(e->environment);
	free(e);
}

static void before_fork(void)
{
	pthread_mutex_lock(&cache_lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&cache_lock);
}

/*
 * At the start of the program, not with the first pool. A fork that has begun runs only the
 * handlers it found: it would leave the mutex locked in the child if the first pool took it
 * meanwhile. Should registering fail, a child forked during a load of the parent must not create a
 * pool. Nothing else changes.
 */
__attribute__((constructor(101))) void filchi_topology_guard_fork(void)
{
	static filch_atomic_u32 guarded;
	uint32_t no = 0;

	if (filchi_cas_acq_rel(&guarded, &no, 1))
		(void)pthread_atfork(before_fork, after_fork, after_fork);
}

/*
 * A plugin with the library inside is unloaded, or the program ends. While a thread is at it the
 * cache is left alone: a handler may have called exit() in the midst of a load.
 */
__attribute__((destructor(101))) static void forget_cached(void)
{
	if (pthread_mutex_trylock(&cache_lock))
		return;
	drop(cached);
	cached = NULL;
	pthread_mutex_unlock(&cache_lock);
}

int filchi_topology_get(const struct filchi_cpuset *mask, const struct filchi_topology **topology)
{
	char *env = environment();
	struct entry *e = NULL;
	int err = -ENOMEM;

	if (!env)
		return -ENOMEM;
	pthread_mutex_lock(&cache_lock);
	if (cached && !memcmp(&cached->mask, mask, sizeof(*mask)) &&
		!strcmp(cached->environment, env)) {
		free(env);
		e = cached;
		e->users++;
	} else {
		e = calloc(1, sizeof(*e));
		if (e)
			err = ask(mask, &e->topology);
		if (err) {
			free(env);
			free(e);
			goto unlock;
		}
		e->mask = *mask;
		e->environment = env;
		e->users = 2;
		drop(cached);
		cached = e;
	}
	*topology = &e->topology;
	err = 0;
unlock:
	pthread_mutex_unlock(&cache_lock);
	return err;
}

void filchi_topology_put(const struct filchi_topology *topology)
{
	if (!topology)
		return;
	pthread_mutex_lock(&cache_lock);
	drop((struct entry *)(uintptr_t)topology);
	pthread_mutex_unlock(&cache_lock);
}

uint64_t filchi_topology_loads(void)
{
	uint64_t n;

	pthread_mutex_lock(&cache_lock);
	n = loads;
	pthread_mutex_unlock(&cache_lock);
	return n;
}
