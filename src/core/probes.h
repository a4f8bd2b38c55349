/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes for perf, bpftrace and SystemTap, at the places of a trace's events: one instruction that
 * does nothing, and a note in the file of where it is and where its arguments are. Compiled in with
 * -DFILCH_USDT=ON where <sys/sdt.h> is there: docs/traces.md.
 */
#ifndef FILCHI_PROBES_H
#define FILCHI_PROBES_H

#if defined(FILCH_USDT)
#include <sys/sdt.h>
#define FILCHI_PROBE(name, a, b) DTRACE_PROBE2(filch, name, (a), (b))
#else
#define FILCHI_PROBE(name, a, b) ((void)0)
#endif

#endif
