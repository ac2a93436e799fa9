/*
 * A line of the log for each request as it was read, at debug.  Workers
 * and control.  What lets in is not written, nor what [log] redacts.
 */
#include "core/int.h"

#include "core/log_conf.h"

static bool
is_secret(const struct hdr *h)
{
	switch (h->id) {
	case HDR_AUTHORIZATION:
	case HDR_PROXY_AUTHORIZATION:
	case HDR_COOKIE:
		return true;
	default:
		return false;
	}
}

static struct str
show(struct exchange *x, struct str s)
{
	return x->gen == NULL ? s :
	    log_redact(log_conf(x->gen->conf), x->arena, s);
}

void
exchange_debug(struct exchange *x)
{
	const struct msg	*m = x->req;
	struct str		 target = show(x, m->target);
	struct text		 t;

	text_init(&t);
	for (uint16_t i = 0; i < m->hdrs.n; i++) {
		const struct hdr	*h = &m->hdrs.v[i];

		if (h->flags & HDR_F_DEAD)
			continue;
		text_fmt(&t, ", %.*s: ", STR_FMT(h->name));
		text_safe(&t, is_secret(h) ? STR("***") : show(x, h->val));
	}
	log_dbg(&x->lc, "request: %.*s %.*s, host: %.*s%.*s",
	    STR_FMT(m->method), STR_FMT(target), STR_FMT(m->authority),
	    STR_FMT(text_str(&t)));
	text_fini(&t);
}
