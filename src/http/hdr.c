/*
 * Header fields (RFC 9110 5).  All processes; pure but for the arena.
 *
 * A field name is looked up by its length: there are at most six of ours
 * of any one length, told apart by their last letter, so that a name is
 * compared as a whole at most once or twice.  Fields are taken out by a
 * mark, so that slices and pointers stay where they are.
 */
#include "http/msg.h"

#include "base/must.h"
#include "base/scan.h"

#define FIRST_CAP	24	/* a browser sends 10 to 20 fields */
#define PER_LEN		7
#define MAX_LEN		25

struct row {
	struct str	name;
	struct str	wire;
	unsigned	flags;
};

static const struct row rows[HDR_N] = {
	[HDR_OTHER] = { STR_INIT(""), STR_INIT(""), 0 },
#define HDR(id, name, wire, flags)					\
	[HDR_##id] = { STR_INIT(name), STR_INIT(wire), flags },
#include "http/hdr.tbl"
#undef HDR
};

/* candidates by length; a row of hdr.tbl that is missing here is not found */
static const uint8_t by_len[MAX_LEN + 1][PER_LEN] = {
	[2] = { HDR_TE },
	[3] = { HDR_AGE, HDR_VIA },
	[4] = { HDR_HOST, HDR_DATE, HDR_ETAG, HDR_VARY },
	[5] = { HDR_RANGE, HDR_ALLOW },
	[6] = { HDR_ACCEPT, HDR_COOKIE, HDR_ORIGIN, HDR_SERVER, HDR_EXPECT },
	[7] = { HDR_REFERER, HDR_EXPIRES, HDR_UPGRADE, HDR_TRAILER },
	[8] = { HDR_LOCATION, HDR_IF_MATCH, HDR_IF_RANGE },
	[9] = { HDR_FORWARDED, HDR_X_REAL_IP },
	[10] = { HDR_CONNECTION, HDR_USER_AGENT, HDR_SET_COOKIE,
	    HDR_KEEP_ALIVE },
	[11] = { HDR_RETRY_AFTER, HDR_GRPC_STATUS },
	[12] = { HDR_CONTENT_TYPE, HDR_X_REQUEST_ID, HDR_MAX_FORWARDS,
	    HDR_PROXY_STATUS, HDR_GRPC_TIMEOUT, HDR_GRPC_MESSAGE },
	[13] = { HDR_CACHE_CONTROL, HDR_LAST_MODIFIED, HDR_AUTHORIZATION,
	    HDR_IF_NONE_MATCH, HDR_ACCEPT_RANGES, HDR_CONTENT_RANGE },
	[14] = { HDR_CONTENT_LENGTH },
	[15] = { HDR_ACCEPT_ENCODING, HDR_X_FORWARDED_FOR },
	[16] = { HDR_CONTENT_ENCODING, HDR_X_FORWARDED_HOST,
	    HDR_PROXY_CONNECTION },
	[17] = { HDR_IF_MODIFIED_SINCE, HDR_TRANSFER_ENCODING,
	    HDR_X_FORWARDED_PROTO },
	[18] = { HDR_PROXY_AUTHENTICATE, HDR_X_REQUEST_DEADLINE },
	[19] = { HDR_IF_UNMODIFIED_SINCE, HDR_PROXY_AUTHORIZATION },
	[25] = { HDR_STRICT_TRANSPORT_SECURITY }
};
_Static_assert(HDR_N == 56, "hdr.tbl and by_len must agree");

/* Two to seven bytes, some of them twice. */
static uint64_t
read_short(const char *p, size_t n)
{
	uint32_t	a = 0;
	uint32_t	b = 0;
	size_t		half = n < 4 ? 2 : 4;

	if (n < 4) {
		memcpy(&a, p, 2);
		memcpy(&b, p + n - half, 2);
	} else {
		memcpy(&a, p, 4);
		memcpy(&b, p + n - half, 4);
	}
	return (uint64_t)b << 32 | a;
}

/*
 * Of our names, made of small letters and '-', the letters alone have the
 * bit 0x40: moved to 0x20 it is what a capital lacks, and no other byte
 * becomes a letter by it.
 */
static bool
is_folded(uint64_t w, uint64_t ours)
{
	return (w | (ours & 0x4040404040404040ULL) >> 1) == ours;
}

static bool
is_row(const char *name, const char *ours, size_t n)
{
	size_t	i;

	if (n < 8)
		return is_folded(read_short(name, n), read_short(ours, n));
	for (i = 0; i + 8 < n; i += 8)
		if (!is_folded(str_read8(name + i), str_read8(ours + i)))
			return false;
	/* The rest is looked at as the last eight, some of them again. */
	return is_folded(str_read8(name + n - 8), str_read8(ours + n - 8));
}

enum hdr_id
hdr_find_id(struct str name)
{
	const uint8_t	*id;
	const char	*ours;
	char		 last;

	if (name.n < 2 || name.n > MAX_LEN)
		return HDR_OTHER;
	last = name.p[name.n - 1] | 0x20;
	/* a row has room for one more than the most, which is none */
	for (id = by_len[name.n]; *id != HDR_OTHER; id++) {
		ours = rows[*id].name.p;
		if (ours[name.n - 1] == last && is_row(name.p, ours, name.n))
			return (enum hdr_id)*id;
	}
	return HDR_OTHER;
}

struct str
hdr_name(enum hdr_id id)
{
	must((unsigned)id < HDR_N);
	return rows[id].name;
}

struct str
hdr_wire_name(enum hdr_id id)
{
	must((unsigned)id < HDR_N);
	return rows[id].wire;
}

unsigned
hdr_flags(enum hdr_id id)
{
	must((unsigned)id < HDR_N);
	return rows[id].flags;
}

/* Apart, so that the way of each field keeps no registers for it. */
__attribute__((noinline)) static void
grow(struct arena *a, struct hdrs *hs)
{
	unsigned	 cap = hs->cap == 0 ? FIRST_CAP : hs->cap * 2U;
	struct hdr	*v;

	must(cap <= UINT16_MAX);
	v = arena_room(a, cap * sizeof(*v));
	if (hs->n > 0)
		memcpy(v, hs->v, hs->n * sizeof(*v));
	hs->v = v;
	hs->cap = (uint16_t)cap;
}

struct hdr *
hdr_new(struct arena *a, struct hdrs *hs)
{
	if (hs->n == hs->cap)
		grow(a, hs);
	return &hs->v[hs->n++];
}

void
hdr_add(struct arena *a, struct hdrs *hs, enum hdr_id id, struct str val)
{
	must(id != HDR_OTHER && (unsigned)id < HDR_N);
	*hdr_new(a, hs) = (struct hdr){ .name = rows[id].name, .val = val,
	    .id = (uint16_t)id,
	    .flags = (uint16_t)(rows[id].flags | HDR_F_OURS) };
}

void
hdr_add_good(struct arena *a, struct hdrs *hs, enum hdr_id id,
    struct str val)
{
	hdr_add(a, hs, id, val);
	hs->v[hs->n - 1].flags |= HDR_F_GOOD;
}

void
hdr_add_name(struct arena *a, struct hdrs *hs, struct str name,
    struct str val)
{
	enum hdr_id	id = hdr_find_id(name);

	*hdr_new(a, hs) = (struct hdr){ .name = name, .val = val,
	    .id = (uint16_t)id, .flags = (uint16_t)rows[id].flags };
}

static bool
is_live(const struct hdr *h)
{
	return (h->flags & HDR_F_DEAD) == 0;
}

struct hdr *
hdr_next(const struct hdrs *hs, enum hdr_id id, const struct hdr *after)
{
	size_t	i = after == NULL ? 0 : (size_t)(after - hs->v) + 1;

	for (; i < hs->n; i++)
		if (hs->v[i].id == id && is_live(&hs->v[i]))
			return &hs->v[i];
	return NULL;
}

struct hdr *
hdr_get(const struct hdrs *hs, enum hdr_id id)
{
	return hdr_next(hs, id, NULL);
}

struct hdr *
hdr_get_name(const struct hdrs *hs, struct str name)
{
	enum hdr_id	id = hdr_find_id(name);
	size_t		i;

	if (id != HDR_OTHER)
		return hdr_get(hs, id);
	for (i = 0; i < hs->n; i++)
		if (is_live(&hs->v[i]) && str_eq_fold(hs->v[i].name, name))
			return &hs->v[i];
	return NULL;
}

struct str
hdr_val(const struct hdrs *hs, enum hdr_id id)
{
	const struct hdr	*h = hdr_get(hs, id);

	return h == NULL ? STR_NONE : h->val;
}

void
hdr_del(struct hdrs *hs, enum hdr_id id)
{
	size_t	i;

	for (i = 0; i < hs->n; i++)
		if (hs->v[i].id == id) {
			hs->v[i].flags |= HDR_F_DEAD;
			if (i < hs->nline)
				hs->nline = 0;
		}
}

void
hdr_set(struct arena *a, struct hdrs *hs, enum hdr_id id, struct str val)
{
	hdr_del(hs, id);
	hdr_add(a, hs, id, val);
}

/* Names of our own table stay. */
void
hdr_copy(struct arena *a, struct hdrs *dst, const struct hdrs *src)
{
	const struct hdr	*h;
	struct hdr		*d;
	size_t			 i;

	for (i = 0; i < src->n; i++) {
		h = &src->v[i];
		if (!is_live(h))
			continue;
		d = hdr_new(a, dst);
		*d = *h;
		d->flags &= (uint16_t)~HDR_F_LINE;
		d->val = arena_dup(a, h->val);
		if ((h->flags & HDR_F_OURS) == 0)
			d->name = arena_dup(a, h->name);
	}
}

bool
hdr_cut_element(struct str *rest, struct str *word)
{
	ptrdiff_t	at;

	if (rest->p == NULL)
		return false;
	at = str_find(*rest, ',', 0);
	*word = str_trim(str_sub(*rest, 0, at < 0 ? rest->n : (size_t)at));
	*rest = at < 0 ? STR_NONE : str_sub(*rest, (size_t)at + 1, rest->n);
	return true;
}

bool
hdr_has_token(const struct hdrs *hs, enum hdr_id id, struct str token)
{
	const struct hdr	*h;
	struct str		 rest;
	struct str		 word;

	for (h = hdr_get(hs, id); h != NULL; h = hdr_next(hs, id, h)) {
		rest = h->val;
		while (hdr_cut_element(&rest, &word))
			if (str_eq_fold(word, token))
				return true;
	}
	return false;
}

bool
hdr_is_token(struct str s)
{
	return s.n > 0 && scan_token(s) == s.n;
}

bool
hdr_is_value(struct str s)
{
	return scan_value(s) == s.n;
}
