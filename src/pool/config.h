/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a caller's configuration, of whatever size, into this library's form: see config.c. */
#ifndef FILCHI_CONFIG_H
#define FILCHI_CONFIG_H

#include <filch/pool.h>

/*
 * @from may be NULL. Defaults are filled in for everything but what placement decides (workers),
 * and FILCH_SEARCH_NS is applied; @notes, which may be NULL, says so if it is ignored. Returns 0,
 * -EINVAL or -E2BIG.
 */
int filchi_config_import(struct filch_config *to, const struct filch_config *from, FILE *notes);

#endif
