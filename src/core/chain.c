/*
 * The chain of filters of a route.  Workers.
 *
 * One number says where an exchange is: chain_at, the filter whose hook
 * is next on the way in, and on the way out one above it.  The way out
 * begins where the way in ended, so a filter that answered or failed does
 * not see the response of its own making, but those before it do.
 */
#include "core/chain.h"

#include "base/must.h"
#include "core/route.h"

#define FILTERS_MAX	255	/* chain_at is one byte */

static const struct chain *
chain_of(const struct exchange *x)
{
	return x->route != NULL ? x->route->chain : NULL;
}

static void
make_states(struct exchange *x, const struct chain *c)
{
	must(c->n <= FILTERS_MAX);
	x->fstate = arena_alloc(x->arena, c->n * sizeof(*x->fstate));
	for (uint32_t i = 0; i < c->n; i++)
		x->fstate[i] = arena_alloc(x->arena,
		    c->link[i].filter->size);
}

enum step_rc
chain_request(struct exchange *x)
{
	const struct chain	*c = chain_of(x);
	const struct chain_link	*l;
	enum step_rc		 rc;

	if (c == NULL)
		return STEP_NEXT;
	if (x->fstate == NULL)
		make_states(x, c);
	for (; x->chain_at < c->n; x->chain_at++) {
		if (x->chain_top <= x->chain_at)
			x->chain_top = (uint8_t)(x->chain_at + 1);
		l = &c->link[x->chain_at];
		if (l->filter->req_head == NULL)
			continue;
		rc = l->filter->req_head(x, l->conf, x->fstate[x->chain_at]);
		if (rc != STEP_NEXT)
			return rc;
	}
	return STEP_NEXT;
}

enum step_rc
chain_response(struct exchange *x)
{
	const struct chain	*c = chain_of(x);
	const struct chain_link	*l;
	enum step_rc		 rc;

	if (c == NULL)
		return STEP_NEXT;
	if (x->res != NULL)
		x->res->hdrs.nline = 0;	/* a hook may alter them */
	if (x->chain_res < x->chain_at)
		x->chain_res = x->chain_at;
	for (; x->chain_at > 0; x->chain_at--) {
		l = &c->link[x->chain_at - 1];
		if (l->filter->res_head == NULL)
			continue;
		rc = l->filter->res_head(x, l->conf,
		    x->fstate[x->chain_at - 1]);
		if (rc == STEP_WAIT)
			return rc;
		if (rc == STEP_FAIL) {
			x->chain_at--;
			return rc;
		}
	}
	return STEP_NEXT;
}

void
chain_wrap(struct exchange *x)
{
	const struct chain	*c = chain_of(x);
	const struct chain_link	*l;
	struct sink		*outer;

	for (unsigned i = 0; c != NULL && i < x->chain_res; i++) {
		l = &c->link[i];
		if (l->filter->res_body == NULL)
			continue;
		outer = l->filter->res_body(x, l->conf, x->fstate[i],
		    x->out);
		if (outer != NULL)
			x->out = outer;
	}
}

void
chain_done(struct exchange *x)
{
	const struct chain	*c = chain_of(x);
	unsigned		 n = x->chain_top;

	x->chain_top = 0;
	for (unsigned i = 0; c != NULL && i < n; i++)
		if (c->link[i].filter->done != NULL)
			c->link[i].filter->done(x, c->link[i].conf,
			    x->fstate[i]);
}
