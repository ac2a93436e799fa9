/*
 * The pure parts of HTTP/2: rings, the walk over frames, what is counted,
 * windows, priorities, heads, codes.
 */
#include <check.h>
#include <stdlib.h>

#include "codec/h2/h2_bdp.h"
#include "codec/h2/h2_code.h"
#include "codec/h2/h2_glitch.h"
#include "codec/h2/h2_head.h"
#include "codec/h2/h2_outq.h"

/* --- rings --- */

static struct chunk
constant(struct str s)
{
	struct chunk	c = { .kind = CHUNK_CONST, .n = s.n };

	c.u.mem.p = s.p;
	return c;
}

START_TEST(test_ring)
{
	struct h2_ring	r;
	struct chunk	c;

	h2_ring_init(&r, NULL);
	for (int i = 0; i < 9; i++)
		h2_ring_add(&r, constant(STR("abcdef")), NULL);
	ck_assert_uint_eq(r.n, 9);
	ck_assert_uint_eq(r.bytes, 54);
	c = h2_ring_cut(&r, 4);
	ck_assert(str_eq(str_make(c.u.mem.p, c.n), STR("abcd")));
	c = h2_ring_cut(&r, 100);
	ck_assert(str_eq(str_make(c.u.mem.p, c.n), STR("ef")));
	h2_ring_skip(&r, 13);
	ck_assert_uint_eq(r.bytes, 35);
	c = h2_ring_cut(&r, 100);
	ck_assert(str_eq(str_make(c.u.mem.p, c.n), STR("bcdef")));
	h2_ring_fini(&r);
	ck_assert_uint_eq(r.bytes, 0);
}
END_TEST

START_TEST(test_ring_pages)
{
	struct page_pool	pool;
	struct page		*pg;
	struct chunk		 c = { .kind = CHUNK_PAGE, .n = 10 }, d;
	struct h2_ring		 r;
	struct arena		 a;

	page_pool_init(&pool, 0);
	arena_init(&a, NULL);
	h2_ring_init(&r, &a);
	pg = page_new(&pool);
	c.u.mem.page = pg;
	c.u.mem.p = pg->data;
	h2_ring_add(&r, c, NULL);
	d = h2_ring_cut(&r, 3);
	ck_assert_uint_eq(pg->refs, 2);
	chunk_drop(&d);
	h2_ring_fini(&r);
	ck_assert_uint_eq(pool.live, 0);
	arena_fini(&a);
	page_pool_fini(&pool);
}
END_TEST

/* What lies behind the last piece in its page becomes part of it. */
START_TEST(test_ring_joins)
{
	struct page_pool	pool;
	struct h2_ring		r;
	struct chunk		c = { .kind = CHUNK_PAGE, .n = 1 };
	struct page		*pg;
	int			of;

	page_pool_init(&pool, 0);
	h2_ring_init(&r, NULL);
	pg = page_new(&pool);
	c.u.mem.page = pg;
	for (int i = 0; i < 10; i++) {
		page_ref(pg);
		c.u.mem.p = pg->data + i;
		h2_ring_add(&r, c, NULL);
	}
	ck_assert(r.n == 1 && r.bytes == 10 && pg->refs == 2);
	/* not behind it; of somebody else */
	page_ref(pg);
	c.u.mem.p = pg->data + 11;
	h2_ring_add(&r, c, NULL);
	page_ref(pg);
	c.u.mem.p = pg->data + 12;
	h2_ring_add(&r, c, &of);
	ck_assert(r.n == 3 && r.bytes == 12 && pg->refs == 4);
	h2_ring_skip(&r, 12);
	ck_assert(r.n == 0 && pg->refs == 1);
	h2_ring_fini(&r);
	page_unref(&pg);
	page_pool_fini(&pool);
}
END_TEST

/* --- the walk --- */

/* Types of the frames, with the bytes cut into pieces of step. */
static void
walk(const char *in, size_t n, size_t step, char *out)
{
	struct h2_walk		w;
	struct h2_walked	f;
	struct str		s;

	h2_walk_init(&w, true);
	for (size_t i = 0; i < n; i += step) {
		s = str_make(in + i, n - i < step ? n - i : step);
		while (h2_walk_next(&w, &s, &f)) {
			*out++ = (char)('0' + f.type);
			ck_assert_uint_eq(f.id, f.type == 0 ? 5 : 0);
		}
		ck_assert_uint_eq(s.n, 0);
	}
	*out = '\0';
}

START_TEST(test_walk)
{
	static const char	in[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		"\0\0\6\4\0\0\0\0\0abcdef" "\0\0\0\4\1\0\0\0\0"
		"\0\0\3\0\1\x80\0\0\5xyz" "\0\0\10\6\0\0\0\0\0" "12345678"
		"\0\0\0\7\0\0\0\0";
	char			out[16];

	for (size_t step = 1; step < sizeof(in); step++) {
		walk(in, sizeof(in) - 1, step, out);
		ck_assert_str_eq(out, "4406");
	}
}
END_TEST

/* The length of a padding is told wherever the reads cut. */
START_TEST(test_walk_pad)
{
	static const char	in[] = "\0\0\4\0\x8\0\0\0\5\3\0\0\0"
		"\0\0\0\0\x8\0\0\0\5" "\0\0\2\0\x8\0\0\0\7\1x";
	static const unsigned	pads[] = { 3, 0, 1 };
	struct h2_walk		w;
	struct h2_walked	f;
	struct str		s;
	unsigned		n;

	for (size_t step = 1; step < sizeof(in); step++) {
		h2_walk_init(&w, false);
		n = 0;
		for (size_t i = 0; i < sizeof(in) - 1; i += step) {
			s = str_sub(str_make(in, sizeof(in) - 1), i,
			    i + step);
			while (h2_walk_next(&w, &s, &f)) {
				ck_assert_uint_lt(n, 3);
				ck_assert_uint_eq(f.pad, pads[n++]);
			}
		}
		ck_assert_uint_eq(n, 3);
	}
}
END_TEST

/* --- what is counted --- */

static const struct {
	enum h2_glitch_kind	kind;
	unsigned		max;
	enum fail		why;
} kinds[] = {
	{ H2_GLITCH_RESET, 100, FAIL_H2_RESET_FLOOD },
	{ H2_GLITCH_MADE, 100, FAIL_H2_MADE_RESET_FLOOD },
	{ H2_GLITCH_CUT, 1000, FAIL_H2_RESET_FLOOD },
	{ H2_GLITCH_REFUSED, 1000, FAIL_H2_MADE_RESET_FLOOD },
	{ H2_GLITCH_PING, 500, FAIL_H2_PING_FLOOD },
	{ H2_GLITCH_SETTINGS, 100, FAIL_H2_SETTINGS_FLOOD },
	{ H2_GLITCH_PRIORITY, 500, FAIL_H2_PRIORITY_FLOOD },
	{ H2_GLITCH_WINDOW, 1000, FAIL_H2_WINDOW_FLOOD },
	{ H2_GLITCH_EMPTY, 10, FAIL_H2_EMPTY_FLOOD },
	{ H2_GLITCH_STRAY, 500, FAIL_H2_STRAY_FLOOD },
};

START_TEST(test_glitch)
{
	struct h2_glitch	g = { .ms = 1000 };

	for (unsigned i = 0; i < kinds[_i].max; i++)
		ck_assert_int_eq(h2_glitch_add(&g, kinds[_i].kind, 1000, 0),
		    FAIL_NONE);
	ck_assert(h2_glitch_is_high(&g) == (_i < 3));
	ck_assert_int_eq(h2_glitch_add(&g, kinds[_i].kind, 1000, 1),
	    FAIL_NONE);
	ck_assert_int_eq(h2_glitch_add(&g, kinds[_i].kind, 1000, 1),
	    kinds[_i].why);
	/* it wears off */
	ck_assert_int_eq(h2_glitch_add(&g, kinds[_i].kind, 3000, 0), FAIL_NONE);
	ck_assert_int_eq(h2_glitch_add(&g, kinds[_i].kind, 100000, 0),
	    FAIL_NONE);
	ck_assert_uint_eq(g.level[kinds[_i].kind], 1000);
	ck_assert(!h2_glitch_is_high(&g));
}
END_TEST

START_TEST(test_glitch_work)
{
	struct h2_glitch	g = { .ms = 1 };

	/* who works may say something about it */
	for (unsigned i = 0; i < 10000; i++) {
		ck_assert_int_eq(h2_glitch_add(&g, H2_GLITCH_WINDOW, 1, 0),
		    FAIL_NONE);
		ck_assert_int_eq(h2_glitch_add(&g, H2_GLITCH_PING, 1, 0),
		    FAIL_NONE);
		h2_glitch_sent(&g);
		ck_assert_int_eq(h2_glitch_add(&g, H2_GLITCH_PRIORITY, 1, 0),
		    FAIL_NONE);
		h2_glitch_opened(&g);
		ck_assert_int_eq(h2_glitch_add(&g, H2_GLITCH_EMPTY, 1, 0),
		    FAIL_NONE);
		h2_glitch_got(&g);
	}
	h2_glitch_head(&g);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(h2_glitch_continued(&g), FAIL_NONE);
	ck_assert_int_eq(h2_glitch_continued(&g),
	    FAIL_H2_CONTINUATION_FLOOD);
	h2_glitch_head(&g);
	ck_assert_int_eq(h2_glitch_continued(&g), FAIL_NONE);
}
END_TEST

/* --- windows --- */

START_TEST(test_bdp)
{
	struct h2_bdp	b;

	h2_bdp_init(&b);
	ck_assert_uint_eq(b.window, 65536);
	ck_assert_uint_eq(h2_bdp_conn(&b), 1 << 20);
	ck_assert(!h2_bdp_answer(&b));
	ck_assert(!h2_bdp_data(&b, 100));
	ck_assert(h2_bdp_data(&b, 16384));
	/* a path that is short, or a client that is slow */
	ck_assert(!h2_bdp_data(&b, 10000));
	ck_assert(!h2_bdp_answer(&b));
	ck_assert_uint_eq(b.window, 65536);
	/* one that holds more than the window */
	ck_assert(h2_bdp_data(&b, 16384));
	ck_assert(!h2_bdp_data(&b, 65536));
	ck_assert(h2_bdp_answer(&b));
	ck_assert_uint_eq(b.window, 131072);
	/* it has an end */
	for (int i = 0; i < 20; i++) {
		h2_bdp_data(&b, 16384);
		h2_bdp_data(&b, b.window);
		h2_bdp_answer(&b);
	}
	ck_assert_uint_eq(b.window, H2_WINDOW_MAX);
	ck_assert_uint_eq(h2_bdp_conn(&b), 2 * H2_WINDOW_MAX);
	ck_assert(!h2_bdp_data(&b, 1 << 30));
}
END_TEST

/* --- priorities --- */

static const struct {
	const char	*in;
	unsigned	 urgency;
	bool		 incremental;
} priorities[] = {
	{ "", 3, false }, { "u=0", 0, false }, { "u=7, i", 7, true },
	{ "i", 3, true }, { "i=?0", 3, false }, { "i=?1,u=1", 1, true },
	{ "u=8", 3, false }, { "u=-1", 3, false }, { "u=", 3, false },
	{ "u=1.5", 3, false }, { "U=1", 3, false }, { "u = 1", 3, false },
	{ "x=3, u=2;a=b, y", 2, false }, { "u=1, u=4", 4, false },
	{ ",,,", 3, false }, { "i;x", 3, true }, { "i=1", 3, false },
};

START_TEST(test_priority)
{
	struct h2_priority	p = { H2_URGENCY_DEF, false };

	h2_priority_parse(str_from(priorities[_i].in), &p);
	ck_assert_uint_eq(p.urgency, priorities[_i].urgency);
	ck_assert(p.incremental == priorities[_i].incremental);
}
END_TEST

/* --- heads --- */

static struct arena			 mem;
static struct msg			 m;
static struct h2_head			 h;
static const struct codec_limits	 limits = { .header_bytes = 1000,
    .header_field = 300, .header_count = 5, .target = 50 };

static void
head(bool trailer)
{
	arena_init(&mem, NULL);
	m = (struct msg){ 0 };
	h2_head_init(&h, &mem, &limits, &m.hdrs, trailer);
}

static void
request(void)
{
	head(false);
	h2_head_field(&h, STR(":method"), STR("GET"));
	h2_head_field(&h, STR(":scheme"), STR("https"));
	h2_head_field(&h, STR(":authority"), STR("Example.org:443"));
	h2_head_field(&h, STR(":path"), STR("/a?b"));
}

START_TEST(test_head)
{
	request();
	h2_head_field(&h, STR("host"), STR("example.org"));
	h2_head_field(&h, STR("cookie"), STR("a=b"));
	h2_head_field(&h, STR("te"), STR("trailers"));
	h2_head_field(&h, STR("cookie"), STR("c=d"));
	h2_head_field(&h, STR("expect"), STR("100-continue"));
	h2_head_field(&h, STR("x"), STR(""));
	ck_assert_int_eq(h2_head_finish(&h, &m, false),
	    FAIL_TOO_MANY_FIELDS);
	arena_fini(&mem);
	request();
	h2_head_field(&h, STR("host"), STR("example.org"));
	h2_head_field(&h, STR("cookie"), STR("a=b"));
	h2_head_field(&h, STR("te"), STR("trailers"));
	h2_head_field(&h, STR("cookie"), STR("c=d"));
	h2_head_field(&h, STR("priority"), STR("u=1"));
	ck_assert_int_eq(h2_head_finish(&h, &m, false), FAIL_NONE);
	ck_assert(str_eq(m.method, STR("GET")) && m.meth == METHOD_GET);
	ck_assert(str_eq(m.target, STR("/a?b")));
	ck_assert(str_eq(m.authority, STR("Example.org:443")));
	ck_assert(str_eq(m.host, STR("Example.org")));
	ck_assert(str_eq(m.scheme, STR("https")));
	ck_assert(str_eq(hdr_val(&m.hdrs, HDR_COOKIE), STR("a=b; c=d")));
	ck_assert_ptr_null(hdr_get(&m.hdrs, HDR_HOST));
	ck_assert_ptr_null(hdr_get(&m.hdrs, HDR_TE));
	ck_assert(m.trailers && m.body == BODY_UNKNOWN && m.major == 2);
	ck_assert_uint_eq(h.priority.urgency, 1);
	arena_fini(&mem);
}
END_TEST

/* All is copied: the slices of HPACK do not last. */
START_TEST(test_head_copies)
{
	char	name[] = "x-a", val[] = "b";

	request();
	h2_head_field(&h, str_from(name), str_from(val));
	name[0] = val[0] = '?';
	ck_assert_int_eq(h2_head_finish(&h, &m, true), FAIL_NONE);
	ck_assert(str_eq(m.hdrs.v[0].name, STR("x-a")));
	ck_assert(str_eq(m.hdrs.v[0].val, STR("b")));
	ck_assert_int_eq(m.body, BODY_NONE);
	arena_fini(&mem);
}
END_TEST

START_TEST(test_head_limits)
{
	char	big[900];

	memset(big, 'b', sizeof(big));
	request();
	ck_assert(h2_head_field(&h, STR("a"), str_make(big, 300)));
	ck_assert_int_eq(h2_head_finish(&h, &m, true), FAIL_FIELD_TOO_LARGE);
	arena_fini(&mem);
	request();
	ck_assert(h2_head_field(&h, STR("a"), str_make(big, 900)));
	ck_assert_int_eq(h2_head_finish(&h, &m, true),
	    FAIL_HEADER_TOO_LARGE);
	/* packed small, and many times as large */
	while (h.bytes < 4000 - 932)
		ck_assert(h2_head_field(&h, STR("a"), str_make(big, 899)));
	ck_assert(!h2_head_field(&h, STR("a"), str_make(big, 900)));
	arena_fini(&mem);
}
END_TEST

START_TEST(test_head_trailer)
{
	head(true);
	h2_head_field(&h, STR("x-sum"), STR("1"));
	h2_head_field(&h, STR("content-length"), STR("1"));
	h2_head_field(&h, STR("authorization"), STR("1"));
	ck_assert_int_eq(h.why, FAIL_NONE);
	ck_assert_uint_eq(m.hdrs.n, 1);
	h2_head_field(&h, STR(":path"), STR("/"));
	ck_assert_int_eq(h.why, FAIL_BAD_PSEUDO);
	arena_fini(&mem);
}
END_TEST

START_TEST(test_codes)
{
	ck_assert_uint_eq(h2_code_of(FAIL_NONE), 0);
	ck_assert_uint_eq(h2_code_of(FAIL_CLIENT_RESET), 8);
	ck_assert_uint_eq(h2_code_of(FAIL_LENGTH_MISMATCH), 1);
	ck_assert_uint_eq(h2_code_of(FAIL_BETWEEN_TIMEOUT), 2);
	ck_assert_str_eq(h2_code_name(8), "CANCEL");
	ck_assert_str_eq(h2_code_name(14), "an unknown code");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h2_parts");
	TCase	*t = tcase_create("parts");
	SRunner	*r;
	int	 failed;

	tcase_add_test(t, test_ring);
	tcase_add_test(t, test_ring_joins);
	tcase_add_test(t, test_ring_pages);
	tcase_add_test(t, test_walk);
	tcase_add_test(t, test_walk_pad);
	tcase_add_loop_test(t, test_glitch, 0,
	    (int)(sizeof(kinds) / sizeof(kinds[0])));
	tcase_add_test(t, test_glitch_work);
	tcase_add_test(t, test_bdp);
	tcase_add_loop_test(t, test_priority, 0,
	    (int)(sizeof(priorities) / sizeof(priorities[0])));
	tcase_add_test(t, test_head);
	tcase_add_test(t, test_head_copies);
	tcase_add_test(t, test_head_limits);
	tcase_add_test(t, test_head_trailer);
	tcase_add_test(t, test_codes);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
