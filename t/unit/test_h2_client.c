/*
 * The client side of HTTP/2 against a scripted floor above, with nghttp2's
 * server at the other end of a pipe in memory: heads that are refused,
 * streams that stand still, bodies both ways.
 */
#include "h2_client_env.h"

/* --- room --- */

START_TEST(test_room)
{
	ck_assert_uint_eq(h2_client.room(e.c), 1);
	say_settings(7);
	turns(4);
	ck_assert_uint_eq(notes[CODEC_ROOM], 1);
	ck_assert_uint_eq(h2_client.room(e.c), 7);
	ask("GET", 0);
	ck_assert_uint_eq(h2_client.room(e.c), 6);
	turns(2);
	ck_assert(gots[1].head && gots[1].end);
	answer(1, ":status 200", 0);
	turns(2);
	ck_assert_uint_eq(nclosed, 1);
	ck_assert_uint_eq(h2_client.room(e.c), 7);
	say_settings(1000);
	turns(4);
	ck_assert_uint_eq(h2_client.room(e.c), 100);
}
END_TEST

/* Nobody wants it any more before it left: nothing of it leaves. */
START_TEST(test_unsent)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	r->s->in.ops->stop(&r->s->in, FAIL_CLIENT_GONE);
	turns(4);
	ck_assert_int_eq(r->why, FAIL_CLIENT_GONE);
	ck_assert(!gots[1].head);
	ck_assert_uint_eq(h2_client.room(e.c), 100);
	r = ask("GET", 0);
	turns(2);
	answer(3, ":status 200", 5);
	turns(4);
	ck_assert_int_eq(r->why, FAIL_NONE);
	ck_text(&r->tank.got, "ddddd");
}
END_TEST

/* --- heads --- */

static const struct {
	const char	*head;
	enum fail	 why;
	uint64_t	 body;
} bad[] = {
	{ ":status 99", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 600", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 20", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 2000", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status +20", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 101", FAIL_BAD_RESPONSE_LINE, 0 },
	{ "a b", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 200 :status 200", FAIL_BAD_RESPONSE_LINE, 0 },
	{ "a b :status 200", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 200 :path /", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 200 connection close", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 transfer-encoding chunked", FAIL_BAD_RESPONSE_FIELD,
	    0 },
	{ ":status 200 keep-alive a", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 upgrade x", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 proxy-connection x", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 a(b c", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 a b\r\nc:d", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 content-length x", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 200 content-length -1", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 200 content-length 0 content-length 0",
	    FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 200 content-length 5", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 204 content-length 5", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 103", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 200 content-length 5", FAIL_RESPONSE_LENGTH_MISMATCH, 4 },
	{ ":status 200 content-length 5", FAIL_RESPONSE_LENGTH_MISMATCH, 6 },
	{ ":status 204", FAIL_RESPONSE_LENGTH_MISMATCH, 1 },
	{ ":status 304", FAIL_RESPONSE_LENGTH_MISMATCH, 1 },
};

START_TEST(test_bad)
{
	struct req	*r, *other;

	start();
	r = ask("GET", 0);
	other = ask("GET", 0);
	turns(2);
	answer(1, bad[_i].head, bad[_i].body);
	turns(4);
	ck_assert_msg(r->why == bad[_i].why, "%s: %s", bad[_i].head,
	    fail_row(r->why)->name);
	ck_assert(gots[1].closed);
	/* its siblings are none the worse for it */
	answer(3, ":status 200", 0);
	turns(2);
	ck_assert_int_eq(other->why, FAIL_NONE);
	ck_assert_ptr_null(other->s);
}
END_TEST

START_TEST(test_interim)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	interim(1, ":status 103 link x", false);
	interim(1, ":status 200", false);
	turns(2);
	interim(1, "x-sum 1", true);
	turns(4);
	ck_assert_int_eq(r->why, FAIL_NONE);
	ck_text(&e.log, "res head 103  interim;res head 200 ;"
	    "res trailer x-sum=1;res end;");
}
END_TEST

START_TEST(test_interims)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	for (int i = 0; i < 9; i++) {
		interim(1, ":status 103", false);
		turn();
	}
	turns(2);
	ck_assert_int_eq(r->why, FAIL_UNEXPECTED_INTERIM);
}
END_TEST

START_TEST(test_head)
{
	struct req	*r;

	start();
	r = ask("HEAD", 0);
	turns(2);
	interim(1, ":status 200 content-length 77", true);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_NONE);
	ck_text(&e.log, "res head 200  end;");
}
END_TEST

START_TEST(test_bad_trailer)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	interim(1, ":status 200", false);
	turns(2);
	interim(1, _i == 0 ? ":status 200" : _i == 1 ? "connection x" :
	    "a b", _i != 2);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_BAD_RESPONSE_TRAILER);
	ck_assert_int_eq(r->tank.why, FAIL_BAD_RESPONSE_TRAILER);
}
END_TEST

/* --- bodies --- */

/* One has no credit: the others end as soon as without it. */
static unsigned
race(bool stuck)
{
	unsigned	n = 0, done;

	start();
	for (int i = 0; i < 10; i++)
		ask("GET", 0);
	if (stuck) {
		reqs[0].tank.keep = true;
		reqs[0].tank.sink.credit = 0;
	}
	turns(2);
	for (int i = stuck ? 0 : 1; i < 10; i++)
		answer(2 * i + 1, ":status 200", BIG);
	do {
		turn();
		done = 0;
		for (int i = 1; i < 10; i++)
			done += reqs[i].s == NULL;
		ck_assert_uint_lt(++n, 10000);
	} while (done < 9);
	return n;
}

START_TEST(test_stuck)
{
	unsigned	with = race(true), without;

	ck_assert_ptr_nonnull(reqs[0].s);
	ck_assert_uint_eq(reqs[0].tank.got.n, 0);
	/* held back by its own window */
	ck_assert_uint_ge(gots[1].left, BIG - 65536);
	reqs[0].tank.keep = false;
	reqs[0].tank.sink.credit = INT64_MAX;
	reqs[0].s->in.ops->room(&reqs[0].s->in);
	for (int i = 0; i < 200 && reqs[0].s != NULL; i++)
		turn();
	ck_assert_int_eq(reqs[0].why, FAIL_NONE);
	ck_assert_uint_eq(reqs[0].tank.got.n, BIG);
	teardown();
	setup();
	without = race(false);
	ck_assert_msg(with <= without + 1, "%u turns, %u without", with,
	    without);
	reqs[0].s->in.ops->stop(&reqs[0].s->in, FAIL_CLIENT_GONE);
	turns(3);
}
END_TEST

START_TEST(test_upload)
{
	static const char	 text[] = "0123456789";
	struct chunk		 c = { .kind = CHUNK_CONST, .n = 10 };
	struct req		*r;

	start();
	r = ask("POST", 20);
	c.u.mem.p = text;
	r->s->out.ops->data(&r->s->out, c, 0);
	turns(2);
	ck_assert(gots[1].head && !gots[1].end);
	ck_assert_uint_eq(gots[1].bytes, 10);
	r->s->out.ops->data(&r->s->out, c, WAIST_END);
	turns(2);
	ck_assert(gots[1].end);
	ck_assert_uint_eq(gots[1].bytes, 20);
	answer(1, ":status 200", 0);
	turns(2);
	ck_assert_int_eq(r->why, FAIL_NONE);
}
END_TEST

/* The answer ends it, the rest of the request is reset. */
START_TEST(test_early)
{
	struct req	*r;

	start();
	r = ask("POST", 20);
	turns(2);
	answer(1, ":status 200", 3);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_NONE);
	ck_text(&r->tank.got, "ddd");
	ck_assert_uint_eq(r->tap.stops, 1);
	ck_assert(gots[1].closed);
	ck_assert_uint_eq(gots[1].code, NGHTTP2_CANCEL);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h2_client");
	TCase	*tc = tcase_create("h2_client");
	SRunner	*sr;
	int	 bad_ones;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_room);
	tcase_add_test(tc, test_unsent);
	LOOP(test_bad, bad);
	tcase_add_test(tc, test_interim);
	tcase_add_test(tc, test_interims);
	tcase_add_test(tc, test_head);
	tcase_add_loop_test(tc, test_bad_trailer, 0, 3);
	tcase_add_test(tc, test_stuck);
	tcase_add_test(tc, test_upload);
	tcase_add_test(tc, test_early);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	bad_ones = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad_ones == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
