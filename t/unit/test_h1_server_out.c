/*
 * The server side of HTTP/1.1: credit of a response, files.
 */
#include "h1_server_env.h"

/* --- credit of the response, last, files --- */

START_TEST(out_credit)
{
	struct str	block;
	char		buf[8192];
	size_t		sent = 0;
	unsigned	rooms = 0;

	memset(buf, 'x', sizeof(buf));
	block = str_make(buf, sizeof(buf));
	setup();
	begin(1000);
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	head(200, BODY_UNKNOWN, 0);
	while (sent < (1 << 20)) {
		while (sent < (1 << 20) && data(block, 0) == FLOW_MORE)
			sent += sizeof(buf);
		sent += sizeof(buf);
		ck_assert_int_le(r.s->out.credit, 0);
		rooms = r.tap.rooms;
		env_wait(&e, r.tap.rooms > rooms);
		ck_assert_uint_eq(r.tap.rooms, rooms + 1);
		ck_assert_int_gt(r.s->out.credit, 0);
	}
	r.s->out.ops->end(&r.s->out);
	env_wait(&e, r.s == NULL);
	env_run(&e);
	ck_assert_uint_gt(e.out.n, sent);
	ck_assert(str_ends(text_str(&e.out), STR("\r\n0\r\n\r\n")));
	ck_assert_uint_eq(r.nlast, 1);
	ck_assert_uint_gt(rooms, 3);
	finish();
}
END_TEST

static int
make_file(size_t n)
{
	char	name[] = "/tmp/test_h1_XXXXXX";
	int	fd = mkstemp(name);
	char	b;

	ck_assert_int_ge(fd, 0);
	unlink(name);
	for (size_t i = 0; i < n; i++) {
		b = (char)('a' + i % 26);
		if (i % 4096 == 0)
			ck_assert_int_eq(ftruncate(fd, (off_t)n), 0);
		if (i < 100 || i + 100 > n)
			ck_assert_int_eq(pwrite(fd, &b, 1, (off_t)i), 1);
	}
	return fd;
}

/* By sendfile and by pages; the last call comes before the last byte. */
START_TEST(file_range)
{
	size_t		n = 3 << 20;
	struct file	*f = file_new(make_file(n));
	struct chunk	c = { .kind = CHUNK_FILE, .n = n - 10 };

	setup();
	if (_i == 0)
		begin(10000);
	else {
		env_sockets(&e, IO_C_TRY);
		e.c = h1_server.open(e.io, &e.env, &e);
	}
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	head(200, (int64_t)n - 10, 0);
	f->refs++;
	c.u.file.file = f;
	c.u.file.off = 10;
	r.s->out.ops->data(&r.s->out, c, WAIST_END);
	env_wait(&e, r.s == NULL);
	env_run(&e);
	ck_assert_uint_eq(e.out.n, n - 10 +
	    sizeof("HTTP/1.1 200 OK\r\nContent-Length: 3145718\r\n\r\n") - 1);
	ck_assert_uint_eq(r.nlast, 1);
	ck_assert_uint_lt(r.sent_at_last, n - 10);
	ck_assert_uint_eq(f->refs, 1);
	file_unref(&f);
	finish();
}
END_TEST

START_TEST(file_too_short)
{
	struct file	*f = file_new(make_file(200));
	struct chunk	c = { .kind = CHUNK_FILE, .n = 300 };

	setup();
	begin(10000);
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	head(200, 300, 0);
	c.u.file.file = f;
	r.s->out.ops->data(&r.s->out, c, WAIST_END);
	env_run(&e);
	ck_text(&e.log, "GET /wait;closed file_changed;");
	ck_assert(e.eof || e.reset);
	finish();
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("h1_server_out");
	TCase	*t = tcase_create("all");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, out_credit);
	tcase_add_loop_test(t, file_range, 0, 2);
	tcase_add_test(t, file_too_short);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
