/*
 * Upstreams: their configuration, their rows on the board.
 */
#include "up/outlier.h"
#include "up/probes.h"
#include "up/queue.h"
#include "up/breaker.h"
#include "up/fail_count.h"
#include "up/server_use.h"
#include "up/upstream.h"
#include "up/outlier.h"
#include "up/probes.h"
#include "up/retry.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const struct conf_section *const sections[] = {
	&upstream_section, NULL
};
static const struct shm_region *const regions[] = {
	&board_servers, &board_paths, &board_upstream_names,
	&board_servers_live, &board_server_uses,
	&board_retries, &board_retry_uses, &board_outliers, &board_probes,
	&board_breakers, &board_breaker_probes, &board_breaker_confs,
	&board_fail_counts,
	&board_upstreams, &board_names, &board_queues, &board_slots,
	&lease_words, &lease_shadows, &lease_heads, &lease_listeners,
	&lease_addrs, &board_outliers, &board_probes, NULL
};

/* a configuration that was loaded */
struct loaded {
	struct conf_load	*load;
	struct arena		 arena;
	struct conf		*conf;		/* NULL: refused */
	struct diags		*diags;
};

static void
load(struct loaded *l, const char *text, uint64_t number)
{
	struct str		mem = str_from(text);
	struct conf_opts	o = { .file = "t.conf", .file_given = true,
		.sections = sections, .builtin = "", .memory = &mem };

	arena_init(&l->arena, NULL);
	l->load = conf_load_new(&o);
	l->conf = conf_load_run(l->load, &l->arena);
	l->diags = conf_load_diags(l->load);
	if (l->conf != NULL)
		l->conf->number = number;
}

static void
unload(struct loaded *l)
{
	conf_load_free(&l->load);
	arena_fini(&l->arena);
}

static const struct upstream_conf *
find(const struct loaded *l, const char *name)
{
	const struct upstream_conf	*c;

	ck_assert_ptr_nonnull(l->conf);
	c = conf_find(l->conf, &upstream_section, str_from(name));
	ck_assert_ptr_nonnull(c);
	return c;
}

/* --- configuration --- */

struct good {
	const char	*line;
	const char	*servers;	/* as they are shown, in order */
};

static const struct good good[] = {
	{ "10.0.0.5:8080", "10.0.0.5:8080" },
	{ "10.0.0.5:8080 10.0.0.6:8081", "10.0.0.5:8080 10.0.0.6:8081" },
	{ "10.0.0.5:1, [::1]:2", "10.0.0.5:1 [::1]:2" },
	{ "http://10.0.0.5", "10.0.0.5:80" },
	{ "HTTP://10.0.0.5:3000/", "10.0.0.5:3000" },
	{ "http://[fe80::1]:3000", "[fe80::1]:3000" },
	{ "localhost:3000", "127.0.0.1:3000" },
	{ "unix:/run/app.sock", "unix:/run/app.sock" },
	{ "10.0.0.5:1 max_conns=3", "10.0.0.5:1/3" },
	{ "10.0.0.5:1 10.0.0.6:1 max_conns=7", "10.0.0.5:1/7 10.0.0.6:1/7" },
	{ "10.0.0.5:1\nserver = 10.0.0.6:1 max_conns=2",
	    "10.0.0.5:1 10.0.0.6:1/2" },
	{ "App.Example:80 max_conns=3", "app.example:80/3" },
	{ "app:8080 10.0.0.5:1", "app:8080 10.0.0.5:1" },
	{ "http://app.example", "app.example:80" },
	{ "app_1.example.:81", "app_1.example.:81" },
	{ "dns+srv://_HTTP._tcp.App.example",
	    "dns+srv://_http._tcp.app.example" }
};

START_TEST(test_servers)
{
	struct loaded	l;
	char		buf[512];
	char		got[512] = "";
	size_t		n = 0;

	snprintf(buf, sizeof(buf), "[upstream u]\nmax_conns = 0\n"
	    "server = %s\n", good[_i].line);
	load(&l, buf, 1);
	for (size_t i = 0; i < find(&l, "u")->servers.n; i++) {
		const struct server_conf *s = &find(&l, "u")->servers.v[i];

		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s",
		    n > 0 ? " " : "", STR_FMT(s->text));
		if (s->max_conns > 0)
			n += (size_t)snprintf(got + n, sizeof(got) - n,
			    "/%u", s->max_conns);
	}
	ck_assert_str_eq(got, good[_i].servers);
	unload(&l);
}
END_TEST

struct bad {
	const char	*keys;
	enum diag_id	 id;
};

static const struct bad bad[] = {
	{ "server = 10.0.0.5", DIAG_VALUE_ADDR },
	{ "server = 10.0.0.5:0", DIAG_VALUE_ADDR },
	{ "server = 0.0.0.0:80", DIAG_VALUE_ADDR },
	{ "server = :80", DIAG_VALUE_ADDR },
	{ "server = [::]:80", DIAG_VALUE_ADDR },
	{ "server = 10.0.0.300:80", DIAG_VALUE_ADDR },
	{ "server = fe80::1:80", DIAG_VALUE_ADDR },
	{ "server = unix:run.sock", DIAG_VALUE_ADDR },
	{ "server = http://10.0.0.5/app", DIAG_VALUE_ADDR },
	{ "server = max_conns=3", DIAG_VALUE_ADDR },
	{ "server = 10.0.0.5:1 max_conns=3 10.0.0.6:1", DIAG_VALUE_ADDR },
	{ "server = app", DIAG_SERVER_NAME },
	{ "server = app:0", DIAG_SERVER_NAME },
	{ "server = app:65536", DIAG_SERVER_NAME },
	{ "server = app..example:80", DIAG_SERVER_NAME },
	{ "server = app.ex*mple:80", DIAG_SERVER_NAME },
	{ "server = a23456789012345678901234567890123456789012345678901234567"
	    "8901234.example:80", DIAG_SERVER_NAME },
	{ "server = dns+srv://app.example", DIAG_SERVER_NAME },
	{ "server = dns+srv://_http._tcp.app:80", DIAG_SERVER_NAME },
	{ "server = dns+srv://", DIAG_SERVER_NAME },
	{ "server = h3://10.0.0.5", DIAG_SERVER_SCHEME },
	{ "server = h2c://10.0.0.5:1/x", DIAG_VALUE_ADDR },
	{ "server = 10.0.0.5:1 max_conns=x", DIAG_VALUE_INT },
	{ "server = 10.0.0.5:1 max_conns=1000001", DIAG_VALUE_INT },
	{ "server = 10.0.0.5:1 weight=1001", DIAG_VALUE_INT },
	{ "server = 10.0.0.5:1 pin=ab", DIAG_VALUE_CHOICE },
	{ "server = 10.0.0.5:1 colour=red", DIAG_VALUE_CHOICE },
	{ "balance = round_robin", DIAG_UPSTREAM_EMPTY },
	{ "server = 10.0.0.5:1\nbalance = least_time", DIAG_KEY_LATER },
	{ "server = 10.0.0.5:1\nbalance = fair", DIAG_VALUE_CHOICE },
	{ "server = 10.0.0.5:1\ntimeout.connect = 0s", DIAG_VALUE_RANGE },
	{ "server = 10.0.0.5:1\ntimeout.connect = 5", DIAG_VALUE_TIME },
	{ "server = 10.0.0.5:1\ntimeout.connect = 3s\ntimeout.total = 2s",
	    DIAG_TIME_ORDER },
	{ "server = 10.0.0.5:1\nhost_header = a b", DIAG_VALUE_CHOICE },
	{ "server = 10.0.0.5:1\nhash.key = fixed", DIAG_VALUE_CHOICE },
	{ "server = 10.0.0.5:1\nhash.key = ${cookie.}",
	    DIAG_VALUE_TEMPLATE },
	{ "server = 10.0.0.5:1\nhash.load = 99", DIAG_VALUE_RANGE },
	{ "server = 10.0.0.5:1\nsticky = ip", DIAG_VALUE_CHOICE },
	{ "server = 10.0.0.5:1\nsticky.name = a b", DIAG_VALUE_CHOICE },
	{ "server = 10.0.0.5:1\nsticky.secret = short", DIAG_VALUE_RANGE }
};

START_TEST(test_refused)
{
	struct loaded	l;
	char		buf[512];

	snprintf(buf, sizeof(buf), "[upstream u]\n%s\n", bad[_i].keys);
	load(&l, buf, 1);
	ck_assert_msg(diag_has(l.diags, bad[_i].id), "%s", bad[_i].keys);
	ck_assert_uint_eq(diag_errors(l.diags), 1);
	ck_assert_ptr_null(l.conf);
	unload(&l);
}
END_TEST

START_TEST(test_values)
{
	struct loaded			 l;
	const struct upstream_conf	*a;
	const struct upstream_conf	*b;

	load(&l, "[upstream a]\nserver = 10.0.0.1:1\n"
	    "[upstream b]\nserver = 10.0.0.1:1\nstrategy = "
	    "weighted_round_robin\ntimeout = 7\ntimeout.connect = 250ms\n"
	    "timeout.between = 0\n"
	    "timeout.total = 1m\nhost_header = app.example:81\n", 1);
	a = find(&l, "a");
	b = find(&l, "b");
	ck_assert_ptr_eq(a->balance, &balancer_two_choices);
	ck_assert_ptr_eq(b->balance, &balancer_round_robin);
	ck_assert_uint_eq(a->times.connect, 3000);
	ck_assert_uint_eq(a->times.first_byte, 30000);
	ck_assert_uint_eq(a->times.between, 60000);
	ck_assert_uint_eq(a->times.total, 0);
	ck_assert_uint_eq(b->times.connect, 250);
	ck_assert_uint_eq(b->times.first_byte, 7000);
	ck_assert_uint_eq(b->times.between, 0);
	ck_assert_uint_eq(b->times.total, 60000);
	ck_assert_int_eq(a->told.host.how, HOST_PRESERVE);
	ck_assert_int_eq(b->told.host.how, HOST_TEXT);
	ck_assert(str_eq(b->told.host.text, STR("app.example:81")));
	ck_assert(diag_has(l.diags, DIAG_ALIAS));
	ck_assert(diag_has(l.diags, DIAG_UNUSED));
	/* The name belongs to the content. */
	ck_assert_uint_ne(a->digest, b->digest);
	unload(&l);
}
END_TEST

static uint64_t
digest_of(const char *keys)
{
	struct loaded	l;
	char		buf[512];
	uint64_t	d;

	snprintf(buf, sizeof(buf), "[upstream u]\n%s\n", keys);
	load(&l, buf, 1);
	d = find(&l, "u")->digest;
	unload(&l);
	return d;
}

START_TEST(test_digest)
{
	uint64_t	d = digest_of("server = 10.0.0.1:1 10.0.0.2:1");

	/* What an exchange reads anew does not part a twin from its pool. */
	ck_assert_uint_eq(d, digest_of("server = 10.0.0.1:1\n"
	    "server = http://10.0.0.2:1/ max_conns=9\ntimeout.connect = 1s\n"
	    "host_header = server"));
	ck_assert_uint_ne(d, digest_of("server = 10.0.0.2:1 10.0.0.1:1"));
	ck_assert_uint_ne(d, digest_of("server = 10.0.0.1:1"));
	ck_assert_uint_ne(d, digest_of("server = 10.0.0.1:1 10.0.0.2:11"));
}
END_TEST

/* --- rows --- */

static int64_t
row_of(const struct shm *shm, const struct loaded *l, const char *name,
    size_t i)
{
	const struct upstream_conf	*c = find(l, name);
	struct upstream_rows		 r;
	int64_t				 at;

	upstream_rows_open(&r, shm);
	at = upstream_rows_server(&r, str_from(name), c->servers.v[i].text);
	upstream_rows_close(&r);
	return at;
}

static struct board_server *
server_at(const struct shm *shm, int64_t row)
{
	ck_assert_int_ge(row, 0);
	return shm_row(shm, &board_servers, (uint32_t)row);
}

static void
must_link(struct shm *shm, const struct loaded *l, uint64_t oldest)
{
	struct err	e;

	ck_assert_msg(upstream_link_rows(shm, l->conf, oldest, &e) == 0,
	    "%s", e.text);
}

START_TEST(test_rows_live)
{
	struct shm		*shm;
	struct loaded		 a;
	struct loaded		 b;
	struct loaded		 c;
	int64_t			 one;
	int64_t			 two;
	uint64_t		 tag;

	shm = shm_new(regions, NULL);
	ck_assert_ptr_nonnull(shm);
	load(&a, "[upstream u]\nserver = 10.0.0.1:1 10.0.0.2:1\n"
	    "[upstream v]\nserver = 10.0.0.1:1 unix:/a\n", 1);
	must_link(shm, &a, 1);
	one = row_of(shm, &a, "u", 0);
	two = row_of(shm, &a, "u", 1);
	ck_assert_int_ne(one, two);
	/* The same address in another upstream is another row. */
	ck_assert_int_ne(one, row_of(shm, &a, "v", 0));
	ck_assert_int_ge(row_of(shm, &a, "v", 1), 0);
	tag = atomic_load(&server_at(shm, one)->tag);
	ck_assert_uint_ne(tag, 0);

	/* .2 leaves, .3 comes: .1 keeps its row and its life. */
	load(&b, "[upstream u]\nserver = 10.0.0.1:1 10.0.0.3:1\n", 2);
	must_link(shm, &b, 1);
	ck_assert_int_eq(row_of(shm, &b, "u", 0), one);
	ck_assert_uint_eq(atomic_load(&server_at(shm, one)->tag), tag);
	/* Generation 1 is in use: its rows stay. */
	ck_assert_int_eq(row_of(shm, &a, "u", 1), two);
	ck_assert_int_ge(row_of(shm, &a, "v", 0), 0);

	/* It is gone: they are free, and used again for another life. */
	tag = atomic_load(&server_at(shm, two)->tag);
	load(&c, "[upstream u]\nserver = 10.0.0.1:1 10.0.0.4:1 10.0.0.5:1 "
	    "10.0.0.6:1\n", 3);
	must_link(shm, &c, 2);
	ck_assert_int_eq(row_of(shm, &a, "u", 1), -1);
	ck_assert_int_eq(row_of(shm, &a, "v", 0), -1);
	ck_assert_int_eq(row_of(shm, &c, "u", 0), one);
	ck_assert_int_eq(row_of(shm, &c, "u", 1), two);
	ck_assert_uint_gt(atomic_load(&server_at(shm, two)->tag), tag);
	unload(&a);
	unload(&b);
	unload(&c);
	shm_free(&shm);
}
END_TEST

/* The lease word of a server. */
static struct lease_word *
word_of(const struct shm *shm, int64_t row)
{
	uint32_t	lease = atomic_load(&server_at(shm, row)->lease);

	ck_assert_uint_ne(lease, 0);
	return shm_row(shm, &lease_words, lease - 1);
}

/* What a row has no room for is found all the same. */
START_TEST(test_texts)
{
	static const char	dir[] = "/0123456789012345678901234567890123"
				    "456789012345678901234567890123456789";
	struct shm		*shm = shm_new(regions, NULL);
	struct loaded		 a, b;
	char			 conf[256];
	int64_t			 row[2];

	snprintf(conf, sizeof(conf), "[upstream u]\nserver = unix:%s/a\n"
	    "server = unix:%s/b [::1]:80\n", dir, dir);
	load(&a, conf, 1);
	must_link(shm, &a, 1);
	for (size_t i = 0; i < 2; i++) {
		row[i] = row_of(shm, &a, "u", i);
		ck_assert_uint_eq(server_at(shm, row[i])->addr_len,
		    sizeof(dir) + 1);
		ck_assert(str_eq(row_text_addr(shm, (uint32_t)row[i]),
		    str_sub(find(&a, "u")->servers.v[i].text, 5, 200)));
		ck_assert(str_eq(row_text_upstream(shm, (uint32_t)row[i]),
		    STR("u")));
	}
	ck_assert_int_ne(row[0], row[1]);
	ck_assert(str_eq(row_text_addr(shm,
	    (uint32_t)row_of(shm, &a, "u", 2)), STR("[::1]:80")));
	/* a name that nobody has any more lasts as long as a server's row */
	atomic_store(&word_of(shm, row[0])->taken, 1);
	load(&b, "[upstream v]\nserver = 10.0.0.1:1\n", 2);
	must_link(shm, &b, 2);
	must_link(shm, &b, 2);
	ck_assert_int_eq(row_of(shm, &a, "u", 0), row[0]);
	ck_assert_int_eq(row_of(shm, &a, "u", 1), -1);
	ck_assert(str_eq(row_text_upstream(shm, (uint32_t)row[0]),
	    STR("u")));
	atomic_store(&word_of(shm, row[0])->taken, 0);
	must_link(shm, &b, 2);
	ck_assert_int_eq(row_of(shm, &a, "u", 0), -1);
	unload(&a);
	unload(&b);
	shm_free(&shm);
}
END_TEST

START_TEST(test_limits)
{
	struct shm		*shm;
	struct loaded		 a;
	struct loaded		 b;
	struct loaded		 c;
	int64_t			 one;
	int64_t			 two;
	struct lease_word	*w;

	shm = shm_new(regions, NULL);
	ck_assert_ptr_nonnull(shm);
	load(&a, "[upstream u]\nserver = 10.0.0.1:1 max_conns=2\n"
	    "server = 10.0.0.2:1\n", 1);
	must_link(shm, &a, 1);
	one = row_of(shm, &a, "u", 0);
	two = row_of(shm, &a, "u", 1);
	w = word_of(shm, one);
	ck_assert_uint_eq(atomic_load(&w->limit), 2);
	/* What says nothing of its own has the upstream's, here its default. */
	ck_assert_uint_eq(atomic_load(&word_of(shm, two)->limit), 1024);

	/* Nothing changes for those who serve before the commit. */
	load(&b, "[upstream u]\nmax_conns = 6\n"
	    "server = 10.0.0.1:1 max_conns=5\nserver = 10.0.0.2:1\n", 2);
	must_link(shm, &b, 1);
	ck_assert_ptr_eq(word_of(shm, one), w);
	ck_assert_uint_eq(atomic_load(&w->limit), 2);
	ck_assert_uint_eq(atomic_load(&word_of(shm, two)->limit), 1024);
	upstream_settle_rows(shm, b.conf);
	ck_assert_uint_eq(atomic_load(&w->limit), 5);
	ck_assert_uint_eq(atomic_load(&word_of(shm, two)->limit), 6);

	/* A connection is still open to a server that left: its row stays. */
	atomic_store(&w->taken, 1);
	load(&c, "[upstream u]\nserver = 10.0.0.3:1\n", 3);
	must_link(shm, &c, 3);
	ck_assert_int_eq(row_of(shm, &b, "u", 0), one);
	ck_assert_int_eq(row_of(shm, &b, "u", 1), -1);
	atomic_store(&w->taken, 0);
	must_link(shm, &c, 3);
	ck_assert_int_eq(row_of(shm, &b, "u", 0), -1);
	ck_assert_uint_eq(atomic_load(&w->tag), 0);
	unload(&a);
	unload(&b);
	unload(&c);
	shm_free(&shm);
}
END_TEST

START_TEST(test_many)
{
	struct shm	*shm;
	struct text	 t;
	struct loaded	 a;
	unsigned	 seen = 0;
	struct upstream_rows r;

	shm = shm_new(regions, NULL);
	ck_assert_ptr_nonnull(shm);
	text_init(&t);
	for (unsigned i = 0; i < 1000; i++)
		text_fmt(&t, "[upstream u%u]\nserver = 10.0.%u.%u:1 "
		    "10.1.0.1:%u\n", i, i / 250, i % 250, i + 1);
	text_c(&t, '\0');
	load(&a, t.p, 1);
	must_link(shm, &a, 1);
	must_link(shm, &a, 1);
	for (uint32_t i = 0; i < shm_rows(shm, &board_servers); i++)
		seen += atomic_load(&server_at(shm, i)->tag) != 0;
	ck_assert_uint_eq(seen, 2000);
	upstream_rows_open(&r, shm);
	for (unsigned i = 0; i < 1000; i++) {
		char	name[16];

		snprintf(name, sizeof(name), "u%u", i);
		ck_assert_int_ge(upstream_rows_find(&r, str_from(name)), 0);
	}
	ck_assert_int_eq(upstream_rows_find(&r, STR("u1000")), -1);
	upstream_rows_close(&r);
	ck_assert_uint_ge(upstream_cost(a.conf, 3), 2000 *
	    sizeof(struct board_server));
	text_fini(&t);
	unload(&a);
	shm_free(&shm);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("upstream");
	TCase	*tc = tcase_create("upstream");
	SRunner	*sr;
	int	 failed;

	tcase_add_loop_test(tc, test_servers, 0,
	    sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tc, test_refused, 0,
	    sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, test_values);
	tcase_add_test(tc, test_digest);
	tcase_add_test(tc, test_rows_live);
	tcase_add_test(tc, test_texts);
	tcase_add_test(tc, test_limits);
	tcase_add_test(tc, test_many);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
