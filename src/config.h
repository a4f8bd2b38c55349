/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a caller's configuration, of whatever size, into this library's form: see config.c. */
#ifndef FILCHI_CONFIG_H
#define FILCHI_CONFIG_H

#include <filch/pool.h>

/*
 * @from may be NULL. Defaults are filled in for everything but what placement decides (workers); FILCH_SEARCH_NS is applied, and
 * *note set to a line about it if it is malformed (else NULL). 0, -EINVAL or -E2BIG.
 */
int filchi_config_import(struct filch_config *to, const struct filch_config *from, const char **note);

#endif
