/*
 * Timers against a naive model: an array that is searched.
 */
#include "os/timer.h"

#include <check.h>
#include <stdlib.h>

#include "base/list.h"

#define N	64
#define NEVER	UINT64_MAX

/* a timer and what the model knows of it */
struct item {
	struct timer	 t;
	struct bed	*bed;
	uint64_t	 due;		/* NEVER: not armed */
	unsigned	 fired;
};

struct bed {
	struct timers	w;
	struct item	item[N];
	uint64_t	seed;
	uint64_t	limit;		/* of the run under way */
	bool		meddles;	/* callbacks change other timers */
};

/* ck_assert writes to a file each time: too slow for millions of these. */
#define want(cond)	((cond) ? (void)0 : ck_abort_msg("%s", #cond))

static uint64_t
roll(struct bed *b, uint64_t n)
{
	b->seed ^= b->seed << 13;
	b->seed ^= b->seed >> 7;
	b->seed ^= b->seed << 17;
	return b->seed % n;
}

/* From one tick to five years, each magnitude as likely as the others. */
static uint64_t
roll_span(struct bed *b)
{
	return roll(b, UINT64_C(1) << roll(b, 38));
}

static void
arm(struct bed *b, struct item *it, uint64_t due)
{
	timers_add(&b->w, &it->t, due);
	it->due = due > b->w.now ? due : b->w.now + 1;
}

static void
disarm(struct bed *b, struct item *it)
{
	timers_del(&b->w, &it->t);
	it->due = NEVER;
}

static void
on_fire(struct timer *t)
{
	struct item *it = container_of(t, struct item, t);
	struct bed *b = it->bed;

	want(it->due == b->w.now);
	want(it->due <= b->limit);
	want(!timer_is_armed(t));
	it->due = NEVER;
	it->fired++;
	if (!b->meddles)
		return;
	arm(b, &b->item[roll(b, N)], b->w.now + roll_span(b));
	disarm(b, &b->item[roll(b, N)]);
	if (roll(b, 2) == 0)
		arm(b, it, b->w.now + roll(b, 3));
}

static void
start(struct bed *b, uint64_t now, uint64_t seed)
{
	int i;

	timers_init(&b->w, now);
	b->seed = seed;
	b->limit = now;
	b->meddles = false;
	for (i = 0; i < N; i++) {
		timer_init(&b->item[i].t, on_fire);
		b->item[i].bed = b;
		b->item[i].due = NEVER;
		b->item[i].fired = 0;
	}
}

static uint64_t
first_due(const struct bed *b)
{
	uint64_t due = NEVER;
	int i;

	for (i = 0; i < N; i++)
		if (b->item[i].due < due)
			due = b->item[i].due;
	return due;
}

static void
agree(const struct bed *b)
{
	uint64_t wait, due = first_due(b), n = 0;
	int i;

	for (i = 0; i < N; i++) {
		want(timer_is_armed(&b->item[i].t) ==
		    (b->item[i].due != NEVER));
		n += b->item[i].due != NEVER;
	}
	want(b->w.n == n);
	wait = timers_wait(&b->w, NEVER);
	if (due == NEVER) {
		want(wait == NEVER);
	} else {
		want(due > b->w.now);
		want(wait >= 1);
		want(wait <= due - b->w.now);
	}
	want(timers_wait(&b->w, 7) <= 7);
}

static void
run_to(struct bed *b, uint64_t now)
{
	b->limit = now;
	timers_run(&b->w, now);
	want(b->w.now == now);
	want(first_due(b) > now);
}

static void
play(uint64_t now, uint64_t seed, bool meddles)
{
	struct bed *b = malloc(sizeof(*b));
	struct item *it;
	uint64_t span;
	int i;

	start(b, now, seed);
	b->meddles = meddles;
	for (i = 0; i < 4000; i++) {
		it = &b->item[roll(b, N)];
		switch (roll(b, 8)) {
		case 0:
			disarm(b, it);
			break;
		case 1:
			/* callbacks that arm go on for long over a big jump */
			span = meddles ? roll(b, 5000) : roll_span(b);
			run_to(b, b->w.now + span);
			break;
		case 2:
			run_to(b, b->w.now + timers_wait(&b->w, 100000));
			break;
		case 3:
			arm(b, it, roll(b, b->w.now + 10));
			break;
		default:
			arm(b, it, b->w.now + roll_span(b));
		}
		agree(b);
	}
	free(b);
}

START_TEST(test_random)
{
	static const uint64_t from[] = {
		0, 63, 4095, (UINT64_C(1) << 36) - 2, UINT64_C(123456789012)
	};
	uint64_t seed = 77777 + (uint64_t)_i;

	play(from[_i % 5], seed, _i >= 5);
}
END_TEST

/* An idle loop wakes at most once per level before a timer is due. */
START_TEST(test_wakes)
{
	struct bed b;
	uint64_t span;
	int wakes, i;

	for (i = 0; i < 200; i++) {
		start(&b, UINT64_C(1) << 33, 99 + (uint64_t)i);
		roll(&b, 2);
		span = 1 + roll(&b, UINT64_C(1) << 36);
		arm(&b, &b.item[0], b.w.now + span);
		for (wakes = 0; b.item[0].fired == 0; wakes++)
			run_to(&b, b.w.now + timers_wait(&b.w, NEVER));
		ck_assert_int_le(wakes, TIMER_LEVELS);
	}
}
END_TEST

/* Moving later leaves the node alone, moving earlier takes effect. */
START_TEST(test_move)
{
	struct bed b;
	struct list *at;

	start(&b, 1000, 1);
	arm(&b, &b.item[0], 1010);
	at = b.item[0].t.node.next;
	arm(&b, &b.item[0], 61000);
	ck_assert_ptr_eq(b.item[0].t.node.next, at);
	run_to(&b, 60999);
	ck_assert_uint_eq(b.item[0].fired, 0);
	arm(&b, &b.item[0], 70000);
	arm(&b, &b.item[0], 61001);
	run_to(&b, 61000);
	ck_assert_uint_eq(b.item[0].fired, 0);
	run_to(&b, 61001);
	ck_assert_uint_eq(b.item[0].fired, 1);
}
END_TEST

/* Beyond what the wheel spans a timer waits, and still comes in time. */
START_TEST(test_far)
{
	struct bed b;
	uint64_t due = UINT64_C(1) << 41;

	start(&b, (UINT64_C(1) << 36) - 1, 1);
	arm(&b, &b.item[0], due);
	arm(&b, &b.item[1], NEVER - 1);
	run_to(&b, due - 1);
	ck_assert_uint_eq(b.item[0].fired, 0);
	run_to(&b, due);
	ck_assert_uint_eq(b.item[0].fired, 1);
	ck_assert_uint_eq(b.item[1].fired, 0);
	ck_assert(timer_is_armed(&b.item[1].t));
	disarm(&b, &b.item[1]);
	ck_assert_uint_eq(timers_wait(&b.w, 55), 55);
}
END_TEST

/* What is armed for the past fires with the next tick, not for ever. */
START_TEST(test_past)
{
	struct bed b;

	start(&b, 500, 1);
	arm(&b, &b.item[0], 3);
	ck_assert_uint_eq(timers_wait(&b.w, 100), 1);
	run_to(&b, 500);
	ck_assert_uint_eq(b.item[0].fired, 0);
	run_to(&b, 501);
	ck_assert_uint_eq(b.item[0].fired, 1);
	timers_run(&b.w, 400);
	ck_assert_uint_eq(b.w.now, 501);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("timer");
	TCase *tc = tcase_create("timer");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_random, 0, 10);
	tcase_add_test(tc, test_wakes);
	tcase_add_test(tc, test_move);
	tcase_add_test(tc, test_far);
	tcase_add_test(tc, test_past);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
