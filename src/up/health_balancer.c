/*
 * The component balancer: upstreams that routes use, and whether anybody
 * of each may be asked.  Workers.
 */
#include "core/health.h"
#include "up/census.h"
#include "up/retry.h"
#include "up/upstream.h"

#define UPSTREAMS_MAX	64	/* that are told of in one answer */

/* what is known of one */
struct look {
	enum view_tier	tier;
	size_t		servers;
	size_t		usable;
	size_t		open;
	struct retry_sum retries;
};

/* False if a worker has none such; then it is new, or about to go. */
static bool
look_at(struct exchange *x, const struct upstream_conf *c, struct look *k)
{
	struct upstream	*up = upstream_get(x->serve, c);

	if (up == NULL)
		return false;
	view_refresh(up);
	*k = (struct look){ up->view.rule.tier, up->nserver, up->view.n,
		up->view.nopen, { 0 } };
	retry_sum(&k->retries, x->serve->shm, up->row,
	    atomic_load(&up->live->tag));
	upstream_put(&up);
	return true;
}

/* The next one that a route uses, from *i on; NULL: no more. */
static const struct upstream_conf *
next_used(const struct exchange *x, size_t *i)
{
	struct conf_objs		 all = conf_all(x->gen->conf,
	    &upstream_section);
	const struct upstream_conf	*c;

	while (*i < all.n) {
		c = (const struct upstream_conf *)all.v[(*i)++];
		if (c->used)
			return c;
	}
	return NULL;
}

static bool
is_well(struct exchange *x)
{
	const struct upstream_conf	*c;
	struct look			 k;
	size_t				 i = 0;

	while ((c = next_used(x, &i)) != NULL)
		if (look_at(x, c, &k) && k.usable == 0)
			return false;
	return true;
}

static void
tell(struct exchange *x, struct text *t)
{
	const struct upstream_conf	*c;
	struct look			 k;
	size_t				 i = 0;

	text_add(t, STR(",\"upstreams\":["));
	for (unsigned n = 0; n < UPSTREAMS_MAX &&
	    (c = next_used(x, &i)) != NULL;) {
		if (!look_at(x, c, &k))
			continue;
		text_fmt(t, "%s{\"name\":\"%.*s\",\"balance\":\"%s\","
		    "\"tier\":\"%s\"", n++ == 0 ? "" : ",",
		    STR_FMT(c->obj.name), c->balance->name,
		    census_tiers[k.tier]);
		health_num(t, "servers", k.servers);
		health_num(t, "usable", k.usable);
		health_num(t, "open", k.open);
		health_num(t, "retries", k.retries.again);
		health_num(t, "retries_refused", k.retries.refused);
		health_num(t, "attempts_cut", k.retries.cut);
		text_c(t, '}');
	}
	text_c(t, ']');
	for (i = 0; i < STAT_FAIL0; i++)
		if (str_starts(str_from(stat_rows[i].name),
		    STR("upstream_")) || str_starts(str_from(
		    stat_rows[i].name), STR("breaker_")))
			health_num(t, stat_rows[i].name,
			    stat_sum(x->serve->shm, (enum stat_id)i));
}

const struct health_part health_balancer = {
	.name = "balancer", .is_well = is_well, .tell = tell
};
