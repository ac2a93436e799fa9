/*
 * Oddities of upstreams.  Builder and tools.
 *
 * Longest times that were not set follow the shorter ones up; those that
 * were set and contradict them are errors.
 */
#include "up/balance_lint.h"

#include "http/msg.h"
#include "up/breaker_conf.h"
#include "up/probe_conf.h"
#include "up/retry.h"
#include "up/sticky.h"
#include "up/upstream.h"

#define TTL_MIN_MS	60000	/* cookies have minutes */

/* what all checks look at */
struct look {
	struct conf_load		*load;
	struct conf_obj			*obj;
	const struct upstream_conf	*up;
};

static void
tell(const struct look *k, enum diag_id id, const char *key,
    const char *why)
{
	const struct conf_item	*it = conf_item(k->load, k->obj, key);

	if (it != NULL)
		diag_at(conf_load_diags(k->load), id, &it->kspan, k->obj,
		    key, "%s: %s", key, why);
}

/* --- times --- */

static void
order(const struct look *k, const char *most_key, uint64_t *most,
    const char *key, uint64_t ms)
{
	const struct conf_item	*it = conf_item(k->load, k->obj, most_key);

	if (ms <= *most)
		return;
	if (it == NULL) {
		*most = ms;
		return;
	}
	diag_at(conf_load_diags(k->load), DIAG_TIME_ORDER, &it->vspan,
	    k->obj, most_key, "%s (%llu ms) is less than %s (%llu ms)",
	    most_key, (unsigned long long)*most, key,
	    (unsigned long long)ms);
}

static void
check_times(const struct look *k)
{
	struct retry_conf	*r = conf_part(k->obj, &retry_group);
	struct watch_conf	*w = conf_part(k->obj, &watch_group);

	order(k, "retry.backoff_max", &r->backoff_max, "retry.backoff",
	    r->backoff);
	order(k, "outlier.max_time", &w->outlier.max_time, "outlier.time",
	    w->outlier.time);
}

/* --- choosing --- */

static void
check_choice(const struct look *k)
{
	const struct choice_conf	*c = choice_conf(k->up);
	bool				 weighs = k->up->servers.n == 0;

	if (k->up->balance != &balancer_hash) {
		tell(k, DIAG_NO_EFFECT, "hash.key",
		    "balance is not hash: nothing goes by it");
		tell(k, DIAG_NO_EFFECT, "hash.load",
		    "balance is not hash: nothing goes by it");
	} else if (c->sticky == STICKY_CLIENT)
		tell(k, DIAG_NO_EFFECT, "balance",
		    "sticky = client chooses by the client's address");
	if (c->ttl > 0 && c->ttl < TTL_MIN_MS)
		tell(k, DIAG_VALUE_RANGE, "sticky.ttl",
		    "cookies are made by the minute: less than 1m is none");
	for (size_t i = 0; i < k->up->servers.n; i++)
		weighs |= k->up->servers.v[i].weight > 0;
	if (!weighs)
		tell(k, DIAG_NO_SHARE, "server",
		    "all weigh nothing: none gets a request");
}

static void
check_breaker(const struct look *k)
{
	const struct breaker_conf	*c = conf_part(k->obj, &breaker_group);

	if (!c->on || c->failures > 0 || c->rate > 0)
		return;
	tell(k, DIAG_NO_EFFECT, "breaker.failures",
	    "with breaker.rate = 0 besides, the breaker never opens");
}

/* --- probes --- */

/* What says how long a message is, and to whom it goes, is ours. */
static bool
is_ours(struct str name)
{
	static const char	*const ours[] = {
		"host", "content-length", "connection", "transfer-encoding",
		"upgrade", "te", "trailer", "expect"
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (str_eq_fold(name, str_from(ours[i])))
			return true;
	return false;
}

static void
check_fields(const struct look *k, const struct probe_conf *p)
{
	char		key[300];
	struct text	t;

	for (size_t i = 0; i < p->fields.n; i++) {
		if (!is_ours(p->fields.v[i].key))
			continue;
		text_init_fixed(&t, key, sizeof(key));
		text_fmt(&t, "health.header.%.*s",
		    STR_FMT(str_sub(p->fields.v[i].key, 0, 200)));
		text_c(&t, '\0');
		tell(k, DIAG_VALUE_CHOICE, key, str_eq_fold(
		    p->fields.v[i].key, STR("host")) ?
		    "that is health.host" : "the probe writes it itself");
	}
}

/* Blanks and the like would end the line, or the field. */
static bool
is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '\x7f')
			return false;
	return true;
}

static void
check_probe(const struct look *k)
{
	static const char *const	http[] = {
		"health.path", "health.method", "health.host",
		"health.expect", "health.body"
	};
	const struct probe_conf		*p = probe_conf_of(k->up);

	if (!is_clean(p->host))
		tell(k, DIAG_VALUE_TEXT, "health.host",
		    "a host has no blanks");
	if (str_find(p->path, '#', 0) >= 0)
		tell(k, DIAG_VALUE_PATTERN, "health.path",
		    "a fragment is never sent; write # as %23");
	check_fields(k, p);
	if (p->type == PROBE_HTTP && p->meth == METHOD_HEAD)
		tell(k, DIAG_NO_EFFECT, "health.body",
		    "an answer to HEAD has no body: all probes fail");
	for (size_t i = 0; p->type == PROBE_TCP && i < sizeof(http) /
	    sizeof(http[0]); i++)
		tell(k, DIAG_NO_EFFECT, http[i],
		    "health.type = tcp asks for nothing");
}

void
balance_lint(struct conf_load *load, struct conf_obj *obj)
{
	struct look	k = { load, obj, (const struct upstream_conf *)obj };

	check_times(&k);
	check_choice(&k);
	check_breaker(&k);
	check_probe(&k);
}
