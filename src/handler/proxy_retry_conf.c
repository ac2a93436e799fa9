/*
 * Keys retry.* of [route]: what it sets in place of the upstream's.
 * Builder and tools.
 */
#include "core/route.h"
#include "handler/proxy.h"

#define DAY_MS		(24 * 60 * 60 * 1000)
#define AT(member)	offsetof(struct retry_conf, member)

const struct retry_conf *
proxy_retry_of(const struct exchange *x)
{
	return conf_part(&x->route->obj, &proxy_retry_group);
}

/* Of a route that asks nobody; defaults are for those that do. */
static void
check_unused(struct conf_load *load, const struct conf_obj *obj)
{
	const struct conf_item	*it;

	for (const struct conf_row *r = proxy_retry_group.rows;
	    r->key != NULL; r++) {
		it = conf_item(load, obj, r->key);
		if (it != NULL && it->origin >= CONF_FILE)
			diag_at(conf_load_diags(load), DIAG_ROUTE_KEY,
			    &it->kspan, obj, r->key, "%s: the route asks no "
			    "server", r->key);
	}
}

/* An unnamed upstream is linked later: its words are read here as well. */
static int
link_retry(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct proxy_route	*r = conf_part(obj, &proxy_group);
	struct retry_conf		*c = part, up;

	if (r == NULL || r->up == NULL) {
		check_unused(load, obj);
		return 0;
	}
	up = *retry_of(&r->up->obj);
	c->budget = up.budget;
	c->floor = up.floor;
	if (!conf_is_set(load, obj, "retry.on"))
		c->words = up.words;
	if (!conf_is_set(load, obj, "retry.tries"))
		c->tries = up.tries;
	if (!conf_is_set(load, obj, "retry.backoff"))
		c->backoff = up.backoff;
	if (!conf_is_set(load, obj, "retry.backoff_max"))
		c->backoff_max = up.backoff_max;
	if (!conf_is_set(load, obj, "retry.body"))
		c->body = up.body;
	if (!conf_is_set(load, obj, "retry.cut"))
		c->cut = up.cut;
	return retry_read_words(load, obj, c);
}

static const struct conf_row rows[] = {
	{
		.key = "retry.on", .type = CONF_LIST, .off = AT(words),
		.choices = RETRY_WORDS, .example = "connect reset",
		.text = "In place of the upstream's retry.on."
	}, {
		.key = "retry.tries", .type = CONF_INT, .off = AT(tries),
		.max = 10, .example = "1",
		.text = "In place of the upstream's retry.tries."
	}, {
		.key = "retry.backoff", .type = CONF_TIME,
		.off = AT(backoff), .max = DAY_MS, .example = "10ms",
		.text = "In place of the upstream's retry.backoff."
	}, {
		.key = "retry.backoff_max", .type = CONF_TIME,
		.off = AT(backoff_max), .max = DAY_MS, .example = "1s",
		.text = "In place of the upstream's retry.backoff_max."
	}, {
		.key = "retry.body", .type = CONF_SIZE, .off = AT(body),
		.max = 1 << 20, .example = "16k",
		.text = "In place of the upstream's retry.body."
	}, {
		.key = "retry.cut", .type = CONF_BOOL, .off = AT(cut),
		.def = "on", .example = "off",
		.text = "In place of the upstream's retry.cut."
	},
	{ .key = NULL }
};

/* in the reference they stand with the handler's */
const struct conf_group proxy_retry_group = {
	"proxy", rows, sizeof(struct retry_conf), link_retry
};
