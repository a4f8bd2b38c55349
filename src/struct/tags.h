/* SPDX-License-Identifier: Apache-2.0 */
/* What tells the ids of one pool from those of another: a number that no other living pool has. */
#ifndef FILCHI_TAGS_H
#define FILCHI_TAGS_H

#include <stdint.h>

#define FILCHI_TAG_BITS 14

/* A tag > 0, and the generation in which slots begin under it; 0: there are too many pools. */
uint32_t filchi_tag_take(uint64_t *generation);
void filchi_tag_give(uint32_t tag);

#endif
