/*
 * The choice that a request brings with it.  Control process; sluicectl,
 * offline.
 *
 * Neither the keys of cookies nor the tables of hash are here: a worker is
 * asked for both (up/look.h), and answers for the second run.
 */
#include "control/explain_choice.h"

#include <string.h>

#include "control/explain_pick.h"
#include "control/int.h"
#include "handler/proxy_choice.h"
#include "http/cookie.h"
#include "up/fallback.h"
#include "up/hash.h"
#include "up/sticky.h"

/* --- asking --- */

static uint32_t
find_row(const struct shm *shm, struct str upstream)
{
	struct upstream_rows	rows;
	int64_t			at;

	upstream_rows_open(&rows, shm);
	at = upstream_rows_find(&rows, upstream);
	upstream_rows_close(&rows);
	return at < 0 ? LOOK_NOBODY : (uint32_t)at;
}

/* What is known already, or NULL: it is asked then. */
static const struct look_told *
look(struct explain_looks *all, const struct look_ask *want)
{
	for (unsigned i = 0; i < all->n; i++)
		if (memcmp(&all->ask[i], want, sizeof(*want)) == 0)
			return all->answered ? &all->told[i] : NULL;
	if (all->n < LOOK_MAX && !all->answered)
		all->ask[all->n++] = *want;
	return NULL;
}

static const struct look_told *
ask(const struct explain_at *at, const struct upstream_conf *up,
    struct str cookie, struct str key)
{
	bool			 hash = up->balance == &balancer_hash;
	const struct look_told	*told;
	struct look_ask		 want;

	if (at->shm == NULL || at->looks == NULL || (cookie.p == NULL && !hash))
		return NULL;
	memset(&want, 0, sizeof(want));
	want.upstream = find_row(at->shm, up->obj.name);
	want.hashed = hash;
	want.hash = hash ? hash_key(key) : 0;
	/* longer ones are none of ours, cut or not */
	cookie = str_sub(cookie, 0, LOOK_COOKIE);
	want.given = cookie.p != NULL;
	want.ncookie = (uint8_t)cookie.n;
	if (cookie.n > 0)
		memcpy(want.cookie, cookie.p, cookie.n);
	if (want.upstream == LOOK_NOBODY)
		return NULL;
	told = look(at->looks, &want);
	return told == NULL || told->upstream != want.upstream ? NULL : told;
}

/* --- the cookie --- */

static const struct {
	const char	*name;
	const char	*text;
} verdicts[LOOK_NCOOKIE] = {
	[LOOK_NONE] = { "unknown",
	    "it is not known what it names: no worker told" },
	[LOOK_FORGED] = { "forged", "no key of this gateway made it: it is "
	    "forged, cut, or from before a restart; as good as none" },
	[LOOK_LATE] = { "late",
	    "it is older than sticky.ttl; as good as none" },
	[LOOK_OTHER] = { "other",
	    "it was made for another upstream; as good as none" },
	[LOOK_GONE] = { "gone",
	    "its server is gone; another one takes its place" },
	[LOOK_AWAY] = { "away",
	    "its server may not be asked; another one takes its place" },
	[LOOK_GOOD] = { "good", "its server is asked" }
};

static json_t *
server_name(const struct shm *shm, uint32_t row)
{
	if (shm == NULL || row >= shm_rows(shm, &board_servers))
		return json_null();
	return api_text(row_text_addr(shm, row));
}

static void
add_sticky(const struct explain_at *at, const struct upstream_conf *up,
    bool given, const struct look_told *told, json_t *j)
{
	static const struct look_told	 none = { .server = LOOK_NOBODY,
	    .other = LOOK_NOBODY };
	const char			*says, *text;

	if (told == NULL || told->cookie >= LOOK_NCOOKIE)
		told = &none;
	says = verdicts[told->cookie].name;
	text = verdicts[told->cookie].text;
	if (!given) {
		says = "none";
		text = "the request has none; the answer brings one";
	} else if (at->shm == NULL)
		text = "nothing runs that could tell what it names";
	json_object_set_new(j, "sticky", json_pack(
	    "{s:o, s:b, s:s, s:s, s:b, s:o, s:o}", "cookie",
	    api_text(sticky_cookie(at->x->arena, up)), "given", given,
	    "says", says, "text", text, "renew", told->renew != 0, "server",
	    server_name(at->shm, told->server), "upstream",
	    told->other == LOOK_NOBODY ? json_null() :
	    api_text(row_text_name(at->shm, told->other))));
}

/* --- the key --- */

static json_t *
list_way(const struct shm *shm, const struct look_told *told)
{
	static const char *const	hows[] = {
		[HASH_TAKES] = "takes", [HASH_OVER] = "over",
		[HASH_OUT] = "out"
	};
	json_t				*j = json_array();
	uint32_t			 how;

	for (uint32_t i = 0; i < told->nway && i < LOOK_WAY; i++) {
		how = told->way[i].how;
		json_array_append_new(j, json_pack("{s:o, s:s}", "server",
		    server_name(shm, told->way[i].server), "how",
		    how <= HASH_OUT ? hows[how] : "out"));
	}
	return j;
}

static void
add_hash(const struct explain_at *at, const struct upstream_conf *up,
    struct str key, const struct look_told *told, json_t *j)
{
	const struct choice_conf	*c = choice_conf(up);
	json_t				*bound;

	bound = c->load == 0 ? json_string("no bound: it keeps its server "
	    "however busy that is") : json_sprintf("a server that has more "
	    "than %lld %% of its share of the requests under way is passed "
	    "over", (long long)c->load);
	json_object_set_new(j, "hash", json_pack("{s:o, s:s, s:I, s:o, s:o}",
	    "key", api_text(key), "by", c->key.n > 0 ? "hash.key" :
	    "client", "load", (json_int_t)c->load, "text", bound, "order",
	    told != NULL ? list_way(at->shm, told) : json_null()));
}

/* --- all of it --- */

static json_t *describe(const struct explain_at *,
    const struct upstream_conf *, unsigned left);

/* Whether it answers now: nobody is left to be asked before it. */
static void
add_fallback(const struct explain_at *at, const struct upstream_conf *up,
    unsigned left, json_t *j)
{
	const struct fallback_conf	*f = fallback_of(up);
	const char			*tier;
	bool				 now;
	json_t				*to = json_null();

	tier = json_string_value(json_object_get(j, "tier"));
	now = tier != NULL && strcmp(tier, "empty") == 0 &&
	    json_is_null(json_object_get(j, "next"));
	if (f->up != NULL && left > 0)
		to = json_pack("{s:b, s:o}", "now", now, "upstream",
		    describe(at, f->up, left - 1));
	else if (f->page != NULL)
		to = json_pack("{s:b, s:o, s:i}", "now", now, "page",
		    api_text(f->to), "status", 503);
	json_object_set_new(j, "fallback", to);
}

/* left: as many may follow it. */
static json_t *
describe(const struct explain_at *at, const struct upstream_conf *up,
    unsigned left)
{
	bool			 sticky, hash = up->balance == &balancer_hash;
	json_t			*all = json_array(), *j;
	struct str		 cookie = STR_NONE, key = STR("");
	const struct look_told	*told;

	sticky = choice_conf(up)->sticky == STICKY_COOKIE;
	if (sticky)
		cookie = cookie_get(&at->x->req->hdrs,
		    sticky_cookie(at->x->arena, up));
	if (hash)
		key = proxy_choice_key(at->x, choice_conf(up));
	told = ask(at, up, cookie, key);
	for (size_t i = 0; i < up->servers.n; i++)
		json_array_append_new(all, api_text(up->servers.v[i].text));
	j = json_pack("{s:o, s:s, s:o}", "name", api_text(up->obj.name),
	    "balance", up->balance->name, "servers", all);
	explain_pick(j, at->shm, up, told);
	if (sticky)
		add_sticky(at, up, cookie.p != NULL, told, j);
	if (hash)
		add_hash(at, up, key, told, j);
	add_fallback(at, up, left, j);
	return j;
}

json_t *
explain_choice(const struct explain_at *at, const struct upstream_conf *up)
{
	return describe(at, up, FALLBACK_MAX);
}
