/* SPDX-License-Identifier: Apache-2.0 */
/* sim: the simulator beside the library itself. */
#ifndef SIM_CALIBRATE_H
#define SIM_CALIBRATE_H

#include "sim.h"

/*
 * Runs fib with leaves that sleep on the real library, with more workers than cores, and simulates
 * the same. @workers: a list of 16, 64 and 256, or all if it is empty. Prints a table to @out.
 * Returns 0 if steals, parks and wakes are within a factor of 1.5 of each other everywhere, 1 if
 * not, or a negative errno.
 *
 * A sleeping leaf leaves its core to others. So all workers are at work at once, as on a machine
 * that has a core for each, as long as all that is not a leaf is little beside them.
 */
int sim_calibrate(const struct sim_costs *costs, const char *workers, uint32_t rounds, FILE *out);

#endif
