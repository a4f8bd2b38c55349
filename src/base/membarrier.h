/* SPDX-License-Identifier: Apache-2.0 */
/*
 * membarrier(2): see membarrier.c. filchi_membarrier() itself is a memory operation, in atomic.h.
 */
#ifndef FILCHI_MEMBARRIER_H
#define FILCHI_MEMBARRIER_H

#include <stdbool.h>

/* Any thread. True: filchi_membarrier() works in this process. False: use the fenced mode. */
bool filchi_membarrier_register(void);

/* Whether FILCH_MEMBARRIER=0 asks to do without. */
bool filchi_membarrier_unwanted(void);

#endif
