/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What C libraries have under different names, or not at all: glibc from 2.34 on, and musl. All
 * else that the library calls they have in common.
 */
#ifndef FILCHI_LIBC_H
#define FILCHI_LIBC_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* What the kernel tells a process of its signal frames; sysconf() has it under glibc alone. */
#define FILCHI_AT_MINSIGSTKSZ 51

/* "ENOENT"; where the library has no such names, what it says. */
static inline const char *filchi_error_name(int error)
{
#if defined(__GLIBC__)
	const char *name = strerrorname_np(error);

	return name ? name : "unknown error";
#else
	return strerror(error);
#endif
}

/* "No such file or directory", in no language but this. */
static inline const char *filchi_error_text(int error)
{
#if defined(__GLIBC__)
	const char *text = strerrordesc_np(error);

	return text ? text : "unknown error";
#else
	return strerror(error);
#endif
}

/* pthread_create() of a thread that begins with @signals blocked. */
static inline int filchi_thread_create(pthread_t *handle, pthread_attr_t *attr,
	const sigset_t *signals, void *(*body)(void *arg), void *arg)
{
#if defined(__GLIBC__)
	int error = pthread_attr_setsigmask_np(attr, signals);

	return error ? error : pthread_create(handle, attr, body, arg);
#else
	sigset_t before;
	int error = pthread_sigmask(SIG_SETMASK, signals, &before);

	if (!error) {
		error = pthread_create(handle, attr, body, arg);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	return error;
#endif
}

/*
 * Sends a signal to a thread of this process, marked with @by; and whether one that has come is
 * such a signal. Under musl any that a thread of this process has sent to this thread is taken for
 * one.
 */
static inline int filchi_signal_thread(pthread_t thread, int signal_number, void *by)
{
#if defined(__GLIBC__)
	return pthread_sigqueue(thread, signal_number, (union sigval){ .sival_ptr = by });
#else
	(void)by;
	return pthread_kill(thread, signal_number);
#endif
}

static inline bool filchi_signal_is_ours(const siginfo_t *info, const void *by)
{
	if (info->si_pid != getpid())
		return false;
#if defined(__GLIBC__)
	return info->si_code == SI_QUEUE && info->si_value.sival_ptr == by;
#else
	(void)by;
	return info->si_code == SI_TKILL;
#endif
}

#if defined(__GLIBC__)
#include <execinfo.h>
#define filchi_backtrace(frame, frames) backtrace((frame), (frames))
#else
#include <unwind.h>

struct filchi_trace {
	void **frame;
	int most, n;
};

static inline _Unwind_Reason_Code filchi_trace_one(struct _Unwind_Context *context, void *arg)
{
	struct filchi_trace *t = arg;

	if (t->n == t->most)
		return _URC_END_OF_STACK;
	t->frame[t->n++] = (void *)_Unwind_GetIP(context);
	return _URC_NO_REASON;
}

static inline int filchi_backtrace(void **frame, int frames)
{
	struct filchi_trace t = { .frame = frame, .most = frames };

	(void)_Unwind_Backtrace(filchi_trace_one, &t);
	return t.n;
}
#endif

#endif
