/*
 * What workers do about breakers that are open: who is looked at, when
 * there is a probe, and whether it goes on over another connection.
 */
#include "up/breaker_int.h"
#include "up/state.h"
#include "up/upstream.h"

#include "proxy_env.h"

static struct env	 env;
static struct env	*const t = &env;
static struct upstream	*up;
static struct server	*ill;
static struct breaker	 br;

static const struct tried		none;
static struct breaker_ticket		ticket;
static const struct pick		want = {
	.tried = &none, .probe = &ticket, .probe_ms = 1000
};

/* Of three servers the second one's breaker is open, for a minute. */
static void
setup(void)
{
	struct str	 key;
	void		*val;
	size_t		 at = 0;

	env_init(t);
	env_start(t, "[upstream u]\nserver = $0 $1 $2\n"
	    "breaker.failures = 1\nbreaker.open = 1m\nbreaker.probes = 2\n"
	    "[route r]\npath = /*\nupstream = u\n");
	ck_assert(map_next(&t->serve.upstreams, &at, &key, &val));
	up = val;
	ill = up->servers[1];
	memset(&ticket, 0, sizeof(ticket));
	ck_assert(breaker_find(&br, t->serve.shm, ill->row, ill->tag));
	breaker_judge(&br, FAIL_SERVER_ERROR);
	ck_assert_int_eq(WORD_STATE(br.b->word), BREAKER_OPEN);
	ev_turn(t->ev, 0);
	view_refresh(up);
}

static void
teardown(void)
{
	env_fini(t);
}

/* Its time is over. */
static void
let_end(void)
{
	uint64_t	turn = WORD_TURN(atomic_load(&br.b->word));

	atomic_store(&br.b->until, UNTIL(turn, breaker_ms() - 1));
}

/* The open ones alone are looked at, and not before it is worth it. */
START_TEST(test_open)
{
	ck_assert_uint_eq(up->view.nopen, 1);
	ck_assert_ptr_eq(up->view.open[0], ill);
	ck_assert_uint_eq(ill->probe_ms, 0);
	ck_assert_ptr_null(breaker_pick(up, &want));
	ck_assert_uint_eq(ill->probe_ms, UNTIL_MS(br.b->until));
	ck_assert_uint_gt(ill->probe_ms, ev_ms(t->ev) + 50000);
	ck_assert(!breaker_has_room(up, &want));
	let_end();
	ck_assert_ptr_null(breaker_pick(up, &want));
	/* what others change is seen with the view */
	state_touch(t->serve.shm, ill->row);
	view_refresh(up);
	ck_assert_uint_eq(ill->probe_ms, 0);
	ck_assert(breaker_has_room(up, &want));
	ck_assert_ptr_eq(breaker_pick(up, &want), ill);
	ck_assert(ticket.held);
	breaker_return(t->serve.shm, &ticket);
}
END_TEST

/* As many as there are probes; then it is looked at a little later. */
START_TEST(test_half_open)
{
	struct breaker_ticket	first, second;

	let_end();
	ck_assert(breaker_has_room(up, &want));
	ck_assert_ptr_eq(breaker_pick(up, &want), ill);
	first = ticket;
	ck_assert(breaker_has_room(up, &want));
	ck_assert_ptr_eq(breaker_pick(up, &want), ill);
	second = ticket;
	ck_assert(!breaker_has_room(up, &want));
	ck_assert_ptr_null(breaker_pick(up, &want));
	ck_assert_uint_gt(ill->probe_ms, ev_ms(t->ev));
	ck_assert_uint_le(ill->probe_ms, ev_ms(t->ev) + 100);
	breaker_return(t->serve.shm, &first);
	ck_assert(breaker_has_room(up, &want));
	breaker_return(t->serve.shm, &second);
}
END_TEST

/* Only while its turn goes on, and nothing else speaks against it. */
START_TEST(test_goes_on)
{
	struct attempt	a = { .server = NULL };
	struct breaker_ticket	other;

	attempt_init(&a);
	attempt_begin(&a, ill);
	ck_assert(!breaker_goes_on(up, &a, &want));
	let_end();
	ck_assert_ptr_eq(breaker_pick(up, &want), ill);
	a.next = ticket;
	attempt_begin(&a, ill);
	ck_assert(a.probe.held);
	ck_assert(breaker_goes_on(up, &a, &want));
	ck_assert(state_change(t->serve.shm, ill->row, ill->tag,
	    SERVER_DOWN, true, FAIL_NONE));
	ck_assert(!breaker_goes_on(up, &a, &want));
	ck_assert(state_change(t->serve.shm, ill->row, ill->tag,
	    SERVER_DOWN, false, FAIL_NONE));
	ck_assert(breaker_goes_on(up, &a, &want));
	/* another probe has failed */
	view_refresh(up);
	ck_assert_ptr_eq(breaker_pick(up, &want), ill);
	other = ticket;
	ck_assert(breaker_end(&br, &other, BREAKER_BAD, FAIL_SERVER_ERROR));
	ck_assert(!breaker_goes_on(up, &a, &want));
	attempt_end(&a);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("breaker_pick");
	TCase	*tc = tcase_create("pick");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_open);
	tcase_add_test(tc, test_half_open);
	tcase_add_test(tc, test_goes_on);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
