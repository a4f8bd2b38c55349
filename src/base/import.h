/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Public structures that begin with their own size, and cross the border between a program and a
 * library of different ages.
 *
 * An old program keeps working with a new library: what its structure lacks is taken as a default,
 * or is not told. A new program with an old library gets an error where it asks for something the
 * library does not know, in place of a wish that is silently ignored. Nothing outside of the
 * caller's own structure is read or written, whatever its size.
 */
#ifndef FILCHI_IMPORT_H
#define FILCHI_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* No structure is that large: a size above it is memory that nobody has initialised. */
#define FILCHI_SIZED_MOST 4096u

/* import.c: filchi_import() for structures of another size than ours. */
int filchi_import_other(void *to, size_t to_size, const void *from, size_t least);

/* One of our own size, which needs no defaults in @to. False, with nothing written, for others. */
static inline bool filchi_import_whole(void *to, size_t to_size, const void *from)
{
	size_t size;

	memcpy(&size, from, sizeof size);
	if (size != to_size)
		return false;
	memcpy(to, from, to_size); /* of constant size */
	return true;
}

/*
 * Brings the caller's structure @from into @to, which is of @to_size, holds its own size and the
 * defaults of all else, and keeps what @from is too short for. @least is the size that the first
 * release had. Both are of one type, and begin with a size_t.
 *
 * Returns 0, or with @to untouched:
 *   -EINVAL  @from is shorter than @least
 *   -E2BIG   @from is longer than @to, and what @to has no place for is not all zero
 */
static inline int filchi_import(void *to, size_t to_size, const void *from, size_t least)
{
	/* of one size, as nearly every call is */
	return filchi_import_whole(to, to_size, from)
		       ? 0
		       : filchi_import_other(to, to_size, from, least);
}

/*
 * The way back: fills the caller's structure @to from @from, of @from_size. Its size says how much
 * of it there is, and stays; what @from has not is zero. Returns 0; or -EINVAL, with nothing
 * written, if that size cannot be.
 */
int filchi_export(void *to, const void *from, size_t from_size);

#endif
