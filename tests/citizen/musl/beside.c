/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a musl system has and Debian's musl-tools lack: an hwloc and an unwinder that were built for
 * it. This hwloc has no topology to offer, which the library survives: it goes by the affinity
 * mask. The unwinder of glibc's gcc asks glibc where the frames of an object are described.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int hwloc_topology_init(void **topology);
int hwloc_topology_init(void **topology)
{
	*topology = NULL;
	return -1;
}

/* The beginning of glibc's struct dl_find_object. */
struct found {
	unsigned long long flags;
	void *map_start, *map_end;
	struct link_map *link_map;
	void *eh_frame;
};

struct search {
	uintptr_t address;
	struct found *found;
};

static int look(struct dl_phdr_info *object, size_t size, void *arg)
{
	struct search *s = arg;
	const ElfW(Phdr) *in = NULL, *eh = NULL;

	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type == PT_GNU_EH_FRAME)
			eh = p;
		else if (p->p_type == PT_LOAD &&
			 s->address - (object->dlpi_addr + p->p_vaddr) < p->p_memsz)
			in = p;
	}
	if (!in || !eh)
		return 0;
	*s->found = (struct found){
		.map_start = (void *)(object->dlpi_addr + in->p_vaddr),
		.map_end = (void *)(object->dlpi_addr + in->p_vaddr + in->p_memsz),
		.eh_frame = (void *)(object->dlpi_addr + eh->p_vaddr),
	};
	return 1;
}

int _dl_find_object(void *address, struct found *found);
int _dl_find_object(void *address, struct found *found)
{
	return dl_iterate_phdr(look, &(struct search){ (uintptr_t)address, found }) ? 0 : -1;
}

/* Never called without a topology. */
#define NEVER_CALLED(name)         \
	_Noreturn void name(void); \
	_Noreturn void name(void)  \
	{                          \
		abort();           \
	}

NEVER_CALLED(hwloc_bitmap_alloc)
NEVER_CALLED(hwloc_bitmap_free)
NEVER_CALLED(hwloc_bitmap_isset)
NEVER_CALLED(hwloc_bitmap_only)
NEVER_CALLED(hwloc_bitmap_weight)
NEVER_CALLED(hwloc_cpukinds_get_by_cpuset)
NEVER_CALLED(hwloc_cpukinds_get_info)
NEVER_CALLED(hwloc_get_nbobjs_by_depth)
NEVER_CALLED(hwloc_get_obj_by_depth)
NEVER_CALLED(hwloc_get_type_depth)
NEVER_CALLED(hwloc_topology_destroy)
NEVER_CALLED(hwloc_topology_is_thissystem)
NEVER_CALLED(hwloc_topology_load)
NEVER_CALLED(hwloc_topology_set_flags)
NEVER_CALLED(hwloc_topology_set_io_types_filter)
NEVER_CALLED(hwloc_topology_set_type_filter)
