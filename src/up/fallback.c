/*
 * Fallbacks of upstreams.  Builder and tools; workers ask.
 */
#include "up/fallback.h"

#include "core/error.h"
#include "os/ev.h"
#include "up/breaker.h"
#include "up/upstream.h"

#define AT(member)	offsetof(struct fallback_conf, member)

static const struct fallback_conf none;

const struct fallback_conf *
fallback_of(const struct upstream_conf *c)
{
	const struct fallback_conf	*f = NULL;

	if (c->obj.part != NULL)
		f = conf_part(&c->obj, &fallback_group);
	return f == NULL ? &none : f;
}

/*
 * In milliseconds, when it is not held back any more; 0: who knows?  An
 * ejection and a breaker's time end by themselves, and both have to.
 */
static uint64_t
back_ms(const struct server *s, uint64_t now)
{
	uint64_t	word = atomic_load(&s->live->state) & STATE_AWAY;
	uint64_t	until = atomic_load(&s->live->eject_until), ms = 0;
	struct breaker	b;

	if ((word & ~(STATE_BIT(SERVER_OPEN) | STATE_BIT(SERVER_EJECTED))) !=
	    0)
		return 0;
	if ((word & STATE_BIT(SERVER_OPEN)) != 0 && breaker_find(&b,
	    s->upstream->serve->shm, s->row, s->tag))
		ms = breaker_open_ms(&b);
	if ((word & STATE_BIT(SERVER_EJECTED)) != 0 && until > now &&
	    until - now > ms)
		ms = until - now;
	return ms;
}

uint32_t
fallback_seconds(const struct upstream *up)
{
	uint64_t	now = ev_clock_ns() / 1000000;
	uint64_t	least = 0, ms;

	for (size_t i = 0; i < up->nserver; i++) {
		ms = back_ms(up->servers[i], now);
		if (ms != 0 && (least == 0 || ms < least))
			least = ms;
	}
	return least == 0 ? 1 : (uint32_t)((least + 999) / 1000);
}

/* --- the key --- */

static bool
is_path(struct str s)
{
	return s.n > 0 && s.p[0] == '/';
}

static int
fail_chain(struct conf_load *load, const struct conf_obj *obj,
    const struct conf_item *it, struct str chain, const char *why)
{
	diag_at(conf_load_diags(load), DIAG_FALLBACK_CHAIN, &it->vspan, obj,
	    "fallback", "%.*s: %s", STR_FMT(chain), why);
	return -1;
}

/* From one to the next, each by what is written there. */
static int
check_chain(struct conf_load *load, const struct conf_obj *obj,
    const struct conf_item *it, const struct fallback_conf *f)
{
	const struct upstream_conf	*c;
	struct text			 t;
	unsigned			 n = 0;
	int				 rc = 0;

	text_init(&t);
	text_add(&t, obj->name);
	while (rc == 0 && f->to.n > 0 && !is_path(f->to)) {
		c = conf_ref(load, &upstream_section, f->to);
		if (c == NULL)
			break;	/* told where it is written */
		text_fmt(&t, " -> %.*s", STR_FMT(c->obj.name));
		if (&c->obj == obj)
			rc = fail_chain(load, obj, it, text_str(&t),
			    "it comes back to where it began");
		else if (++n > FALLBACK_MAX)
			rc = fail_chain(load, obj, it, text_str(&t),
			    "it is longer than four upstreams");
		f = fallback_of(c);
	}
	text_fini(&t);
	return rc;
}

static int
link_fallback(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct fallback_conf	*f = part;
	const struct conf_item	*it = conf_item(load, obj, "fallback");
	struct upstream_conf	*up;

	if (f->to.n == 0 || it == NULL)
		return 0;
	if (is_path(f->to)) {
		f->page = error_read_page(load, it, 503);
		return f->page == NULL ? -1 : 0;
	}
	if (str_find(f->to, '.', 0) >= 0 || str_find(f->to, ':', 0) >= 0) {
		diag_at(conf_load_diags(load), DIAG_FALLBACK_PAGE, &it->vspan,
		    obj, "fallback", "\"%.*s\" is no name of an upstream, "
		    "and no path: that begins with a slash",
		    STR_FMT(str_sub(f->to, 0, 80)));
		return -1;
	}
	up = conf_ref_at(load, obj, it, f->to, &upstream_section);
	if (up == NULL)
		return -1;
	up->used = true;
	f->up = up;
	return check_chain(load, obj, it, f);
}

static const struct conf_row rows[] = {
	{
		.key = "fallback", .type = CONF_STR, .off = AT(to),
		.min = 1, .max = 4095, .example = "/srv/www/sorry.html",
		.text = "What follows when no server of this upstream may be "
		    "asked or has room in time, or all attempts failed: the "
		    "name of another upstream, which is asked, or the path "
		    "of a file, which is sent with 503 and Retry-After; its "
		    "type and its variables are those of error_page.  At "
		    "most four upstreams may follow one another.  A request "
		    "that a server may have acted on, and whose method is "
		    "not idempotent, is not asked of another upstream."
	},
	{ .key = NULL }
};

const struct conf_group fallback_group = {
	"fallback", rows, sizeof(struct fallback_conf), link_fallback
};
