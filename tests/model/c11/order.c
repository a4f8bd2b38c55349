/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered completion queue and its notifier: nothing is left lying at the head while all readers
 * rest, and the order is that of the tickets. The text is cq.c's; see there.
 *
 * labels: model
 *
 * Mutants found by an ordinary run:
 *   head_read_early        a completer reads the head before it marks its cell: C5
 *   passed_untold          it tells only if the head is exactly at its ticket
 *
 * Mutants found by a model checker alone, for on x86-64 loads, stores and read-modify-writes keep
 * these orders:
 *   look_without_fence     the look before a rest has no fence: C6, found with PUTS=2
 *   mark_without_release   the mark of a cell is relaxed
 *   free_without_release   so is the store that frees one: found with PUTS=2 -DLAP
 */
#define ORDERED 1
#include "cq.c"
