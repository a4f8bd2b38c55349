/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: binds a worker's thread to its mask, and remembers that it did. See placement.h.
 *
 * The kernel refuses a CPU that the cgroup's cpuset does not allow, and silently narrows a mask to
 * what it allows: so what was asked for is read back. A failure leaves the thread where it was, and
 * is an answer, not an end: a pool works unbound too.
 *
 * What must stay true: the memory of a pin is believed only while the thread still has exactly the
 * mask that we gave it. Whoever moves a worker elsewhere afterwards has asked for something else.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/placement.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/this_thread.h"

bool filchi_plan_mask(const struct filchi_plan *plan, uint32_t worker, struct filchi_cpuset *mask)
{
	memset(mask, 0, sizeof(*mask));
	if (plan->binding == FILCHI_BIND_NONE || worker >= plan->workers)
		return false;
	if (plan->binding == FILCHI_BIND_SET || worker >= plan->seated)
		*mask = plan->mask[plan->mask_of[worker]];
	else
		filchi_cpuset_add(mask, (uint32_t)plan->seat[worker].pu);
	return true;
}

bool filchi_plan_wide(const struct filchi_plan *plan, uint32_t worker, struct filchi_cpuset *mask)
{
	memset(mask, 0, sizeof(*mask));
	if (plan->binding != FILCHI_BIND_SEAT || worker >= plan->seated)
		return false;
	*mask = plan->mask[plan->mask_of[worker]];
	return true;
}

static bool is_same(const struct filchi_cpuset *a, const struct filchi_cpuset *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* The mask that a plan has given to this thread; false: none has. */
static bool mask_here(struct filchi_cpuset *mask)
{
	const struct filchi_plan *plan = filchi_this_thread.plan;

	if (!plan)
		return false;
	return filchi_this_thread.gives_way ? filchi_plan_wide(plan, filchi_this_thread.seat, mask)
					    : filchi_plan_mask(plan, filchi_this_thread.seat, mask);
}

/* Whether the thread, whose mask is @mask, is where a plan has put it. */
static bool is_pinned(const struct filchi_cpuset *mask)
{
	struct filchi_cpuset given;

	return mask_here(&given) && is_same(&given, mask);
}

int filchi_pin_mask(struct filchi_cpuset *mask, bool *widened)
{
	const struct filchi_plan *plan = filchi_this_thread.plan;

	*widened = false;
	if (filchi_cpuset_affinity(mask))
		return -EIO;
	if (is_pinned(mask) && !is_same(&plan->affinity, mask)) {
		*mask = plan->affinity;
		*widened = true;
	}
	return 0;
}

void filchi_pin_add_process(struct filchi_cpuset *mask, bool *widened)
{
	struct filchi_cpuset first;

	/* it may have ended before its process */
	if (filchi_cpuset_of_thread(getpid(), &first) || is_same(&first, mask))
		return;
	for (size_t i = 0; i < sizeof(mask->word) / sizeof(mask->word[0]); i++) {
		*widened |= (first.word[i] & ~mask->word[i]) != 0;
		mask->word[i] |= first.word[i];
	}
}

static int ask_for(const struct filchi_cpuset *set)
{
	return sched_setaffinity(0, sizeof(set->word), (const cpu_set_t *)(const void *)set->word)
		       ? -errno
		       : 0;
}

/*
 * Gives the calling thread exactly the mask @set, and asks the kernel whether it has it. Returns 0
 * or -errno.
 */
static int apply(const struct filchi_cpuset *set)
{
	struct filchi_cpuset now;
	int err = ask_for(set);

	if (!err)
		err = filchi_cpuset_affinity(&now);
	if (err)
		return err;
	return is_same(&now, set) ? 0 : -EIO;
}

const struct filchi_plan *filchi_pin_lift(void)
{
	const struct filchi_plan *plan = filchi_this_thread.plan;
	struct filchi_cpuset now;

	if (!plan || filchi_cpuset_affinity(&now) || !is_pinned(&now))
		return NULL;
	/* the kernel may narrow it to what is allowed now, which is as good */
	return ask_for(&plan->affinity) ? NULL : plan;
}

void filchi_pin_restore(const struct filchi_plan *plan)
{
	struct filchi_cpuset given;

	if (plan && mask_here(&given))
		(void)apply(&given);
}

/* --- a worker at rest ------------------------------------------------- */

/*
 * What is too much: a quarter of the time that the thread wanted to run, in waits as long as a time
 * slice and not as a yield. Two threads that take turns on a core wait half of the time, a few
 * microseconds each; that is how a client and a worker serve each other.
 */
#define WAITED_LEAST_NS UINT64_C(1000000)
#define WAITED_SHARE    4u
#define WAITED_EACH_NS  UINT64_C(50000)
#define AWAY_FIRST_NS   UINT64_C(250000000)
#define AWAY_LAST_NS    UINT64_C(16000000000)

bool filchi_pin_hurts(uint64_t ran, uint64_t waited, uint64_t times)
{
	return waited >= WAITED_LEAST_NS && waited >= (ran + waited) / WAITED_SHARE &&
	       waited >= times * WAITED_EACH_NS;
}

/*
 * How long the calling thread has run, has waited to run, and how many times it has got a CPU.
 * False where the kernel does not say.
 */
static bool read_schedstat(uint64_t now[3])
{
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	char text[80];
	const char *s = text;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	for (int i = 0; i < 3; i++, s += *s == ' ')
		if (!filchi_number(&s, UINT64_MAX, &now[i]))
			return false;
	return true;
}

/* Takes the other mask: the wide one or the seat's own. */
static void change(bool gives_way)
{
	struct filchi_cpuset mask;

	filchi_this_thread.gives_way = gives_way;
	if (!mask_here(&mask) || ask_for(&mask))
		filchi_this_thread.gives_way = !gives_way;
}

/* The thread has its own mask, and a look is due. */
static void look(struct filchi_pin_watch *watch, uint64_t now)
{
	struct filchi_pin_watch before = *watch;
	uint64_t stat[3];

	if (filchi_this_thread.gives_way) {
		if (now < watch->back_at)
			return;
		change(false);
		before.knows = false; /* how it fared elsewhere says nothing of its seat */
	}
	if (!read_schedstat(stat))
		return;
	watch->ran = stat[0];
	watch->waited = stat[1];
	watch->times = stat[2];
	watch->knows = true;
	if (!before.knows || !filchi_pin_hurts(watch->ran - before.ran,
				     watch->waited - before.waited, watch->times - before.times))
		return;
	/* the longer, the sooner it came to that again */
	if (!watch->away_ns || now - watch->back_at > watch->away_ns)
		watch->away_ns = AWAY_FIRST_NS;
	else if (watch->away_ns < AWAY_LAST_NS)
		watch->away_ns *= 2;
	watch->back_at = now + watch->away_ns;
	change(true);
}

void filchi_pin_review(struct filchi_pin_watch *watch, uint64_t now)
{
	const struct filchi_plan *plan = filchi_this_thread.plan;
	bool is_due = now - watch->looked_at >= FILCHI_PIN_LOOK_NS;
	struct filchi_cpuset given, has, seat;

	if (is_due)
		watch->looked_at = now;
	if (!plan || filchi_cpuset_affinity(&has) || !mask_here(&given))
		return;
	if (!is_same(&has, &given)) {
		watch->knows = false;
		if (!filchi_plan_mask(plan, filchi_this_thread.seat, &seat) ||
			!filchi_cpuset_holds(&has, &seat))
			return;
		(void)ask_for(&given);
	}
	if (is_due && plan->binding == FILCHI_BIND_SEAT && filchi_this_thread.seat < plan->seated)
		look(watch, now);
}

void filchi_pin_in_child(void)
{
	struct filchi_cpuset now;

	(void)filchi_pin_lift();
	if (!filchi_cpuset_affinity(&now) && !is_pinned(&now))
		filchi_this_thread.plan = NULL;
}

int filchi_plan_pin(const struct filchi_plan *plan, uint32_t worker, int *error)
{
	struct filchi_cpuset mask;
	int err = 0;

	if (worker >= plan->workers) {
		err = -EINVAL;
	} else if (plan->simulated) {
		err = 0;
	} else if (!filchi_plan_mask(plan, worker, &mask)) {
		err = plan->widen ? apply(&plan->affinity) : 0;
	} else {
		err = apply(&mask);
		/* after a failure too: its CPUs may be allowed later */
		filchi_this_thread.plan = plan;
		filchi_this_thread.seat = worker;
		filchi_this_thread.gives_way = false;
	}
	if (error)
		*error = err;
	return err;
}
