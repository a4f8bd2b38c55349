/* SPDX-License-Identifier: Apache-2.0 */
/* Structures that begin with their own size: see import.h. */
#include "base/import.h"

#include <errno.h>

static size_t size_of(const void *sized)
{
	size_t size;

	memcpy(&size, sized, sizeof size);
	return size;
}

/* The first @size bytes of @from but for the size itself, which is @to's own. */
static void copy(void *to, const void *from, size_t size)
{
	memcpy((char *)to + sizeof size, (const char *)from + sizeof size, size - sizeof size);
}

int filchi_import_other(void *to, size_t to_size, const void *from, size_t least)
{
	const unsigned char *bytes = from;
	size_t size = size_of(from);

	if (size < least)
		return -EINVAL;
	if (size > FILCHI_SIZED_MOST)
		return -E2BIG;
	for (size_t i = to_size; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	copy(to, from, size < to_size ? size : to_size);
	return 0;
}

int filchi_export(void *to, const void *from, size_t from_size)
{
	size_t size = size_of(to);

	if (size < sizeof size || size > FILCHI_SIZED_MOST)
		return -EINVAL;
	if (size > from_size)
		memset((char *)to + from_size, 0, size - from_size);
	copy(to, from, size < from_size ? size : from_size);
	return 0;
}
