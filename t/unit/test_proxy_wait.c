/* The proxy handler step by step: waits for room and for names. */
#include "steps_env.h"

/* --- waiting for room --- */

START_TEST(test_queue)
{
	w.full = true;
	start();
	ck_assert_uint_eq(w.joins, 1);
	ck_assert_uint_eq(w.asks, 0);
	/* Woken in vain: it keeps its place. */
	w.queued->on(w.queued, FAIL_NONE);
	ck_assert_ptr_nonnull(w.queued);
	ck_assert_uint_eq(w.joins, 1);
	w.full = false;
	w.queued->on(w.queued, FAIL_NONE);
	ck_assert_ptr_null(w.queued);
	ck_assert_uint_eq(w.asks, 1);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_ATTEMPTS], 1);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_QUEUE], 1000);
	/* The next server's turn: it waits once more, behind others. */
	w.due = true;
	refuse(FAIL_DIAL_REFUSED, ECONNREFUSED);
	ck_assert_uint_eq(w.joins, 2);
	/* whose turn it is is said by the wake */
	w.queued->on(w.queued, FAIL_NONE);
	ck_assert_ptr_eq(w.asked, &w.servers[1]);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_QUEUE], 2000);
	give(false);
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
	closes(FAIL_CLIENT_GONE, false);
}
END_TEST

static const enum fail refusals[] = { FAIL_QUEUE_FULL, FAIL_DIAL_LIMIT };

START_TEST(test_no_queue)
{
	w.full = true;
	w.no_queue = refusals[_i];
	start();
	ck_assert_int_eq(w.fail, refusals[_i]);
	ck_assert_uint_eq(w.asks, 0);
	ck_assert_uint_eq(w.failed, 0);
}
END_TEST

/* In time, by the client's end, by timeout.total. */
START_TEST(test_queue_ends)
{
	struct queue_wait	*q;

	w.full = true;
	w.part.times.total = _i == 2 ? 1 : 0;
	start();
	q = w.queued;
	switch (_i) {
	case 0:
		queue_leave(q);
		q->on(q, FAIL_QUEUE_TIMEOUT);
		ck_assert_int_eq(w.fail, FAIL_QUEUE_TIMEOUT);
		break;
	case 1:
		handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
		break;
	case 2:
		sleep_ms(5);
		ck_assert_int_eq(w.fail, FAIL_TOTAL_TIMEOUT);
		break;
	}
	ck_assert_ptr_null(w.queued);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_QUEUE], 1000);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_ATTEMPTS], 0);
}
END_TEST

/* A pooled connection was dead, and meanwhile its place is gone. */
START_TEST(test_replay_waits)
{
	start();
	give(true);
	w.far->s.sent = 99;
	w.full = true;
	closes(FAIL_RESET_BEFORE_HEAD, false);
	ck_assert_uint_eq(w.joins, 1);
	ck_assert_uint_eq(w.asks, 1);
	w.full = false;
	w.queued->on(w.queued, FAIL_NONE);
	ck_assert(w.fresh);
	ck_assert_ptr_eq(w.asked, &w.servers[0]);
	ck_assert_uint_eq(w.failed, 0);
	give(false);
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
	closes(FAIL_CLIENT_GONE, false);
}
END_TEST

/* --- waiting for a name --- */

static void
turns(unsigned ms)
{
	uint64_t	end = ev_clock_ns() / 1000000 + ms;

	while (w.done == 0 && w.asks == 0 &&
	    ev_clock_ns() / 1000000 < end)
		ev_turn(w.serve.ev, 5);
}

/* The first answer to a name comes while a request waits for it. */
START_TEST(test_name_comes)
{
	w.up.nserver = 0;
	w.unknown = 4;
	w.part.times.connect = 3000;
	start();
	ck_assert_uint_eq(w.asks, 0);
	turns(3000);
	ck_assert_uint_eq(w.asks, 1);
	ck_assert_uint_eq(w.unknown, 0);
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
}
END_TEST

START_TEST(test_name_never)
{
	w.up.nserver = 0;
	w.unknown = 100;
	w.part.times.connect = 60;
	start();
	ck_assert_uint_eq(w.done, 0);
	turns(3000);
	ck_assert_int_eq(w.fail, FAIL_NAME_TIMEOUT);
}
END_TEST

START_TEST(test_name_gone_client)
{
	w.up.nserver = 0;
	w.unknown = 100;
	w.part.times.connect = 3000;
	start();
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(w.done, 1);
	turns(50);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("proxy_wait");
	TCase	*tc = tcase_create("proxy_wait");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_queue);
	tcase_add_loop_test(tc, test_no_queue, 0, N(refusals));
	tcase_add_loop_test(tc, test_queue_ends, 0, 3);
	tcase_add_test(tc, test_replay_waits);
	tcase_add_test(tc, test_name_comes);
	tcase_add_test(tc, test_name_never);
	tcase_add_test(tc, test_name_gone_client);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
