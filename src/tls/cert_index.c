/*
 * The index of certificates: a head with the digest of what follows, then
 * entries one after the other, each with its length.  In the byte order of
 * the machine, for it is of one machine.
 */
#include "tls/cert_index.h"

#include <openssl/evp.h>

#include "base/must.h"

#define MAGIC	"SLCERT02"
#define RACY	2	/* seconds within which times do not tell */

struct head {
	char		magic[8];
	uint32_t	count;
	uint32_t	entry;		/* bytes of a struct entry */
	uint8_t		digest[32];	/* of all behind the head */
};

_Static_assert(sizeof(struct head) == CERT_INDEX_HEAD, "no holes");

/* what tells a file from what it was */
struct stamp {
	uint64_t	dev;
	uint64_t	ino;
	int64_t		size;
	int64_t		mtime_ns;
	int64_t		ctime_ns;
};

/* then the two paths and the names, each with its length before it */
struct entry {
	uint32_t	size;		/* of all of it */
	uint32_t	nname;
	struct stamp	chain;
	struct stamp	key;
	int64_t		from;
	int64_t		until;
	uint32_t	kind;
	uint32_t	racy;		/* known by id only */
	uint8_t		id[TLS_ID_BYTES];
};
_Static_assert(sizeof(struct entry) == 128, "no holes");

/* one that was read; text is what follows the entry */
struct known {
	struct entry	e;
	struct str	chain;
	struct str	key;
	struct str	names;
};

struct cert_index {
	struct known	*v;
	size_t		 n;
	uint32_t	*by_path;	/* index + 1, open addressing */
	uint32_t	*by_id;
	size_t		 cap;
};

static bool
digest(struct str s, uint8_t *out)
{
	unsigned	n = 0;

	return EVP_Digest(s.p, s.n, out, &n, EVP_sha256(), NULL) == 1 &&
	    n == 32;
}

static struct stamp
stamp_of(const struct stat *st)
{
	return (struct stamp){
		.dev = (uint64_t)st->st_dev, .ino = (uint64_t)st->st_ino,
		.size = (int64_t)st->st_size,
		.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
		    st->st_mtim.tv_nsec,
		.ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 +
		    st->st_ctim.tv_nsec
	};
}

/* --- reading --- */

/* Takes a text with its length before it; false: there is not so much. */
static bool
take(struct str *rest, struct str *s)
{
	uint32_t	n;

	if (rest->n < sizeof(n))
		return false;
	memcpy(&n, rest->p, sizeof(n));
	if (n > rest->n - sizeof(n))
		return false;
	*s = str_make(rest->p + sizeof(n), n);
	*rest = str_sub(*rest, sizeof(n) + n, rest->n);
	return true;
}

/* All names are there, and nothing behind them. */
static bool
check_names(const struct known *k)
{
	struct str	rest = k->names, s;

	for (uint32_t i = 0; i < k->e.nname; i++)
		if (!take(&rest, &s))
			return false;
	return rest.n == 0;
}

static bool
take_entry(struct str *rest, struct known *k)
{
	struct str	body;

	if (rest->n < sizeof(k->e))
		return false;
	memcpy(&k->e, rest->p, sizeof(k->e));
	if (k->e.size < sizeof(k->e) || k->e.size > rest->n ||
	    k->e.kind >= TLS_NKIND)
		return false;
	body = str_sub(*rest, sizeof(k->e), k->e.size);
	*rest = str_sub(*rest, k->e.size, rest->n);
	if (!take(&body, &k->chain) || !take(&body, &k->key))
		return false;
	k->names = body;
	return check_names(k);
}

static uint64_t
hash_path(struct str chain, struct str key)
{
	return str_hash(key, str_hash(chain, STR_HASH0));
}

static uint64_t
hash_id(const uint8_t *id)
{
	uint64_t	h;

	memcpy(&h, id, sizeof(h));
	return h;
}

static void
enter(uint32_t *tab, size_t cap, uint64_t hash, uint32_t i)
{
	size_t	at = (size_t)hash & (cap - 1);

	while (tab[at] != 0)
		at = (at + 1) & (cap - 1);
	tab[at] = i + 1;
}

static void
lay_tables(struct arena *a, struct cert_index *ix)
{
	ix->cap = 16;
	while (ix->cap < 2 * ix->n)
		ix->cap *= 2;
	ix->by_path = arena_alloc(a, ix->cap * sizeof(*ix->by_path));
	ix->by_id = arena_alloc(a, ix->cap * sizeof(*ix->by_id));
	for (uint32_t i = 0; i < ix->n; i++) {
		enter(ix->by_path, ix->cap,
		    hash_path(ix->v[i].chain, ix->v[i].key), i);
		enter(ix->by_id, ix->cap, hash_id(ix->v[i].e.id), i);
	}
}

/* The entries, or none of them. */
static void
read_all(struct arena *a, struct cert_index *ix, struct str file)
{
	struct head	h;
	struct str	rest;
	uint8_t		md[32];

	if (file.n < sizeof(h))
		return;
	memcpy(&h, file.p, sizeof(h));
	rest = str_sub(file, sizeof(h), file.n);
	if (memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 ||
	    h.entry != sizeof(struct entry) ||
	    h.count > rest.n / sizeof(struct entry) ||
	    !digest(rest, md) || memcmp(md, h.digest, sizeof(md)) != 0)
		return;
	ix->v = arena_alloc(a, (h.count + 1) * sizeof(*ix->v));
	for (ix->n = 0; ix->n < h.count; ix->n++)
		if (!take_entry(&rest, &ix->v[ix->n]))
			break;
	if (ix->n < h.count || rest.n > 0)
		ix->n = 0;
}

struct cert_index *
cert_index_read(struct arena *a, struct str file)
{
	struct cert_index	*ix = arena_alloc(a, sizeof(*ix));

	read_all(a, ix, file);
	lay_tables(a, ix);
	return ix;
}

size_t
cert_index_count(const struct cert_index *ix)
{
	return ix->n;
}

/* --- looking up --- */

static bool
is_same(const struct stamp *s, const struct stat *st)
{
	struct stamp	now = stamp_of(st);

	return memcmp(s, &now, sizeof(now)) == 0;
}

static const struct known *
find_path(const struct cert_index *ix, const struct tls_cert *c)
{
	size_t			 i;
	const struct known	*k;

	i = (size_t)hash_path(c->file, c->key_file) & (ix->cap - 1);
	for (; ix->by_path[i] != 0; i = (i + 1) & (ix->cap - 1)) {
		k = &ix->v[ix->by_path[i] - 1];
		if (str_eq(k->chain, c->file) &&
		    str_eq(k->key, c->key_file))
			return k;
	}
	return NULL;
}

static void
copy_names(const struct known *k, struct arena *out, struct tls_cert *c)
{
	struct str	*v = arena_alloc(out, (k->e.nname + 1) * sizeof(*v));
	struct str	 all = arena_dup(out, k->names);

	for (uint32_t i = 0; i < k->e.nname; i++)
		must(take(&all, &v[i]));
	c->names = v;
	c->nname = k->e.nname;
}

bool
cert_index_find(const struct cert_index *ix, struct arena *out,
    struct tls_cert *c, const struct stat *chain, const struct stat *key)
{
	const struct known	*k = find_path(ix, c);

	if (k == NULL || k->e.racy != 0 ||
	    memcmp(k->e.id, c->id, sizeof(c->id)) != 0 ||
	    !is_same(&k->e.chain, chain) || !is_same(&k->e.key, key))
		return false;
	c->kind = (enum tls_kind)k->e.kind;
	c->from = k->e.from;
	c->until = k->e.until;
	copy_names(k, out, c);
	return true;
}

bool
cert_index_has(const struct cert_index *ix, const uint8_t *id)
{
	size_t	i = (size_t)hash_id(id) & (ix->cap - 1);

	for (; ix->by_id[i] != 0; i = (i + 1) & (ix->cap - 1))
		if (memcmp(ix->v[ix->by_id[i] - 1].e.id, id,
		    TLS_ID_BYTES) == 0)
			return true;
	return false;
}

/* --- writing --- */

void
cert_index_begin(struct text *t)
{
	struct head	h = { .entry = sizeof(struct entry) };

	memcpy(h.magic, MAGIC, sizeof(h.magic));
	text_add(t, str_make((const char *)&h, sizeof(h)));
}

static void
put(struct text *t, struct str s)
{
	uint32_t	n = (uint32_t)s.n;

	text_add(t, str_make((const char *)&n, sizeof(n)));
	text_add(t, s);
}

static bool
is_racy(const struct stat *st, int64_t now)
{
	return st->st_ctim.tv_sec + RACY > now ||
	    st->st_mtim.tv_sec + RACY > now;
}

void
cert_index_add(struct text *t, const struct tls_cert *c,
    const struct stat *chain, const struct stat *key, int64_t now)
{
	struct entry	 e;
	struct head	 h;
	size_t		 at = t->n;

	memset(&e, 0, sizeof(e));
	e.nname = (uint32_t)c->nname;
	e.chain = stamp_of(chain);
	e.key = stamp_of(key);
	e.from = c->from;
	e.until = c->until;
	e.kind = (uint32_t)c->kind;
	e.racy = is_racy(chain, now) || is_racy(key, now);
	memcpy(e.id, c->id, sizeof(e.id));
	text_add(t, str_make((const char *)&e, sizeof(e)));
	put(t, c->file);
	put(t, c->key_file);
	for (size_t i = 0; i < c->nname; i++)
		put(t, c->names[i]);
	e.size = (uint32_t)(t->n - at);
	memcpy(t->p + at, &e, sizeof(e));
	memcpy(&h, t->p, sizeof(h));
	h.count++;
	memcpy(t->p, &h, sizeof(h));
}

void
cert_index_end(struct text *t)
{
	struct head	h;

	memcpy(&h, t->p, sizeof(h));
	must(digest(str_make(t->p + sizeof(h), t->n - sizeof(h)),
	    h.digest));
	memcpy(t->p, &h, sizeof(h));
}
