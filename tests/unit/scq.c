/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring: first in, first out; a ring for n values holds n; each value leaves exactly once, over many
 * laps, also when a put or a take is overtaken at its worst point (played by one thread inside the
 * race windows).
 */
#define FILCH_HOOKS
#include <criterion/criterion.h>

#include "unit.h"

#include <struct/scq.h>
#include <sched.h>

static struct filchi_scq r;
/* of this thread alone: library threads meet no window */
static _Thread_local const char *hook_point;
static _Thread_local int hook_runs;
static void (*hook_body)(void);

void filchi_hook(const char *point)
{
	if (hook_point && !strcmp(point, hook_point)) {
		hook_point = NULL;
		hook_runs++;
		hook_body();
	}
}

static void in_window(const char *point, void (*body)(void))
{
	hook_body = body;
	hook_point = point;
}

static void begin(uint32_t capacity)
{
	EQ(filchi_scq_init(&r, capacity), 0);
	EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
	cr_assert(filchi_scq_seems_empty(&r));
}

static uint64_t tail(void)
{
	return filch_load_relaxed(&r.tail);
}

Test(ring, values_leave_in_the_order_they_came)
{
	begin(16);
	for (uint32_t i = 0; i < 16; i++)
		filchi_scq_put(&r, (i * 7) % 16);
	for (uint32_t i = 0; i < 16; i++)
		EQ(filchi_scq_take(&r), (i * 7) % 16);
	EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
	filchi_scq_destroy(&r);
}

Test(ring, a_ring_for_n_values_holds_n_of_every_size)
{
	for (uint32_t n = 2; n <= 1024; n *= 2) {
		begin(n);
		for (int lap = 0; lap < 3; lap++) {
			for (uint32_t i = 0; i < n; i++)
				filchi_scq_put(&r, i);
			cr_assert(!filchi_scq_seems_empty(&r));
			for (uint32_t i = 0; i < n; i++)
				EQ(filchi_scq_take(&r), i);
			EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
			cr_assert(filchi_scq_seems_empty(&r));
		}
		filchi_scq_destroy(&r);
	}
}

Test(ring, it_wraps_a_hundred_thousand_times_and_loses_nothing)
{
	uint32_t next = 0, expect = 0;

	begin(2);
	for (uint32_t step = 0; step < 400000; step++) {
		filchi_scq_put(&r, next++ % 2);
		if (step % 3 == 0) {
			filchi_scq_put(&r, next++ % 2);
			EQ(filchi_scq_take(&r), expect++ % 2);
		}
		EQ(filchi_scq_take(&r), expect++ % 2);
		if (step % 5 == 0)
			EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
	}
	cr_assert(tail() > 400000);
	filchi_scq_destroy(&r);
}

Test(ring, takes_in_vain_do_not_disturb_the_next_put)
{
	begin(4);
	for (int round = 0; round < 1000; round++) {
		filchi_scq_put(&r, 3);
		EQ(filchi_scq_take(&r), 3);
		for (int i = 0; i < 20; i++)
			EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
		cr_assert(filchi_scq_seems_empty(&r));
	}
	filchi_scq_destroy(&r);
}

/* --- overtaken -------------------------------------------------------- */

static uint64_t drawn_tail;

static void take_comes_before_its_put(void)
{
	/*
	 * the threshold of a fresh ring would send the take away at once: as after an earlier put,
	 * it is not used up
	 */
	filchi_store_release(&r.threshold, 11);
	cr_assert(!filchi_scq_seems_empty(&r), "a put that has drawn its position is not nothing");
	EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
	drawn_tail = tail();
}

Test(ring, a_put_that_comes_after_its_take_draws_again)
{
	begin(4);
	in_window("scq_put_drawn", take_comes_before_its_put);
	filchi_scq_put(&r, 2);
	EQ(hook_runs, 1);
	EQ(tail(), drawn_tail + 1); /* the second draw */
	cr_assert(!filchi_scq_seems_empty(&r));
	EQ(filchi_scq_take(&r), 2);
	EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
	filchi_scq_destroy(&r);
}

static void lap_passes_a_take(void)
{
	uint64_t unsafe = UINT64_C(1) << r.bits;

	/*
	 * value 0 lies at the first position, its take is late; value 1 goes round until it meets
	 * that entry
	 */
	for (int i = 0; i < 3; i++) {
		filchi_scq_put(&r, 1);
		EQ(filchi_scq_take(&r), 1);
	}
	cr_assert(!(filch_load_relaxed(&r.entry[0]) & unsafe));
	filchi_scq_put(&r, 1); /* cannot use the entry: draws again */
	EQ(filchi_scq_take(&r), 1);
	cr_assert(filch_load_relaxed(&r.entry[0]) & unsafe,
		"the take that met the late one's value marks the entry unsafe");
}

Test(ring, a_take_that_is_overtaken_by_a_lap_still_gets_its_value)
{
	begin(2); /* 4 entries */
	filchi_scq_put(&r, 0);
	in_window("scq_take_drawn", lap_passes_a_take);
	EQ(filchi_scq_take(&r), 0);
	EQ(hook_runs, 1);
	EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
	/* the unsafe entry comes into use again */
	for (uint32_t i = 0; i < 40; i++) {
		filchi_scq_put(&r, i % 2);
		EQ(filchi_scq_take(&r), i % 2);
	}
	filchi_scq_destroy(&r);
}

static void another_put_passes(void)
{
	filchi_scq_put(&r, 1);
	EQ(filchi_scq_take(&r), 1); /* passes over the position of the late put */
}

Test(ring, a_put_that_is_overtaken_loses_its_turn_but_not_its_value)
{
	begin(4);
	in_window("scq_put_drawn", another_put_passes);
	filchi_scq_put(&r, 0);
	EQ(hook_runs, 1);
	EQ(filchi_scq_take(&r), 0);
	EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
	filchi_scq_destroy(&r);
}

/* --- two producers, two consumers ------------------------------------- */

enum { EACH = 20000, SLOTS = 4 };

static struct filchi_scq free_slots;
static uint32_t payload[SLOTS];
static unsigned char seen[2 * EACH];
static int left = 2 * EACH;

static void *produce(void *arg)
{
	uint32_t base = *(uint32_t *)arg;

	for (uint32_t i = 0; i < EACH; i++) {
		uint32_t slot;

		while ((slot = filchi_scq_take(&free_slots)) == FILCHI_SCQ_EMPTY)
			sched_yield();
		payload[slot] = base + i;
		filchi_scq_put(&r, slot);
	}
	return NULL;
}

static void *consume(void *arg)
{
	uint32_t last[2] = { 0, 0 }; /* of each producer: this consumer sees its values in order */

	(void)arg;
	while (__atomic_load_n(&left, __ATOMIC_RELAXED) > 0) {
		uint32_t slot = filchi_scq_take(&r), value;

		if (slot == FILCHI_SCQ_EMPTY) {
			sched_yield();
			continue;
		}
		value = payload[slot];
		filchi_scq_put(&free_slots, slot);
		cr_assert(value < 2 * EACH);
		EQ(__atomic_fetch_add(&seen[value], 1, __ATOMIC_RELAXED), 0);
		cr_assert(value % EACH >= last[value / EACH]);
		last[value / EACH] = value % EACH;
		__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

Test(ring, two_producers_and_two_consumers_pass_each_value_once)
{
	uint32_t base[2] = { 0, EACH };
	pthread_t thread[4];

	begin(SLOTS);
	EQ(filchi_scq_init(&free_slots, SLOTS), 0);
	for (uint32_t i = 0; i < SLOTS; i++)
		filchi_scq_put(&free_slots, i);
	for (int i = 0; i < 4; i++)
		EQ(pthread_create(&thread[i], NULL, i < 2 ? produce : consume, &base[i & 1]), 0);
	for (int i = 0; i < 4; i++)
		EQ(pthread_join(thread[i], NULL), 0);
	for (int i = 0; i < 2 * EACH; i++)
		EQ(seen[i], 1);
	EQ(filchi_scq_take(&r), FILCHI_SCQ_EMPTY);
	filchi_scq_destroy(&r);
	filchi_scq_destroy(&free_slots);
}
