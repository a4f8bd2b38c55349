/* SPDX-License-Identifier: Apache-2.0 */
/* A signal handler of ours among those of the application: see chain.h. */
#define _GNU_SOURCE
#include "chain.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The delivery that this thread is passing on; initial-exec: a signal handler reads it. Addresses are compared, not followed. */
struct mark {
	const struct filchi_chain *chain;
	const void *info, *context;
	uintptr_t frame;
	uint32_t level;
};
static _Thread_local struct mark passing __attribute__((tls_model("initial-exec")));

static bool is_ours(const struct filchi_chain *chain, const struct sigaction *action)
{
	return action->sa_flags & SA_SIGINFO && action->sa_sigaction == chain->ours;
}

static bool is_same(const struct sigaction *a, const struct sigaction *b)
{
	return a->sa_handler == b->sa_handler && !(a->sa_flags & SA_SIGINFO) == !(b->sa_flags & SA_SIGINFO);
}

void filchi_chain_install(struct filchi_chain *chain)
{
	uint32_t depth = filchi_load_relaxed(&chain->depth);
	struct sigaction ours, now;

	if (sigaction(chain->signal, NULL, &now) || is_ours(chain, &now))
		return; /* the application kept it and put it back: what was below still is */
	/* one that is remembered has come up again: what stood above it does no more */
	for (uint32_t i = 0; i < depth; i++)
		if (is_same(&chain->below[i], &now))
			depth = i;
	if (depth == FILCHI_CHAIN)
		depth--;
	memset(&ours, 0, sizeof ours);
	ours.sa_sigaction = chain->ours;
	ours.sa_flags = SA_SIGINFO | chain->flags;
	sigemptyset(&ours.sa_mask);
	chain->below[depth] = now; /* before we are called */
	filchi_store_release(&chain->depth, depth + 1);
	sigaction(chain->signal, &ours, NULL);
}

void filchi_chain_remove(struct filchi_chain *chain)
{
	uint32_t depth = filchi_load_relaxed(&chain->depth);
	struct sigaction now;

	if (sigaction(chain->signal, NULL, &now) || !is_ours(chain, &now) || !depth)
		return; /* the application has its own on top, which may call us */
	sigaction(chain->signal, &chain->below[depth - 1], NULL);
	filchi_store_release(&chain->depth, depth - 1);
}

/* A fault happens again when we return, anything else is sent again. */
static void take_default(struct filchi_chain *chain, siginfo_t *info)
{
	struct sigaction now;

	if (chain->is_ignored)
		return;
	memset(&now, 0, sizeof now);
	now.sa_handler = SIG_DFL;
	sigaction(chain->signal, &now, NULL);
	if (info->si_code <= 0)
		(void)syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), chain->signal, info);
}

static void call(struct filchi_chain *chain, struct sigaction *action, siginfo_t *info, void *context)
{
	const struct sigaction now = *action;
	sigset_t mask, one;

	if ((unsigned)now.sa_flags & (unsigned)SA_RESETHAND) {
		action->sa_handler = SIG_DFL;
		action->sa_flags &= ~SA_SIGINFO;
	}
	pthread_sigmask(SIG_BLOCK, &now.sa_mask, &mask);
	if (now.sa_flags & SA_NODEFER && !sigismember(&now.sa_mask, chain->signal)) {
		sigemptyset(&one);
		sigaddset(&one, chain->signal);
		pthread_sigmask(SIG_UNBLOCK, &one, NULL);
	}
	if (now.sa_flags & SA_SIGINFO)
		now.sa_sigaction(chain->signal, info, context);
	else
		now.sa_handler(chain->signal);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

void filchi_chain_pass(struct filchi_chain *chain, siginfo_t *info, void *context)
{
	const struct mark outer = passing;
	const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	uint32_t depth = filchi_load_acquire(&chain->depth), level = 0;
	struct sigaction *action;

	if (outer.chain == chain && outer.info == info && outer.context == context && frame < outer.frame)
		level = outer.level + 1;
	action = level < depth ? &chain->below[depth - 1 - level] : NULL;
	if (!action || (!(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL)) {
		take_default(chain, info);
	} else if (!(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_IGN) {
		if (info->si_code > 0 && !chain->is_ignored)
			take_default(chain, info); /* a fault cannot be ignored */
	} else {
		passing = (struct mark){ .chain = chain, .info = info, .context = context, .frame = frame, .level = level };
		call(chain, action, info, context);
		passing = outer;
	}
}
