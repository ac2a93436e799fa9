/*
 * What a turn of the loop takes of one client of HTTP/2 that sends much at
 * once: others wait for no more.
 */
#include "h2_frames.h"

static size_t
count_heads(void)
{
	return nex;
}

static size_t
count_bytes(void)
{
	return exs[0].tank.got.n;
}

/* Sends all of it; the most that the count goes on by in a turn. */
static size_t
most_in_a_turn(struct text *t, size_t (*count)(void))
{
	struct iovec	v = { t->p, t->n };
	size_t		was = count(), most = 0, sent;

	ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &sent), IO_OK);
	ck_assert_uint_eq(sent, t->n);
	for (unsigned i = 0; i < 50; i++) {
		ev_turn(e.ev, 0);
		env_drain(&e);
		most = count() - was > most ? count() - was : most;
		was = count();
	}
	text_fini(t);
	return most;
}

/* Of the smallest heads, some 60, and what is read with the last of them. */
START_TEST(test_heads)
{
	struct text	t;
	size_t		most;

	text_init(&t);
	for (uint32_t i = 0; i < MAX; i++) {
		text_add(&t, STR("\0\0\6\1\5\0\0"));
		text_c(&t, (char)(i >> 7));
		text_c(&t, (char)(2 * i + 1));
		text_add(&t, STR(GET));
	}
	most = most_in_a_turn(&t, count_heads);
	ck_assert_uint_eq(nex, MAX);
	ck_assert_uint_le(most, 90);
}
END_TEST

/* Frames of a byte. */
START_TEST(test_frames)
{
	struct text	t;
	size_t		most;

	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	exs[0].tank.keep = false;
	exs[0].tank.sink.credit = 1 << 20;
	exs[0].s->in.ops->room(&exs[0].s->in);
	text_init(&t);
	for (uint32_t i = 0; i < 4000; i++)
		text_add(&t, STR("\0\0\1\0\0\0\0\0\1x"));
	most = most_in_a_turn(&t, count_bytes);
	ck_assert_uint_eq(count_bytes(), 4000);
	ck_assert_uint_le(most, 1000);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h2_turns");
	TCase	*t = tcase_create("turns");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(t, open_server, close_server);
	tcase_add_test(t, test_heads);
	tcase_add_test(t, test_frames);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
