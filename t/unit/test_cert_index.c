/*
 * The index of certificates that were looked at: what holds, and what
 * makes it doubtful.
 */
#include "cert_env.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tls/cert_index.h"
#include "tls/cert_state.h"

#define NOW	2000000000

static struct tls_cert
some_cert(const struct str *names)
{
	return (struct tls_cert){
		.file = STR("/a.crt"), .key_file = STR("/a.key"),
		.names = names, .nname = 2, .from = 1, .until = 2,
		.kind = TLS_ED25519, .id = "0123456789abcde"
	};
}

static struct stat
some_stat(unsigned ino)
{
	struct stat	st;

	memset(&st, 0, sizeof(st));
	st.st_ino = ino;
	st.st_size = 77;
	st.st_mtim.tv_sec = st.st_ctim.tv_sec = NOW - 100;
	return st;
}

static const struct str	names[] = { STR_INIT("a.example"),
	STR_INIT("*.b.example") };

static void
ck_found(struct cert_index *ix, const struct stat *chain,
    const struct stat *key, bool want)
{
	struct tls_cert	c = some_cert(NULL);
	struct arena	a;

	arena_init(&a, NULL);
	c.kind = TLS_RSA;
	c.nname = 0;
	ck_assert_int_eq(cert_index_find(ix, &a, &c, chain, key), want);
	if (want) {
		ck_assert_int_eq((int)c.kind, (int)TLS_ED25519);
		ck_assert_int_eq(c.from, 1);
		ck_assert_int_eq(c.until, 2);
		ck_assert_uint_eq(c.nname, 2);
		ck_assert(str_eq(c.names[0], names[0]));
		ck_assert(str_eq(c.names[1], names[1]));
	}
	arena_fini(&a);
}

START_TEST(what_holds)
{
	struct tls_cert		 c = some_cert(names), other = c;
	struct stat		 chain = some_stat(1), key = some_stat(2), st;
	struct cert_index	*ix;
	struct arena		 a;
	struct text		 t;

	arena_init(&a, NULL);
	text_init(&t);
	cert_index_begin(&t);
	cert_index_add(&t, &c, &chain, &key, NOW);
	other.file = STR("/b.crt");
	other.id[0]++;
	st = chain;
	st.st_mtim.tv_sec = NOW - 1;
	cert_index_add(&t, &other, &st, &key, NOW);
	cert_index_end(&t);
	ix = cert_index_read(&a, text_str(&t));
	ck_assert_uint_eq(cert_index_count(ix), 2);
	ck_found(ix, &chain, &key, true);
	ck_assert(cert_index_has(ix, c.id));
	/* each that is another file makes it one to be looked at */
	for (int i = 0; i < 10; i++) {
		struct stat	v[2] = { chain, key }, *one = &v[i % 2];

		one->st_ino += i / 2 == 0;
		one->st_size += i / 2 == 1;
		one->st_mtim.tv_nsec += i / 2 == 2;
		one->st_ctim.tv_nsec += i / 2 == 3;
		one->st_dev += i / 2 == 4;
		ck_found(ix, &v[0], &v[1], false);
	}
	/* changed a moment ago: known, but to be looked at */
	ck_assert(!cert_index_find(ix, &a, &other, &st, &key));
	ck_assert(cert_index_has(ix, other.id));
	other.id[0]++;
	ck_assert(!cert_index_has(ix, other.id));
	text_fini(&t);
	arena_fini(&a);
}
END_TEST

START_TEST(what_is_damaged_is_none)
{
	struct tls_cert	 c = some_cert(names);
	struct stat	 chain = some_stat(1), key = some_stat(2);
	struct arena	 a;
	struct text	 t;

	arena_init(&a, NULL);
	text_init(&t);
	cert_index_begin(&t);
	for (int i = 0; i < 3; i++)
		cert_index_add(&t, &c, &chain, &key, NOW);
	cert_index_end(&t);
	for (size_t n = 0; n < t.n; n++)
		ck_assert_uint_eq(cert_index_count(cert_index_read(&a,
		    str_make(t.p, n))), 0);
	for (size_t i = 0; i < t.n; i++) {
		t.p[i] ^= 0x40;
		ck_assert_uint_eq(cert_index_count(cert_index_read(&a,
		    text_str(&t))), 0);
		t.p[i] ^= 0x40;
	}
	ck_assert_uint_eq(cert_index_count(cert_index_read(&a,
	    text_str(&t))), 3);
	ck_assert_uint_eq(cert_index_count(cert_index_read(&a, STR_NONE)), 0);
	text_fini(&t);
	arena_fini(&a);
}
END_TEST

/* --- the folder --- */

START_TEST(folder_of_others)
{
	struct cert_env	t;
	struct err	e;
	struct str	s, dir;
	struct stat	st;
	int		fd;

	cert_env_init(&t);
	dir = str_from(t.dir);
	ck_assert_int_eq(cert_state_open(dir, false, &e), -1);
	fd = cert_state_open(dir, true, &e);
	ck_assert_msg(fd >= 0, "%s", e.text);
	ck_assert_int_eq(cert_state_write(fd, "x", STR("hello"), 0600, &e),
	    0);
	ck_assert_int_eq(cert_state_write(fd, "x", STR("again"), 0600, &e),
	    0);
	s = cert_state_read(fd, "x", 5);
	ck_assert(str_eq(s, STR("again")));
	free((char *)(uintptr_t)s.p);
	ck_assert_int_eq(fstatat(fd, "x", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	/* too long, none, a link */
	ck_assert_ptr_null(cert_state_read(fd, "x", 4).p);
	ck_assert_ptr_null(cert_state_read(fd, "y", 4).p);
	ck_assert_int_eq(symlinkat("x", fd, "l"), 0);
	ck_assert_ptr_null(cert_state_read(fd, "l", 5).p);
	/* others may write there */
	ck_assert_int_eq(fchmod(fd, 0775), 0);
	close(fd);
	ck_assert_int_eq(cert_state_open(dir, false, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "others may write"));
	cert_env_fini(&t);
}
END_TEST

/* --- as builders use it --- */

/* A load with state_dir, kept as the builder does. */
static void
load_kept(struct cert_env *t, const char *more, bool bad, const char *said)
{
	char	text[1024];

	snprintf(text, sizeof(text), "[sluice]\nstate_dir = %s\n%s", t->dir,
	    more);
	cert_env_says(t, text, bad, said);
}

START_TEST(expired_in_use)
{
	struct cert_env	t;
	struct made	d;
	time_t		past;

	cert_env_init(&t);
	t.keep = true;
	d = make_cert((struct make){ .names = "DNS:a.example",
	    .until = 2 });
	cert_env_cert(&t, "a.crt", &d, "w");
	cert_env_key(&t, "a.key", &d, "w");
	load_kept(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", false,
	    "expires on");
	/* the one event that there is: its time */
	do {
		usleep(50000);
		past = time(NULL) - 1;
	} while (X509_cmp_time(X509_get0_notAfter(d.x), &past) > 0);
	load_kept(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", false,
	    "it goes on in use");
	cert_env_text(&t, "tls/certs.index", "", "w");
	load_kept(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", true,
	    "expired on");
	make_free(&d);
	cert_env_fini(&t);
}
END_TEST

/* Sets a file's times back, so that they can be believed. */
static void
age(struct cert_env *t, const char *name)
{
	struct timespec	 v[2] = { { .tv_sec = 1000000 },
		{ .tv_sec = 1000000 } };
	char		 path[256];

	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	ck_assert_int_eq(utimensat(AT_FDCWD, path, v, 0), 0);
}

START_TEST(changes_are_seen)
{
	struct cert_env	t;

	cert_env_init(&t);
	t.keep = true;
	for (int i = 0; i < 3; i++) {
		cert_env_pair(&t, "a", (struct make){ .names =
		    i < 2 ? "DNS:a.example" : "DNS:b.example" });
		age(&t, "a.crt");
		age(&t, "a.key");
		load_kept(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", false,
		    NULL);
		ck_assert(str_eq(tls_certs(t.conf)->v[0]->names[0],
		    i < 2 ? STR("a.example") : STR("b.example")));
		/* and once more, as it is */
		load_kept(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", false,
		    NULL);
	}
	cert_env_pair(&t, "b", (struct make){ .names = "DNS:b.example" });
	load_kept(&t, "[cert a]\ncert = a.crt\nkey = b.key\n", true,
	    "has the key of another");
	cert_env_fini(&t);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("cert_index");
	TCase	*tc = tcase_create("cert_index");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_holds);
	tcase_add_test(tc, what_is_damaged_is_none);
	tcase_add_test(tc, folder_of_others);
	tcase_add_test(tc, expired_in_use);
	tcase_add_test(tc, changes_are_seen);
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
