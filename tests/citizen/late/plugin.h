/* SPDX-License-Identifier: Apache-2.0 */
/* What the plugins export. */
#ifndef PLUGIN_H
#define PLUGIN_H

#define EXPORT __attribute__((visibility("default")))

/*
 * Makes a pool with @flags, uses it, ends it; 0 or the number of what went wrong. In a job it sees
 * its own pool, and @other_current, another copy's filch_pool_current(), sees none.
 */
EXPORT int plugin_use(unsigned long long flags, void *(*other_current)(void));

/* The same with the default pool of the plugin's copy, which is left alone; and a call of each. */
EXPORT int plugin_use_default(void *(*other_current)(void));

/* Starts a job on it that never ends. */
EXPORT int plugin_keep_busy(void);

/* Makes a pool of the plugin's copy that is live; ends it. 0, or what went wrong. */
EXPORT int plugin_go_live(void);
EXPORT int plugin_end_live(void);

/* filch_pool_current() of the plugin's copy, and where that copy is. */
EXPORT void *plugin_current(void);
EXPORT const void *plugin_filch(void);

#endif
