/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment: the variables that filch heeds, one way of reading each kind, and one form of
 * line for a value that is ignored.
 *
 * None is heeded in a program that runs with more rights than its user has (set-uid, file
 * capabilities). Its user would else decide on cores and fences that are not his.
 *
 * A value that is malformed or cannot be met counts as not set, and a line in @notes says so. With
 * @notes NULL nothing is said.
 */
#ifndef FILCHI_ENVIRONMENT_H
#define FILCHI_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum filchi_variable {
	FILCHI_ENV_WORKERS,      /* a number: as filch_config.workers */
	FILCHI_ENV_CPUSET,       /* a list of CPUs: as filch_config.cpuset */
	FILCHI_ENV_NO_PIN,       /* a switch: as FILCH_POOL_NO_PIN, or not */
	FILCHI_ENV_PIN,          /* a switch: as FILCH_POOL_PIN, or not */
	FILCHI_ENV_SEARCH_NS,    /* a number: as filch_config.search_ns, 0 = FILCH_POOL_NO_SEARCH */
	FILCHI_ENV_MEMBARRIER,   /* a switch: 0 = owners carry full fences */
	FILCHI_ENV_VERBOSE,      /* a switch: 1 = a pool describes itself on stderr */
	FILCHI_ENV_LIVE,         /* a switch: 1 = as filch_pool_live() from the beginning */
	FILCHI_ENV_TRACE,        /* a file: as filch_trace_start() with the first pool */
	FILCHI_ENV_TRACE_EVENTS, /* a number: as filch_trace_config.events, for that trace */
	FILCHI_ENV_SERIAL,       /* a switch: 1 = one worker, which runs a spawn at once */
	FILCHI_ENV_SEED,         /* a number: the draws of victims begin with it */
	FILCHI_ENV_VARIABLES
};

/* "FILCH_WORKERS" and so on. */
const char *filchi_env_name(enum filchi_variable variable);

/* The value, or NULL if it is not set. For what is neither number nor switch. */
const char *filchi_env_text(enum filchi_variable variable);

/* A number from 0 to @most; false, with *value untouched, if none is set. */
bool filchi_env_number(enum filchi_variable variable, uint32_t most, uint32_t *value, FILE *notes);

/* 0 or 1; false, with *on untouched, if none is set. */
bool filchi_env_switch(enum filchi_variable variable, bool *on, FILE *notes);

/* The line about a value that is ignored, with what it may be. The value is made printable. */
void filchi_env_ignored(enum filchi_variable variable, const char *may_be, FILE *notes);

#endif
