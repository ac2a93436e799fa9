/*
 * From a file to the head of an answer: conditions, then ranges, then the
 * fields (RFC 9110 13.2.2 and 14.2).  Workers.
 *
 * The fields of a head are slices of the file's, so whoever answers holds
 * a reference of it until the head is sent.
 */
#include "handler/static_file.h"

#include "base/enc.h"

#define BOUNDARY_LEN	24

static unsigned long long
ull(uint64_t n)
{
	return n;
}

static struct str
content_range(struct exchange *x, const struct range *r, uint64_t size)
{
	return arena_fmt(x->arena, "bytes %llu-%llu/%llu", ull(r->first),
	    ull(r->last), ull(size));
}

/* The page is there at once, so the field can be put on it. */
static void
fail_range(struct exchange *x, uint64_t size)
{
	exchange_fail(x, FAIL_RANGE_UNSATISFIABLE, STR(""));
	if (x->error_page)
		hdr_add(x->arena, &x->res->hdrs, HDR_CONTENT_RANGE,
		    arena_fmt(x->arena, "bytes */%llu", ull(size)));
}

static struct static_part *
one_part(struct exchange *x, uint64_t off, uint64_t n)
{
	struct static_part	*p = arena_alloc(x->arena, sizeof(*p));

	p->off = off;
	p->n = n;
	return p;
}

static void
finish(struct exchange *x, struct msg *m, struct static_answer *a)
{
	if (m->body == 0 || x->req->meth == METHOD_HEAD)
		a->n = 0;
	exchange_respond(x, m, a->n == 0 ? WAIST_END : 0);
}

static void
answer_whole(struct exchange *x, struct static_file *f,
    struct static_answer *a)
{
	struct msg	*m = static_file_head(f, x, 200, f->nall);

	m->body = (int64_t)f->size;
	a->v = one_part(x, 0, f->size);
	a->n = 1;
	finish(x, m, a);
}

static void
answer_range(struct exchange *x, struct static_file *f,
    const struct range *r, struct static_answer *a)
{
	struct msg	*m = static_file_head(f, x, 206, f->nall);

	m->body = (int64_t)(r->last - r->first + 1);
	hdr_add(x->arena, &m->hdrs, HDR_CONTENT_RANGE,
	    content_range(x, r, f->size));
	a->v = one_part(x, r->first, r->last - r->first + 1);
	a->n = 1;
	finish(x, m, a);
}

static struct static_part
text_part(struct str s)
{
	return (struct static_part){ .text = s, .n = s.n };
}

/* Not to be guessed by who wrote the file. */
static void
make_boundary(struct exchange *x, char b[BOUNDARY_LEN + 1])
{
	uint8_t		raw[BOUNDARY_LEN / 2];
	uint64_t	n = rand_next(&x->serve->rand);
	uint64_t	m = rand_next(&x->serve->rand);

	memcpy(raw, &n, sizeof(n));
	memcpy(raw + sizeof(n), &m, sizeof(raw) - sizeof(n));
	enc_hex(raw, sizeof(raw), b);
	b[BOUNDARY_LEN] = '\0';
}

/* RFC 9110 14.6: each part with its type and place. */
static void
answer_parts(struct exchange *x, struct static_file *f,
    const struct range *v, unsigned n, struct static_answer *a)
{
	struct msg		*m = static_file_head(f, x, 206, f->nbase);
	struct static_part	*p;
	char			 b[BOUNDARY_LEN + 1];
	uint64_t		 sum = 0;

	make_boundary(x, b);
	p = arena_alloc(x->arena, (2 * n + 1) * sizeof(*p));
	for (unsigned i = 0; i < n; i++) {
		p[2 * i] = text_part(arena_fmt(x->arena, "%s--%s\r\n"
		    "Content-Type: %.*s\r\nContent-Range: %.*s\r\n\r\n",
		    i > 0 ? "\r\n" : "", b, STR_FMT(f->type),
		    STR_FMT(content_range(x, &v[i], f->size))));
		p[2 * i + 1].off = v[i].first;
		p[2 * i + 1].n = v[i].last - v[i].first + 1;
	}
	p[2 * n] = text_part(arena_fmt(x->arena, "\r\n--%s--\r\n", b));
	for (unsigned i = 0; i < 2 * n + 1; i++)
		sum += p[i].n;
	m->body = (int64_t)sum;
	hdr_add(x->arena, &m->hdrs, HDR_CONTENT_TYPE, arena_fmt(x->arena,
	    "multipart/byteranges; boundary=%s", b));
	*a = (struct static_answer){ p, 2 * n + 1 };
	finish(x, m, a);
}

/* Fields that alter the answer. */
static bool
has_conditions(const struct hdrs *hs)
{
	static const uint64_t	which = UINT64_C(1) << HDR_IF_MATCH |
	    UINT64_C(1) << HDR_IF_NONE_MATCH |
	    UINT64_C(1) << HDR_IF_MODIFIED_SINCE |
	    UINT64_C(1) << HDR_IF_UNMODIFIED_SINCE | UINT64_C(1) << HDR_RANGE;
	uint64_t		seen = 0;

	_Static_assert(HDR_N <= 64, "bits");
	for (unsigned i = 0; i < hs->n; i++)
		seen |= UINT64_C(1) << hs->v[i].id;
	return (seen & which) != 0;
}

static void
answer_ranges(struct exchange *x, struct static_file *f, int64_t now,
    struct static_answer *a)
{
	struct range	v[RANGE_MAX];
	unsigned	n = 0;
	enum range_rc	rc = RANGE_NONE;

	/* only GET has a meaning for it (RFC 9110 14.2) */
	if (x->req->meth == METHOD_GET)
		rc = static_range(&x->req->hdrs, &f->tag, now, f->size, v, &n);
	if (rc == RANGE_UNSATISFIABLE)
		fail_range(x, f->size);
	else if (rc == RANGE_NONE)
		answer_whole(x, f, a);
	else if (n == 1)
		answer_range(x, f, &v[0], a);
	else
		answer_parts(x, f, v, n, a);
}

void
static_answer_file(struct exchange *x, struct static_file *f,
    struct static_answer *a)
{
	int64_t		now = (int64_t)(ev_wall_ms(x->serve->ev) / 1000);
	bool		same = false;
	enum fail	why;

	a->n = 0;
	if (!has_conditions(&x->req->hdrs)) {
		answer_whole(x, f, a);
		return;
	}
	why = static_check(&x->req->hdrs, &f->tag, now, &same);
	if (why != FAIL_NONE)
		exchange_fail(x, why, STR(""));
	else if (same)
		exchange_respond(x, static_file_head(f, x, 304, f->nsame),
		    WAIST_END);
	else
		answer_ranges(x, f, now, a);
}
