/*
 * Names of hosts, and the index by them: open addressing, wildcards
 * standing there without their star.
 */
#include "tls/cert_names.h"

#include "base/must.h"

#define LABEL_MAX	63

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	    c == '-' || c == '_';
}

static const char *
check_label(struct str s)
{
	if (s.n == 0)
		return "has an empty label";
	if (s.n > LABEL_MAX)
		return "has a label of more than 63 bytes";
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] >= 0x80)
			return "is not ASCII: write its A-labels (xn--...)";
		if (!is_letter(s.p[i]))
			return s.p[i] == '*' ?
			    "has a star that is not its whole first label" :
			    "has a byte that names do not have";
	}
	return s.p[0] == '-' || s.p[s.n - 1] == '-' ?
	    "has a label that begins or ends with a hyphen" : NULL;
}

const char *
cert_names_check(struct str s)
{
	const char	*why = NULL;
	ptrdiff_t	 dot;
	size_t		 from = 0, nlabel = 0;

	if (s.n == 0 || s.n > CERT_NAMES_MAX)
		return s.n == 0 ? "is empty" : "has more than 253 bytes";
	if (str_starts(s, STR("*.")))
		from = 2;
	while (why == NULL) {
		dot = str_find(s, '.', from);
		why = check_label(str_sub(s, from,
		    dot < 0 ? s.n : (size_t)dot));
		nlabel++;
		if (dot < 0)
			break;
		from = (size_t)dot + 1;
	}
	if (why == NULL && s.p[0] == '*' && nlabel < 2)
		why = "would stand for a whole top-level domain";
	return why;
}

bool
cert_names_cover(struct str has, struct str name)
{
	ptrdiff_t	dot;

	if (str_eq(has, name))
		return true;
	dot = str_find(name, '.', 0);
	return str_starts(has, STR("*.")) && dot > 0 &&
	    str_eq(str_sub(has, 1, has.n),
	    str_sub(name, (size_t)dot, name.n));
}

/* --- the index --- */

static struct str
key_of(struct str name)
{
	return str_starts(name, STR("*.")) ? str_sub(name, 1, name.n) : name;
}

void
cert_names_init(struct arena *a, struct tls_certs *c, size_t n)
{
	c->cap = 16;
	while (c->cap < 2 * n)
		c->cap *= 2;
	c->names = arena_alloc(a, c->cap * sizeof(*c->names));
	c->nname = 0;
}

/* The slot that has the key, or is free for it. */
static struct tls_name *
find_slot(const struct tls_certs *c, struct str key)
{
	struct tls_name	*v = (void *)(uintptr_t)c->names;
	size_t		 i = (size_t)str_hash(key, STR_HASH0);

	for (i &= c->cap - 1; v[i].key.p != NULL && !str_eq(v[i].key, key);
	    i = (i + 1) & (c->cap - 1))
		;
	return &v[i];
}

static bool
is_better(const struct tls_cert *a, const struct tls_cert *b)
{
	return a->said != b->said ? a->said : a->until > b->until;
}

const struct tls_cert *
cert_names_add(struct tls_certs *c, struct str name,
    const struct tls_cert *cert)
{
	struct tls_name		*s = find_slot(c, key_of(name));
	const struct tls_cert	*was = s->choice.v[cert->kind];

	if (s->key.p == NULL) {
		must(++c->nname < c->cap);
		s->key = key_of(name);
	}
	if (was == cert)
		return NULL;
	if (was != NULL && !is_better(cert, was))
		return cert;
	s->choice.v[cert->kind] = cert;
	return was;
}

const struct tls_name *
cert_names_find(const struct tls_certs *c, struct str name)
{
	const struct tls_name	*s;

	if (c->cap == 0 || name.n == 0)
		return NULL;
	s = find_slot(c, key_of(name));
	return s->key.p == NULL ? NULL : s;
}

/* What the entry has, or the default. */
static bool
choose(const struct tls_name *s, const struct tls_choice *fallback,
    struct tls_choice *out)
{
	if (s == NULL && fallback == NULL)
		return false;
	*out = s != NULL ? s->choice : *fallback;
	for (int i = 0; i < TLS_NKIND; i++)
		if (out->v[i] != NULL)
			return true;
	return false;
}

static const struct tls_name *
find(const struct tls_certs *c, struct str name)
{
	const struct tls_name	*s;
	ptrdiff_t		 dot;

	/* a client's own dot at the front would be a wildcard's key */
	if (name.n == 0 || name.p[0] == '.' || name.p[0] == '*')
		return NULL;
	s = cert_names_find(c, name);
	dot = str_find(name, '.', 0);
	return s != NULL || dot <= 0 ? s : cert_names_find(c,
	    str_sub(name, (size_t)dot, name.n));
}

bool
tls_certs_has(const struct tls_certs *c, struct str name)
{
	return find(c, name) != NULL;
}

bool
tls_certs_find(const struct tls_certs *c, struct str name, bool dev,
    struct tls_choice *out)
{
	const struct tls_choice	*fallback = dev ? &c->dev : &c->fallback;

	if (c->refuse && !(dev && name.n == 0))
		fallback = NULL;
	return choose(find(c, name), fallback, out);
}

bool
tls_certs_named(const struct tls_certs *c, struct str host,
    struct tls_choice *out)
{
	if (host.n == 0 || host.p[0] != '.')
		return tls_certs_find(c, host, false, out);
	return choose(cert_names_find(c, host), c->refuse ? NULL :
	    &c->fallback, out);
}

const char *
tls_certs_kind(enum tls_kind k)
{
	static const char *const	words[TLS_NKIND] = { "RSA", "ECDSA",
		"Ed25519" };

	return words[k];
}
