/*
 * GET /v1/log: records as JSON, one a line, as they come.  Control
 * process.
 *
 *	past=MS		begin with those written so long ago, or "all"
 *	follow=1	and go on; else the answer ends with them
 *	q=EXPRESSION	access records that fit, and no lines
 *
 * The logger sends records over a channel (core/feed.h); what is wanted
 * of them is written into a buffer per reader, from which the answer is
 * fed.  Who reads too slowly misses records and is told how many, by a
 * line {"dropped":N}.  When the logger was replaced, all that the new one
 * has written is asked for: nothing is missing or there twice.
 */
#include "base/must.h"
#include "control/int.h"
#include "core/expr.h"
#include "core/feed.h"
#include "core/record.h"
#include "os/proc.h"

#define READERS		8
#define BUFFER		(1U << 20)	/* bytes that wait for a reader */
#define PAST_MS		10000		/* for the logger to answer */

enum part {
	PART_PAST,	/* the logger was asked */
	PART_LIVE,	/* its past has come */
	PART_LAST	/* what is in the buffer, then the end */
};

/* a reader; an exchange's hctx, in its arena */
struct reader {
	struct list	 node;		/* of api.readers */
	struct exchange	*x;		/* ref */
	struct source	 src;
	struct timer	 limit;		/* of PART_PAST */
	uint64_t	 id;
	enum part	 part;
	bool		 follows:1;
	bool		 ended:1;	/* the answer is whole */
	struct expr	*filter;	/* own; NULL: all */
	struct text	 out;		/* own; sent up to at */
	size_t		 at;
	uint64_t	 dropped;	/* not told yet */
};

/* --- the answer --- */

static bool
is_empty(const struct reader *r)
{
	return r->at == r->out.n;
}

/* A page of it; what was sent goes when all was. */
static struct chunk
cut_chunk(struct reader *r, int64_t credit)
{
	size_t		 n = r->out.n - r->at;
	struct page	*pg = page_new(&r->x->serve->pages);

	if (n > PAGE_ROOM)
		n = PAGE_ROOM;
	if ((int64_t)n > credit)
		n = (size_t)credit;
	memcpy(pg->data, r->out.p + r->at, n);
	pg->fill = (uint32_t)n;
	r->at += n;
	if (is_empty(r))
		r->at = r->out.n = 0;
	return (struct chunk){ .kind = CHUNK_PAGE, .n = n,
	    .u.mem = { pg, pg->data } };
}

static bool
tell_dropped(struct reader *r)
{
	if (r->dropped == 0 || r->out.n - r->at > BUFFER / 2)
		return false;
	text_fmt(&r->out, "{\"dropped\":%llu}\n",
	    (unsigned long long)r->dropped);
	r->dropped = 0;
	return true;
}

static void
pump(struct reader *r)
{
	struct sink	*to = r->src.to;

	do {
		while (!r->ended && to != NULL && !is_empty(r) &&
		    to->credit > 0)
			to->ops->data(to, cut_chunk(r, to->credit), 0);
	} while (tell_dropped(r));
	if (r->ended || to == NULL || r->part != PART_LAST || !is_empty(r))
		return;
	r->ended = true;
	to->ops->end(to);
}

static void
on_room(struct source *s)
{
	pump(container_of(s, struct reader, src));
}

static void
on_stop(struct source *s, enum fail why)
{
	(void)why;
	container_of(s, struct reader, src)->ended = true;
}

static const struct source_ops source_ops = {
	.room = on_room,
	.stop = on_stop
};

void
api_log_body(struct exchange *x)
{
	struct reader	*r = x->hctx;

	if (r == NULL)
		return;
	waist_join(&r->src, exchange_body(x));
	pump(r);
}

/* --- records --- */

static bool
is_wanted(const struct reader *r, struct str record)
{
	struct rec_access	ra;
	struct access		a = { .peer.port = 0 };

	if (r->filter == NULL)
		return true;
	if (record_kind(record) != RECORD_ACCESS ||
	    record_read_access(record, &ra, a.str) == -1)
		return false;
	memcpy(a.num, ra.num, sizeof(a.num));
	a.peer = ra.peer;
	return expr_match(r->filter, &a);
}

static void
add_record(struct reader *r, struct str record)
{
	static const struct record_style	json = { .form = FORM_JSON };

	if (!is_wanted(r, record))
		return;
	if (r->out.n - r->at > BUFFER)
		r->dropped++;
	else
		(void)record_write(&r->out, record, &json);
}

/* The records of a frame; false if it is none of ours. */
static bool
next_record(struct str *rest, struct str *record)
{
	uint32_t	n;

	if (rest->n < sizeof(n))
		return false;
	memcpy(&n, rest->p, sizeof(n));
	if (n > rest->n - sizeof(n))
		return false;
	*record = str_sub(*rest, sizeof(n), sizeof(n) + n);
	*rest = str_sub(*rest, sizeof(n) + n, rest->n);
	return true;
}

static void
add_records(struct reader *r, struct str records)
{
	struct str	record;

	/* what was sent goes before more comes */
	if (r->at > 0) {
		memmove(r->out.p, r->out.p + r->at, r->out.n - r->at);
		r->out.n -= r->at;
		r->at = 0;
	}
	while (next_record(&records, &record))
		add_record(r, record);
	pump(r);
}

/* --- the logger --- */

static int
ask(struct api *a, uint64_t id, uint64_t past, bool live)
{
	struct feed_ask		q = { past, live };
	struct frame_head	h = { .op = CHAN_LOG, .id = id,
	    .len = sizeof(q) };

	if (!chan_is_open(&a->logger))
		return -1;
	return chan_send(&a->logger, &h, &q, NULL, 0);
}

static void
end_past(struct reader *r)
{
	ev_timer_off(r->x->serve->ev, &r->limit);
	r->part = r->follows ? PART_LIVE : PART_LAST;
	pump(r);
}

static void
on_past(struct api *a, const struct frame *f, struct str records)
{
	struct list	*l;
	struct reader	*r;

	list_each(l, &a->readers) {
		r = container_of(l, struct reader, node);
		if (r->id != f->head.id || r->part != PART_PAST)
			continue;
		if (records.n == 0)
			end_past(r);
		else
			add_records(r, records);
		return;
	}
}

static void
on_live(struct api *a, uint64_t dropped, struct str records)
{
	struct list	*l;
	struct reader	*r;

	list_each(l, &a->readers) {
		r = container_of(l, struct reader, node);
		if (r->part != PART_LIVE)
			continue;
		r->dropped += dropped;
		add_records(r, records);
	}
}

static void
on_frame(struct chan *c, struct frame *f)
{
	struct api		*a = c->ctx;
	struct feed_head	 head;
	struct str		 rest;

	/* gone: the next one is told of by the master */
	if (f == NULL || f->head.op != CHAN_LOG ||
	    f->head.len < sizeof(head))
		return;
	memcpy(&head, f->data, sizeof(head));
	rest = str_make(f->data + sizeof(head), f->head.len - sizeof(head));
	if ((f->head.flags & CHAN_F_REPLY) != 0)
		on_past(a, f, rest);
	else
		on_live(a, head.dropped, rest);
}

void
api_log_join(struct api *a, int fd)
{
	struct list	*l;
	struct reader	*r;
	struct err	 e;

	if (chan_is_open(&a->logger))
		chan_close(&a->logger);
	if (chan_open(&a->logger, a->serve.ev, fd, on_frame, a, &e) == -1) {
		log_err(&self->lc, "the logger's channel: %s", e.text);
		return;
	}
	list_each(l, &a->readers) {
		r = container_of(l, struct reader, node);
		if (r->part == PART_LAST)
			continue;
		r->part = PART_PAST;
		ev_timer(a->serve.ev, &r->limit, PAST_MS);
		(void)ask(a, r->id, FEED_PAST_ALL, r->follows);
	}
}

/* --- readers --- */

void
api_log_forget(struct exchange *x)
{
	struct reader	*r = x->hctx;
	struct api	*a = api_of(x);
	struct list	*l;

	if (r == NULL)
		return;
	x->hctx = NULL;
	list_del(&r->node);
	ev_timer_off(x->serve->ev, &r->limit);
	expr_free(&r->filter);
	text_fini(&r->out);
	r->ended = true;
	a->nreader--;
	list_each(l, &a->readers)
		if (container_of(l, struct reader, node)->follows)
			return;
	(void)ask(a, 0, 0, false);
}

void
api_log_give_up(struct api *a)
{
	struct list	*pos, *tmp;
	struct reader	*r;

	list_each_safe(pos, tmp, &a->readers) {
		r = container_of(pos, struct reader, node);
		r->part = PART_LAST;
		ev_timer_off(a->serve.ev, &r->limit);
		pump(r);
	}
}

/*
 * The logger may be stuck, or the channel had no room for the end of the
 * past: what has come is all of it then.
 */
static void
on_limit(struct timer *t)
{
	struct reader	*r = container_of(t, struct reader, limit);

	if (r->part == PART_PAST)
		end_past(r);
}

static void
start(struct exchange *x, struct reader *r, uint64_t past)
{
	struct api	*a = api_of(x);
	struct msg	*m;

	if (self->draining) {
		api_refuse(x);
		return;
	}
	if (a->nreader == READERS) {
		api_error(x, 503, "busy", "Too many follow the log.");
		return;
	}
	r->id = ++a->id;
	if (ask(a, r->id, past, r->follows) == -1) {
		api_error(x, 503, "no_logger", "The logger does not answer.");
		return;
	}
	r->x = x;
	r->src.ops = &source_ops;
	text_init(&r->out);
	timer_init(&r->limit, on_limit);
	ev_timer(x->serve->ev, &r->limit, PAST_MS);
	list_add_tail(&a->readers, &r->node);
	a->nreader++;
	x->hctx = r;
	m = exchange_new_head(x, 200);
	m->body = BODY_UNKNOWN;
	hdr_add(x->arena, &m->hdrs, HDR_CONTENT_TYPE,
	    STR("application/x-ndjson"));
	exchange_respond(x, m, 0);
}

/* --- the query --- */

static int
read_filter(struct exchange *x, struct reader *r, struct str text)
{
	struct text	why;
	struct err	e;
	char		buf[sizeof(e.text) + 64];
	size_t		at = 0;

	if (text.n == 0 || r->filter != NULL)
		return 0;
	r->filter = expr_new(text, &at, &e);
	if (r->filter != NULL)
		return 0;
	text_init_fixed(&why, buf, sizeof(buf) - 1);
	text_fmt(&why, "The filter, at byte %zu: %s.", at + 1, e.text);
	buf[why.n] = '\0';
	api_error(x, 400, "bad_filter", buf);
	return -1;
}

/* 0; -1: answered. */
static int
read_word(struct exchange *x, struct reader *r, struct str word,
    uint64_t *past)
{
	ptrdiff_t	at = str_find(word, '=', 0);
	struct str	name = str_sub(word, 0, at < 0 ? 0 : (size_t)at), val;

	if (at >= 0 && uri_decode(x->arena, str_sub(word, (size_t)at + 1,
	    word.n), &val) == 0) {
		if (str_eq(name, STR("q")))
			return read_filter(x, r, val);
		if (str_eq(name, STR("follow"))) {
			r->follows = str_eq(val, STR("1"));
			return 0;
		}
		if (str_eq(name, STR("past")) && (str_eq(val, STR("all")) ||
		    str_to_u64(val, INT64_MAX, past) == 0))
			return 0;
	}
	api_error(x, 400, "bad_query", "The query is past, follow and q, "
	    "percent-encoded.");
	return -1;
}

void
api_log(struct exchange *x)
{
	struct reader	*r = arena_alloc(x->arena, sizeof(*r));
	struct str	 rest = x->uri.query, word;
	uint64_t	 past = FEED_PAST_ALL;

	while (str_word(&rest, "&", &word))
		if (read_word(x, r, word, &past) == -1) {
			expr_free(&r->filter);
			return;
		}
	start(x, r, past);
	if (x->hctx == NULL)
		expr_free(&r->filter);
}
