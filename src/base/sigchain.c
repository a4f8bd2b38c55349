/* SPDX-License-Identifier: Apache-2.0 */
/* A signal handler of ours among those of the application: see sigchain.h. */
#define _GNU_SOURCE
#include "base/sigchain.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/this_thread.h"

#define VERSION(state) ((state) >> FILCHI_SIGCHAIN)
#define RESET(i)       (UINT64_C(1) << (i))
#define NONE           FILCHI_SIGCHAIN /* in place of an index */

/* --- the record ------------------------------------------------------- */

static struct filchi_sigchain_table *table_of(struct filchi_sigchain *chain, uint64_t state)
{
	return &chain->table[VERSION(state) % 2];
}

static void load_action(struct filchi_sigchain_table *table, uint32_t i, struct sigaction *action)
{
	uint64_t word[FILCHI_SIGACTION_WORDS];

	for (unsigned n = 0; n < FILCHI_SIGACTION_WORDS; n++)
		word[n] = filch_load_relaxed(&table->below[i][n]);
	memcpy(action, word, sizeof *action);
}

static void store_action(
	struct filchi_sigchain_table *table, uint32_t i, const struct sigaction *action)
{
	uint64_t word[FILCHI_SIGACTION_WORDS] = { 0 };

	memcpy(word, action, sizeof *action);
	for (unsigned n = 0; n < FILCHI_SIGACTION_WORDS; n++)
		filch_store_relaxed(&table->below[i][n], word[n]);
}

/* What a writer works on, under its caller's lock. */
struct record {
	uint32_t depth, above;
	bool is_removed;
	struct sigaction below[FILCHI_SIGCHAIN];
};

static uint64_t load_record(struct filchi_sigchain *chain, struct record *record)
{
	uint64_t state = filchi_load_acquire(&chain->state);
	struct filchi_sigchain_table *table = table_of(chain, state);

	record->depth = filch_load_relaxed(&table->depth);
	record->is_removed = filch_load_relaxed(&table->is_removed);
	record->above = filch_load_relaxed(&table->above);
	for (uint32_t i = 0; i < record->depth; i++)
		load_action(table, i, &record->below[i]);
	return state;
}

/* The next version; the action @fresh has not been reset, nor have those above @record->depth. */
static void store_record(struct filchi_sigchain *chain, const struct record *record, uint32_t fresh)
{
	uint64_t state = filchi_load_acquire(&chain->state), next;
	struct filchi_sigchain_table *table =
		table_of(chain, state + (UINT64_C(1) << FILCHI_SIGCHAIN));

	filch_store_relaxed(&table->depth, record->depth);
	filch_store_relaxed(&table->is_removed, record->is_removed);
	filch_store_relaxed(&table->above, record->above);
	for (uint32_t i = 0; i < record->depth; i++)
		store_action(table, i, &record->below[i]);
	do {
		next = (VERSION(state) + 1) << FILCHI_SIGCHAIN |
		       (state & (RESET(record->depth) - 1) & ~RESET(fresh));
		/* a full barrier: the other table is written only once this one is in use */
	} while (!filchi_cas_seq_cst(&chain->state, &state, next));
}

/* --- putting ours on top, and taking it off --------------------------- */

static bool is_ours(const struct filchi_sigchain *chain, const struct sigaction *action)
{
	return action->sa_flags & SA_SIGINFO && action->sa_sigaction == chain->ours;
}

static bool is_default(const struct sigaction *action)
{
	return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
}

static bool is_same(const struct sigaction *a, const struct sigaction *b)
{
	return a->sa_handler == b->sa_handler &&
	       !(a->sa_flags & SA_SIGINFO) == !(b->sa_flags & SA_SIGINFO);
}

/* Records @now as the action below ours. */
static void put_below(struct filchi_sigchain *chain, const struct sigaction *now)
{
	struct record record;
	bool was_there;

	(void)load_record(chain, &record);
	was_there = record.depth && !record.is_removed;
	/* a remembered action has come up again: those that stood above it do no more */
	for (uint32_t i = 0; i < record.depth; i++)
		if (is_same(&record.below[i], now)) {
			was_there |= record.above >> i & 1;
			record.depth = i;
		}
	if (record.depth == FILCHI_SIGCHAIN)
		record.depth--;
	record.above &= (1u << record.depth) - 1;
	record.above |= (uint32_t)was_there << record.depth;
	record.below[record.depth++] = *now;
	record.is_removed = false;
	store_record(chain, &record, record.depth - 1);
}

int filchi_sigchain_install(struct filchi_sigchain *chain)
{
	struct sigaction ours, now, before;
	struct record record;

	if (sigaction(chain->signal, NULL, &now))
		return errno;
	if (is_ours(chain, &now)) {
		/* the application put ours back: the actions below still are */
		(void)load_record(chain, &record);
		if (record.is_removed) {
			record.is_removed = false;
			store_record(chain, &record, NONE);
		}
		return 0;
	}
	memset(&ours, 0, sizeof ours);
	ours.sa_sigaction = chain->ours;
	ours.sa_flags = SA_SIGINFO | chain->flags;
	sigemptyset(&ours.sa_mask);
	put_below(chain, &now); /* before we are called */
	if (sigaction(chain->signal, &ours, &before)) {
		int error = errno;

		(void)load_record(chain, &record);
		record.is_removed = true;
		store_record(chain, &record, NONE);
		return error;
	}
	if (!is_same(&before, &now) && !is_ours(chain, &before))
		put_below(chain, &before); /* the application has been faster */
	return 0;
}

void filchi_sigchain_remove(struct filchi_sigchain *chain)
{
	struct sigaction now, back;
	struct record record;
	uint64_t state = load_record(chain, &record);

	if (sigaction(chain->signal, NULL, &now) || !is_ours(chain, &now) || !record.depth)
		return; /* the application's own is on top, and may call us */
	back = record.below[record.depth - 1];
	if (state & RESET(record.depth - 1)) {
		back.sa_handler = SIG_DFL;
		back.sa_flags &= ~SA_SIGINFO;
	}
	/* first: from then on a delivery inside asks for the action that has the signal */
	record.is_removed = true;
	store_record(chain, &record, NONE);
	if (!sigaction(chain->signal, &back, &now) && !is_ours(chain, &now))
		(void)sigaction(chain->signal, &now, NULL); /* the application has been faster */
}

/* --- a delivery ------------------------------------------------------- */

static void set_default(struct filchi_sigchain *chain)
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = SIG_DFL;
	(void)sigaction(chain->signal, &action, NULL);
}

/* A fault happens again when we return; anything else is sent again. */
static void take_default(struct filchi_sigchain *chain, siginfo_t *info)
{
	if (chain->is_ignored)
		return;
	set_default(chain);
	if (info->si_code <= 0)
		(void)syscall(
			SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), chain->signal, info);
}

static void call(const struct sigaction *action, int signal_number, siginfo_t *info, void *context)
{
	sigset_t mask, one;

	pthread_sigmask(SIG_BLOCK, &action->sa_mask, &mask);
	if (action->sa_flags & SA_NODEFER && !sigismember(&action->sa_mask, signal_number)) {
		sigemptyset(&one);
		sigaddset(&one, signal_number);
		pthread_sigmask(SIG_UNBLOCK, &one, NULL);
	}
	if (action->sa_flags & SA_SIGINFO)
		action->sa_sigaction(signal_number, info, context);
	else
		action->sa_handler(signal_number);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/*
 * The action for a delivery that reaches ours for the *@at-th time, 0 first. False: there is none,
 * which is the default action.
 *
 * Where ours has been removed, a first time means one of two things. The kernel called ours before
 * that: the signal goes to the action that has it now. Or the action that was put back calls ours:
 * that one has had the signal, and *@at says so. A call in tail position looks like the kernel's.
 * So an action that may call ours might get a fault twice, which is better than not to get it. A
 * signal that may be ignored it gets once.
 */
static bool find_action(
	struct filchi_sigchain *chain, uint32_t *at, bool from_kernel, struct sigaction *action)
{
	uint64_t state = filchi_load_acquire(&chain->state);
	const bool is_first = !*at;

	for (;;) {
		struct filchi_sigchain_table *table = table_of(chain, state);
		uint32_t depth = filch_load_relaxed(&table->depth), level = *at, i;
		bool is_removed = filch_load_relaxed(&table->is_removed), is_found;
		uint64_t before = state;

		if (is_removed && is_first) {
			if (!from_kernel ||
				(chain->is_ignored && depth &&
					filch_load_relaxed(&table->above) >> (depth - 1) & 1)) {
				level = 1;
			} else if (!sigaction(chain->signal, NULL, action) &&
				   !is_ours(chain, action)) {
				if ((unsigned)action->sa_flags & (unsigned)SA_RESETHAND)
					set_default(chain);
				return !is_default(action);
			}
		}
		is_found = level < depth;
		i = is_found ? depth - 1 - level : 0;
		if (is_found)
			load_action(table, i, action);
		state = filchi_fence_then_load_acquire(&chain->state);
		if (VERSION(state) != VERSION(before))
			continue;
		*at = level;
		if (!is_found || is_default(action))
			return false;
		if (!((unsigned)action->sa_flags & (unsigned)SA_RESETHAND))
			return true;
		if (state & RESET(i))
			return false;
		if (filchi_cas_seq_cst(&chain->state, &state, state | RESET(i)))
			return true;
	}
}

void filchi_sigchain_pass(
	struct filchi_sigchain *chain, siginfo_t *info, void *context, bool from_kernel)
{
	const struct filchi_delivery outer = filchi_this_thread.delivery;
	const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	struct sigaction action;
	uint32_t level = 0;

	if (outer.chain == chain && outer.info == info && outer.context == context &&
		frame < outer.frame)
		level = outer.level + 1;
	if (!find_action(chain, &level, from_kernel, &action)) {
		take_default(chain, info);
	} else if (!(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN) {
		if (info->si_code > 0 && !chain->is_ignored)
			take_default(chain, info); /* a fault cannot be ignored */
	} else {
		filchi_this_thread.delivery = (struct filchi_delivery){ .chain = chain,
			.info = info,
			.context = context,
			.frame = frame,
			.level = level };
		call(&action, chain->signal, info, context);
		filchi_this_thread.delivery = outer;
	}
}
