/*
 * Limits of a listener, as a worker obeys them (listener_limit.h).
 *
 * A connection holds one of its listener's word from before its accept to
 * its end, whether there is a max_conns or not, if the listener has any
 * limit: one that comes with a reload counts those that are open.  The
 * worker whose connection ends accepts again at once; those of others
 * that were killed or drain are noticed by the next look.
 */
#include "core/listener_limit.h"

#include "base/must.h"
#include "base/text.h"

#define SAY_MS	10000	/* between two lines of a listener */

static struct lease_word *
word_of(struct listener *l)
{
	return shm_row(l->serve->shm, &lease_listeners,
	    l->row - 1 - LEASE_LISTENER);
}

/*
 * True if a line may be written, by one process in a while; *n is how
 * many were not written since the last.
 */
static bool
may_say(struct listener *l, uint64_t *n)
{
	struct lease_word	*w = word_of(l);
	uint64_t		 now = ev_ms(l->serve->ev), was = w->said_ms;

	if ((was != 0 && now - was < SAY_MS) ||
	    !atomic_compare_exchange_strong(&w->said_ms, &was, now)) {
		atomic_fetch_add(&w->refused, 1);
		return false;
	}
	*n = atomic_exchange(&w->refused, 0);
	return true;
}

/* --- max_conns --- */

static void
say_full(struct listener *l)
{
	uint64_t	n;

	stat_add(STAT_LIMIT_FULL, 1);
	if (may_say(l, &n))
		log_warn(&self->lc, "listener \"%.*s\": max_conns: %lld are "
		    "open: who comes next waits; %llu more lines of limits "
		    "were left out", STR_FMT(l->name),
		    (long long)l->share.conns, (unsigned long long)n);
}

bool
listener_enter(struct listener *l, struct listener_hold *h)
{
	*h = (struct listener_hold){ 0, 0 };
	if (l->row == 0)
		return true;
	if (!lease_take_max(l->serve->lease, l->row - 1,
	    (uint32_t)l->share.conns)) {
		if (!l->full)
			say_full(l);
		l->full = true;
		return false;
	}
	l->full = false;
	h->row = l->row;
	return true;
}

/* --- addresses --- */

static void
say_addr(struct listener *l, const struct sock_peer *p, enum limit_rc rc)
{
	const struct listener_rate	*r = &l->share.rate;
	struct text			 t;
	char				 buf[64];
	uint64_t			 n;

	if (!may_say(l, &n))
		return;
	text_init_fixed(&t, buf, sizeof(buf));
	sock_peer_text(&t, p);
	if (rc == LIMIT_CONNS)
		log_warn(&self->lc, "listener \"%.*s\": %.*s: closed: "
		    "max_conns_per_ip: %lld are open; %llu more lines of "
		    "limits were left out", STR_FMT(l->name),
		    STR_FMT(text_str(&t)), (long long)l->share.per_ip,
		    (unsigned long long)n);
	else
		log_warn(&self->lc, "listener \"%.*s\": %.*s: closed: "
		    "max_new_conns_per_ip: more than %llu in %llu s; %llu "
		    "more lines of limits were left out", STR_FMT(l->name),
		    STR_FMT(text_str(&t)), (unsigned long long)r->n,
		    (unsigned long long)r->span_ms / 1000,
		    (unsigned long long)n);
}

bool
listener_admits(struct listener *l, const struct sock_peer *p,
    struct listener_hold *h)
{
	enum limit_rc	rc;

	if (l->row == 0 || (l->rule.conns == 0 && l->rule.gap_ns == 0))
		return true;
	rc = limit_enter(l->serve->lease,
	    limit_tag(l->serve->lease, l->name, p), &l->rule,
	    ev_clock_ns(), &h->addr);
	switch (rc) {
	case LIMIT_IN:
		return true;
	case LIMIT_UNCOUNTED:
		stat_add(STAT_LIMIT_MISSED, 1);
		return true;
	case LIMIT_CONNS:
		stat_add(STAT_LIMIT_ADDR, 1);
		break;
	case LIMIT_RATE:
		stat_add(STAT_LIMIT_RATE, 1);
		break;
	case LIMIT_STUCK:
		stat_add(STAT_ACCEPT_ERRORS, 1);
		return false;
	}
	say_addr(l, p, rc);
	return false;
}

/* --- the end of a connection --- */

static void
resume_all(struct serve *s, uint32_t row)
{
	struct list	*pos;
	struct listener	*l;

	list_each(pos, &s->listeners) {
		l = container_of(pos, struct listener, node);
		if (l->full && l->row == row)
			listener_resume(l);
	}
}

void
listener_give(struct listener *l, struct listener_hold *h)
{
	struct serve	*s = l->serve;

	if (h->addr != 0)
		lease_give(s->lease, h->addr - 1);
	if (h->row != 0) {
		lease_give(s->lease, h->row - 1);
		resume_all(s, h->row);
	}
	*h = (struct listener_hold){ 0, 0 };
}

/* --- a new configuration --- */

/* What is open keeps its place, be it too many; it only is counted. */
static void
count(struct listener *l, struct conn *c, bool moved)
{
	const struct limit_rule	all = { .conns = UINT32_MAX };
	struct lease		*lease = l->serve->lease;

	if (moved) {
		listener_give(l, &c->hold);
		if (l->row != 0 && lease_take_max(lease, l->row - 1, 0))
			c->hold.row = l->row;
	}
	/* whose address is not yet known is counted when it is */
	if (l->row != 0 && l->rule.conns != 0 && c->hold.addr == 0 &&
	    !c->greeting)
		(void)limit_enter(lease, limit_tag(lease, l->name, &c->peer),
		    &all, ev_clock_ns(), &c->hold.addr);
}

static void
count_all(struct listener *l, struct list *conns, bool moved)
{
	struct list	*pos;
	struct conn	*c;

	list_each(pos, conns) {
		c = container_of(pos, struct conn, node);
		if (c->listener == l)
			count(l, c, moved);
	}
}

void
listener_set_limits(struct listener *l, const struct listener_share *share)
{
	const struct listener_rate	*r = &share->rate;
	uint32_t			 was = l->row;

	l->share = *share;
	l->rule = (struct limit_rule){ .conns = (uint32_t)share->per_ip };
	if (r->n != 0) {
		l->rule.gap_ns = r->span_ms * 1000000 / r->n;
		l->rule.slack_ns = (r->burst - 1) * l->rule.gap_ns;
	}
	l->row = 0;
	if (share->conns != 0 || share->per_ip != 0 || r->n != 0)
		l->row = listener_row(l->serve->shm, l->name);
	count_all(l, &l->serve->conns_open, l->row != was);
	count_all(l, &l->serve->conns_idle, l->row != was);
	if (l->full)
		listener_resume(l);
}
