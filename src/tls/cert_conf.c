/*
 * [cert NAME]: certificates and keys, one pair or a directory of them.
 * Builder and -t.  All that is wrong is told at once, each with its file;
 * what is right becomes the index by name.
 */
#include "tls/cert_conf.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "conf/load.h"
#include "tls/cert_file.h"
#include "tls/cert_index.h"
#include "tls/cert_read.h"
#include "tls/cert_names.h"
#include "tls/cert_state.h"

#define AT(member)	offsetof(struct cert_conf, member)
#define DAY		86400
#define INDEX		"certs.index"
#define INDEX_MAX	(256 << 20)

enum { UNKNOWN_DEFAULT, UNKNOWN_REFUSE };	/* tls.unknown */

#define SOON		(7 * DAY)	/* what -t warns of */

/* a run over all [cert]s */
struct certs_load {
	struct conf_load	*load;
	struct arena		*out;
	struct arena		*keys;
	struct vec		 all;	/* struct tls_cert * */
	struct cert_seen	 seen;
	const struct cert_index	*known;	/* of builders before */
	struct text		*index;	/* of this one */
	int64_t			 now;
	int			 rc;
};

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

/* Where the date is: "2026-11-21". */
static void
put_day(char *buf, size_t size, int64_t at)
{
	time_t		t = (time_t)at;
	struct tm	tm;

	gmtime_r(&t, &tm);
	strftime(buf, size, "%Y-%m-%d", &tm);
}

static void
check_dates(const struct pair *p, const struct tls_cert *c)
{
	char		day[32];
	struct err	e;

	put_day(day, sizeof(day), c->until < p->cl->now ? c->until :
	    c->from > p->cl->now ? c->from : c->until);
	if (c->until < p->cl->now && cert_index_has(p->cl->known, c->id)) {
		err_set(&e, "expired on %s; it goes on in use, for it was "
		    "before", day);
		complain(p, DIAG_CERT_DATES, CERT_BLAME_CHAIN, e.text);
	} else if (c->until < p->cl->now) {
		err_set(&e, "expired on %s", day);
		fail(p, DIAG_CERT_EXPIRED, CERT_BLAME_CHAIN, e.text);
	} else if (c->from > p->cl->now) {
		err_set(&e, "is not valid before %s", day);
		complain(p, DIAG_CERT_DATES, CERT_BLAME_CHAIN, e.text);
	} else if (c->until < p->cl->now + SOON) {
		err_set(&e, "expires on %s", day);
		complain(p, DIAG_CERT_DATES, CERT_BLAME_CHAIN, e.text);
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
		return -1;
	}
	cert_index_add(cl->index, c, chain, key, cl->now);
	return 0;
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
	if (cert_file_list(p->chain, &names, &e) == -1)
		fail(p, DIAG_CERT_FILE, CERT_BLAME_CHAIN, e.text);
	else if (names.n == 0)
		complain(p, DIAG_CERT_NONE, CERT_BLAME_CHAIN,
		    "has no NAME.crt and no NAME.pem");
	for (size_t i = 0; i < names.n; i++)
		load_one(p, *(struct str *)vec_at(&names, i));
	cert_file_forget(&names);
}

/* --- all of them --- */

/* One default of each kind; without any it is the first section's. */
static void
set_fallback(struct certs_load *cl, struct tls_certs *cs)
{
	const struct tls_cert	*c, **slot;
	bool			 any = false;

	for (size_t i = 0; i < cs->n; i++)
		any |= cs->v[i]->fallback;
	for (size_t i = 0; i < cs->n; i++) {
		c = cs->v[i];
		if (any ? !c->fallback : c->obj != cs->v[0]->obj)
			continue;
		slot = &cs->fallback.v[c->kind];
		if (*slot == NULL) {
			*slot = c;
		} else if (any && (*slot)->obj != c->obj) {
			diag_at(conf_load_diags(cl->load), DIAG_CERT_DEFAULT,
			    &conf_item(cl->load, c->obj, "default")->kspan,
			    c->obj, "default", "cert \"%.*s\" is the default "
			    "for keys of that kind already",
			    STR_FMT((*slot)->obj->name));
			cl->rc = -1;
		}
	}
}

static void
set_names(struct certs_load *cl, struct tls_certs *cs)
{
	size_t	n = 0;

	for (size_t i = 0; i < cs->n; i++)
		n += cs->v[i]->nname;
	cert_names_init(cl->out, cs, n);
	for (size_t i = 0; i < cs->n; i++)
		for (size_t j = 0; j < cs->v[i]->nname; j++)
			(void)cert_names_add(cs, cs->v[i]->names[j], cs->v[i]);
}

static struct tls_certs *
make_index(struct certs_load *cl)
{
	struct tls_certs	 *cs = arena_alloc(cl->out, sizeof(*cs));
	const struct tls_cert	**v;

	v = arena_alloc(cl->out, (cl->all.n + 1) * sizeof(*v));
	if (cl->all.n > 0)
		memcpy(v, cl->all.p, cl->all.n * sizeof(*v));
	cs->v = v;
	cs->n = cl->all.n;
	cs->refuse = *(const int *)conf_value(conf_load_conf(cl->load),
	    "sluice", "tls.unknown") == UNKNOWN_REFUSE;
	cs->max = (size_t)*(const int64_t *)conf_value(
	    conf_load_conf(cl->load), "limits", "certs");
	set_fallback(cl, cs);
	set_names(cl, cs);
	return cs;
}

static void
load_all(struct certs_load *cl)
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

/* The index of builders before, of state_dir; none is as good. */
static struct str
read_index(struct conf_load *load)
{
	const struct str	*state = conf_value(conf_load_conf(load),
	    "sluice", "state_dir");
	int			 dir = cert_state_open(*state, false, NULL);
	struct str		 s = STR_NONE;

	if (dir >= 0) {
		s = cert_state_read(dir, INDEX, INDEX_MAX);
		close(dir);
	}
	return s;
}

static int
finish(struct conf_load *load)
{
	struct certs_load	 cl = { .load = load,
	    .out = conf_load_arena(load), .keys = conf_load_secret(load),
	    .now = (int64_t)time(NULL) };
	struct str		 file = STR_NONE;
	struct arena		 a;

	vec_init(&cl.all, sizeof(struct tls_cert *));
	cert_seen_init(&cl.seen);
	arena_init(&a, NULL);
	cl.index = conf_load_note(load, &cert_section);
	cert_index_begin(cl.index);
	/* a configuration in memory has no files */
	if (conf_load_opts(load)->memory == NULL) {
		file = read_index(load);
		cl.known = cert_index_read(&a, file);
		load_all(&cl);
	}
	cert_index_end(cl.index);
	conf_set_data(load, &cert_section, make_index(&cl));
	arena_fini(&a);
	free((char *)(uintptr_t)file.p);
	cert_seen_fini(&cl.seen);
	vec_fini(&cl.all);
	return cl.rc;
}

int
tls_certs_keep(struct conf_load *load, struct str state_dir, struct err *e)
{
	struct text	*index = conf_load_note(load, &cert_section);
	int		 rc, dir;

	if (index->n == 0)
		return 0;
	dir = cert_state_open(state_dir, true, e);
	if (dir < 0)
		return -1;
	rc = cert_state_write(dir, INDEX, text_str(index), 0600, e);
	close(dir);
	return rc;
}

const struct tls_certs *
tls_certs(const struct conf *c)
{
	return conf_data(c, &cert_section);
}

/* Either cert, with the keys that belong to it, or directory. */
static int
link_cert(struct conf_load *load, struct conf_obj *obj, void *part)
{
	static const char *const	 alone[] = { "cert", "key", "names" };
	const struct cert_conf		*cc = part;
	const struct conf_item		*it;

	if (cc->directory.n == 0 && cc->cert.n > 0)
		return 0;
	if (cc->directory.n == 0) {
		struct conf_span	at = conf_obj_span(obj);

		diag_at(conf_load_diags(load), DIAG_KEY_MISSING, &at, obj,
		    "cert", "cert \"%.*s\" has neither cert nor directory",
		    STR_FMT(obj->name));
		return -1;
	}
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		it = conf_item(load, obj, alone[i]);
		if (it == NULL)
			continue;
		diag_at(conf_load_diags(load), DIAG_CERT_BOTH, &it->kspan,
		    obj, alone[i], "%s has no meaning beside directory",
		    alone[i]);
		return -1;
	}
	return 0;
}

static const struct conf_row rows[] = {
	{
		.key = "cert", .type = CONF_PATH, .off = AT(cert), .min = 1,
		.max = 1024, .example = "/etc/ssl/a.example.crt",
		.text = "File of the certificate in PEM, behind it those "
		    "that sign it, each by the next; the root may be left "
		    "out.  RSA from 2048 bits, ECDSA on P-256, P-384 and "
		    "P-521, and Ed25519."
	}, {
		.key = "key", .type = CONF_PATH, .off = AT(key), .min = 1,
		.max = 1024, .example = "/etc/ssl/private/a.example.key",
		.text = "File of the private key in PEM: PKCS#8, PKCS#1 or "
		    "SEC1.  Without it the key stands in the file of the "
		    "certificate.  It is read before privileges go, and by "
		    "no process that serves."
	}, {
		.key = "passphrase", .type = CONF_STR, .off = AT(passphrase),
		.min = 1, .max = 1024, .flags = CONF_F_SECRET,
		.example = "${file:/run/secrets/key}",
		.text = "What opens an encrypted key: ${file:PATH} or "
		    "${env:NAME} keep it out of this file."
	}, {
		.key = "names", .type = CONF_LIST, .off = AT(names),
		.example = "a.example *.a.example",
		.text = "Names that the certificate is used for, each of "
		    "which it must have; those with other letters than "
		    "ASCII as xn--...  *. stands for one label.  Without "
		    "the key: all names that it has.  A name may have a "
		    "certificate of each kind (RSA, ECDSA, Ed25519); of two "
		    "of a kind the one whose names say so is used, else the "
		    "one that is valid for longer."
	}, {
		.key = "default", .type = CONF_BOOL, .off = AT(fallback),
		.def = "off", .example = "on",
		.text = "Whether it serves clients that name no host, or one "
		    "without a certificate; one of each kind may.  Without "
		    "such it is the first [cert]."
	}, {
		.key = "directory", .type = CONF_PATH, .off = AT(directory),
		.min = 1, .max = 1024, .example = "/etc/ssl/sluice",
		.text = "In place of cert and key: a directory of pairs "
		    "NAME.crt and NAME.key, or NAME.pem with both in one.  "
		    "Other files there are not looked at."
	},
	{ .key = NULL }
};

static const struct conf_group group = {
	"cert", rows, sizeof(struct cert_conf), link_cert
};
static const struct conf_group *const groups[] = { &group, NULL };

/* --- keys of singletons --- */

struct cert_sluice {
	int	unknown;
};

static const struct conf_row sluice_rows[] = {
	{
		.key = "tls.unknown", .type = CONF_ENUM,
		.off = offsetof(struct cert_sluice, unknown),
		.def = "default", .choices = "default|refuse",
		.example = "refuse",
		.text = "What clients get who name a host without a "
		    "certificate, or none at all: the default certificate "
		    "(see default of [cert]), or an alert that ends the "
		    "handshake."
	},
	{ .key = NULL }
};

const struct conf_group cert_sluice_group = {
	"cert_sluice", sluice_rows, sizeof(struct cert_sluice), NULL
};

struct cert_limits {
	int64_t	certs;
};

static const struct conf_row limits_rows[] = {
	{
		.key = "certs", .type = CONF_INT,
		.off = offsetof(struct cert_limits, certs), .def = "1000",
		.min = 1, .max = 1000000, .example = "5000",
		.text = "Certificates that a worker keeps ready for "
		    "handshakes, those asked for last; any other is made "
		    "ready when it is asked for.  One takes about 12 KiB."
	},
	{ .key = NULL }
};

const struct conf_group cert_limits_group = {
	"cert_limits", limits_rows, sizeof(struct cert_limits), NULL
};

const struct conf_section cert_section = {
	.type = "cert", .named = true, .groups = groups, .done = finish,
	.text = "A certificate with its key, or a directory of them."
};
