/* SPDX-License-Identifier: Apache-2.0 */
/* sim: machines. A synthetic one is made of cores alone; others go through the placement. */
#define _GNU_SOURCE
#include <errno.h>
#include <filch/pool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "place/order.h"
#include "sim.h"

enum { PACKAGES, NODES, CACHES, CORES, PARTS };

/* Reads "AxBxCxD" with 1 to SIM_WORKERS_MAX for each; false: it is something else. */
static bool read_parts(const char *text, uint32_t part[PARTS])
{
	for (int i = 0; i < PARTS; i++) {
		char *end;
		unsigned long value = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

		if (value < 1 || value > SIM_WORKERS_MAX || *end != (i + 1 < PARTS ? 'x' : '\0'))
			return false;
		part[i] = (uint32_t)value;
		text = end + 1;
	}
	return true;
}

/* The first cores get the workers, one each; more workers than cores go round again. */
static int make_synthetic(struct sim_machine *machine, const uint32_t part[PARTS], uint32_t workers)
{
	uint64_t total = (uint64_t)part[PACKAGES] * part[NODES] * part[CACHES] * part[CORES];
	uint32_t in_cache = part[CORES], in_node = in_cache * part[CACHES],
		 in_package = in_node * part[NODES];

	if (total > SIM_WORKERS_MAX)
		return -EINVAL;
	machine->core = calloc(total, sizeof(*machine->core));
	if (!machine->core)
		return -ENOMEM;
	for (uint32_t c = 0; c < total; c++) {
		struct filchi_core *core = &machine->core[c];

		*core = (struct filchi_core){
			.group = { (int32_t)c, -1, (int32_t)(c / in_cache), (int32_t)(c / in_node),
				(int32_t)(c / in_package), 0 },
			.size = { 1, 0, in_cache, in_node, in_package, (uint32_t)total },
		};
	}
	for (uint32_t w = 0; w < workers; w++)
		machine->seat[w] = &machine->core[w % total];
	machine->plan = calloc(1, sizeof(*machine->plan));
	if (!machine->plan)
		return -ENOMEM;
	machine->plan->workers = workers;
	return filchi_order_make(machine->plan, machine->seat);
}

/* By the library's placement, as it would place so many workers there. */
static int make_placed(struct sim_machine *machine, const char *file, uint32_t workers)
{
	const struct filchi_place_request request = { .workers = workers,
		.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_PIN };
	const struct filchi_surroundings where = { .roots = { "/nonexistent", "/nonexistent" } };
	struct filchi_cpuset mask;
	int error;

	if (file && access(file, R_OK) != 0)
		return -errno;
	if (file)
		setenv("HWLOC_XMLFILE", file, 1);
	error = filchi_plan_make_in(&request, &where, &machine->plan);
	if (!error)
		error = filchi_cpuset_affinity(&mask);
	if (!error)
		error = filchi_topology_get(&mask, &machine->topology);
	if (!error && file && !machine->topology->simulated)
		error = -EINVAL; /* hwloc could not read it, and took this machine */
	for (uint32_t w = 0; !error && w < workers; w++) {
		int core = machine->plan->seat[w].core;

		if (core < 0 || (uint32_t)core >= machine->topology->cores)
			error = -EIO;
		else
			machine->seat[w] = &machine->topology->core[core];
	}
	if (file)
		unsetenv("HWLOC_XMLFILE");
	return error;
}

int sim_machine_make(struct sim_machine *machine, const char *text, uint32_t workers)
{
	uint32_t part[PARTS] = { (workers + 63) / 64, 1, 8, 8 };
	int error;

	*machine = (struct sim_machine){ .name = "" };
	if (workers < 1 || workers > SIM_WORKERS_MAX)
		return -EINVAL;
	(void)snprintf(machine->name, sizeof(machine->name), "%s", text);
	machine->seat = calloc(workers, sizeof(const struct filchi_core *));
	if (!machine->seat)
		return -ENOMEM;
	if (strcmp(text, "auto") == 0) {
		(void)snprintf(machine->name, sizeof(machine->name), "%ux%ux%ux%u", part[PACKAGES],
			part[NODES], part[CACHES], part[CORES]);
		error = make_synthetic(machine, part, workers);
	} else if (read_parts(text, part)) {
		error = make_synthetic(machine, part, workers);
	} else {
		error = make_placed(machine, strcmp(text, "here") == 0 ? NULL : text, workers);
	}
	if (error)
		sim_machine_free(machine);
	return error;
}

void sim_machine_free(struct sim_machine *machine)
{
	filchi_plan_free(machine->plan);
	if (machine->topology)
		filchi_topology_put(machine->topology);
	free(machine->core);
	free(machine->seat);
	*machine = (struct sim_machine){ .name = "" };
}

/* Whether both are in one group of this level. */
static bool share(const struct filchi_core *a, const struct filchi_core *b, enum filchi_level level)
{
	return a->group[level] >= 0 && a->group[level] == b->group[level];
}

enum sim_distance sim_distance(const struct sim_machine *machine, uint32_t a, uint32_t b)
{
	const struct filchi_core *x = machine->seat[a], *y = machine->seat[b];

	if (x == y || share(x, y, FILCHI_LEVEL_L3) || share(x, y, FILCHI_LEVEL_L2))
		return SIM_NEAR;
	return share(x, y, FILCHI_LEVEL_NODE) || share(x, y, FILCHI_LEVEL_PACKAGE) ? SIM_MIDDLE
										   : SIM_FAR;
}
