/*
 * What GET /v1/upstreams says of balancing: weights and breakers of
 * servers; who may be asked, and what attempts failed with, of upstreams.
 * Control process.
 */
#include "control/int.h"

#include "os/proc.h"
#include "up/breaker.h"
#include "up/census.h"
#include "up/fail_count.h"
#include "up/retry.h"
#include "up/upstream.h"

static void
set_num(json_t *j, const char *name, uint64_t v)
{
	json_object_set_new(j, name, api_num(v));
}

/* null where there is none */
static json_t *
describe_breaker(uint32_t i, uint64_t tag)
{
	struct breaker_look	k;
	struct breaker		br;
	json_t			*j;

	if (!breaker_find(&br, self->shm, i, tag))
		return json_null();
	k = breaker_look(&br);
	j = json_pack("{s:s}", "state", breaker_names[k.state]);
	set_num(j, "failures_in_a_row", k.failures);
	json_object_set_new(j, "window", json_pack("{s:o, s:o}", "requests",
	    api_num(k.all), "failures", api_num(k.bad)));
	set_num(j, "turn_in_ms", k.ms);
	set_num(j, "let_through", k.let);
	set_num(j, "answered_well", k.good);
	set_num(j, "opened", atomic_load(&br.b->opened));
	set_num(j, "half_opened", atomic_load(&br.b->half));
	set_num(j, "closed", atomic_load(&br.b->closed));
	set_num(j, "probes", atomic_load(&br.b->probed));
	set_num(j, "probes_lost", atomic_load(&br.b->lost));
	return j;
}

void
api_add_balance(json_t *j, uint32_t i, struct census *c)
{
	const struct board_server	*b;
	const struct board_server_live	*l;
	const char			*why = "removed";
	uint64_t			 over;

	b = shm_row(self->shm, &board_servers, i);
	l = shm_row(self->shm, &board_servers_live, i);
	over = atomic_load(&b->override);
	set_num(j, "weight", atomic_load(&b->weight));
	json_object_set_new(j, "override", over == 0 ? json_null() :
	    api_num(over - 1));
	json_object_set_new(j, "weight_now",
	    json_real(state_weight(b, l) / 10.0));
	json_object_set_new(j, "backup",
	    json_boolean(atomic_load(&b->backup) != 0));
	if (c != NULL) {
		why = census_why_not(&c->rule, b, l);
		c->usable += why == NULL;
	}
	json_object_set_new(j, "passed_over", why == NULL ? json_null() :
	    json_string(why));
	json_object_set_new(j, "breaker", describe_breaker(i,
	    atomic_load(&b->tag)));
}

static json_t *
list_failures(uint32_t row)
{
	json_t		*all = json_object();
	uint32_t	 n;

	for (unsigned i = FAIL_NONE + 1; i < FAIL_N; i++) {
		n = fail_count_get(self->shm, row, (enum fail)i);
		if (n > 0)
			json_object_set_new(all, fail_row((enum fail)i)->name,
			    api_num(n));
	}
	return all;
}

static json_t *
describe_retries(uint32_t row)
{
	const struct board_upstream	*u = shm_row(self->shm,
	    &board_upstreams, row);
	uint64_t			 tag = atomic_load(&u->tag);
	struct retry_sum		 sum;
	json_t				*j = json_object();

	retry_sum(&sum, self->shm, row, tag);
	set_num(j, "requests", sum.firsts);
	set_num(j, "made", sum.again);
	set_num(j, "refused", sum.refused);
	set_num(j, "cut", sum.cut);
	set_num(j, "replays", sum.replays);
	set_num(j, "left", retry_left(self->shm, row, tag));
	return j;
}

void
api_add_view(json_t *j, uint32_t row, const struct census *c)
{
	json_object_set_new(j, "tier", json_string(census_tiers[c->rule.tier]));
	set_num(j, "usable", c->usable);
	set_num(j, "open", c->open);
	json_object_set_new(j, "failures", list_failures(row));
	json_object_set_new(j, "retries", describe_retries(row));
}
