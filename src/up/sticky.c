/*
 * Sticky sessions by cookie.  Workers.
 */
#include "up/sticky.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdlib.h>

#include "base/must.h"
#include "core/secret.h"
#include "up/census.h"

#define KEY		32		/* bytes of HMAC-SHA256 */
#define MAC		16		/* of them that a cookie has */
#define RAW		28		/* minute, number, MAC */
#define MINUTE_MS	60000

/* a member by its number */
struct entry {
	uint64_t	 number;
	struct server	*s;		/* ref */
};

struct sticky {
	uint8_t		 key[KEY];
	struct text	 name;		/* own */
	uint64_t	 ttl;		/* ms; 0: a session's */
	struct entry	*v;		/* own: by number */
	size_t		 n;
};

static const char	digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "abcdefghijklmnopqrstuvwxyz0123456789-_";

static void
mac(const void *key, size_t nkey, const void *data, size_t n,
    uint8_t out[KEY])
{
	unsigned	len = KEY;

	must(HMAC(EVP_sha256(), key, (int)nkey, data, n, out, &len) != NULL &&
	    len == KEY);
}

/* --- numbers as bytes, bytes as text --- */

static void
put_be(uint8_t *p, uint64_t v, unsigned n)
{
	while (n-- > 0) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

static uint64_t
get_be(const uint8_t *p, unsigned n)
{
	uint64_t	v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* base64url without padding (RFC 4648 5); 28 bytes are 37.3 digits. */
static void
to_text(const uint8_t raw[RAW], char out[STICKY_TEXT])
{
	uint32_t	bits = 0;
	unsigned	have = 0, at = 0;

	for (unsigned i = 0; i < RAW; i++) {
		bits = bits << 8 | raw[i];
		for (have += 8; have >= 6; have -= 6)
			out[at++] = digits[bits >> (have - 6) & 63];
	}
	out[at++] = digits[bits << (6 - have) & 63];
	must(at == STICKY_TEXT);
}

/* -1: it is no text of ours; the bits left over have to be 0. */
static int
from_text(struct str s, uint8_t raw[RAW])
{
	const char	*d;
	uint32_t	 bits = 0;
	unsigned	 have = 0, at = 0;

	if (s.n != STICKY_TEXT)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		d = memchr(digits, s.p[i], sizeof(digits) - 1);
		if (d == NULL)
			return -1;
		bits = bits << 6 | (uint32_t)(d - digits);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		raw[at++] = (uint8_t)(bits >> have);
	}
	return (bits & ((1U << have) - 1)) == 0 ? 0 : -1;
}

/* --- the twin's part --- */

/* "@ROUTE" is no name of a cookie; a dot cannot be in an upstream's. */
static void
put_name(struct text *t, const struct upstream_conf *up)
{
	struct str	own = choice_conf(up)->name, name = up->obj.name;

	if (own.n > 0)
		text_add(t, own);
	else if (name.n > 0 && name.p[0] == '@')
		text_fmt(t, "sluice.%.*s", STR_FMT(str_sub(name, 1, name.n)));
	else
		text_fmt(t, "sluice_%.*s", STR_FMT(name));
}

struct str
sticky_cookie(struct arena *a, const struct upstream_conf *up)
{
	struct text	t;
	struct str	name;

	text_init(&t);
	put_name(&t, up);
	name = arena_dup(a, text_str(&t));
	text_fini(&t);
	return name;
}

struct sticky *
sticky_new(const struct upstream_conf *up, const struct serve *serve)
{
	const struct choice_conf	*c = choice_conf(up);
	struct sticky			*st;
	uint8_t				 board[SECRET_BYTES];
	struct str			 key = c->secret;

	if (c->sticky != STICKY_COOKIE)
		return NULL;
	if (key.n == 0) {
		if (secret_get(serve->shm, SECRET_STICKY, board) == -1)
			return NULL;
		key = str_make((const char *)board, sizeof(board));
	}
	st = must_calloc(1, sizeof(*st));
	mac(key.p, key.n, up->obj.name.p, up->obj.name.n, st->key);
	OPENSSL_cleanse(board, sizeof(board));
	text_init(&st->name);
	put_name(&st->name, up);
	st->ttl = c->ttl;
	return st;
}

void
sticky_free(struct sticky **p)
{
	struct sticky	*st = *p;

	*p = NULL;
	if (st == NULL)
		return;
	OPENSSL_cleanse(st->key, sizeof(st->key));
	text_fini(&st->name);
	free(st->v);
	free(st);
}

struct str
sticky_name(const struct sticky *st)
{
	return text_str(&st->name);
}

uint64_t
sticky_number(const struct sticky *st, struct str address)
{
	uint8_t		out[KEY];
	uint64_t	number;

	mac(st->key, KEY, address.p, address.n, out);
	number = get_be(out, 8);
	return number != 0 ? number : 1;
}

/* --- cookies --- */

/* Behind a 0, so that no address is signed like it, from which numbers are. */
static void
sign(const struct sticky *st, const uint8_t raw[RAW], uint8_t out[KEY])
{
	uint8_t	all[13] = { 0 };

	memcpy(all + 1, raw, 12);
	mac(st->key, KEY, all, sizeof(all), out);
}

bool
sticky_read(const struct sticky *st, struct str val, uint64_t wall_ms,
    struct sticky_told *told)
{
	uint8_t		raw[RAW], want[KEY];
	uint64_t	age = 0, made;

	*told = (struct sticky_told){ .number = 0 };
	if (from_text(val, raw) == -1)
		return false;
	sign(st, raw, want);
	if (CRYPTO_memcmp(want, raw + 12, MAC) != 0)
		return false;
	made = get_be(raw, 4) * MINUTE_MS;
	/* clocks of machines differ */
	if (made < wall_ms)
		age = wall_ms - made;
	told->late = st->ttl > 0 && age > st->ttl + MINUTE_MS;
	if (told->late)
		return false;
	told->number = get_be(raw + 4, 8);
	told->old = st->ttl > 0 && age > st->ttl / 2;
	return true;
}

struct str
sticky_make(const struct sticky *st, struct arena *a, uint64_t number,
    uint64_t wall_ms, bool secure)
{
	uint8_t		raw[RAW], out[KEY];
	char		text[STICKY_TEXT];
	struct str	age = STR("");

	put_be(raw, wall_ms / MINUTE_MS, 4);
	put_be(raw + 4, number, 8);
	sign(st, raw, out);
	memcpy(raw + 12, out, MAC);
	to_text(raw, text);
	if (st->ttl > 0)
		age = arena_fmt(a, "; Max-Age=%llu",
		    (unsigned long long)(st->ttl + 999) / 1000);
	return arena_fmt(a, "%.*s=%.*s; Path=/%.*s; HttpOnly; SameSite=Lax%s",
	    STR_FMT(sticky_name(st)), STICKY_TEXT, text, STR_FMT(age),
	    secure ? "; Secure" : "");
}

/* --- finding the server --- */

static int
by_number(const void *pa, const void *pb)
{
	const struct entry	*a = pa, *b = pb;

	return a->number < b->number ? -1 : a->number > b->number;
}

void
sticky_index(struct upstream *up)
{
	struct sticky	*st = up->sticky;
	struct server	*s;

	if (st == NULL)
		return;
	st->n = up->nserver;
	st->v = must_realloc(st->v, (st->n + 1) * sizeof(*st->v));
	for (size_t i = 0; i < st->n; i++) {
		s = up->servers[i];
		if (s->number == 0)
			s->number = sticky_number(st, s->text);
		st->v[i] = (struct entry){ s->number, s };
	}
	qsort(st->v, st->n, sizeof(*st->v), by_number);
}

struct server *
sticky_member(struct upstream *up, uint64_t number)
{
	const struct entry	 want = { .number = number }, *found;
	const struct sticky	*st = up->sticky;

	if (st->n == 0)
		return NULL;
	found = bsearch(&want, st->v, st->n, sizeof(want), by_number);
	return found == NULL ? NULL : found->s;
}

struct server *
sticky_find(struct upstream *up, uint64_t number, const struct tried *tried)
{
	struct view_rule	 rule;
	struct server		*s;

	view_refresh(up);
	s = sticky_member(up, number);
	if (s == NULL || tried_has(tried, s))
		return NULL;
	rule = view_rule_for(up, tried);
	rule.bars &= ~STATE_BIT(SERVER_DRAIN);
	if (!census_admits(&rule, s->live) ||
	    atomic_load(&s->live->tag) != s->tag)
		return NULL;
	return s;
}
