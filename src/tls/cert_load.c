/*
 * Pairs of files that [cert] names, one or a directory of them, to
 * certificates of the generation.  Builder and -t.  All that is wrong is
 * told, each with its file.
 */
#include "tls/int.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tls/cert_file.h"
#include "tls/cert_names.h"

/* one pair of files */
struct pair {
	struct certs_load	*cl;
	const struct cert_conf	*cc;
	char			 chain[PATH_MAX];
	char			 key[PATH_MAX];	/* the same: one file */
};

/* --- complaints --- */

/* At the key that names the file; a directory has one for both. */
static void
complain(const struct pair *p, enum diag_id id, enum cert_blame blame,
    const char *why)
{
	const char		*key = blame == CERT_BLAME_KEY ? "key" : "cert";
	const char		*file = blame == CERT_BLAME_KEY ? p->key :
	    p->chain;
	const struct conf_obj	*obj = &p->cc->obj;
	const struct conf_item	*it = conf_item(p->cl->load, obj, key);

	if (it == NULL && blame == CERT_BLAME_KEY)
		it = conf_item(p->cl->load, obj, "cert");
	if (it == NULL)
		it = conf_item(p->cl->load, obj, "directory");
	diag_at(conf_load_diags(p->cl->load), id,
	    it != NULL ? &it->vspan : NULL, obj, it != NULL ? it->row->key :
	    key, "\"%s\" %s", file, why);
}

static void
fail(const struct pair *p, enum diag_id id, enum cert_blame blame,
    const char *why)
{
	complain(p, id, blame, why);
	p->cl->rc = -1;
}

/* --- one pair --- */

static void
check_dates(const struct pair *p, const struct tls_cert *c)
{
	struct err	why, e;

	if (!tls_certs_dated(c, p->cl->now, &why))
		return;
	if (c->until >= p->cl->now) {
		complain(p, DIAG_CERT_DATES, CERT_BLAME_CHAIN, why.text);
	} else if (cert_index_has(p->cl->known, c->id)) {
		err_set(&e, "%s; it goes on in use, for it was before",
		    why.text);
		complain(p, DIAG_CERT_DATES, CERT_BLAME_CHAIN, e.text);
	} else {
		fail(p, DIAG_CERT_EXPIRED, CERT_BLAME_CHAIN, why.text);
	}
}

static bool
has_name(const struct tls_cert *c, struct str name)
{
	for (size_t i = 0; i < c->nname; i++)
		if (cert_names_cover(c->names[i], name))
			return true;
	return false;
}

/* "a.example, b.example" */
static void
put_names(struct text *t, const struct tls_cert *c)
{
	for (size_t i = 0; i < c->nname && i < 8; i++)
		text_fmt(t, "%s%.*s", i == 0 ? "" : ", ",
		    STR_FMT(c->names[i]));
	if (c->nname > 8)
		text_fmt(t, " and %zu more", c->nname - 8);
	if (c->nname == 0)
		text_add(t, STR("no name"));
}

/* A name of the key `names`; lower case in the generation. */
static struct str
read_name(const struct pair *p, const struct tls_cert *c,
    const struct conf_item *it, struct str word)
{
	struct conf_span	at = conf_word_span(it, word);
	struct str		s = arena_dup(p->cl->out, word);
	const char		*why;
	struct text		t;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= 'A' && s.p[i] <= 'Z')
			((char *)(uintptr_t)s.p)[i] |= 0x20;
	why = cert_names_check(s);
	if (why == NULL && has_name(c, s))
		return s;
	text_init(&t);
	if (why == NULL) {
		text_fmt(&t, "is not covered by \"%s\", which has ",
		    p->chain);
		put_names(&t, c);
	} else {
		text_add(&t, str_from(why));
	}
	diag_at(conf_load_diags(p->cl->load), DIAG_CERT_NAME, &at,
	    &p->cc->obj, "names", "\"%.*s\" %.*s",
	    STR_FMT(str_sub(s, 0, 80)), STR_FMT(text_str(&t)));
	text_fini(&t);
	p->cl->rc = -1;
	return s;
}

/* The names that were said take the place of the certificate's. */
static void
say_names(const struct pair *p, struct tls_cert *c)
{
	struct conf_words	 w;
	struct str		*v;
	size_t			 n = 0;

	if (p->cc->names.n == 0)
		return;
	v = arena_alloc(p->cl->out, p->cc->names.n * sizeof(*v));
	conf_words_init(&w, p->cl->load, &p->cc->obj, "names");
	while (conf_words_next(&w) && n < p->cc->names.n)
		v[n++] = read_name(p, c, w.it, w.word);
	c->names = v;
	c->nname = n;
	c->said = true;
}

static int
read_files(const struct pair *p, struct cert_file *chain,
    struct cert_file *key)
{
	struct err	e;
	bool		one = strcmp(p->chain, p->key) == 0;

	if (cert_file_read(p->chain, chain, &e) == -1)
		fail(p, DIAG_CERT_FILE, CERT_BLAME_CHAIN, e.text);
	else if (!one && cert_file_read(p->key, key, &e) == -1)
		fail(p, DIAG_CERT_FILE, CERT_BLAME_KEY, e.text);
	else
		return 0;
	return -1;
}

/* What the files say of the certificate, by the index or by themselves. */
static int
learn(const struct pair *p, const struct cert_text *t,
    const struct stat *chain, const struct stat *key, struct tls_cert *c)
{
	struct certs_load	*cl = p->cl;
	struct cert_fault	 f;

	if (cert_read(&cl->seen, t, cl->out, cl->keys, c, &f) == -1 ||
	    (!cert_index_find(cl->known, cl->out, c, chain, key) &&
	    cert_examine(&cl->seen, cl->out, c, &f) == -1)) {
		fail(p, f.id, f.blame, f.why.text);
		if (f.hint != NULL)
			diag_hint(conf_load_diags(cl->load), "%s", f.hint);
		return -1;
	}
	cert_index_add(&cl->index, c, chain, key, cl->now);
	return 0;
}

/*
 * The OID of subjectAltName is looked for in the bytes alone: those that
 * the index knows are not parsed.
 */
static void
check_names(const struct pair *p, const struct tls_cert *c)
{
	static const char	oid[] = "\x06\x03\x55\x1d\x11";

	if (memmem(c->chain[0].p, c->chain[0].n, oid,
	    sizeof(oid) - 1) == NULL)
		complain(p, DIAG_CERT_NAMELESS, CERT_BLAME_CHAIN, "has no "
		    "subjectAltName: clients refuse it, whatever name its "
		    "subject has");
}

static struct tls_cert *
make_cert(const struct pair *p, const struct cert_text *t,
    const struct stat *chain, const struct stat *key)
{
	struct tls_cert	*c = arena_alloc(p->cl->out, sizeof(*c));

	c->obj = &p->cc->obj;
	c->file = arena_dup(p->cl->out, str_from(p->chain));
	c->key_file = arena_dup(p->cl->out, str_from(p->key));
	c->fallback = p->cc->fallback;
	if (learn(p, t, chain, key, c) == -1)
		return NULL;
	check_dates(p, c);
	check_names(p, c);
	say_names(p, c);
	return c;
}

static void
load_pair(const struct pair *p)
{
	struct cert_file	chain = { .text = STR_NONE };
	struct cert_file	key = { .text = STR_NONE };
	struct cert_file	*k = &key;
	struct cert_text	t = { .pass = p->cc->passphrase };
	struct tls_cert		*c;

	if (read_files(p, &chain, &key) == 0) {
		if (key.text.p == NULL)
			k = &chain;
		if (cert_file_is_open(k))
			complain(p, DIAG_CERT_OPEN, CERT_BLAME_KEY,
			    CERT_FILE_OPEN);
		t.chain = chain.text;
		t.key = k->text;
		c = make_cert(p, &t, &chain.st, &k->st);
		if (c != NULL)
			*(struct tls_cert **)vec_push(&p->cl->all) = c;
	}
	cert_file_drop(&chain);
	cert_file_drop(&key);
}

/* --- a section: one pair, or a directory of them --- */

static int
set_path(char *dst, struct str dir, struct str name, const char *end)
{
	int	n = snprintf(dst, PATH_MAX, "%.*s%s%.*s%s", STR_FMT(dir),
	    dir.n > 0 ? "/" : "", STR_FMT(name), end);

	return n > 0 && n < PATH_MAX ? 0 : -1;
}

static void
load_named(struct pair *p)
{
	struct str	key = p->cc->key.n > 0 ? p->cc->key : p->cc->cert;

	if (set_path(p->chain, STR(""), p->cc->cert, "") == -1 ||
	    set_path(p->key, STR(""), key, "") == -1)
		fail(p, DIAG_CERT_FILE, CERT_BLAME_CHAIN,
		    "has too long a path");
	else
		load_pair(p);
}

/* NAME.crt has NAME.key beside it, NAME.pem has its key in itself. */
static void
load_one(struct pair *p, struct str name)
{
	struct str	dir = p->cc->directory;
	struct str	stem = str_sub(name, 0, name.n - 4);
	bool		one = str_ends(name, STR(".pem"));

	if (set_path(p->chain, dir, name, "") == -1 ||
	    set_path(p->key, dir, one ? name : stem, one ? "" :
	    ".key") == -1)
		fail(p, DIAG_CERT_FILE, CERT_BLAME_CHAIN,
		    "has too long a path");
	else
		load_pair(p);
}

static void
load_directory(struct pair *p)
{
	struct vec	names;
	struct err	e;

	snprintf(p->chain, sizeof(p->chain), "%.*s",
	    STR_FMT(p->cc->directory));
	if (cert_file_list(p->chain, &names, &e) == -1) {
		fail(p, DIAG_CERT_FILE, CERT_BLAME_CHAIN, e.text);
		diag_hint(conf_load_diags(p->cl->load), "name a directory "
		    "that root, or who starts sluiced, can read");
	} else if (names.n == 0) {
		complain(p, DIAG_CERT_NONE, CERT_BLAME_CHAIN,
		    "has no NAME.crt and no NAME.pem");
	}
	for (size_t i = 0; i < names.n; i++)
		load_one(p, *(struct str *)vec_at(&names, i));
	cert_file_forget(&names);
}

/* --- all of them --- */

void
cert_load_all(struct certs_load *cl)
{
	struct conf_objs	objs;
	struct pair		p = { .cl = cl };

	objs = conf_all(conf_load_conf(cl->load), &cert_section);
	for (size_t i = 0; i < objs.n; i++) {
		p.cc = objs.v[i]->part[0];
		if (p.cc->directory.n > 0)
			load_directory(&p);
		else
			load_named(&p);
	}
}
