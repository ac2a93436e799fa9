/* The proxy handler step by step: answers, attempts, bodies, ends. */
#include "steps_env.h"

/* --- answers --- */

START_TEST(test_plain)
{
	start();
	ck_assert_ptr_eq(w.asked, &w.servers[0]);
	ck_assert(!w.fresh);
	give(false);
	ck_assert(str_eq(w.far->method, STR("GET")));
	ck_assert_uint_eq(w.far->flags, WAIST_END);
	answer(200, 0);
	ck_assert_uint_eq(w.status, 200);
	/* No byte before the client's side is there. */
	ck_assert_int_eq(answers()->credit, 0);
	ck_assert_uint_eq(w.far->rooms, 0);
	handler_proxy.body(&w.x);
	ck_assert_int_eq(answers()->credit, 50);
	ck_assert_uint_eq(w.far->rooms, 1);
	ck_assert_int_eq(answers()->ops->data(answers(), bytes(30), 0),
	    FLOW_MORE);
	ck_assert_int_eq(answers()->credit, 20);
	ck_assert_int_eq(answers()->ops->data(answers(), bytes(20), 0),
	    FLOW_FULL);
	w.to.credit = 10;
	w.to.from->ops->room(w.to.from);
	ck_assert_int_eq(answers()->credit, 10);
	ck_assert_uint_eq(w.far->rooms, 2);
	answers()->ops->data(answers(), bytes(5), WAIST_END);
	ck_assert_uint_eq(w.bytes, 55);
	ck_assert_uint_eq(w.ends, 1);
	ck_assert_uint_eq(w.done, 0);
	closes(FAIL_NONE, true);
	ck_assert_uint_eq(w.done, 1);
	ck_assert(w.put_keep);
	ck_assert_int_eq(w.fail, FAIL_NONE);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_ATTEMPTS], 1);
}
END_TEST

/* The server is through before the exchange wants the body. */
START_TEST(test_end_first)
{
	struct hdrs	hs = { .n = 0 };

	start();
	give(false);
	answer(200, 0);
	answers()->ops->trailers(answers(), &hs);
	answers()->ops->end(answers());
	closes(FAIL_NONE, true);
	ck_assert_uint_eq(w.done, 0);
	ck_assert_uint_eq(w.ends, 0);
	handler_proxy.body(&w.x);
	ck_assert_uint_eq(w.trailers, 1);
	ck_assert_uint_eq(w.ends, 1);
	ev_turn(w.serve.ev, 0);
}
END_TEST

START_TEST(test_bare)
{
	start();
	give(false);
	answer(204, WAIST_END);
	ck_assert_uint_eq(w.res_flags, WAIST_END);
	closes(FAIL_NONE, true);
	ck_assert_uint_eq(w.done, 1);
}
END_TEST

START_TEST(test_cut_answer)
{
	start();
	give(false);
	answer(200, 0);
	if (_i == 1)
		handler_proxy.body(&w.x);
	answers()->ops->abort(answers(), FAIL_RESET_IN_BODY);
	ck_assert_int_eq(w.fail, FAIL_RESET_IN_BODY);
	/* A stream that failed is not spoken to. */
	ck_assert(!w.far->is_stopped && !w.far->is_aborted);
	closes(FAIL_RESET_IN_BODY, false);
	ck_assert_uint_eq(w.done, 1);
	ck_assert_uint_eq(w.asks, 1);
	ck_assert(!w.put_keep);
}
END_TEST

/* --- attempts --- */

START_TEST(test_others)
{
	method("POST", 10);
	start();
	refuse(FAIL_DIAL_REFUSED, ECONNREFUSED);
	ck_assert_ptr_eq(w.asked, &w.servers[1]);
	refuse(FAIL_DIAL_TIMEOUT, ETIMEDOUT);
	ck_assert_ptr_eq(w.asked, &w.servers[2]);
	ck_assert_int_eq(w.fail, FAIL_NONE);
	refuse(FAIL_DIAL_REFUSED, ECONNREFUSED);
	ck_assert_int_eq(w.fail, FAIL_DIAL_REFUSED);
	ck_assert(str_eq(w.cause, STR("connect: Connection refused")));
	ck_assert_uint_eq(w.asks, 3);
	ck_assert_uint_eq(w.failed, 3);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_ATTEMPTS], 3);
	ck_assert_uint_eq(w.done, 1);
}
END_TEST

START_TEST(test_limit)
{
	w.up.nserver = 1;
	start();
	refuse(FAIL_DIAL_LIMIT, 0);
	ck_assert_int_eq(w.fail, FAIL_DIAL_LIMIT);
	/* A full server is none that fails. */
	ck_assert_uint_eq(w.failed, 0);
}
END_TEST

START_TEST(test_nobody)
{
	w.up.nserver = 0;
	start();
	ck_assert_int_eq(w.fail, FAIL_NO_SERVER);
}
END_TEST

struct lost {
	const char	*method;
	int64_t		 body;
	bool		 reused;
	bool		 used;		/* body bytes went out */
	uint64_t	 sent;
	uint64_t	 got;
	enum fail	 why;
	bool		 again;
};

static const struct lost losts[] = {
	{ "GET", 0, true, false, 99, 0, FAIL_RESET_BEFORE_HEAD, true },
	{ "GET", 0, true, false, 0, 0, FAIL_SEND_ERROR, true },
	{ "GET", 0, false, false, 99, 0, FAIL_RESET_BEFORE_HEAD, false },
	{ "GET", 0, true, false, 99, 1, FAIL_RESET_BEFORE_HEAD, false },
	{ "GET", 0, true, false, 99, 9, FAIL_RESET_IN_HEAD, false },
	{ "GET", 0, true, false, 99, 0, FAIL_BAD_RESPONSE_LINE, false },
	{ "POST", 0, true, false, 99, 0, FAIL_RESET_BEFORE_HEAD, false },
	{ "POST", 0, true, false, 0, 0, FAIL_RESET_BEFORE_HEAD, true },
	{ "POST", 9, true, false, 0, 0, FAIL_SEND_ERROR, true },
	/* its body was kept; it is too long for that */
	{ "PUT", 9, true, true, 99, 0, FAIL_RESET_BEFORE_HEAD, true },
	{ "PUT", 99, true, true, 99, 0, FAIL_RESET_BEFORE_HEAD, false },
	{ "PUT", 9, true, false, 99, 0, FAIL_RESET_BEFORE_HEAD, true },
	{ "BREW", 0, true, false, 99, 0, FAIL_RESET_BEFORE_HEAD, false }
};

START_TEST(test_lost)
{
	const struct lost	*l = &losts[_i];
	struct proxy		*p;

	method(l->method, l->body);
	p = start();
	give(l->reused);
	if (l->used)
		p->req_in.ops->data(&p->req_in, bytes(3), 0);
	w.far->s.sent = l->sent;
	w.far->s.got = l->got;
	closes(l->why, false);
	ck_assert_uint_eq(w.asks, l->again ? 2 : 1);
	if (!l->again) {
		ck_assert_int_eq(w.fail, l->why);
		return;
	}
	/* The same server; no blame for a connection that was too old. */
	ck_assert(w.fresh);
	ck_assert_ptr_eq(w.asked, &w.servers[0]);
	ck_assert_uint_eq(w.failed, 0);
	give(true);
	ck_assert(str_eq(w.far->target, STR("/p")));
	ck_assert_uint_eq(w.far->bytes, l->used ? 3 : 0);
	/* And only once. */
	w.far->s.sent = l->sent;
	closes(FAIL_RESET_BEFORE_HEAD, false);
	ck_assert_uint_eq(w.asks, 2);
	ck_assert_int_eq(w.fail, FAIL_RESET_BEFORE_HEAD);
}
END_TEST

/* --- the request's body --- */

START_TEST(test_upload)
{
	struct proxy	*p;
	struct hdrs	 hs = { .n = 0 };

	method("PUT", BODY_UNKNOWN);
	p = start();
	/* Nobody takes it yet, so nobody may send. */
	ck_assert_int_eq(p->req_in.credit, 0);
	give(false);
	ck_assert_uint_eq(w.far->flags, 0);
	ck_assert_ptr_eq(w.from.to, &p->req_in);
	ck_assert_int_eq(p->req_in.credit, 100);
	ck_assert_uint_eq(w.from_rooms, 1);
	ck_assert_int_eq(p->req_in.ops->data(&p->req_in, bytes(100), 0),
	    FLOW_FULL);
	ck_assert_int_eq(p->req_in.credit, 0);
	w.far->s.out.credit = 40;
	w.far->s.out.from->ops->room(w.far->s.out.from);
	ck_assert_int_eq(p->req_in.credit, 40);
	ck_assert_uint_eq(w.from_rooms, 2);
	p->req_in.ops->trailers(&p->req_in, &hs);
	p->req_in.ops->end(&p->req_in);
	ck_assert_uint_eq(w.far->bytes, 100);
	ck_assert_uint_eq(w.far->trailers, 1);
	ck_assert_uint_eq(w.far->ends, 1);
	answer(204, WAIST_END);
	closes(FAIL_NONE, true);
	ck_assert(w.put_keep);
	ck_assert_int_eq(p->req_in.credit, 0);
}
END_TEST

/* A chunked body of nothing, whose end comes between two attempts. */
START_TEST(test_end_between)
{
	struct proxy	*p;
	struct hdrs	 hs = { .n = 0 };

	method("PUT", BODY_UNKNOWN);
	p = start();
	give(true);
	w.far->open = false;
	w.far->s.up->closed(&w.far->s, FAIL_RESET_BEFORE_HEAD);
	p->req_in.ops->trailers(&p->req_in, &hs);
	p->req_in.ops->end(&p->req_in);
	ev_turn(w.serve.ev, 0);
	ck_assert_uint_eq(w.asks, 2);
	give(false);
	ck_assert_uint_eq(w.far->trailers, 1);
	ck_assert_uint_eq(w.far->ends, 1);
	answer(204, WAIST_END);
	closes(FAIL_NONE, true);
}
END_TEST

START_TEST(test_body_cut)
{
	struct proxy	*p;

	method("PUT", 10);
	p = start();
	give(false);
	p->req_in.ops->data(&p->req_in, bytes(3), 0);
	p->req_in.ops->abort(&p->req_in, FAIL_BODY_CUT);
	ck_assert_int_eq(w.fail, FAIL_BODY_CUT);
	ck_assert(w.far->is_stopped);
	ck_assert_uint_eq(w.done, 0);
	closes(FAIL_BODY_CUT, false);
	ck_assert_uint_eq(w.done, 1);
	ck_assert_uint_eq(w.failed, 0);
}
END_TEST

START_TEST(test_early_answer)
{
	struct proxy	*p;

	method("PUT", 10);
	p = start();
	give(false);
	p->req_in.ops->data(&p->req_in, bytes(3), 0);
	answer(413, WAIST_END);
	ck_assert_uint_eq(w.status, 413);
	/* The rest of the request is given up, from a wake. */
	ck_assert(!w.far->is_aborted);
	ev_turn(w.serve.ev, 0);
	ck_assert(w.far->is_aborted);
	ck_assert_uint_eq(p->req_in.ops->data(&p->req_in, bytes(3), 0),
	    FLOW_FULL);
	ck_assert_uint_eq(w.far->bytes, 3);
	closes(FAIL_NONE, true);
	ck_assert(!w.put_keep);
	ck_assert_int_eq(w.fail, FAIL_NONE);
}
END_TEST

START_TEST(test_expect)
{
	struct proxy	*p;

	method("PUT", 10);
	w.req.expect = true;
	p = start();
	give(false);
	ck_assert_int_eq(p->req_in.credit, 0);
	answer(103, WAIST_INTERIM);
	ck_assert_uint_eq(w.interims, 1);
	ck_assert_int_eq(p->req_in.credit, 0);
	if (_i == 0)
		answer(100, WAIST_INTERIM);
	else if (_i == 1)
		answer(200, 0);
	else
		answer(401, 0);
	/* Our own codec says 100 when the body is wanted. */
	ck_assert_uint_eq(w.interims, 1);
	ck_assert_int_eq(p->req_in.credit, _i < 2 ? 100 : 0);
	if (_i == 0)
		answer(200, 0);
	handler_proxy.body(&w.x);
	answers()->ops->end(answers());
	ev_turn(w.serve.ev, 0);
	ck_assert(w.far->is_aborted);
	closes(FAIL_NONE, false);
}
END_TEST

/* --- ends that others make --- */

START_TEST(test_cut)
{
	start();
	if (_i > 0)
		give(false);
	if (_i > 1)
		answer(200, 0);
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
	ck_assert_int_eq(w.fail, FAIL_NONE);
	if (_i == 0) {
		ck_assert_uint_eq(w.cancels, 1);
		return;
	}
	ck_assert(w.far->is_stopped);
	ck_assert_int_eq(w.far->stopped, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(w.done, 0);
	closes(FAIL_CLIENT_GONE, false);
	ck_assert_uint_eq(w.done, 1);
	ck_assert_uint_eq(w.asks, 1);
}
END_TEST

START_TEST(test_quiet)
{
	struct proxy	*p;

	w.part.times.first_byte = 30;
	method("PUT", 10);
	p = start();
	give(false);
	/* The client is slow: that is not the server's fault. */
	sleep_ms(50);
	ck_assert(!w.far->is_stopped);
	p->req_in.ops->data(&p->req_in, bytes(10), WAIST_END);
	sleep_ms(50);
	ck_assert(w.far->is_stopped);
	ck_assert_int_eq(w.far->stopped, FAIL_FIRST_BYTE_TIMEOUT);
	closes(FAIL_FIRST_BYTE_TIMEOUT, false);
	ck_assert_int_eq(w.fail, FAIL_FIRST_BYTE_TIMEOUT);
	ck_assert_uint_eq(w.failed, 1);
}
END_TEST

START_TEST(test_between)
{
	w.part.times.first_byte = 10000;
	w.part.times.between = 30;
	start();
	give(false);
	answer(200, 0);
	handler_proxy.body(&w.x);
	/* The client does not take it: nor is that. */
	answers()->ops->data(answers(), bytes(50), 0);
	sleep_ms(50);
	ck_assert(!w.far->is_stopped);
	w.to.credit = 50;
	w.to.from->ops->room(w.to.from);
	sleep_ms(50);
	ck_assert_int_eq(w.fail, FAIL_BETWEEN_TIMEOUT);
	ck_assert(w.far->is_stopped);
	closes(FAIL_BETWEEN_TIMEOUT, false);
}
END_TEST

START_TEST(test_total)
{
	w.part.times.total = 30;
	start();
	if (_i == 1)
		give(false);
	sleep_ms(50);
	ck_assert_int_eq(w.fail, FAIL_TOTAL_TIMEOUT);
	if (_i == 0)
		ck_assert_uint_eq(w.cancels, 1);
	else
		closes(FAIL_TOTAL_TIMEOUT, false);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("proxy_steps");
	TCase	*tc = tcase_create("proxy_steps");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_plain);
	tcase_add_test(tc, test_end_first);
	tcase_add_test(tc, test_bare);
	tcase_add_loop_test(tc, test_cut_answer, 0, 2);
	tcase_add_test(tc, test_others);
	tcase_add_test(tc, test_limit);
	tcase_add_test(tc, test_nobody);
	tcase_add_loop_test(tc, test_lost, 0, N(losts));
	tcase_add_test(tc, test_upload);
	tcase_add_test(tc, test_end_between);
	tcase_add_test(tc, test_body_cut);
	tcase_add_test(tc, test_early_answer);
	tcase_add_loop_test(tc, test_expect, 0, 3);
	tcase_add_loop_test(tc, test_cut, 0, 3);
	tcase_add_test(tc, test_quiet);
	tcase_add_test(tc, test_between);
	tcase_add_loop_test(tc, test_total, 0, 2);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
