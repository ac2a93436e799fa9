/*
 * Records for those who look on.  Logger.
 *
 * The past is a list of pieces, each the records of a batch with the time
 * at which they were written.  At a low rate the last ones stay, however
 * old, so that a look at a quiet gateway shows something.
 */
#include "main/logger_feed.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"

#define KEEP_MS		1000
#define KEEP_MIN	(32U << 10)	/* bytes that stay, however old */
#define KEEP_MAX	(2U << 20)
#define QUEUE_MAX	64		/* frames that may wait for control */

struct piece {
	struct list	node;
	uint64_t	ms;		/* monotonic */
	size_t		n;
	char		data[];
};

struct feed_peer {
	struct logger_feed	*f;	/* ref; NULL: let go */
	struct chan		 chan;
	struct ev_task		 free;
};

void
logger_feed_init(struct logger_feed *f, struct ev *ev)
{
	*f = (struct logger_feed){ .ev = ev };
	list_init(&f->kept);
}

static void
drop_oldest(struct logger_feed *f)
{
	struct piece	*p = container_of(f->kept.next, struct piece, node);

	list_del(&p->node);
	f->nkept -= p->n;
	free(p);
}

static void
on_free(struct ev_task *t)
{
	free(container_of(t, struct feed_peer, free));
}

static void
leave(struct logger_feed *f)
{
	struct feed_peer	*p = f->peer;

	f->peer = NULL;
	f->live = false;
	f->dropped = 0;
	if (p == NULL)
		return;
	chan_close(&p->chan);
	ev_post(f->ev, EV_FREE, &p->free);
}

void
logger_feed_fini(struct logger_feed *f)
{
	leave(f);
	while (!list_is_empty(&f->kept))
		drop_oldest(f);
}

/* --- sending --- */

static int
send_records(struct logger_feed *f, uint64_t id, struct str records)
{
	char			buf[sizeof(struct feed_head) + FEED_BYTES];
	struct feed_head	head = { id == 0 ? f->dropped : 0 };
	struct frame_head	h = { .op = CHAN_LOG, .id = id,
	    .flags = id == 0 ? 0 : CHAN_F_REPLY,
	    .len = (uint32_t)(sizeof(head) + records.n) };

	must(records.n <= FEED_BYTES);
	memcpy(buf, &head, sizeof(head));
	if (records.n > 0)
		memcpy(buf + sizeof(head), records.p, records.n);
	return chan_send(&f->peer->chan, &h, buf, NULL, 0);
}

static uint64_t
count(struct str records)
{
	uint64_t	sum = 0;
	uint32_t	n;

	for (; records.n > 0; records = str_sub(records, sizeof(n) + n,
	    records.n)) {
		memcpy(&n, records.p, sizeof(n));
		sum++;
	}
	return sum;
}

static void
send_live(struct logger_feed *f, struct str records)
{
	if (f->peer->chan.nout < QUEUE_MAX &&
	    send_records(f, 0, records) == 0)
		f->dropped = 0;
	else
		f->dropped += count(records);
}

/*
 * The past, then the mark of its end: who has that has all before.  The
 * pieces of a quiet time are small: as many go into a frame as it takes.
 */
static void
send_past(struct logger_feed *f, uint64_t id, uint64_t ms)
{
	uint64_t	 now = ev_ms(f->ev);
	char		 buf[FEED_BYTES];
	size_t		 n = 0;
	struct piece	*p;
	struct list	*l;

	list_each(l, &f->kept) {
		p = container_of(l, struct piece, node);
		if (p->ms + ms < now && ms != FEED_PAST_ALL)
			continue;
		if (n + p->n > sizeof(buf)) {
			(void)send_records(f, id, str_make(buf, n));
			n = 0;
		}
		memcpy(buf + n, p->data, p->n);
		n += p->n;
	}
	if (n > 0)
		(void)send_records(f, id, str_make(buf, n));
	if (!FAULT("feed_end"))
		(void)send_records(f, id, STR(""));
}

static void
on_frame(struct chan *c, struct frame *fr)
{
	struct feed_peer	*p = c->ctx;
	struct feed_ask		 q;

	if (p->f == NULL || p->f->peer != p)
		return;
	if (fr == NULL) {
		leave(p->f);
		return;
	}
	if (fr->head.op != CHAN_LOG || fr->head.len != sizeof(q))
		return;
	memcpy(&q, fr->data, sizeof(q));
	if (fr->head.id == 0) {
		p->f->live = false;
		return;
	}
	send_past(p->f, fr->head.id, q.past_ms);
	p->f->live |= q.live != 0;
}

void
logger_feed_join(struct logger_feed *f, int fd)
{
	struct feed_peer	*p = must_calloc(1, sizeof(*p));
	struct err		 e;

	leave(f);
	p->f = f;
	ev_task_init(&p->free, on_free);
	if (chan_open(&p->chan, f->ev, fd, on_frame, p, &e) == -1) {
		free(p);
		return;
	}
	f->peer = p;
}

/* --- keeping --- */

void
logger_feed_age(struct logger_feed *f)
{
	uint64_t	 now = ev_ms(f->ev);
	struct piece	*p;

	/* the last that were left out, when nothing came behind them */
	if (f->live && f->dropped > 0)
		send_live(f, STR(""));
	while (!list_is_empty(&f->kept)) {
		p = container_of(f->kept.next, struct piece, node);
		if (f->nkept <= KEEP_MAX && (f->nkept - p->n < KEEP_MIN ||
		    p->ms + KEEP_MS >= now))
			return;
		drop_oldest(f);
	}
}

static void
keep(struct logger_feed *f, struct str records)
{
	struct piece	*p = must_alloc(sizeof(*p) + records.n);

	p->ms = ev_ms(f->ev);
	p->n = records.n;
	memcpy(p->data, records.p, records.n);
	list_add_tail(&f->kept, &p->node);
	f->nkept += p->n;
}

/* As many whole records from the front as a frame takes. */
static struct str
cut(struct str *rest)
{
	struct str	s = *rest;
	size_t		at = 0;
	uint32_t	n;

	while (at < s.n) {
		must(s.n - at >= sizeof(n));
		memcpy(&n, s.p + at, sizeof(n));
		if (at + sizeof(n) + n > FEED_BYTES)
			break;
		at += sizeof(n) + n;
	}
	must(at > 0 && at <= s.n);
	*rest = str_sub(s, at, s.n);
	return str_sub(s, 0, at);
}

void
logger_feed_put(struct logger_feed *f, struct str records)
{
	struct str	some;

	while (records.n > 0) {
		some = cut(&records);
		keep(f, some);
		if (f->live)
			send_live(f, some);
	}
	logger_feed_age(f);
}
