/*
 * The loop's turn: phases, timers, time.  With each backend, as it is the
 * wait that is between two turns.
 */
#include "os/ev.h"

#include <sys/wait.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_MS	1000000

static const struct ev_backend *const backends[] = { &ev_epoll, &ev_poll };

#define NBACKEND	((int)(sizeof(backends) / sizeof(backends[0])))

/* a task that writes its letter into a log */
struct step {
	struct ev_task	 t;
	struct timer	 timer;
	struct ev	*ev;
	enum ev_phase	 phase;
	char		 letter;
	int		 again;		/* times it posts itself */
	char		*log;
	struct step	*next;		/* posted by it */
	struct step	*stops;		/* cancelled by it */
};

static struct ev *
loop(int i)
{
	struct err e;
	struct ev *ev = ev_new(backends[i], &e);

	ck_assert_ptr_nonnull(ev);
	ck_assert_str_eq(ev_name(ev), backends[i]->name);
	return ev;
}

static void
run_step(struct ev_task *t)
{
	struct step *s = container_of(t, struct step, t);

	ck_assert(!ev_is_posted(t));
	s->log[strlen(s->log)] = s->letter;
	if (s->again > 0) {
		s->again--;
		ev_post(s->ev, s->phase, t);
	}
	if (s->next != NULL)
		ev_post(s->ev, s->next->phase, &s->next->t);
	if (s->stops != NULL)
		ev_cancel(&s->stops->t);
}

static void
on_step_timer(struct timer *t)
{
	struct step *s = container_of(t, struct step, timer);

	s->log[strlen(s->log)] = 't';
	if (s->next != NULL)
		ev_post(s->ev, s->next->phase, &s->next->t);
}

static void
step(struct step *s, struct ev *ev, char *log, enum ev_phase ph, char c)
{
	memset(s, 0, sizeof(*s));
	ev_task_init(&s->t, run_step);
	timer_init(&s->timer, on_step_timer);
	s->ev = ev;
	s->log = log;
	s->phase = ph;
	s->letter = c;
}

START_TEST(test_order)
{
	static const char letters[] = "rwlf";
	char log[32] = "";
	struct step s[EV_NPHASE];
	struct ev *ev = loop(_i);
	int i;

	for (i = EV_NPHASE - 1; i >= 0; i--) {
		step(&s[i], ev, log, (enum ev_phase)i, letters[i]);
		ev_post(ev, s[i].phase, &s[i].t);
		ev_post(ev, s[i].phase, &s[i].t);
	}
	ck_assert(ev_is_posted(&s[0].t));
	ev_turn(ev, -1);
	ck_assert_str_eq(log, "rwlf");
	/* a task that was posted twice ran once */
	ev_turn(ev, 0);
	ck_assert_str_eq(log, "rwlf");
	/* each step posts the one before it: frees come last all the same */
	memset(log, 0, sizeof(log));
	s[EV_FREE].next = &s[EV_FLUSH];
	ev_post(ev, EV_FREE, &s[EV_FREE].t);
	s[EV_FLUSH].next = NULL;
	ev_turn(ev, -1);
	ck_assert_str_eq(log, "fl");
	ev_free(&ev);
}
END_TEST

/* What each phase does with tasks posted while it runs. */
START_TEST(test_again)
{
	char log[64] = "";
	struct step s;
	struct ev *ev = loop(_i);

	step(&s, ev, log, EV_READY, 'r');
	s.again = 2;
	ev_post(ev, EV_READY, &s.t);
	ev_turn(ev, -1);
	ck_assert_str_eq(log, "r");
	/* does not block while something is posted */
	ev_turn(ev, -1);
	ev_turn(ev, -1);
	ck_assert_str_eq(log, "rrr");

	step(&s, ev, log, EV_WAKE, 'w');
	s.again = 2;
	ev_post(ev, EV_WAKE, &s.t);
	ev_turn(ev, -1);
	ck_assert_str_eq(log, "rrrww");
	ev_turn(ev, -1);
	ck_assert_str_eq(log, "rrrwww");

	step(&s, ev, log, EV_FLUSH, 'l');
	s.again = 4;
	ev_post(ev, EV_FLUSH, &s.t);
	ev_turn(ev, -1);
	ck_assert_str_eq(log, "rrrwwwlllll");

	step(&s, ev, log, EV_FREE, 'f');
	s.again = 2;
	ev_post(ev, EV_FREE, &s.t);
	ev_turn(ev, -1);
	ck_assert_str_eq(log, "rrrwwwlllllfff");
	ev_free(&ev);
}
END_TEST

START_TEST(test_cancel)
{
	char log[16] = "";
	struct step a, b, c;
	struct ev *ev = loop(_i);

	step(&a, ev, log, EV_READY, 'a');
	step(&b, ev, log, EV_READY, 'b');
	step(&c, ev, log, EV_READY, 'c');
	a.stops = &b;
	ev_post(ev, EV_READY, &a.t);
	ev_post(ev, EV_READY, &b.t);
	ev_post(ev, EV_READY, &c.t);
	ev_turn(ev, 0);
	ck_assert_str_eq(log, "ac");
	ev_cancel(&b.t);
	ev_post(ev, EV_READY, &b.t);
	ev_turn(ev, 0);
	ck_assert_str_eq(log, "acb");
	ev_free(&ev);
}
END_TEST

/* Timers come after the frees, and what they write goes out at once. */
START_TEST(test_timer_turn)
{
	char log[16] = "";
	struct step free_, late, flush;
	struct ev *ev = loop(_i);
	uint64_t due;

	step(&flush, ev, log, EV_FLUSH, 'l');
	step(&late, ev, log, EV_WAKE, 'w');
	step(&free_, ev, log, EV_FREE, 'f');
	late.next = &flush;
	due = ev_ms(ev) + 5;
	ev_timer(ev, &late.timer, 5);
	while (ev_ms(ev) < due) {
		ev_post(ev, EV_FREE, &free_.t);
			memset(log, 0, sizeof(log));
		ev_turn(ev, 0);
	}
	ck_assert_str_eq(log, "ftl");
	ev_free(&ev);
}
END_TEST

static void
on_stop(struct timer *t)
{
	struct step *s = container_of(t, struct step, timer);

	ev_stop(s->ev);
}

/* An idle loop sleeps through to the timer and is not early. */
START_TEST(test_idle)
{
	struct ev *ev = loop(_i);
	struct step s = { .ev = ev };
	uint64_t due, ns;

	timer_init(&s.timer, on_stop);
	due = ev_ms(ev) + 40;
	ns = ev_clock_ns();
	ev_timer(ev, &s.timer, 40);
	ev_run(ev);
	ck_assert_uint_ge(ev_ms(ev), due);
	ck_assert_uint_ge(ev_clock_ns() - ns, 38 * NS_PER_MS);
	ck_assert_uint_le(ev_counts(ev)->turns, 8);
	ck_assert(ev_wall_ms(ev) > UINT64_C(1600000000000));
	ev_timer(ev, &s.timer, 5);
	ev_timer_off(ev, &s.timer);
	ck_assert(!timer_is_armed(&s.timer));
	ev_timer(ev, &s.timer, UINT64_MAX);
	ev_turn(ev, 1);
	ck_assert(timer_is_armed(&s.timer));
	ev_free(&ev);
	/* what was armed is disarmed with the loop */
	ck_assert(!timer_is_armed(&s.timer));
}
END_TEST

static void
burn(struct ev_task *t)
{
	uint64_t end = ev_clock_ns() + 200 * NS_PER_MS;

	(void)t;
	while (ev_clock_ns() < end)
		;
}

/* A long turn counts as busy and does not put off what falls due. */
START_TEST(test_busy)
{
	struct ev *ev = loop(_i);
	struct step s = { .ev = ev };
	struct ev_task task;
	uint64_t ns, busy;

	timer_init(&s.timer, on_stop);
	ev_task_init(&task, burn);
	ev_turn(ev, 0);
	ns = ev_clock_ns();
	ev_timer(ev, &s.timer, 600);
	ev_post(ev, EV_READY, &task);
	ev_run(ev);
	ns = ev_clock_ns() - ns;
	busy = ev_counts(ev)->busy_ns;
	ck_assert_uint_ge(busy, 200 * NS_PER_MS);
	ck_assert_uint_lt(ns, 1000 * NS_PER_MS);
	ck_assert_uint_ge(ns - busy, 5 * NS_PER_MS);
	ev_free(&ev);
}
END_TEST

static void
on_beat(void *ctx, uint64_t now_ms)
{
	uint64_t *last = ctx;

	last[0] = now_ms;
	last[1]++;
}

START_TEST(test_beat)
{
	struct ev *ev = loop(_i);
	uint64_t last[2] = { 0, 0 };

	ev_set_beat(ev, on_beat, last, 10);
	ev_turn(ev, -1);
	ck_assert_uint_eq(last[0], ev_ms(ev));
	ev_turn(ev, 60000);
	ck_assert_uint_eq(last[1], 2);
	ev_set_beat(ev, NULL, NULL, 10);
	ev_turn(ev, 0);
	ck_assert_uint_eq(last[1], 2);
	ev_free(&ev);
}
END_TEST

static void
fork_here(struct ev_task *t)
{
	struct step *s = container_of(t, struct step, t);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		ev_free(&s->ev);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* A child forked by a callback may drop the loop at once. */
START_TEST(test_fork_inside)
{
	struct ev *ev = loop(_i);
	struct step s = { .ev = ev };

	ev_task_init(&s.t, fork_here);
	ev_post(ev, EV_READY, &s.t);
	ev_turn(ev, 0);
	ev_free(&ev);
}
END_TEST

/* Frees still posted when the loop ends are run, other tasks are not. */
START_TEST(test_free)
{
	char log[16] = "";
	struct step a, b;
	struct ev *ev = loop(_i);

	step(&a, ev, log, EV_FREE, 'f');
	step(&b, ev, log, EV_WAKE, 'w');
	ev_post(ev, EV_FREE, &a.t);
	ev_post(ev, EV_WAKE, &b.t);
	ev_free(&ev);
	ck_assert_str_eq(log, "f");
	ck_assert(!ev_is_posted(&b.t));
	ev_free(&ev);
}
END_TEST

START_TEST(test_choice)
{
	struct err e;
	struct ev *ev;

	unsetenv("SLUICE_EV");
	ev = ev_new(NULL, &e);
	ck_assert_str_eq(ev_name(ev), "epoll");
	ev_free(&ev);
	setenv("SLUICE_EV", "poll", 1);
	ev = ev_new(NULL, &e);
	ck_assert_str_eq(ev_name(ev), "poll");
	ev_free(&ev);
	setenv("SLUICE_EV", "pole", 1);
	ck_assert_ptr_null(ev_new(NULL, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "\"pole\""));
}
END_TEST

int
main(void)
{
	const TTest *const each[] = {
		test_order, test_again, test_cancel, test_timer_turn,
		test_idle, test_busy, test_beat, test_fork_inside, test_free
	};
	Suite *s = suite_create("ev_turn");
	TCase *tc = tcase_create("ev_turn");
	SRunner *sr;
	size_t i;
	int failed;

	for (i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		tcase_add_loop_test(tc, each[i], 0, NBACKEND);
	tcase_add_test(tc, test_choice);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
