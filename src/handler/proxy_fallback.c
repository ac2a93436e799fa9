/*
 * Fallback: another upstream is asked, or a page is sent, when no server
 * of an upstream may be asked or all attempts at them failed, and the
 * client has nothing of an answer.  Workers.
 *
 * What the route sets itself holds for the other upstream too; the rest is
 * that one's own, its retries included.  The deadline of the whole stays.
 */
#include "handler/proxy_fallback.h"

#include "core/error.h"
#include "handler/proxy.h"
#include "up/fallback.h"

void
proxy_fallback_init(struct proxy *p)
{
	p->falls_back = fallback_of(p->up_conf)->up != NULL;
}

/* What the way to a server is no part of is not cured by another one. */
static bool
may_begin(const struct proxy *p, enum fail why)
{
	return p->up != NULL && !p->answered && !p->over &&
	    p->x->gen != NULL && !p->x->head_sent &&
	    fail_row(why)->proxy[0] != '\0';
}

/* Nobody can have acted on it, or doing so twice does no harm. */
static bool
may_repeat(const struct proxy *p)
{
	return !proxy_keep_lost(p) &&
	    (!p->sent || msg_is_idempotent(p->req.meth));
}

/* --- what holds there --- */

#define TAKE(t, r, was, is, member)					\
	(t)->member = (r)->member == (was)->member ? (is)->member :	\
	    (r)->member

/* As if the route named that upstream: its own words stay. */
static struct proxy_route
route_to(const struct proxy_route *r, const struct upstream_conf *to)
{
	const struct upstream_times	*was = &r->up->times;
	struct proxy_route		 one = *r;

	TAKE(&one.times, &r->times, was, &to->times, connect);
	TAKE(&one.times, &r->times, was, &to->times, first_byte);
	TAKE(&one.times, &r->times, was, &to->times, between);
	TAKE(&one.times, &r->times, was, &to->times, stream_idle);
	if (r->host.how == r->up->told.host.how &&
	    str_eq(r->host.text, r->up->told.host.text))
		one.host = to->told.host;
	one.up = to;
	return one;
}

static struct retry_conf
retry_to(const struct retry_conf *r, const struct retry_conf *was,
    const struct retry_conf *is)
{
	struct retry_conf	c = *r;

	TAKE(&c, r, was, is, on);
	TAKE(&c, r, was, is, tries);
	TAKE(&c, r, was, is, backoff);
	TAKE(&c, r, was, is, backoff_max);
	TAKE(&c, r, was, is, body);
	c.budget = is->budget;
	c.floor = is->floor;
	return c;
}

static void
forget_servers(struct proxy *p)
{
	attempt_end(&p->attempt);
	server_unref(&p->server);
	p->tried.n = 0;
	p->looks = 0;
	p->fresh = p->replayed = false;
	p->again.made = p->again.unseen = p->again.anew = 0;
	p->again.earned = p->again.refused = false;
	p->again.redo = p->again.drop = false;
}

static bool
go_over(struct proxy *p, const struct upstream_conf *to)
{
	const struct proxy_route	*r = handler_part(p->x);
	struct proxy_route		 one = route_to(r, to);
	struct upstream			*up = upstream_get(p->x->serve, to);

	if (up == NULL)
		return false;
	proxy_tell(p, p->why, arena_fmt(p->x->arena,
	    "upstream \"%.*s\" is asked", STR_FMT(to->obj.name)).p);
	stat_add(STAT_UP_FALLBACKS, 1);
	forget_servers(p);
	upstream_put(&p->up);
	p->up = up;
	p->up_conf = to;
	p->times = one.times;
	p->limits = to->queue;
	p->again.conf = retry_to(proxy_retry_of(p->x), retry_of(&r->up->obj),
	    retry_of(&to->obj));
	p->wait.first = STR("");
	proxy_choice_switch(p, to);
	/* Max-Forwards was looked at before the first attempt */
	(void)proxy_make_request(p, &one);
	p->x->acc.str[ACCESS_UPSTREAM] = arena_dup(p->x->arena, up->name);
	p->x->acc.str[ACCESS_SERVER] = STR("");
	p->why = FAIL_NONE;
	p->what = "";
	p->error = 0;
	p->told = false;
	p->step = PROXY_PICK;
	return true;
}

bool
proxy_fallback_next(struct proxy *p)
{
	const struct upstream_conf	*to = fallback_of(p->up_conf)->up;

	return to != NULL && may_begin(p, p->why) && may_repeat(p) &&
	    go_over(p, to);
}

/*
 * Nobody may be asked, or there is one who could be: only in the first
 * case states and breakers say when it is worth another try.  This very
 * failure may have been the last one that it took.
 */
static bool
is_nobody_left(const struct proxy *p)
{
	view_refresh(p->up);
	return p->up->view.n == 0;
}

void
proxy_fallback_page(struct proxy *p, enum fail why)
{
	const struct upstream_conf	*c = p->up_conf;

	if (p->up == NULL || p->answered || p->x->gen == NULL ||
	    p->x->head_sent || fail_row(why)->proxy[0] == '\0')
		return;
	p->x->retry_after = is_nobody_left(p) ? fallback_seconds(p->up) :
	    1;
	while (fallback_of(c)->up != NULL)
		c = fallback_of(c)->up;
	p->x->page = fallback_of(c)->page;
	if (p->x->page != NULL)
		stat_add(STAT_UP_FALLBACK_PAGES, 1);
}
