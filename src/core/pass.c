/*
 * Which connections are passed on, and their beginning.  Workers.
 */
#include "core/pass.h"

#include <stdlib.h>

#include "base/must.h"
#include "codec/raw/raw.h"
#include "core/board.h"
#include "core/route_index.h"
#include "tls/hello.h"

/* --- which route --- */

/* The first one of that name. */
static size_t
lower_bound(const struct pass_index *x, struct str host)
{
	size_t	low = 0, high = x->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (str_cmp(x->v[mid].host, host) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool
holds(const struct route *r, struct str listener, const struct exchange *x)
{
	const struct route_check	*c;

	if (!route_has_listener(r, listener))
		return false;
	if (x == NULL)
		return true;
	for (uint32_t i = 0; i < r->nchecks; i++) {
		c = &r->checks[i];
		if (c->cond->match(c->part, x) == c->not)
			return false;
	}
	return true;
}

static const struct route *
find_exactly(const struct pass_index *p, struct str host,
    struct str listener, const struct exchange *x)
{
	for (size_t i = lower_bound(p, host); i < p->n &&
	    str_eq(p->v[i].host, host); i++)
		if (holds(p->v[i].route, listener, x))
			return p->v[i].route;
	return NULL;
}

const struct route *
pass_find(const struct conf *c, struct str listener, struct str host,
    const struct exchange *x)
{
	const struct route_index	*all = conf_data(c, &route_section);
	const struct route		*r = NULL;
	ptrdiff_t			 dot = 0;

	if (all == NULL || all->pass == NULL || host.n == 0)
		return NULL;
	r = find_exactly(all->pass, host, listener, x);
	while (r == NULL && (dot = str_find(host, '.', (size_t)dot)) >= 0) {
		r = find_exactly(all->pass, str_sub(host, (size_t)dot,
		    host.n), listener, x);
		dot++;
	}
	return r;
}

const struct route *
pass_route(const struct exchange *x)
{
	return pass_find(x->gen->conf, x->conn->listener->name, x->host, x);
}

/*
 * Conditions ask an exchange, and there is none yet; nor would a request's
 * do, for it may tell of another client (trusted_proxies).
 */
bool
pass_is_for(const struct conf *conf, const struct conn *c, struct str host)
{
	struct str	 listener = c->listener->name;
	struct exchange	*x;
	bool		 yes;

	if (pass_find(conf, listener, host, NULL) == NULL)
		return false;
	x = must_calloc(1, sizeof(*x));
	x->acc.peer = c->peer;
	yes = pass_find(conf, listener, host, x) != NULL;
	free(x);
	return yes;
}

/* --- the beginning --- */

static bool
is_passed(const struct conn *c, struct str name)
{
	const struct gen	*g = c->listener->serve->gens->cur;

	return g != NULL && pass_is_for(g->conf, c, name);
}

static void
begin(struct conn *c, struct str name)
{
	struct listener	*l = c->listener;

	stat_add(STAT_TLS_PASSED, 1);
	c->raw = true;
	c->codec = raw_server_open(&c->io, &l->env, c, name);
}

static enum pass_rc
judge(struct conn *c, struct str bytes, void (*done)(struct conn *))
{
	char		 room[HELLO_MAX];
	struct str	 name;
	struct io	*io = &c->io;

	switch (tls_hello_parse(bytes, room, &name)) {
	case HELLO_BAD:
		return PASS_NOT;
	case HELLO_DONE:
		if (!is_passed(c, name))
			return PASS_NOT;
		done(c);
		begin(c, name);
		return PASS_ON;
	case HELLO_MORE:
		break;
	}
	io->fd.ready &= (uint8_t)~IO_R;
	/* who ended within it is told so by whoever opens it */
	if (io->fd.ready & IO_GONE)
		return PASS_NOT;
	return io_watch(io) == 0 ? PASS_WAIT : PASS_GONE;
}

enum pass_rc
pass_look(struct conn *c, void (*done)(struct conn *))
{
	char		buf[HELLO_MAX];
	size_t		got;
	enum io_rc	rc = io_peek(&c->io, buf, sizeof(buf), &got);

	if (rc == IO_EOF || rc == IO_ERR)
		return PASS_GONE;
	return judge(c, str_make(buf, got), done);
}
