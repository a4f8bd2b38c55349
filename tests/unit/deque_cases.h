/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deque: the owner takes the newest, thieves get the oldest, every task leaves exactly once; a full
 * deque grows and then refuses; after thieves have passed a frame its next push is not lost; a
 * thief takes only what its wants allow.
 *
 * One thread plays all roles, also inside the race windows, so that each case is the same
 * interleaving every time. The file is compiled twice: with the shipped indices (deque.c) and with
 * narrow ones that wrap after seven pushes (deque_narrow.c). Each case runs in the mode with
 * membarrier(2) and in the fenced one.
 *
 * Nothing of the library but its membarrier and its assertions is linked: the cold halves of the
 * owner's path, which in the library know what a worker is, are here those of a bare deque.
 */
#define FILCH_HOOKS
#define FILCHI_DEQUE_MAX 64
#define UNIT_WITHOUT_POOLS

#include "unit.h"

#include <struct/deque.h>
#include <base/membarrier.h>

#define SPEC(name)    SPEC_IN(SUITE, name)
#define SPEC_IN(s, n) SPEC_IN_(s, n)
#define SPEC_IN_(s, n)                     \
	static void n##_body(bool fenced); \
	Test(s, n)                         \
	{                                  \
		n##_body(false);           \
	}                                  \
	Test(s, n##_in_the_fenced_mode)    \
	{                                  \
		n##_body(true);            \
	}                                  \
	static void n##_body(bool fenced)

enum { TASKS = 128, EMPTY = -1, LOST = -2, BARRED = -3 };

static struct filchi_deque d;
static struct filch_task task[TASKS];
static struct filchi_team team_a, team_b, team_c;
static struct filchi_segment *scope; /* of the task found or stolen last */
static struct filchi_found in;       /* of the last attempt */
static const struct filchi_filter anything = { .any = true };
static int asked, refused;

static const char *hook_point;
static void (*hook_body)(void);

void filchi_hook(const char *point)
{
	if (hook_point && !strcmp(point, hook_point)) {
		hook_point = NULL; /* once: what runs in the window meets no window itself */
		hook_body();
	}
}

/* @body runs in the next window named @point. */
static void in_window(const char *point, void (*body)(void))
{
	hook_body = body;
	hook_point = point;
}

filch_index filch_push_slow(struct filch_worker *worker, filch_index carried, struct filch_task *t)
{
	filch_index index;

	if (filchi_deque_push_slow((struct filchi_deque *)(void *)worker, carried, t, &index))
		return filch_index_add(index, 1);
	refused++;
	filch_store_relaxed(&t->word, (uintptr_t)0); /* the library runs it */
	return carried;
}

void filch_push_asked(struct filch_worker *worker)
{
	asked++;
	filch_store_relaxed(&worker->ask, 0);
}

void filch_take_quiet(struct filch_worker *worker)
{
	(void)worker;
	filchi_deque_look(&d);
}

static void begin(filch_index capacity, bool fenced)
{
	if (!fenced)
		(void)filchi_membarrier_register();
	EQ(filchi_deque_init(&d, capacity, fenced), 0);
	EQ(d.hot.limit, fenced ? 0 : capacity);
}

static void end(void)
{
	filchi_deque_destroy(&d);
}

static filch_index at(int n)
{
	return filch_index_add(FILCH_INDEX_START, n);
}

/* The index that task @n was pushed at; of no meaning if it was refused. */
static filch_index push(filch_index *carried, int n)
{
	filch_store_relaxed(&task[n].word, (uintptr_t)1);
	filch_push(&d.hot, carried, &task[n]);
	return filch_index_add(*carried, -1);
}

/* The owner's sync of the newest task: true if it was still its own. */
static bool take(filch_index *carried)
{
	struct filch_task unfinished = { .word = 1 };
	filch_index index = filch_index_add(*carried, -1);

	if (filch_take(&d.hot, index, &unfinished)) {
		*carried = index;
		return true;
	}
	return filchi_deque_take_last(&d, *carried, index);
}

/* A thief: the number of the task it got, or why it got none. */
static int steal_as(const struct filchi_filter *filter, struct filchi_team **team)
{
	struct filch_task *t = NULL;

	*team = NULL;
	switch (filchi_deque_steal(&d, filter, &t, team, &in)) {
	case FILCHI_STEAL_GOT:
		scope = in.scope;
		return (int)(t - task);
	case FILCHI_STEAL_RACED:
		return LOST;
	case FILCHI_STEAL_BARRED:
		return BARRED;
	case FILCHI_STEAL_EMPTY:
		break;
	}
	return EMPTY;
}

static int steal(void)
{
	struct filchi_team *team;

	return steal_as(&anything, &team);
}

static uint64_t inside(struct filchi_team *team)
{
	return filch_load_relaxed(&team->inside);
}

/* --- sequential ------------------------------------------------------- */

SPEC(a_take_on_a_fresh_deque_finds_nothing_and_leaves_it_in_order)
{
	filch_index carried = at(0);

	begin(2, fenced);
	cr_assert(!take(&carried));
	EQ(d.hot.bottom, at(0));
	EQ(filchi_deque_top(&d), at(0));
	EQ(d.hot.floor, at(0));
	EQ(steal(), EMPTY);
	EQ(push(&carried, 7), at(0));
	EQ(steal(), 7);
	end();
}

SPEC(the_owner_takes_the_newest_first)
{
	filch_index carried = at(0), index[3];

	begin(4, fenced);
	for (int i = 0; i < 3; i++)
		index[i] = push(&carried, i);
	EQ(carried, at(3));
	for (int i = 2; i >= 0; i--) {
		EQ(index[i], at(i));
		EQ(d.hot.slot[index[i] & d.hot.mask] - task, i);
		cr_assert(take(&carried), "task %d", i);
		/* the last by moving top, unless nobody else does */
		EQ(carried, index[i] + (i == 0 && fenced));
	}
	cr_assert(filchi_deque_seems_empty(&d));
	EQ(steal(), EMPTY);
	end();
}

SPEC(thieves_get_the_oldest_first)
{
	filch_index carried = at(0);

	begin(4, fenced);
	for (int i = 0; i < 4; i++)
		push(&carried, i);
	for (int i = 0; i < 4; i++)
		EQ(steal(), i);
	EQ(steal(), EMPTY);
	end();
}

SPEC(owner_and_thieves_meet_in_the_middle)
{
	filch_index carried = at(0);

	begin(8, fenced);
	for (int i = 0; i < 8; i++)
		EQ(push(&carried, i), at(i));
	for (int i = 0; i < 4; i++) {
		EQ(steal(), i);
		cr_assert(take(&carried), "task %d", 7 - i);
	}
	EQ(steal(), EMPTY);
	for (int i = 3; i >= 0; i--)
		cr_assert(!take(&carried), "task %d went twice", i);
	end();
}

SPEC(a_push_that_was_asked_for_tells_after_it_is_visible)
{
	filch_index carried = at(0);

	begin(4, fenced);
	if (fenced) /* the slow path is the library's business there */
		d.hot.limit = 4;
	push(&carried, 0);
	EQ(asked, 0);
	filch_store_relaxed(&d.hot.ask, 1);
	push(&carried, 1);
	EQ(asked, 1);
	push(&carried, 2);
	EQ(asked, 1);
	end();
}

/* --- growth and refusal ----------------------------------------------- */

SPEC(growth_from_capacity_two_keeps_every_task_in_its_place)
{
	filch_index carried = at(0), index[64];
	bool seen[64] = { false };

	begin(2, fenced);
	for (int i = 0; i < 64; i++)
		EQ((index[i] = push(&carried, i)), at(i));
	EQ(d.grows, 5);
	EQ(d.hot.mask, 63);
	EQ(d.hot.limit, fenced ? 0 : 64);
	for (int i = 0; i < 64; i++)
		EQ(d.hot.slot[index[i] & d.hot.mask] - task, i);
	for (int i = 0; i < 32; i++) {
		EQ(steal(), i);
		seen[i] = true;
	}
	for (int i = 63; i >= 32; i--) {
		cr_assert(take(&carried), "task %d", i);
		seen[i] = true;
	}
	for (int i = 0; i < 64; i++)
		cr_assert(seen[i], "task %d is lost", i);
	EQ(steal(), EMPTY);
	end();
}

SPEC(growth_after_steals_keeps_what_is_left)
{
	filch_index carried = at(0);

	begin(2, fenced);
	for (int i = 0, out = 0; i < 60; i++) {
		push(&carried, i);
		if (i % 3 == 2)
			EQ(steal(), out++);
	}
	for (int i = 20; i < 60; i++)
		EQ(steal(), i);
	cr_assert(d.grows > 0);
	end();
}

static filch_index window_carried;

static void grow_in_the_window(void)
{
	for (int i = 2; i < 40; i++)
		push(&window_carried, i);
}

SPEC(a_thief_that_holds_the_old_array_gets_the_right_task)
{
	struct filch_array *first;
	int arrays = 0;

	begin(2, fenced);
	window_carried = at(0);
	push(&window_carried, 0);
	push(&window_carried, 1);
	first = filch_load_relaxed(&d.hot.array);
	in_window("steal_before_cas", grow_in_the_window);
	EQ(steal(), 0);
	cr_assert(d.grows >= 4);
	cr_assert(filch_load_relaxed(&d.hot.array) != first);
	/* readable still: the address sanitizer agrees */
	EQ(filch_load_relaxed(&first->slot[at(0) & first->mask]) - task, 0);
	for (struct filch_array *a = filch_load_relaxed(&d.hot.array); a; a = a->retired)
		arrays++;
	EQ(arrays, d.grows + 1);
	for (int i = 1; i < 40; i++)
		EQ(steal(), i);
	end();
}

SPEC(a_deque_at_its_largest_refuses_and_takes_again_once_thieves_made_room)
{
	filch_index carried = at(0);

	begin(2, fenced);
	for (int i = 0; i < 64; i++)
		push(&carried, i);
	EQ(refused, 0);
	for (int i = 0; i < 3; i++) {
		push(&carried, 100);
		EQ(refused, i + 1);
		EQ(task[100].word, 0);
		EQ(carried, at(64));
		EQ(d.hot.bottom, at(64));
	}
	EQ(steal(), 0);
	EQ(push(&carried, 64), at(64));
	EQ(refused, 3);
	for (int i = 1; i <= 64; i++)
		EQ(steal(), i);
	EQ(steal(), EMPTY);
	end();
}

SPEC(syncing_a_refused_spawn_leaves_the_tasks_below_it)
{
	filch_index carried = at(0), index;

	begin(2, fenced);
	for (int i = 0; i < 64; i++)
		push(&carried, i);
	index = push(&carried, 100);
	cr_assert(!filch_take(&d.hot, index, &task[100])); /* it is done: bottom stays */
	EQ(d.hot.bottom, at(64));
	filchi_deque_settle(&d, carried); /* what the library's slow sync does then */
	EQ(d.hot.bottom, at(64));
	cr_assert(take(&carried));
	EQ(carried, at(63));
	for (int i = 0; i < 63; i++)
		EQ(steal(), i);
	end();
}

/* --- stale indices ---------------------------------------------------- */

SPEC(after_thieves_have_passed_a_frame_its_next_push_is_not_lost)
{
	filch_index outer = at(0), inner = outer;

	begin(4, fenced);
	for (int i = 0; i < 3; i++)
		EQ(push(&inner, i), at(i)); /* a callee, which got our index by value */
	for (int i = 0; i < 3; i++)
		EQ(steal(), i);
	for (int i = 2; i >= 0; i--)
		cr_assert(!take(&inner), "task %d went twice", i);
	EQ(d.hot.floor, at(3));
	EQ(d.hot.bottom, at(3));
	EQ(filchi_deque_carried(&d), at(3));
	EQ(outer, at(0)); /* stale: three below top */
	EQ(push(&outer, 3), at(3));
	EQ(outer, at(4));
	EQ(steal(), 3);
	end();
}

SPEC(the_last_task_taken_by_its_owner_raises_the_floor_past_it)
{
	filch_index carried = at(0), index;

	begin(2, fenced);
	index = push(&carried, 0);
	filchi_gate_shut_own(&d.hot);
	cr_assert(take(&carried));
	EQ(d.hot.floor, at(1));
	EQ(filchi_deque_top(&d), at(1));
	EQ(d.hot.bottom, at(1));
	carried = index; /* the frame below: its index is stale by one */
	EQ(push(&carried, 1), at(1));
	EQ(steal(), 1);
	end();
}

SPEC(a_model_of_the_deque_agrees_over_a_random_run)
{
	uint64_t state = test_seed();
	filch_index carried = at(0);
	int id[TASKS], open = 0, oldest = 0; /* handles [oldest, open) hold tasks not stolen yet */
	unsigned takes = 0, steals = 0, gone = 0;

	begin(2, fenced);
	for (int step = 0; step < 100000; step++) {
		switch (test_random(&state) % 3) {
		case 0:
			if (open == 60)
				break;
			id[open] = (int)(test_random(&state) % TASKS);
			push(&carried, id[open]);
			open++;
			break;
		case 1:
			if (!open)
				break;
			open--;
			EQ(take(&carried), open >= oldest);
			if (open >= oldest)
				takes++;
			else
				gone++, oldest = open;
			break;
		default:
			EQ(steal(), oldest < open ? id[oldest] : EMPTY);
			if (oldest < open)
				oldest++, steals++;
		}
	}
	EQ(refused, 0);
	cr_assert(takes && steals && gone && d.grows);
	end();
}

/* --- races, in their windows ------------------------------------------ */

static bool window_took;
static int window_stole;

static void owner_takes_in_the_window(void)
{
	window_took = take(&window_carried);
}

static void thief_steals_in_the_window(void)
{
	window_stole = steal();
}

SPEC(the_last_task_goes_to_the_owner_that_is_faster_than_the_thief)
{
	begin(2, fenced);
	window_carried = at(0);
	push(&window_carried, 0);
	in_window("steal_before_cas", owner_takes_in_the_window);
	EQ(steal(), LOST);
	cr_assert(window_took);
	EQ(steal(), EMPTY);
	end();
}

SPEC(the_last_task_goes_to_one_of_two_thieves)
{
	filch_index carried = at(0);

	begin(2, fenced);
	push(&carried, 0);
	in_window("steal_before_cas", thief_steals_in_the_window);
	EQ(steal(), LOST);
	EQ(window_stole, 0);
	cr_assert(!take(&carried));
	EQ(steal(), EMPTY);
	end();
}

SPEC(a_thief_that_comes_while_the_owner_takes_the_last_task_sees_none)
{
	filch_index carried = at(0);

	begin(2, fenced);
	push(&carried, 0);
	filchi_gate_shut_own(&d.hot);
	window_stole = 99;
	in_window("take_before_cas", thief_steals_in_the_window);
	cr_assert(take(&carried));
	EQ(window_stole, EMPTY);
	end();
}

/* --- the gate --------------------------------------------------------- */

static bool gate_is_open(void)
{
	return d.hot.gate != FILCH_GATE_SHUT;
}

/* So many takes of one task, which lies above another. */
static void take_quietly(filch_index *carried, uint32_t times)
{
	for (uint32_t i = 0; i < times; i++) {
		push(carried, 1);
		cr_assert(take(carried));
	}
}

static void take_in_the_window(void)
{
	window_took = take(&window_carried);
}

SPEC(the_gate_is_open_until_a_thief_comes)
{
	filch_index carried = at(0);

	begin(4, fenced);
	EQ(gate_is_open(), !fenced);
	EQ(steal(), EMPTY);
	EQ(gate_is_open(), !fenced); /* a look into an empty deque is none */
	push(&carried, 0);
	push(&carried, 1);
	EQ(steal(), 0);
	cr_assert(!gate_is_open());
	EQ(d.hot.sure, filchi_top_epoch(d.hot.top));
	cr_assert(take(&carried));
	end();
}

SPEC(with_the_gate_open_the_owner_takes_the_last_task_and_top_stays)
{
	filch_index carried = at(0);

	begin(2, fenced);
	for (int i = 0; i < 10; i++) {
		push(&carried, i);
		cr_assert(take(&carried));
		EQ(filchi_deque_top(&d), fenced ? at(i + 1) : at(0));
	}
	EQ(steal(), EMPTY);
	push(&carried, 11);
	EQ(steal(), 11);
	cr_assert(!take(&carried));
	end();
}

SPEC(the_gate_opens_when_no_thief_has_come_for_long_enough)
{
	filch_index carried = at(0);

	begin(4, fenced);
	if (!fenced)
		d.watch.patience = d.hot.patience = 5;
	push(&carried, 0);
	push(&carried, 2);
	EQ(steal(), 0);
	take_quietly(&carried, 9);
	cr_assert(!gate_is_open()); /* at the fifth it was seen that top had moved */
	take_quietly(&carried, 1);
	EQ(gate_is_open(), !fenced);
	take_quietly(&carried, 20);
	cr_assert(take(&carried));
	EQ(steal(), EMPTY);
	/* and again, of the last tasks alone, which their owner takes by moving top */
	push(&carried, 0);
	EQ(steal(), 0);
	cr_assert(!take(&carried));
	carried = filchi_deque_carried(&d);
	take_quietly(&carried, 10);
	EQ(gate_is_open(), !fenced);
	end();
}

SPEC(a_thief_that_has_read_top_before_the_gate_opens_gets_nothing)
{
	filch_index carried = at(0);
	struct filchi_team *team;

	if (fenced)
		return; /* it never opens */
	begin(4, fenced);
	d.watch.patience = d.hot.patience = 1;
	push(&carried, 0);
	push(&carried, 1);
	EQ(steal(), 0);
	push(&carried, 2);
	window_carried = carried;
	in_window("steal_before_cas", take_in_the_window); /* which opens the gate */
	EQ(steal(), 1);
	cr_assert(window_took);
	cr_assert(!gate_is_open()); /* top had moved since its last take */
	carried = window_carried;
	push(&carried, 3);
	push(&carried, 4);
	cr_assert(take(&carried));
	cr_assert(!gate_is_open());
	push(&carried, 4);
	window_carried = carried;
	in_window("steal_before_cas", take_in_the_window);
	EQ(steal_as(&anything, &team), LOST);
	cr_assert(window_took);
	cr_assert(gate_is_open());
	carried = window_carried;
	EQ(steal(), 3);
	cr_assert(!gate_is_open());
	end();
}

static void thief_moves_top_in_the_window(void)
{
	window_stole = steal();
}

SPEC(the_gate_stays_shut_if_a_thief_comes_while_it_is_opened)
{
	filch_index carried = at(0);

	if (fenced)
		return;
	begin(8, fenced);
	d.watch.patience = d.hot.patience = 1;
	for (int i = 0; i < 6; i++)
		push(&carried, i);
	EQ(steal(), 0);
	cr_assert(take(&carried));
	in_window("gate_opens", thief_moves_top_in_the_window);
	cr_assert(take(&carried));
	EQ(window_stole, 1);
	cr_assert(!gate_is_open());
	for (int i = 3; i >= 2; i--)
		cr_assert(take(&carried));
	EQ(steal(), EMPTY);
	end();
}

/* --- teams and segments ----------------------------------------------- */

SPEC(each_task_belongs_to_the_team_whose_segment_was_open_when_it_was_pushed)
{
	filch_index carried = at(0), index[6];
	struct filchi_team *team;
	const int of[6] = { 0, 0, 1, 1, 2, 2 };
	struct filchi_team *const teams[3] = { &team_a, &team_b, &team_c };

	begin(2, fenced);
	cr_assert(!filchi_segment_team(&d));
	cr_assert(!filchi_segment_find(&d, at(0), &scope));
	for (int i = 0; i < 6; i++) {
		if (i % 2 == 0)
			cr_assert(filchi_segment_open(&d, teams[of[i]], NULL));
		cr_assert(filchi_segment_team(&d) == teams[of[i]]);
		index[i] = push(&carried, i);
	}
	for (int i = 0; i < 6; i++)
		cr_assert(filchi_segment_find(&d, index[i], &scope) == teams[of[i]], "task %d", i);
	EQ(steal_as(&anything, &team), 0);
	cr_assert(team == &team_a);
	EQ(inside(&team_a), 1);
	/* the innermost job ends: the others' tasks keep their teams */
	cr_assert(take(&carried));
	cr_assert(take(&carried));
	filchi_segment_close(&d);
	cr_assert(filchi_segment_team(&d) == &team_b);
	for (int i = 1; i < 4; i++) {
		EQ(steal_as(&anything, &team), i);
		cr_assert(team == teams[of[i]]);
	}
	EQ(inside(&team_a), 2);
	EQ(inside(&team_b), 2);
	EQ(inside(&team_c), 0);
	end();
}

/*
 * Neighbours of one team, and segments that never had a task, or have lost theirs to thieves: a
 * task is found by its index, wherever top stands.
 */
SPEC(a_task_is_found_under_any_number_of_segments)
{
	struct filchi_team *const teams[4] = { &team_a, &team_a, &team_b, NULL };
	const int spawns[13] = { 1, 0, 2, 0, 0, 1, 3, 0, 1, 1, 0, 2, 0 };
	struct filchi_team *of[16], *team;
	filch_index carried = at(0), index[16];
	int n = 0;

	begin(16, fenced);
	for (int i = 0; i < 13; i++) {
		cr_assert(filchi_segment_open(&d, teams[i % 4], NULL));
		for (int j = 0; j < spawns[i]; j++) {
			of[n] = teams[i % 4];
			index[n] = push(&carried, n);
			n++;
		}
		for (int j = 0; j < n; j++)
			cr_assert(filchi_segment_find(&d, index[j], &scope) == of[j], "%d of %d", j,
				i);
	}
	for (int i = 0; i < n; i++) {
		EQ(steal_as(&anything, &team), i);
		cr_assert(team == of[i], "task %d", i);
		for (int j = i; j < n; j++)
			cr_assert(filchi_segment_find(&d, index[j], &scope) == of[j], "%d", j);
	}
	for (int i = 0; i < 13; i++)
		filchi_segment_close(&d);
	end();
}

/* Tasks of a job before, inside and between scopes: each knows the innermost around it. */
SPEC(a_task_belongs_to_the_scope_that_was_open_when_it_was_pushed)
{
	struct filchi_segment *outer, *inner, *again;
	struct filchi_team *team;
	filch_index carried = at(0);

	begin(2, fenced);
	cr_assert(filchi_segment_open(&d, &team_a, NULL));
	(void)push(&carried, 0);
	outer = filchi_scope_open(&d);
	cr_assert(outer && filchi_segment_is_scope(outer));
	cr_assert(filchi_segment_team(&d) == &team_a);
	(void)push(&carried, 1);
	inner = filchi_scope_open(&d);
	(void)push(&carried, 2);
	/* a stolen task of the outer scope, on top of the inner: no rule forbids it here */
	cr_assert(filchi_segment_open_in(&d, &team_a, &task[TASKS - 1], outer));
	cr_assert(!filchi_segment_is_scope(filchi_segment_top(&d)));
	(void)push(&carried, 3);

	EQ(steal_as(&anything, &team), 0);
	cr_assert(!scope);
	EQ(steal_as(&anything, &team), 1);
	cr_assert(scope == outer);
	EQ(steal_as(&anything, &team), 2);
	cr_assert(scope == inner);
	EQ(steal_as(&anything, &team), 3);
	cr_assert(scope == outer);
	EQ(inside(&team_a), 4); /* scopes count as no workers */

	filchi_segment_close(&d);
	cr_assert(filchi_segment_scope(&d) == inner);
	filchi_segment_close(&d);
	cr_assert(filchi_segment_scope(&d) == outer);
	again = filchi_scope_open(&d);
	cr_assert(again == inner, "the place is used again");
	cr_assert(filchi_scope_is_within(again, outer));
	cr_assert(filchi_scope_is_within(outer, outer));
	cr_assert(!filchi_scope_is_within(outer, again));
	cr_assert(!filchi_scope_is_within(NULL, outer));
	filchi_segment_close(&d);
	filchi_segment_close(&d);
	cr_assert(!filchi_segment_scope(&d));
	filchi_segment_close(&d);
	end();
}

SPEC(a_frame_inside_a_scope_takes_only_what_was_made_there)
{
	struct filchi_filter filter = { .team = { &team_a, &team_b } };
	struct filchi_segment *outer, *inner;
	struct filchi_team *team;
	filch_index carried = at(0);

	begin(8, fenced);
	cr_assert(filchi_segment_open(&d, &team_a, NULL));
	(void)push(&carried, 0);
	outer = filchi_scope_open(&d);
	(void)push(&carried, 1);
	inner = filchi_scope_open(&d);
	(void)push(&carried, 2);
	cr_assert(filchi_segment_open(&d, &team_b, NULL));
	(void)push(&carried, 3);
	(void)filchi_scope_open(&d);
	(void)push(&carried, 4);

	filter.scope = outer;
	EQ(steal_as(&filter, &team), BARRED);
	EQ(inside(&team_a), 0);
	filter.scope = NULL;
	EQ(steal_as(&filter, &team), 0);
	filter.scope = inner;
	EQ(steal_as(&filter, &team), BARRED);
	filter.scope = outer;
	EQ(steal_as(&filter, &team), 1);
	EQ(steal_as(&filter, &team), 2);
	EQ(steal_as(&filter, &team), 3); /* the awaited job's, in whatever scope */
	EQ(steal_as(&filter, &team), 4);
	for (int i = 0; i < 5; i++)
		filchi_segment_close(&d);
	end();
}

/* What a thief has read of scopes that were closed meanwhile may form a circle. */
SPEC(a_circle_of_stale_scopes_is_left)
{
	struct filchi_segment circle[2] = { 0 };

	(void)fenced;
	filch_store_relaxed(&circle[0].outer, &circle[1]);
	filch_store_relaxed(&circle[1].outer, &circle[0]);
	cr_assert(filchi_scope_is_within(&circle[0], &circle[1]));
	cr_assert(!filchi_scope_is_within(&circle[0], &circle[0] + 2));
}

SPEC(a_segment_remembers_what_runs)
{
	struct filch_task stolen;

	begin(2, fenced);
	cr_assert(!filchi_segment_top(&d));
	cr_assert(filchi_segment_open(&d, &team_a, NULL));
	cr_assert(!filchi_segment_top(&d)->task);
	cr_assert(filchi_segment_open(&d, &team_a, &stolen));
	cr_assert(filchi_segment_top(&d)->task == &stolen);
	filchi_segment_close(&d);
	cr_assert(!filchi_segment_top(&d)->task);
	filchi_segment_close(&d);
	cr_assert(!filchi_segment_top(&d));
	end();
}

SPEC(a_task_pushed_after_a_nested_job_ended_is_the_outer_jobs)
{
	filch_index carried = at(0);
	struct filchi_team *team;

	begin(2, fenced);
	filchi_segment_open(&d, &team_a, NULL);
	push(&carried, 0);
	filchi_segment_open(&d, &team_b, NULL);
	push(&carried, 1);
	EQ(steal_as(&anything, &team), 0);
	EQ(steal_as(&anything, &team), 1);
	cr_assert(!take(&carried));
	filchi_segment_close(&d);
	push(&carried, 2);
	EQ(steal_as(&anything, &team), 2);
	cr_assert(team == &team_a);
	end();
}

SPEC(a_thief_is_barred_from_a_job_it_may_not_touch)
{
	const struct filchi_filter only_b = { .team = { NULL, &team_b } },
				   b_first = { .team = { &team_b, NULL } };
	const struct filchi_filter nothing = { .any = false };
	filch_index carried = at(0);
	struct filchi_team *team;

	begin(2, fenced);
	filchi_segment_open(&d, &team_a, NULL);
	push(&carried, 0);
	filchi_segment_open(&d, &team_b, NULL);
	push(&carried, 1);
	EQ(steal_as(&only_b, &team), BARRED);
	EQ(steal_as(&b_first, &team), BARRED);
	EQ(steal_as(&nothing, &team), BARRED);
	cr_assert(!team);
	EQ(inside(&team_a), 0);
	EQ(steal_as(&(struct filchi_filter){ .team = { &team_a, NULL } }, &team), 0);
	EQ(steal_as(&only_b, &team), 1);
	EQ(inside(&team_b), 1);
	EQ(steal_as(&only_b, &team), EMPTY);
	end();
}

SPEC(a_task_of_no_job_is_for_those_alone_who_want_anything)
{
	const struct filchi_filter bound = { .team = { &team_a, NULL } };
	filch_index carried = at(0);
	struct filchi_team *team;

	begin(2, fenced);
	push(&carried, 0);
	EQ(steal_as(&bound, &team), BARRED);
	EQ(steal_as(&anything, &team), 0);
	cr_assert(!team);
	end();
}

/*
 * The count is raised whether the CAS then succeeds or not, so it does not wait for the outcome:
 * with the raise after the CAS a thief that loses would leave no trace.
 */
SPEC(a_thief_that_loses_has_raised_the_count_already)
{
	struct filchi_team *team;

	begin(2, fenced);
	filchi_segment_open(&d, &team_a, NULL);
	window_carried = at(0);
	push(&window_carried, 0);
	in_window("steal_before_cas", owner_takes_in_the_window);
	EQ(steal_as(&anything, &team), LOST);
	cr_assert(window_took);
	cr_assert(team == &team_a);
	EQ(inside(&team_a), 1); /* the caller's to lower */
	end();
}

SPEC(jobs_nest_as_deep_as_there_are_segments)
{
	begin(2, fenced);
	for (uint32_t i = 0; i < FILCHI_SEGMENTS; i++)
		cr_assert(filchi_segment_open(&d, i % 2 ? &team_a : &team_b, NULL));
	cr_assert(!filchi_segment_open(&d, &team_c, NULL));
	cr_assert(!filchi_scope_open(&d));
	cr_assert(filchi_segment_team(&d) == &team_a);
	for (uint32_t i = 0; i < FILCHI_SEGMENTS; i++)
		filchi_segment_close(&d);
	cr_assert(!filchi_segment_team(&d));
	end();
}

SPEC(a_change_of_job_makes_the_next_push_look_for_sleepers)
{
	begin(2, fenced);
	EQ(d.hot.ask, 0);
	filchi_segment_open(&d, &team_a, NULL);
	EQ(d.hot.ask, 1);
	filch_store_relaxed(&d.hot.ask, 0);
	/* more of the same job asks for nobody else */
	filchi_segment_open(&d, &team_a, NULL);
	filchi_segment_close(&d);
	EQ(d.hot.ask, 0);
	filchi_segment_open(&d, &team_b, NULL);
	EQ(d.hot.ask, 1);
	filch_store_relaxed(&d.hot.ask, 0);
	filchi_segment_close(&d);
	EQ(d.hot.ask, 1);
	/* a scope may have other sleepers, and so may what is around it */
	filch_store_relaxed(&d.hot.ask, 0);
	cr_assert(filchi_scope_open(&d));
	EQ(d.hot.ask, 1);
	filch_store_relaxed(&d.hot.ask, 0);
	filchi_segment_close(&d);
	EQ(d.hot.ask, 1);
	filch_store_relaxed(&d.hot.ask, 0);
	filchi_segment_close(&d);
	EQ(d.hot.ask, 1);
	end();
}
