/*
 * What was taken of a request's body is kept for another attempt, as long
 * as it is no more than retry.body and the worker's pages are not short.
 * Workers.
 *
 * Pieces are references to the pages that the client's codec read into;
 * small ones that stand alone are copied, so that one of a few bytes does
 * not hold a page of its own.  A new stream gets them in order, as far as
 * its credit goes; what the client sends meanwhile joins them.
 */
#include "handler/proxy_keep.h"

#include "base/must.h"
#include "handler/proxy.h"

#define SMALL		2048	/* not worth a page of its own */
#define PIECES_MIN	4

struct piece {
	struct page	*page;		/* ref, counted */
	const char	*p;
	size_t		 n;
};

/* of the exchange's arena */
struct keep {
	struct piece	*v;		/* of arena */
	uint32_t	 n, cap;
	uint32_t	 at;		/* the next for this stream */
	size_t		 off;		/* in it */
	uint64_t	 bytes;
	struct page	*tail;		/* ref: of copies; or NULL */
};

bool
proxy_keep_lost(const struct proxy *p)
{
	return p->req_used && p->keep == NULL;
}

bool
proxy_keep_is_on(const struct proxy *p)
{
	return p->keep != NULL || (!p->req_used && p->keeps);
}

/* Bytes of it wait for the stream there is. */
static bool
is_behind(const struct proxy *p)
{
	return p->keep != NULL && p->keep->at < p->keep->n;
}

/* Calls of gRPC are made again after codes that are named. */
static bool
is_repeatable(const struct proxy *p)
{
	return p->x->grpc && (p->again.conf.on & RETRY_ON_GRPCS) != 0;
}

void
proxy_keep_begin(struct proxy *p)
{
	const struct retry_conf	*c = &p->again.conf;

	p->keeps = p->req.body != BODY_NONE && c->body > 0 &&
	    p->req.body <= (int64_t)c->body &&
	    (((msg_is_idempotent(p->req.meth) || is_repeatable(p)) &&
	    ((c->tries > 0 && c->on != 0) || p->falls_back)) ||
	    /* what a server has not looked at is asked again, be it a POST */
	    (p->up->h2 && (c->on & RETRY_ON_REFUSED) != 0));
}

void
proxy_keep_end(struct proxy *p)
{
	struct keep	*k = p->keep;

	p->keep = NULL;
	p->keeps = false;
	for (uint32_t i = 0; k != NULL && i < k->n; i++)
		page_unref(&k->v[i].page);
}

static struct piece *
new_piece(struct proxy *p, struct keep *k)
{
	struct piece	*v;

	if (k->n == k->cap) {
		k->cap = k->cap == 0 ? PIECES_MIN : 2 * k->cap;
		v = arena_alloc(p->x->arena, k->cap * sizeof(*v));
		if (k->n > 0)
			memcpy(v, k->v, k->n * sizeof(*v));
		k->v = v;
	}
	return &k->v[k->n++];
}

static void
add_piece(struct proxy *p, struct keep *k, struct page *page,
    const char *bytes, size_t n)
{
	struct piece	*last = k->n > 0 ? &k->v[k->n - 1] : NULL;

	if (last != NULL && last->page == page &&
	    last->p + last->n == bytes) {
		last->n += n;
		return;
	}
	*new_piece(p, k) = (struct piece){ page_ref(page), bytes, n };
}

/* The page of copies belongs to the piece that was put there last. */
static void
copy_piece(struct proxy *p, struct keep *k, const char *bytes, size_t n)
{
	struct page	*pg = k->tail;
	bool		 fresh = pg == NULL || pg->cap - pg->fill < n;

	if (fresh)
		k->tail = pg = page_new(&p->x->serve->pages);
	memcpy(pg->data + pg->fill, bytes, n);
	add_piece(p, k, pg, pg->data + pg->fill, n);
	pg->fill += (uint32_t)n;
	if (fresh)
		page_unref(&pg);
}

static bool
shares_page(const struct keep *k, const struct chunk *c)
{
	return k->n > 0 && k->v[k->n - 1].page == c->u.mem.page;
}

static bool
has_room(const struct proxy *p, const struct keep *k, const struct chunk *c)
{
	const struct page_pool	*pool = &p->x->serve->pages;

	return k->bytes + c->n <= p->again.conf.body &&
	    (pool->soft == 0 || pool->live <= pool->soft);
}

bool
proxy_keep_add(struct proxy *p, const struct chunk *c)
{
	struct keep	*k = p->keep;
	bool		 behind = is_behind(p);

	if (k == NULL && !proxy_keep_is_on(p))
		return false;
	if (k == NULL)
		k = p->keep = arena_alloc(p->x->arena, sizeof(*k));
	if ((c->kind != CHUNK_PAGE && c->kind != CHUNK_CONST) ||
	    (!behind && !has_room(p, k, c))) {
		must(!behind);
		proxy_keep_end(p);
		return false;
	}
	k->bytes += c->n;
	if (c->kind == CHUNK_PAGE && (c->n >= SMALL || shares_page(k, c)))
		add_piece(p, k, c->u.mem.page, c->u.mem.p, c->n);
	else
		for (size_t at = 0, n; at < c->n; at += n) {
			n = c->n - at < SMALL ? c->n - at : SMALL;
			copy_piece(p, k, c->u.mem.p + at, n);
		}
	if (!behind)
		k->at = k->n;
	return behind;
}

void
proxy_keep_rewind(struct proxy *p)
{
	if (p->keep == NULL)
		return;
	p->keep->at = 0;
	p->keep->off = 0;
}

bool
proxy_keep_send(struct proxy *p)
{
	struct keep	*k = p->keep;
	struct stream	*s = p->s;
	struct chunk	 c;
	struct piece	*v;

	while (is_behind(p) && s->out.credit > 0) {
		v = &k->v[k->at];
		c = (struct chunk){ .kind = CHUNK_PAGE, .n = v->n - k->off };
		if (c.n > (uint64_t)s->out.credit)
			c.n = (uint64_t)s->out.credit;
		c.u.mem.page = page_ref(v->page);
		c.u.mem.p = v->p + k->off;
		k->off += c.n;
		if (k->off == v->n) {
			k->at++;
			k->off = 0;
		}
		s->out.ops->data(&s->out, c, 0);
		/* the call may have ended the stream */
		if (p->s != s)
			return false;
	}
	return !is_behind(p);
}
