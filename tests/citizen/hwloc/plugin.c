/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin of hwloc's that discovers nothing, and tells its host that it was brought in. */
#include <hwloc/plugins.h>

extern int plugins_brought_in; /* host.c */

__attribute__((constructor)) static void tell(void)
{
	plugins_brought_in++;
}

static struct hwloc_backend *instantiate(struct hwloc_topology *topology,
	struct hwloc_disc_component *component, unsigned excluded_phases, const void *a,
	const void *b, const void *c)
{
	(void)topology, (void)component, (void)excluded_phases, (void)a, (void)b, (void)c;
	return NULL;
}

static struct hwloc_disc_component discovery = {
	.name = "citizen",
	.phases = HWLOC_DISC_PHASE_MISC,
	.instantiate = instantiate,
	.priority = 1,
};

extern const struct hwloc_component hwloc_citizen_component;
const struct hwloc_component hwloc_citizen_component = {
	.abi = HWLOC_COMPONENT_ABI,
	.type = HWLOC_COMPONENT_TYPE_DISC,
	.data = &discovery,
};
