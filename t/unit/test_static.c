/*
 * Files: what is found and what is not, conditions and ranges as pure
 * functions, helpers that are asked, files that change.
 */
#include <sys/stat.h>

#include <fcntl.h>

#include "handler/static.h"
#include "serve_env.h"

#define MTIME	1577836800	/* Wed, 01 Jan 2020 00:00:00 GMT */
#define NOW	1700000000
#define DATE	"Wed, 01 Jan 2020 00:00:00 GMT"
#define OLDER	"Tue, 31 Dec 2019 00:00:00 GMT"
#define NEWER	"Thu, 02 Jan 2020 00:00:00 GMT"

/* --- types --- */

START_TEST(types)
{
	static const char *const	cases[][2] = {
		{ "a.html", "text/html; charset=utf-8" },
		{ "A.HTML", "text/html; charset=utf-8" },
		{ "a.tar.gz", "application/gzip" }, { "x/y.7z",
		    "application/x-7z-compressed" },
		{ "a.zst", "application/zstd" },
		{ "a", "application/octet-stream" },
		{ "a.", "application/octet-stream" },
		{ "a.html/b", "application/octet-stream" },
		{ "", "application/octet-stream" },
		{ "a.averyveryverylongone", "application/octet-stream" }
	};

	bool				packs;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert(str_eq(static_type(str_from(cases[i][0]), &packs),
		    str_from(cases[i][1])));
}
END_TEST

/* --- conditions --- */

struct cond {
	enum hdr_id	 id[2];
	const char	*val[2];
	const char	*want;	/* "200", "304", "412", "range" */
};

static const char *
judge(const struct cond *c)
{
	struct static_tag	 t = { STR("\"a-b\""), MTIME };
	struct hdrs		 hs = { 0 };
	struct arena		 a;
	struct range		 v[RANGE_MAX];
	enum range_rc		 rc;
	enum fail		 why;
	unsigned		 n;
	bool			 same;

	arena_init(&a, NULL);
	for (int i = 0; i < 2; i++)
		if (c->val[i] != NULL)
			hdr_add(&a, &hs, c->id[i], str_from(c->val[i]));
	why = static_check(&hs, &t, NOW, &same);
	rc = static_range(&hs, &t, NOW, 10, v, &n);
	arena_fini(&a);
	return why != FAIL_NONE ? "412" : same ? "304" :
	    rc == RANGE_OK ? n == 1 ? "range" : "ranges" :
	    rc == RANGE_UNSATISFIABLE ? "416" : "200";
}

#define ONE(h, v, want)	{ { HDR_##h }, { v }, want }
#define TWO(h, v, g, u, want) { { HDR_##h, HDR_##g }, { v, u }, want }

START_TEST(conditions)
{
	static const struct cond	cases[] = {
		ONE(IF_NONE_MATCH, "\"a-b\"", "304"),
		ONE(IF_NONE_MATCH, "W/\"a-b\"", "304"),
		ONE(IF_NONE_MATCH, "\"x\", W/\"y\" ,\"a-b\"", "304"),
		ONE(IF_NONE_MATCH, "*", "304"),
		ONE(IF_NONE_MATCH, "\"x,a-b\"", "200"),
		ONE(IF_NONE_MATCH, "a-b", "200"),
		ONE(IF_NONE_MATCH, "\"a-b", "200"),
		ONE(IF_NONE_MATCH, "", "200"),
		TWO(IF_NONE_MATCH, "\"x\"", IF_NONE_MATCH, "\"a-b\"", "304"),
		ONE(IF_MODIFIED_SINCE, DATE, "304"),
		ONE(IF_MODIFIED_SINCE, NEWER, "304"),
		ONE(IF_MODIFIED_SINCE, OLDER, "200"),
		ONE(IF_MODIFIED_SINCE, "soon", "200"),
		TWO(IF_NONE_MATCH, "\"x\"", IF_MODIFIED_SINCE, NEWER, "200"),
		ONE(IF_MATCH, "\"a-b\"", "200"), ONE(IF_MATCH, "*", "200"),
		ONE(IF_MATCH, "W/\"a-b\"", "412"),
		ONE(IF_MATCH, "\"x\"", "412"), ONE(IF_MATCH, "", "412"),
		ONE(IF_UNMODIFIED_SINCE, OLDER, "412"),
		ONE(IF_UNMODIFIED_SINCE, DATE, "200"),
		ONE(IF_UNMODIFIED_SINCE, "soon", "200"),
		TWO(IF_MATCH, "*", IF_UNMODIFIED_SINCE, OLDER, "200"),
		ONE(RANGE, "bytes=0-1", "range"),
		ONE(RANGE, "bytes=0-1,4-5", "ranges"),
		ONE(RANGE, "bytes=0-1,2-5", "range"),
		ONE(RANGE, "bytes=10-", "416"), ONE(RANGE, "lines=1", "200"),
		TWO(RANGE, "bytes=0-1", RANGE, "bytes=2-3", "200"),
		TWO(RANGE, "bytes=0-1", IF_RANGE, "\"a-b\"", "range"),
		TWO(RANGE, "bytes=0-1", IF_RANGE, "W/\"a-b\"", "200"),
		TWO(RANGE, "bytes=0-1", IF_RANGE, "\"x\"", "200"),
		TWO(RANGE, "bytes=0-1", IF_RANGE, DATE, "range"),
		TWO(RANGE, "bytes=0-1", IF_RANGE, NEWER, "200"),
		TWO(RANGE, "bytes=0-1", IF_RANGE, "x", "200")
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(strcmp(judge(&cases[i]), cases[i].want) == 0,
		    "%zu: %s is %s, not %s", i, cases[i].val[0],
		    judge(&cases[i]), cases[i].want);
}
END_TEST

/* --- codings --- */

START_TEST(codings)
{
	static const struct {
		const char		*accept;
		unsigned		 have;
		enum static_coding	 want;
	}			cases[] = {
		{ "gzip, br", 0xf, CODING_BR },
		{ "gzip, br", 1, CODING_NONE },
		{ "gzip, br", 0x9, CODING_GZIP },
		{ "zstd;q=0.9, br;q=0.8", 0xf, CODING_ZSTD },
		{ "*", 0xf, CODING_BR },
		{ "*;q=0.1, identity", 0xf, CODING_NONE },
		{ "br;q=0", 0xf, CODING_NONE },
		{ "", 0xf, CODING_NONE }
	};
	static const uint64_t	size[CODING_N] = { 100, 10, 20, 30 };
	struct arena		a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hdrs	hs = { 0 };

		arena_init(&a, NULL);
		hdr_add(&a, &hs, HDR_ACCEPT_ENCODING,
		    str_from(cases[i].accept));
		ck_assert_msg(static_choose(&hs, cases[i].have, size) ==
		    cases[i].want, "\"%s\"", cases[i].accept);
		arena_fini(&a);
	}
}
END_TEST

/* --- served --- */

struct site {
	struct env	t;
	char		dir[32];
};

static void
put(struct site *s, const char *name, const char *text)
{
	char	path[256];
	int	fd;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, strlen(text)),
	    (ssize_t)strlen(text));
	close(fd);
}

static void
make_dir(struct site *s, const char *name)
{
	char	path[256];

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void
setup(struct site *s, const char *keys)
{
	struct text	c;
	char		path[64];

	env_init(&s->t);
	strncpy(s->dir, "/tmp/sl-static-XXXXXX", sizeof(s->dir));
	ck_assert_ptr_nonnull(mkdtemp(s->dir));
	put(s, "f.txt", "0123456789");
	put(s, ".hidden", "hidden");
	make_dir(s, "d");
	put(s, "d/index.html", "index of d");
	make_dir(s, "e");
	make_dir(s, ".well-known");
	put(s, ".well-known/x", "known");
	put(s, ".well-known/.y", "hidden");
	snprintf(path, sizeof(path), "%s/out", s->dir);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	snprintf(path, sizeof(path), "%s/in", s->dir);
	ck_assert_int_eq(symlink("f.txt", path), 0);
	snprintf(path, sizeof(path), "%s/fifo", s->dir);
	ck_assert_int_eq(mkfifo(path, 0644), 0);
	text_init(&c);
	text_fmt(&c, "[route s]\npath = /*\nstatic = %s\n%s", s->dir, keys);
	text_c(&c, '\0');
	env_conf(&s->t, c.p);
	text_fini(&c);
}

static void
teardown(struct site *s)
{
	char	cmd[64];
	pid_t	pid = fork();

	ck_assert_int_ne(pid, -1);
	snprintf(cmd, sizeof(cmd), "%s", s->dir);
	if (pid == 0) {
		execlp("rm", "rm", "-rf", cmd, (char *)NULL);
		_exit(1);
	}
	env_fini(&s->t);
}

static void
is(struct site *s, const char *line, const char *fields, const char *want)
{
	const char	*a = env_ask(&s->t, line, fields);

	ck_assert_msg(strstr(a, want) != NULL, "%s: no \"%s\" in \"%s\"",
	    line, want, a);
}

START_TEST(what_is_found)
{
	struct site	s;

	setup(&s, "");
	is(&s, "GET /f.txt", "", "\r\n\r\n0123456789");
	is(&s, "GET /f%2Etxt?q", "", "\r\n\r\n0123456789");
	is(&s, "GET /d/", "", "index of d");
	is(&s, "GET /d?a=b", "", "Location: /d/?a=b\r\n");
	is(&s, "GET /in", "", "0123456789");
	is(&s, "GET /.well-known/x", "", "known");
	is(&s, "GET /f.txt", "Range: bytes=2-4\r\n", "\r\n\r\n234");
	is(&s, "GET /f.txt", "Range: bytes=99-\r\n",
	    "Content-Range: bytes */10\r\n");
	is(&s, "HEAD /f.txt", "Range: bytes=2-4\r\n",
	    "Content-Length: 10\r\n");
	is(&s, "POST /f.txt", "", "Allow: GET, HEAD\r\n");
	teardown(&s);
}
END_TEST

START_TEST(what_is_not)
{
	static const char *const	none[] = { "/none", "/f.txt/",
		"/f.txt/x", "/.hidden", "/.well-known/.y", "/%2ehidden",
		"/out", "//f.txt", "//etc/passwd", "/none/" };
	struct site			s;
	char				line[64];

	setup(&s, "");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		snprintf(line, sizeof(line), "GET %s", none[i]);
		is(&s, line, "", "HTTP/1.1 404 ");
	}
	is(&s, "GET /e/", "", "HTTP/1.1 403 ");
	is(&s, "GET /fifo", "", "HTTP/1.1 403 ");
	teardown(&s);
}
END_TEST

START_TEST(switches)
{
	struct site	s;

	setup(&s, "dot_files = allow\nsymlinks = follow\nindex = a f.txt\n");
	is(&s, "GET /.hidden", "", "\r\n\r\nhidden");
	is(&s, "GET /out", "", "root:");
	is(&s, "GET /", "", "0123456789");
	teardown(&s);
	setup(&s, "symlinks = off\n");
	is(&s, "GET /in", "", "HTTP/1.1 404 ");
	is(&s, "GET /f.txt", "", "0123456789");
	teardown(&s);
}
END_TEST

/* Who deploys by a link need not reload. */
START_TEST(root_that_moves)
{
	struct site	s;
	struct text	c;
	char		other[48], gone[48];
	uint64_t	end;

	setup(&s, "");
	snprintf(other, sizeof(other), "%s.new", s.dir);
	snprintf(gone, sizeof(gone), "%s.old", s.dir);
	ck_assert_int_eq(mkdir(other, 0755), 0);
	text_init(&c);
	text_fmt(&c, "%s/f.txt", other);
	text_c(&c, '\0');
	ck_assert_int_eq(symlink("/dev/null", c.p), 0);
	text_fini(&c);
	is(&s, "GET /f.txt", "", "0123456789");
	ck_assert_int_eq(rename(s.dir, gone), 0);
	ck_assert_int_eq(rename(other, s.dir), 0);
	end = env_ms() + PATIENCE_MS;
	while (strstr(env_ask(&s.t, "GET /f.txt", ""), " 200 ") != NULL &&
	    env_ms() < end)
		ev_turn(s.t.ev, 50);
	is(&s, "GET /f.txt", "", "HTTP/1.1 404 ");
	ck_assert_int_eq(rename(s.dir, other), 0);
	ck_assert_int_eq(rename(gone, s.dir), 0);
	teardown(&s);
	unlinkat(AT_FDCWD, other, AT_REMOVEDIR);
}
END_TEST

/* --- helpers --- */

/* What is known of files is too old then. */
static void
age(struct site *s)
{
	uint64_t	end = env_ms() + STATIC_LOOK_MS + 1;

	while (env_ms() < end)
		ev_turn(s->t.ev, 50);
}

/* the test as a helper: answers one question with what it was told */
static void
serve_question(struct site *s, int end, int fd, uint32_t error)
{
	struct frame		 f;
	struct frame_head	 h;
	struct ask_open		 q;
	char			 buf[CHAN_BYTES];
	int			 rc = -1;

	for (int i = 0; i < 500 && rc == -1; i++) {
		ev_turn(s->t.ev, 2);
		rc = chan_recv_wait(end, &f, buf, sizeof(buf), 0);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(f.head.op, CHAN_OPEN);
	memcpy(&q, f.data, sizeof(q));
	ck_assert_uint_eq(q.root_n, strlen(s->dir));
	ck_assert_str_eq(f.data + sizeof(q), s->dir);
	ck_assert_str_eq(f.data + sizeof(q) + q.root_n + 1, "out");
	h = (struct frame_head){ .op = CHAN_OPEN, .id = f.head.id,
	    .flags = CHAN_F_REPLY | (fd == -1 ? CHAN_F_ERROR : 0),
	    .len = fd == -1 ? sizeof(error) : 0 };
	{
		char		 out[sizeof(h) + sizeof(error)];
		struct iovec	 v = { out, sizeof(h) + h.len };
		union {
			struct cmsghdr	align;
			char		buf[CMSG_SPACE(sizeof(int))];
		}		 ctl;
		struct msghdr	 m = { .msg_iov = &v, .msg_iovlen = 1 };
		struct cmsghdr	*cm;

		memcpy(out, &h, sizeof(h));
		memcpy(out + sizeof(h), &error, sizeof(error));
		if (fd != -1) {
			memset(&ctl, 0, sizeof(ctl));
			m.msg_control = ctl.buf;
			m.msg_controllen = sizeof(ctl.buf);
			cm = CMSG_FIRSTHDR(&m);
			cm->cmsg_level = SOL_SOCKET;
			cm->cmsg_type = SCM_RIGHTS;
			cm->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(cm), &fd, sizeof(int));
		}
		ck_assert_int_ne(sendmsg(end, &m, 0), -1);
	}
}

static struct cli *
begin(struct site *s)
{
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "GET /out HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n\r\n");
	return c;
}

/* A link out of the root may end inside after all: a helper decides. */
START_TEST(helpers_are_asked)
{
	struct site	 s;
	struct cli	*c;
	struct err	 e;
	char		 path[64];
	int		 ends[2], fd;

	setup(&s, "precompressed = off\n");
	s.t.serve.ask = ask_new(s.t.ev);
	ck_assert_int_eq(sock_pair(ends, &e), 0);
	ck_assert_int_eq(ask_peer(s.t.serve.ask, 0, ends[0], &e), 0);
	is(&s, "GET /f.txt", "", "0123456789");
	c = begin(&s);
	/* just written, so in memory: nothing more is asked */
	snprintf(path, sizeof(path), "%s/f.txt", s.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ne(fd, -1);
	serve_question(&s, ends[1], fd, 0);
	close(fd);
	cli_end(&s.t, c);
	env_has(c->buf, "HTTP/1.1 200 ");
	cli_close(&c);
	age(&s);
	c = begin(&s);
	serve_question(&s, ends[1], -1, EACCES);
	cli_end(&s.t, c);
	env_has(c->buf, "HTTP/1.1 403 ");
	cli_close(&c);
	/* the only helper dies over it */
	c = begin(&s);
	while (s.t.board.stat[STAT_ASKS] < 3)
		ev_turn(s.t.ev, 2);
	close(ends[1]);
	cli_end(&s.t, c);
	env_has(c->buf, "helper_gone");
	cli_close(&c);
	ck_assert_uint_eq(s.t.board.stat[STAT_ASKS_FAILED], 1);
	teardown(&s);
}
END_TEST

START_TEST(client_leaves_while_asked)
{
	struct site	 s;
	struct cli	*c;
	struct err	 e;
	struct linger	 reset = { 1, 0 };
	int		 ends[2];

	setup(&s, "precompressed = off\n");
	s.t.serve.ask = ask_new(s.t.ev);
	ck_assert_int_eq(sock_pair(ends, &e), 0);
	ck_assert_int_eq(ask_peer(s.t.serve.ask, 0, ends[0], &e), 0);
	c = begin(&s);
	while (s.t.board.stat[STAT_ASKS] == 0)
		ev_turn(s.t.ev, 2);
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	cli_close(&c);
	env_until(&s.t, &s.t.serve.nexchange, 0);
	/* the answer finds nobody, and its descriptor is closed */
	serve_question(&s, ends[1], ends[1], 0);
	ev_turn(s.t.ev, 2);
	ck_assert_uint_eq(s.t.board.stat[STAT_ABORTED], 1);
	close(ends[1]);
	teardown(&s);
}
END_TEST

/* the test as a helper that says: it is in memory now */
static void
say_warm(struct site *s, int end)
{
	struct frame		 f;
	struct frame_head	 h;
	char			 buf[CHAN_BYTES];
	int			 rc = -1;

	for (int i = 0; i < 500 && rc == -1; i++) {
		ev_turn(s->t.ev, 2);
		rc = chan_recv_wait(end, &f, buf, sizeof(buf), 0);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(f.head.op, CHAN_WARM);
	ck_assert_uint_eq(f.nfd, 1);
	close(f.fds[0]);
	h = (struct frame_head){ .op = CHAN_WARM, .id = f.head.id,
	    .flags = CHAN_F_REPLY };
	ck_assert_int_eq(send(end, &h, sizeof(h), 0), sizeof(h));
}

static struct cli *
begin_file(struct site *s)
{
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "GET /f.txt HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n\r\n");
	return c;
}

/*
 * One request waits for a helper, another has the file in memory by then
 * and needs its descriptor no more; the helper dies and another is asked.
 */
START_TEST(loaded_while_asked)
{
	struct site	 s;
	struct cli	*c, *d;
	struct err	 e;
	int		 one[2], two[2];

	setenv("SLUICE_FAULT", "fs_cold_read:5", 1);
	setup(&s, "precompressed = off\n");
	s.t.serve.ask = ask_new(s.t.ev);
	ck_assert_int_eq(sock_pair(one, &e), 0);
	ck_assert_int_eq(sock_pair(two, &e), 0);
	ck_assert_int_eq(ask_peer(s.t.serve.ask, 0, one[0], &e), 0);
	age(&s);
	/* it never comes into memory: a descriptor is remembered */
	c = begin_file(&s);
	say_warm(&s, one[1]);
	say_warm(&s, one[1]);
	cli_end(&s.t, c);
	env_has(c->buf, "0123456789");
	cli_close(&c);
	age(&s);
	c = begin_file(&s);
	while (s.t.board.stat[STAT_ASKS] < 3)
		ev_turn(s.t.ev, 2);
	d = begin_file(&s);
	cli_end(&s.t, d);
	env_has(d->buf, "0123456789");
	cli_close(&d);
	ck_assert_int_eq(ask_peer(s.t.serve.ask, 1, two[0], &e), 0);
	close(one[1]);
	say_warm(&s, two[1]);
	cli_end(&s.t, c);
	env_has(c->buf, "0123456789");
	cli_close(&c);
	close(two[1]);
	teardown(&s);
}
END_TEST

/* --- large ones --- */

static void
make_big(struct site *s, off_t size)
{
	char	path[64];

	put(s, "big", "");
	snprintf(path, sizeof(path), "%s/big", s->dir);
	ck_assert_int_eq(truncate(path, size), 0);
}

START_TEST(large_file)
{
	struct site	 s;
	struct cli	*c;
	size_t		 n = 0;

	setup(&s, "");
	make_big(&s, 3 << 20);
	c = cli_open(&s.t);
	cli_send(c, "GET /big HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n\r\n");
	cli_expect(&s.t, c, "\r\n\r\n");
	while (!c->eof) {
		n += c->n;
		c->n = 0;
		ev_turn(s.t.ev, 1);
		cli_read(c);
	}
	ck_assert_uint_eq(n, 3 << 20);
	cli_close(&c);
	teardown(&s);
}
END_TEST

/*
 * The client's buffer is of the system's size: a small one fills, and then
 * the kernel sends a window of it every 200 ms.
 */
START_TEST(file_that_shrinks)
{
	struct site	 s;
	struct cli	*c;
	char		 path[64];
	size_t		 n = 0;

	setup(&s, "");
	make_big(&s, 64 << 20);
	c = cli_open(&s.t);
	cli_send(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
	cli_expect(&s.t, c, "\r\n\r\n");
	snprintf(path, sizeof(path), "%s/big", s.dir);
	ck_assert_int_eq(truncate(path, 1 << 20), 0);
	while (!c->eof) {
		n += c->n;
		c->n = 0;
		ev_turn(s.t.ev, 1);
		cli_read(c);
	}
	ck_assert_uint_lt(n, 64 << 20);
	ck_assert_uint_eq(s.t.board.stat[STAT_ABORTED], 1);
	cli_close(&c);
	teardown(&s);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("static");
	TCase	*tc = tcase_create("static");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, types);
	tcase_add_test(tc, conditions);
	tcase_add_test(tc, codings);
	tcase_add_test(tc, what_is_found);
	tcase_add_test(tc, what_is_not);
	tcase_add_test(tc, switches);
	tcase_add_test(tc, root_that_moves);
	tcase_add_test(tc, helpers_are_asked);
	tcase_add_test(tc, client_leaves_while_asked);
	tcase_add_test(tc, loaded_while_asked);
	tcase_add_test(tc, large_file);
	tcase_add_test(tc, file_that_shrinks);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 bad;

	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad == 0 ? 0 : 1;
}
