/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's thread: started on its seat, replaced there if it is lost, joined. See seat.c. */
#ifndef FILCHI_SEAT_H
#define FILCHI_SEAT_H

#include "guard.h"

/* The creator, or the warden, or the thread that leaves: starts a thread on @w's seat. 0 or an errno (positive); then all is as before. */
int filchi_seat_start(struct filchi_worker *w);

/*
 * After filchi_guard_abort(): a new thread takes the seat and completes what @lost has left to complete. Where none can be had the
 * seat stays vacant, the caller completes, and if no seat has a thread any more the pool closes and completes everything queued.
 */
void filchi_seat_replace(struct filchi_worker *w, struct filchi_shift *lost);

/* Tries once more to fill a vacant seat. */
void filchi_seat_fill(struct filchi_worker *w);

/* Joins the thread of @shift and frees it. */
void filchi_seat_join(struct filchi_shift *shift);

/* The reserve of a stack: below this address nothing new is started. */
uintptr_t filchi_seat_low_mark(const void *stack, size_t size);

#endif
