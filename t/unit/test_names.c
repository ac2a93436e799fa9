/*
 * Names on the board: sets from control, lists that are read while they
 * are written, rows that come and go.
 */
#include "up/names.h"

#include <check.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "up/int.h"
#include "up_env.h"

static struct shm		*shm;
static struct upstream_conf	 uc;
static struct server_conf	 sc;
static struct up_env		 env;
static struct conf		 conf;

static void
publish(uint64_t number, uint64_t oldest, uint64_t limit)
{
	struct err	e;

	sc.text = STR("app.test:80");
	sc.name = STR("app.test");
	sc.port = 80;
	sc.max_conns = (uint32_t)limit;
	up_env_set(&env, &conf, &uc, &sc, 1, number);
	ck_assert_msg(upstream_link_rows(shm, &conf, oldest, &e) == 0, "%s",
	    e.text);
}

static struct board_name *
row(uint32_t *at)
{
	struct upstream_rows	r;
	int64_t			i;

	upstream_rows_open(&r, shm);
	i = upstream_rows_name(&r, STR("u"), STR("app.test:80"));
	upstream_rows_close(&r);
	ck_assert_int_ge(i, 0);
	*at = (uint32_t)i;
	return shm_row(shm, &board_names, (uint32_t)i);
}

/* A pass for one set. */
static int
apply_set(const void *set, size_t n, uint64_t number, struct err *e)
{
	struct names_pass	*p = names_begin(shm, number);
	int			 rc = names_apply(p, set, n, e);

	names_end(&p);
	return rc;
}

/* A set of n addresses, 10.0.X.1 and so on; what became of it. */
static int
apply(unsigned x, unsigned n)
{
	struct {
		struct name_set		s;
		struct name_member	m[NAME_MEMBERS + 1];
	} set;
	struct err	e = { "" };

	memset(&set, 0, sizeof(set));
	set.s.tag = atomic_load(&row(&set.s.row)->tag);
	set.s.n = n;
	for (unsigned i = 0; i < n; i++) {
		set.m[i].family = AF_INET;
		set.m[i].port = 80;
		set.m[i].weight = i + 1;
		set.m[i].ip[0] = 10;
		set.m[i].ip[2] = (uint8_t)x;
		set.m[i].ip[3] = (uint8_t)(i + 1);
	}
	return apply_set(&set, sizeof(set.s) + n * sizeof(set.m[0]),
	    conf.number, &e);
}

static void
setup(void)
{
	shm = shm_new(shm_regions, NULL);
	ck_assert_ptr_nonnull(shm);
	publish(1, 1, 0);
}

static void
teardown(void)
{
	shm_free(&shm);
}

/* The addresses of the list, as text. */
static const char *
list(void)
{
	static char		 out[4096];
	uint32_t		 at, rows[NAME_MEMBERS];
	uint64_t		 version;
	int			 n = names_read(row(&at), rows, &version);
	struct sock_addr	 a;
	char			 buf[NAMES_ADDR];
	size_t			 len = 0;

	ck_assert_int_ge(n, 0);
	out[0] = '\0';
	for (int i = 0; i < n; i++) {
		ck_assert_int_eq(names_addr(shm_row(shm, &board_servers,
		    rows[i]), &a, buf), 0);
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s",
		    i > 0 ? " " : "", buf);
	}
	return out;
}

static uint64_t
weight_of(uint32_t i)
{
	struct board_server	*s = shm_row(shm, &board_servers, i);

	return atomic_load(&s->weight);
}

/* That of the record times that of the line, which a reload changes. */
START_TEST(test_weights)
{
	static const uint32_t	line[] = { 3, 0, 1000, 1 };
	uint32_t		at, rows[NAME_MEMBERS];
	uint64_t		version;
	struct row_want		want = { .limit = 0 };

	ck_assert_int_eq(apply(0, 3), 1);
	names_read(row(&at), rows, &version);
	for (size_t k = 0; k < 4; k++) {
		want.weight = line[k];
		names_settle(shm, at, &want);
		for (uint32_t i = 0; i < 3; i++)
			ck_assert_uint_eq(weight_of(rows[i]),
			    (i + 1) * line[k]);
		/* and so have those that come later */
		ck_assert_int_eq(apply(1, 2), 1);
		names_read(row(&at), rows, &version);
		ck_assert_uint_eq(weight_of(rows[1]), 2 * line[k]);
		ck_assert_int_eq(apply(0, 3), 1);
		names_read(row(&at), rows, &version);
	}
}
END_TEST

START_TEST(test_sets)
{
	uint32_t		 at, rows[NAME_MEMBERS];
	uint64_t		 one, two;
	struct board_name	*b = row(&at);

	ck_assert_uint_eq(atomic_load(&b->state), NAME_ASKING);
	ck_assert_str_eq(list(), "");
	ck_assert_int_eq(apply(0, 2), 1);
	ck_assert_str_eq(list(), "10.0.0.1:80 10.0.0.2:80");
	names_read(b, rows, &one);
	ck_assert_uint_eq(atomic_load(&((struct board_server *)shm_row(shm,
	    &board_servers, rows[1]))->weight), 2);
	/* The same again is no change. */
	ck_assert_int_eq(apply(0, 2), 0);
	names_read(b, rows, &two);
	ck_assert_uint_eq(one, two);
	ck_assert_int_eq(apply(1, 1), 1);
	ck_assert_str_eq(list(), "10.0.1.1:80");
	ck_assert_int_eq(apply(1, 0), 1);
	ck_assert_str_eq(list(), "");
	ck_assert_int_eq(apply(0, 254), 1);
	/* A reload leaves them as they are. */
	publish(2, 1, 0);
	ck_assert_uint_eq(atomic_load(&b->n), 254);
}
END_TEST

START_TEST(test_refused)
{
	struct {
		struct name_set		s;
		struct name_member	m[2];
	} good, bad;
	struct err	e;

	memset(&good, 0, sizeof(good));
	good.s.tag = atomic_load(&row(&good.s.row)->tag);
	good.s.n = 2;
	good.m[0] = good.m[1] = (struct name_member){ .ip = { 10, 0, 0, 1 },
		.port = 80, .weight = 1, .family = AF_INET };
#define REFUSES(change) \
	do { \
		bad = good; \
		change; \
		ck_assert_int_eq(apply_set(&bad, sizeof(bad), 1, &e), \
		    -1); \
	} while (0)
	REFUSES(bad.s.tag++);
	REFUSES(bad.s.tag = 0);
	REFUSES(bad.s.row = 999999);
	REFUSES(bad.s.n = 1);
	REFUSES(bad.s.n = 3);
	REFUSES(bad.s.n = UINT32_MAX);
	REFUSES(bad.m[1].family = AF_UNIX);
	REFUSES(bad.m[1].port = 0);
	REFUSES(bad.m[1].weight = 65536);
	REFUSES(memset(bad.m[1].ip, 0, 16));
	ck_assert_int_eq(apply_set(&good, 7, 1, &e), -1);
	ck_assert_str_eq(list(), "");
	/* An address twice is one server. */
	ck_assert_int_eq(apply_set(&good, sizeof(good), 1, &e), 1);
	ck_assert_str_eq(list(), "10.0.0.1:80");
	ck_assert_int_eq(apply(0, NAME_MEMBERS + 1), -1);
}
END_TEST

/* Lets a minute pass for the rows that left. */
static void
age(void)
{
	struct board_server	*s;

	for (uint32_t i = 0; i < shm_rows(shm, &board_servers); i++) {
		s = shm_row(shm, &board_servers, i);
		if (atomic_load(&s->left_ms) != 0)
			atomic_store(&s->left_ms, 1);
	}
}

static unsigned
used(void)
{
	unsigned	n = 0;

	for (uint32_t i = 0; i < shm_rows(shm, &board_servers); i++)
		n += atomic_load((_Atomic uint64_t *)shm_row(shm,
		    &board_servers, i)) != 0;
	return n;
}

START_TEST(test_rows)
{
	uint32_t		 at;
	uint64_t		 tag;
	struct board_server	*s;

	/* Rows that left stay a while, then serve again for other lives. */
	apply(0, 1);
	s = shm_row(shm, &board_servers, atomic_load(&row(&at)->member[0]));
	tag = atomic_load(&s->tag);
	for (unsigned x = 1; x <= 200; x++) {
		ck_assert_int_eq(apply(x, 1), 1);
		if (x % 10 == 0)
			age();
	}
	ck_assert_uint_le(used(), 12);
	age();
	ck_assert_int_eq(apply(200, 1), 0);
	ck_assert_uint_eq(used(), 1);
	ck_assert_uint_ne(atomic_load(&s->tag), tag);

	/* A lease that is held keeps the row. */
	publish(2, 1, 7);
	names_settle(shm, at, &(struct row_want){ 7, 1, false });
	apply(0, 1);
	s = shm_row(shm, &board_servers, atomic_load(&row(&at)->member[0]));
	tag = atomic_load(&s->tag);
	ck_assert_uint_ne(atomic_load(&s->lease), 0);
	struct lease_word	*w = shm_row(shm, &lease_words,
	    atomic_load(&s->lease) - 1);
	ck_assert_uint_eq(atomic_load(&w->limit), 7);
	atomic_store(&w->taken, 1);
	apply(1, 1);
	age();
	apply(2, 1);
	ck_assert_uint_eq(atomic_load(&s->tag), tag);
	atomic_store(&w->taken, 0);
	apply(3, 1);
	ck_assert_uint_ne(atomic_load(&s->tag), tag);

	/* The name goes with the last generation that has it. */
	conf.objs[0].n = 0;
	conf.number = 3;
	ck_assert_int_eq(upstream_link_rows(shm, &conf, 3, NULL), 0);
	age();
	ck_assert_int_eq(upstream_link_rows(shm, &conf, 3, NULL), 0);
	ck_assert_uint_eq(used(), 0);
}
END_TEST

/* A reader never sees half of one list and half of another. */
START_TEST(test_torn)
{
	uint32_t		 at, rows[NAME_MEMBERS];
	uint64_t		 version;
	struct board_name	*b = row(&at);
	unsigned		 changes = 0;
	uint32_t		 last = 0;
	pid_t			 pid;
	int			 n;

	apply(0, 100);
	apply(1, 90);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		for (unsigned i = 0; i < 3000; i++)
			apply(i % 2, 100 - i % 2 * 10);
		_exit(0);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		n = names_read(b, rows, &version);
		/* the writer was stopped in the midst of it */
		if (n == -1)
			continue;
		ck_assert_uint_eq(version % 2, 0);
		ck_assert(n == 100 || n == 90);
		for (int i = 1; i < n; i++)
			ck_assert_uint_eq(rows[i], rows[0] + (uint32_t)i);
		changes += rows[0] != last;
		last = rows[0];
	}
	ck_assert_uint_gt(changes, 10);
	/* One that stays odd has no list. */
	atomic_fetch_add(&b->version, 1);
	ck_assert_int_eq(names_read(b, rows, &version), -1);
}
END_TEST

/* Two sets in one pass: what the first one linked the second one finds. */
START_TEST(test_pass)
{
	struct {
		struct name_set		s;
		struct name_member	m[1];
	} set;
	struct names_pass	*p;
	struct err		 e;

	memset(&set, 0, sizeof(set));
	set.s.tag = atomic_load(&row(&set.s.row)->tag);
	set.s.n = 1;
	set.m[0] = (struct name_member){ .ip = { 10, 0, 0, 1 }, .port = 80,
		.weight = 1, .family = AF_INET };
	p = names_begin(shm, 1);
	ck_assert_int_eq(names_apply(p, &set, sizeof(set), &e), 1);
	set.m[0].ip[3] = 2;
	ck_assert_int_eq(names_apply(p, &set, sizeof(set), &e), 1);
	set.m[0].ip[3] = 1;
	ck_assert_int_eq(names_apply(p, &set, sizeof(set), &e), 1);
	ck_assert_int_eq(names_apply(p, &set, sizeof(set), &e), 0);
	set.s.tag++;
	ck_assert_int_eq(names_apply(p, &set, sizeof(set), &e), -1);
	names_end(&p);
	ck_assert_str_eq(list(), "10.0.0.1:80");
	ck_assert_uint_eq(used(), 2);
}
END_TEST

/* The master reads rows that another user may have written. */
START_TEST(test_hostile_board)
{
	uint32_t		 at;
	struct board_name	*b = row(&at);
	struct board_server	*s;
	struct board_upstream	*u;
	struct lease_word	*w;
	uint32_t		 lease;

	ck_assert_int_eq(apply(0, 2), 1);
	s = shm_row(shm, &board_servers, atomic_load(&b->member[0]));
	u = shm_row(shm, &board_upstreams, 0);
	/* lengths beyond the texts */
	b->upstream_len = b->text_len = UINT16_MAX;
	s->addr_len = UINT8_MAX;
	((struct board_upstream_name *)shm_row(shm, &board_upstream_names,
	    0))->len = UINT8_MAX;
	atomic_store(&s->upstream_row, UINT32_MAX);
	publish(2, 1, 0);
	row(&at);
	/* lists and words that are not there */
	atomic_store(&b->n, UINT32_MAX);
	atomic_store(&b->member[1], UINT32_MAX);
	atomic_store(&s->lease, UINT32_MAX);
	atomic_store(&u->queue, UINT32_MAX - 1);
	publish(3, 1, 5);
	names_settle(shm, at, &(struct row_want){ 5, 1, false });
	upstream_settle_rows(shm, &conf);
	/* another's word is not given back with the row */
	lease = atomic_load(&u->queue);
	ck_assert_uint_le(lease, shm_rows(shm, &lease_words));
	w = shm_row(shm, &lease_words, lease - 1);
	atomic_store(&w->limit, 9);
	atomic_store(&s->lease, lease);
	atomic_store(&s->left_ms, UINT64_MAX);
	atomic_store(&s->generation, 0);
	atomic_store(&b->n, 0);
	publish(4, 1, 5);
	ck_assert_uint_eq(atomic_load(&s->tag), 0);
	ck_assert_uint_eq(atomic_load(&w->limit), 9);
	ck_assert_uint_eq(atomic_load(&w->tag), atomic_load(&u->tag));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("names");
	TCase	*tc = tcase_create("names");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_sets);
	tcase_add_test(tc, test_weights);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_rows);
	tcase_add_test(tc, test_torn);
	tcase_add_test(tc, test_pass);
	tcase_add_test(tc, test_hostile_board);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
