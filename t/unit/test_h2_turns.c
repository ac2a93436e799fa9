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

/* n of the smallest heads, from the stream that is the nth. */
static void
add_heads(struct text *t, uint32_t from, uint32_t n)
{
	for (uint32_t i = from; i < from + n; i++) {
		text_add(t, STR("\0\0\6\1\5\0\0"));
		text_c(t, (char)(i >> 7));
		text_c(t, (char)(2 * i + 1));
		text_add(t, STR(GET));
	}
}

/* Some 60, and what is read with the last of them. */
START_TEST(test_heads)
{
	struct text	t;
	size_t		most;

	text_init(&t);
	add_heads(&t, 0, MAX);
	most = most_in_a_turn(&t, count_heads);
	ck_assert_uint_eq(nex, MAX);
	ck_assert_uint_le(most, 90);
}
END_TEST

/* Large reads of a body have no more of them than others. */
START_TEST(test_heads_behind_a_body)
{
	static char	body[4096];
	struct text	t;
	size_t		most;

	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	text_init(&t);
	for (unsigned i = 0; i < 4; i++) {
		text_add(&t, STR("\0\x10\0\0\0\0\0\0\1"));
		text_add(&t, str_make(body, sizeof(body)));
	}
	add_heads(&t, 1, MAX - 1);
	most = most_in_a_turn(&t, count_heads);
	ck_assert_uint_eq(nex, MAX);
	ck_assert_uint_le(most, 2048 / (H2_HEAD + sizeof(GET) - 1) + 60);
}
END_TEST

/* A stream whose body somebody reads; n frames of a byte for it. */
static void
begin_body(struct text *t, unsigned n)
{
	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	exs[0].tank.keep = false;
	exs[0].tank.sink.credit = 1 << 20;
	exs[0].s->in.ops->room(&exs[0].s->in);
	for (unsigned i = 0; i < n; i++)
		text_add(t, STR("\0\0\1\0\0\0\0\0\1x"));
}

START_TEST(test_frames)
{
	struct text	t;
	size_t		most;

	text_init(&t);
	begin_body(&t, 4000);
	most = most_in_a_turn(&t, count_bytes);
	ck_assert_uint_eq(count_bytes(), 4000);
	ck_assert_uint_le(most, 1000);
}
END_TEST

static bool
has_come(unsigned type)
{
	struct seen	f;

	for (unsigned i = 0; nth(i, &f); i++)
		if (f.type == type)
			return true;
	return false;
}

/* Who is read at each turn's full length is answered all the same. */
START_TEST(test_answer_between)
{
	struct text	t;
	struct iovec	v;
	size_t		sent;

	text_init(&t);
	text_add(&t, STR("\0\0\x8\6\0\0\0\0\0" "12345678"));
	begin_body(&t, 4000);
	v = (struct iovec){ t.p, t.n };
	ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &sent), IO_OK);
	ck_assert_uint_eq(sent, t.n);
	text_fini(&t);
	for (unsigned i = 0; i < 3; i++) {
		ev_turn(e.ev, 0);
		env_drain(&e);
	}
	ck_assert(has_come(NGHTTP2_PING));
	ck_assert_uint_lt(count_bytes(), 4000);
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
	tcase_add_test(t, test_heads_behind_a_body);
	tcase_add_test(t, test_frames);
	tcase_add_test(t, test_answer_between);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
