/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier of a completion queue: a poster against readers that rest. Nothing is left lying
 * while all of them rest.
 *
 * labels: model
 *
 * Included by order.c with ORDERED, for queues whose completions come in the order of the submits.
 *
 * Threads:
 * - poster: puts 1 to 3 values into the SCQ and tells; waits until they are taken; and so on.
 *   Explored: PUTS values (default 1). Ordered: draws tickets, and puts them in any order, some as
 *   skipped.
 * - reader: ordinary run: two, of each pairing of kinds. Explored: one of KIND (default 0).
 *     0 descriptor  takes until there is nothing or it is tired, as filch_cq_reap(), then waits for
 *                   the descriptor.
 *     1 sleeper     takes one at a time, as filch_cq_wait().
 *
 * reap, ring_if_any and the sleeper's loop are those of src/calls/completion_queue.c. Explored: a
 * reader's thread ends where it would rest.
 *
 * -DLAP, ordered: one cell, used again if it has been freed by then.
 *
 * -DUNARMED: the descriptor's reader comes to a notifier that nobody has armed yet. -DNEWS: the
 * sleeper has been told before, and has not looked.
 *
 * Asserts, ordinary:
 * - When both readers rest, or one rests and the other is long busy with what it took, nothing is
 *   left. Both have then looked at their wake words twice since the poster was through, in one and
 *   the same rest.
 * - Every value is taken once; ordered: by each reader in the order of the tickets.
 * - Rests, writes of the descriptor and tellings have happened.
 *
 * Asserts, explored: after the end a value is left only if its reader would not rest for ever: the
 * descriptor is readable, or wake_word is set.
 *
 * Mutants found by an ordinary run:
 *   post_before_put            state is read before the value is put: C1
 *   arm_without_second_look    a reader goes to wait for the descriptor as soon as it has armed: C2
 *   sleep_without_second_look  a sleeper sleeps as soon as it has counted itself: C3
 *   news_taken_late            a sleeper looks, then clears wake_word: C4
 *   clear_after_look           the descriptor is cleared after the second look
 *   left_unrung                a reader that leaves something behind its second look does not write
 *                              the descriptor
 *
 * Mutants found by an ordinary run of mutant.sh only after a minute or more of it, and so by no
 * test:
 *   look_by_take               the second look is a take alone, which goes by the SCQ's threshold
 *
 * On x86-64 nothing orders the put's store to the threshold before C1's load, whose fence is the
 * put's last read-modify-write. That mutant's poster reads state between the two, as a store buffer
 * would have it.
 *
 * Mutants found by a model checker alone, for on x86-64 the read-modify-writes are fences in any
 * case:
 *   rest_without_fence         the second looks have no fence before them: found with KIND=1
 *   arm_without_fence          filchi_notify_arm() has none: C2, found with -DUNARMED
 *   woken_without_fence        filchi_notify_woken() has none: C4, found with KIND=1 -DNEWS
 */
#include "driver.h"

#include "base/atomic.h"

#if defined(FILCH_EXPLORE)
#define COUNT(n)                              ((void)0)
#define FILCHI_PARK(word, expected, deadline) ((void)(word), (void)(expected), (void)(deadline), 0)
#else
static atomic_ulong rings_met, tellings_met; /* of one run */
static void count(atomic_ulong *n)
{
	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}
#define COUNT(n)                              count(&(n))
static int park_here(filch_atomic_u32 *word, uint32_t expected);
#define FILCHI_PARK(word, expected, deadline) ((void)(deadline), park_here((word), (expected)))
#endif
/* a sleeper here looks at the word now and then */
#define FILCHI_UNPARK(word) ((void)(word), COUNT(tellings_met))
#define FILCHI_NOTIFY_WRITE_FD(b) \
	((void)(b), COUNT(rings_met), atomic_fetch_add_explicit(&event, 1, memory_order_acq_rel))
#if defined(MUTANT_CLEAR_AFTER_LOOK)
#define FILCHI_NOTIFY_CLEAR_FD(b) ((void)(b))
#else
#define FILCHI_NOTIFY_CLEAR_FD(b) \
	((void)(b), atomic_exchange_explicit(&event, 0, memory_order_acq_rel))
#endif

static atomic_uint event; /* the eventfd */

/* inside filchi_notify_posted() 'p', _arm() 'a', _sleep_begin() 's' or _woken() 'w' */
#define IN_FUNCTION(letter) (__func__[sizeof "filchi_notify_" - 1] == (letter))
/* inside filchi_cq_order_put() 'p' or _seems_empty() 's' */
#define IN_ORDER(letter)                          \
	(__func__[sizeof "filchi_" - 1] == 'c' && \
		__func__[sizeof "filchi_cq_order_" - 1] == (letter))

#if defined(MUTANT_POST_BEFORE_PUT)
static _Thread_local uint32_t early_state;
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	(IN_FUNCTION('p') ? early_state : filchi_fence_then_load_acquire(p))
#elif defined(MUTANT_LOOK_BY_TAKE)
static uint32_t state_now(void);
static _Thread_local uint32_t early_state;
static _Thread_local bool is_early;
#undef filchi_store_release
#define filchi_store_release(p, v)                                                             \
	(__func__[sizeof "filchi_" - 1] == 's' && __func__[sizeof "filchi_scq_" - 1] == 'p'    \
			? (early_state = state_now(), is_early = true, HOLD(), HOLD(), HOLD(), \
				  HOLD())                                                      \
			: (void)0,                                                             \
		atomic_store_explicit((p), (v), memory_order_release))
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p)                           \
	(IN_FUNCTION('p') && is_early ? (is_early = false, early_state) \
				      : filchi_fence_then_load_acquire(p))
#elif defined(MUTANT_REST_WITHOUT_FENCE)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	(IN_FUNCTION('p') ? filchi_fence_then_load_acquire(p) : filchi_load_acquire(p))
#elif defined(MUTANT_HEAD_READ_EARLY)
static _Thread_local uint64_t early_head;
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	((__typeof__(*(p)))(IN_ORDER('p') ? early_head : filchi_fence_then_load_acquire(p)))
#elif defined(MUTANT_PASSED_UNTOLD)
static _Thread_local uint64_t put_ticket;
static uint64_t only_there(uint64_t head)
{
	return head == put_ticket ? head : 0;
}
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p)                                                 \
	((__typeof__(*(p)))(IN_ORDER('p')                                                     \
				    ? (HOLD(), only_there(filchi_fence_then_load_acquire(p))) \
				    : filchi_fence_then_load_acquire(p)))
#elif defined(MUTANT_LOOK_WITHOUT_FENCE)
#undef filchi_fence_then_load_acquire
#define filchi_fence_then_load_acquire(p)       \
	(IN_ORDER('s') ? filchi_load_acquire(p) \
		       : (atomic_thread_fence(memory_order_seq_cst), filchi_load_acquire(p)))
#elif defined(MUTANT_MARK_WITHOUT_RELEASE)
#undef filchi_exchange_seq_cst
#define filchi_exchange_seq_cst(p, v)                                             \
	(IN_ORDER('p') ? atomic_exchange_explicit((p), (v), memory_order_relaxed) \
		       : atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#elif defined(MUTANT_FREE_WITHOUT_RELEASE)
#undef filchi_store_release
#define filchi_store_release(p, v) filch_store_relaxed((p), (v))
#elif defined(MUTANT_ARM_WITHOUT_FENCE) || defined(MUTANT_WOKEN_WITHOUT_FENCE)
#if defined(MUTANT_ARM_WITHOUT_FENCE)
#define UNFENCED IN_FUNCTION('a')
#else
#define UNFENCED IN_FUNCTION('w')
#endif
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	(UNFENCED ? filchi_load_acquire(p) : filchi_fence_then_load_acquire(p))
#endif

#if defined(ORDERED)
#include "struct/cq_order.h"
#else
#include "struct/notify.h"
#include "struct/scq.h"
#endif

#if defined(FILCH_EXPLORE)
#ifndef PUTS
#define PUTS 1
#endif
#ifndef KIND
#define KIND 0
#endif
enum { VALUES = PUTS, READERS = 1 };
_Static_assert(VALUES <= 2, "the ring's capacity");
#else
enum { VALUES = 3, READERS = 2 };
#endif

static int message[VALUES]; /* plain: a missing order is a data race to a checker */
static atomic_uint holds[VALUES];
static atomic_ulong taken;

/* The value has left the queue. */
static void leaves(uint32_t value)
{
	assert(value < VALUES && message[value] == (int)value + 1);
	assert(atomic_fetch_sub_explicit(&holds[value], 1, memory_order_relaxed) == 1);
	message[value] = 0;
}

static void enters(uint32_t value)
{
	message[value] = (int)value + 1;
	atomic_fetch_add_explicit(&holds[value], 1, memory_order_relaxed);
}

#if defined(ORDERED)

#if defined(LAP)
enum { CELLS = 1 };
#else
enum { CELLS = VALUES };
#endif

static struct filch_cq cq;
static struct filchi_cell cells[CELLS];
/* the completions, in the form that a checker reads best */
static uint64_t ticket_in[CELLS];
static uint32_t value_in[CELLS];
#define notifier cq.notifier

static void open_queue(void)
{
	cq.cell = cells;
	cq.capacity = CELLS;
	filchi_cq_order_init(&cq);
}

/* take_ordered() of src/calls/completion_queue.c, of one. */
static bool take_one(void)
{
	static _Thread_local uint64_t next;
	uint32_t cell;

	while ((cell = filchi_cq_order_pass(&cq)) != FILCHI_CELL_NONE) {
		bool ready = filchi_cq_order_is_ready(&cq, cell);

		if (ready) {
			assert(ticket_in[cell] >= next);
			next = ticket_in[cell] + 1;
			leaves(value_in[cell]);
		}
		filchi_cq_order_free(&cq, cell);
		if (ready) {
			atomic_fetch_add_explicit(&taken, 1, memory_order_release);
			return true;
		}
	}
	return false;
}

static void close_queue(void)
{
	assert(!take_one()); /* skipped ones may be left */
	assert(filch_load_relaxed(&cq.order.head) == filch_load_relaxed(&cq.order.tail));
}

static bool nothing_there(void)
{
	return filchi_cq_order_seems_empty(&cq);
}

/* @cell was drawn. */
static void put(uint32_t cell, uint32_t value, unsigned what)
{
	if (what == FILCHI_CELL_READY) {
		enters(value);
		ticket_in[cell] = FILCHI_TURN_TICKET(filch_load_relaxed(&cells[cell].turn));
		value_in[cell] = value;
	}
#if defined(MUTANT_PASSED_UNTOLD)
	put_ticket = FILCHI_TURN_TICKET(filch_load_relaxed(&cells[cell].turn));
#elif defined(MUTANT_HEAD_READ_EARLY)
	early_head = filchi_load_acquire(&cq.order.head);
	HOLD();
#endif
	filchi_cq_order_put(&cq, cell, what);
}

#else

static struct filchi_scq ring;
static struct filchi_notifier notifier;
#if defined(MUTANT_LOOK_BY_TAKE)
static uint32_t state_now(void)
{
	return filchi_load_acquire(&notifier.state);
}
#endif

static void open_queue(void)
{
	assert(!filchi_scq_init(&ring, VALUES > 2 ? 4 : 2));
}

static void close_queue(void)
{
	assert(filchi_scq_take(&ring) == FILCHI_SCQ_EMPTY);
	filchi_scq_destroy(&ring);
}

/* --- src/calls/completion_queue.c --------------------------------------------------------- */

static bool take_one(void)
{
	uint32_t value = filchi_scq_take(&ring);

	if (value == FILCHI_SCQ_EMPTY)
		return false;
	leaves(value);
	atomic_fetch_add_explicit(&taken, 1, memory_order_release);
	return true;
}

static bool nothing_there(void)
{
#if defined(MUTANT_LOOK_BY_TAKE) && !defined(CONTROL)
	return filchi_load_acquire(&ring.threshold) < 0;
#else
	return filchi_scq_seems_empty(&ring);
#endif
}

static void post(uint32_t value)
{
	enters(value);
#if defined(MUTANT_POST_BEFORE_PUT)
	early_state = filchi_load_acquire(&notifier.state);
	HOLD();
#endif
	filchi_scq_put(&ring, value);
	filchi_notify_posted(&notifier);
}

#endif

/* filch_cq_reap() of one. */
static bool reap_one(void)
{
	bool got = take_one();

#if defined(MUTANT_ARM_WITHOUT_SECOND_LOOK) || defined(MUTANT_LEFT_UNRUNG)
	if (!got)
		HOLD();
#endif
	if (got || !filchi_notify_arm(&notifier))
		return got;
#if !defined(MUTANT_ARM_WITHOUT_SECOND_LOOK)
	got = take_one();
#if defined(MUTANT_POST_BEFORE_PUT)
	early_state = filchi_load_acquire(&notifier.state);
#endif
#if !defined(MUTANT_LEFT_UNRUNG)
	if (!nothing_there())
		filchi_notify_posted(&notifier);
#endif
#endif
#if defined(MUTANT_CLEAR_AFTER_LOOK)
	HOLD();
	atomic_exchange_explicit(&event, 0, memory_order_acq_rel);
#endif
	return got;
}

#if defined(FILCH_EXPLORE)

static bool rests;

static void *reader(void *number)
{
	(void)number;
	if (KIND == 0) {
		while (reap_one())
			;
		rests = true;
		return NULL;
	}
	for (int i = 0; i < PUTS && take_one(); i++)
		;
	filchi_notify_sleep_begin(&notifier);
	/*
	 * once round the loop of filch_cq_wait(): a wait that would return at once is one more look
	 */
	for (int look = 0; look < 2 && !rests; look++) {
		if (take_one() || !nothing_there())
			break;
		rests = filchi_load_acquire(&notifier.wake_word) == 0;
		if (!rests)
			filchi_notify_woken(&notifier);
	}
	return NULL;
}

static unsigned long put_all; /* the poster's */

static void *poster(void *unused)
{
	(void)unused;
	for (uint32_t value = 0; value < PUTS; value++) {
#if defined(ORDERED)
		uint32_t cell;

		if (!filchi_cq_order_draw(&cq, &cell, 1))
			continue; /* -DLAP: the reader has not freed it */
		put(cell, value, FILCHI_CELL_READY);
#else
		post(value);
#endif
		put_all++;
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	open_queue();
	filchi_notifier_init(&notifier);
	if (KIND == 0) {
		filch_store_relaxed(&notifier.fd, 1);
#if !defined(UNARMED)
		(void)filchi_notify_arm(&notifier);
#endif
	}
#if defined(NEWS)
	filch_store_relaxed(&notifier.wake_word, 1);
#endif
	pthread_create(&thread[0], NULL, poster, NULL);
	pthread_create(&thread[1], NULL, reader, NULL);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	if (rests && atomic_load(&taken) < put_all)
		assert(KIND == 0 ? atomic_load(&event) > 0
				 : filchi_load_acquire(&notifier.wake_word) > 0);
	return 0;
}

#else

enum kind { DESCRIPTOR, SLEEPER };

static _Thread_local unsigned me;
static struct meeting start, end;
static enum kind kind_of[READERS];
/* number of the rest it is in, 0 = none; looks at what would wake it */
static atomic_ulong posted, rest[READERS], polls[READERS];
static atomic_bool over;
static atomic_ulong rests_met;

/* A rest of this reader until @awake says so; false if the run is over. */
static bool rest_until(bool (*awake)(void))
{
	static _Thread_local unsigned long number;

	atomic_store(&rest[me], ++number);
	atomic_fetch_add_explicit(&rests_met, 1, memory_order_relaxed);
	while (!awake() && !atomic_load(&over)) {
		atomic_fetch_add(&polls[me], 1);
		RELAX();
	}
	atomic_store(&rest[me], 0);
	return !atomic_load(&over);
}

static bool all_taken(void)
{
	return atomic_load_explicit(&taken, memory_order_acquire) >= atomic_load(&posted);
}

/*
 * After a take: at times this reader is busy with it for long, and what is left is the other one's.
 * One at a time.
 */
static void take_long(void)
{
	static atomic_bool one_does;

	if (random_below(8) || atomic_exchange(&one_does, true))
		return;
	(void)rest_until(all_taken);
	atomic_store(&one_does, false);
}

static bool event_there(void)
{
	return atomic_load_explicit(&event, memory_order_acquire) > 0;
}

static bool news_there(void)
{
	return filchi_load_acquire(&notifier.wake_word) > 0;
}

/* FILCHI_PARK of a sleeper; a real one may also return for no reason. */
static int park_here(filch_atomic_u32 *word, uint32_t expected)
{
	assert(is_at(word, &notifier.wake_word) && expected == 0);
	if (random_below(64))
		(void)rest_until(news_there);
	return 0;
}

static void read_by_descriptor(void)
{
	do {
		/*
		 * a reader that goes back to wait with something left finds the descriptor readable
		 */
		while (reap_one() && random_below(4)) {
			PAUSE_AT_RANDOM();
			take_long();
		}
	} while (rest_until(event_there));
}

/* look(): takes in vain before it sleeps, often enough that the ring's threshold says empty. */
static bool looked_in_vain(void)
{
	for (uint32_t i = random_below(2) * 16; i; i--)
		if (take_one())
			return false;
	return true;
}

/* filch_cq_wait() of one, over and over. */
static void read_asleep(void)
{
	while (!atomic_load(&over)) {
		PAUSE_AT_RANDOM();
		if (take_one() || !looked_in_vain()) {
			take_long();
			continue;
		}
#if defined(MUTANT_SLEEP_WITHOUT_SECOND_LOOK)
		HOLD();
#endif
		filchi_notify_sleep_begin(&notifier);
#if defined(MUTANT_SLEEP_WITHOUT_SECOND_LOOK)
		(void)FILCHI_PARK(&notifier.wake_word, 0, NULL);
		filchi_notify_woken(&notifier);
#endif
		while (!take_one() && !atomic_load(&over)) {
			if (!nothing_there()) {
				RELAX();
				continue;
			}
			(void)FILCHI_PARK(&notifier.wake_word, 0, NULL);
#if defined(MUTANT_NEWS_TAKEN_LATE)
			if (take_one())
				break;
			HOLD();
			filchi_notify_woken(&notifier);
			(void)FILCHI_PARK(&notifier.wake_word, 0, NULL);
#else
			filchi_notify_woken(&notifier);
#endif
		}
		PAUSE_AT_RANDOM();
		filchi_notify_sleep_end(&notifier, !nothing_there());
		take_long();
	}
}

static void *reader(void *number)
{
	me = (unsigned)(uintptr_t)number;
	seed_with(me);
	meet(&start, READERS + 1);
	if (kind_of[me] == DESCRIPTOR)
		read_by_descriptor();
	else
		read_asleep();
	meet(&end, READERS + 1);
	return NULL;
}

/* Until all that was posted is taken; fails when all readers rest and it is not. */
static void until_taken(void)
{
	unsigned long in[READERS], looked[READERS];

	while (atomic_load_explicit(&taken, memory_order_acquire) < atomic_load(&posted)) {
		bool all = true;

		for (int i = 0; i < READERS; i++) {
			in[i] = atomic_load(&rest[i]);
			looked[i] = atomic_load(&polls[i]);
		}
		for (int i = 0; i < READERS && all; i++) {
			while (in[i] && atomic_load(&rest[i]) == in[i] &&
				atomic_load(&polls[i]) - looked[i] < 2)
				RELAX();
			all = in[i] && atomic_load(&rest[i]) == in[i];
		}
		/*
		 * seen in the same rest before and after each had looked: nobody was awake in
		 * between
		 */
		for (int i = 0; i < READERS && all; i++)
			all = atomic_load(&rest[i]) == in[i];
		assert(!all || atomic_load(&taken) == atomic_load(&posted));
		RELAX();
	}
}

#if defined(ORDERED)

/* Draws @n tickets, and puts them from any of them on, round and round; some are skipped. */
static void post_some(uint32_t n)
{
	uint32_t cell[VALUES], got = 0, first = random_below(n);

	while ((got += filchi_cq_order_draw(&cq, cell + got, n - got)) < n)
		RELAX(); /* a reader has not passed a skipped one yet */
	for (uint32_t i = 0; i < n; i++) {
		uint32_t value = (first + i) % n;
		bool skip = random_below(16) == 0;

		PAUSE_AT_RANDOM();
		atomic_fetch_add(&posted, !skip);
		put(cell[value], value, skip ? FILCHI_CELL_SKIPPED : FILCHI_CELL_READY);
	}
}

#else

static void post_some(uint32_t n)
{
	for (uint32_t value = 0; value < n; value++) {
		PAUSE_AT_RANDOM();
		atomic_fetch_add(&posted, 1);
		post(value);
	}
}

#endif

/* What a run with readers of these kinds can meet. */
static bool covered(void)
{
	bool both = kind_of[0] != kind_of[1];

	return (atomic_load(&rings_met) || (!both && kind_of[0] == SLEEPER)) &&
	       (atomic_load(&tellings_met) || (!both && kind_of[0] == DESCRIPTOR));
}

static void run(uint32_t rounds, enum kind first, enum kind second)
{
	pthread_t thread[READERS];

	kind_of[0] = first;
	kind_of[1] = second;
	open_queue();
	filchi_notifier_init(&notifier);
	atomic_store(&event, 0);
	atomic_store(&rings_met, 0);
	atomic_store(&tellings_met, 0);
	filch_store_relaxed(&notifier.fd, first == DESCRIPTOR || second == DESCRIPTOR);
	(void)filchi_notify_arm(&notifier);
	atomic_store(&over, false);
	for (int i = 0; i < READERS; i++)
		assert(!pthread_create(&thread[i], NULL, reader, (void *)(uintptr_t)i));
	meet(&start, READERS + 1);
	for (uint32_t round = 0; round < rounds || (!covered() && round / PATIENCE < rounds);
		round++) {
		post_some(1 + random_below(VALUES));
		until_taken();
		if (round % 8 == 0) { /* and into a queue whose readers all rest */
			for (int i = 0; i < READERS; i++)
				for (unsigned turn = 0; turn < 100 && !atomic_load(&rest[i]);
					turn++)
					RELAX();
		}
	}
	atomic_store(&over, true);
	meet(&end, READERS + 1);
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	close_queue();
	COVERED(covered());
}

int main(void)
{
	uint32_t rounds = scaled(60000);

	seed_with(7);
	run(rounds, DESCRIPTOR, DESCRIPTOR);
	run(rounds, SLEEPER, SLEEPER);
	run(rounds, DESCRIPTOR, SLEEPER);
	assert(atomic_load(&taken) == atomic_load(&posted));
	COVERED(atomic_load(&rests_met) > rounds / 8);
	return 0;
}

#endif
