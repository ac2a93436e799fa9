/*
 * Keys of [route] that forward: upstream, or target for an upstream
 * without a name, and what a route sets differently.  Builder and tools.
 */
#include "base/must.h"
#include "handler/proxy.h"
#include "handler/proxy_deadline.h"
#include "handler/proxy_gather.h"
#include "handler/proxy_lint.h"
#include "up/sticky_site.h"

#define DAY_MS		(24 * 60 * 60 * 1000)
#define AT(member)	offsetof(struct proxy_route, member)

static const char *const chosen_by[] = { "upstream", "target", "targets" };

/* The assignment that makes the route a proxy, or NULL; two are too many. */
static const struct conf_item *
find_choice(struct conf_load *load, const struct conf_obj *obj)
{
	const struct conf_item	*found = NULL;
	const struct conf_item	*it;

	for (size_t i = 0; i < sizeof(chosen_by) / sizeof(chosen_by[0]);
	    i++) {
		it = conf_item(load, obj, chosen_by[i]);
		if (it == NULL)
			continue;
		if (found != NULL)
			diag_at(conf_load_diags(load), DIAG_ROUTE_HANDLERS,
			    &it->kspan, obj, it->row->key,
			    "route \"%.*s\" has both \"%s\" and \"%s\"",
			    STR_FMT(obj->name), found->row->key,
			    it->row->key);
		found = it;
	}
	return found;
}

/* "@ROUTE" cannot be the name of a section. */
static struct upstream_conf *
make_upstream(struct conf_load *load, const struct conf_obj *obj,
    const struct proxy_route *r, const struct conf_item *because)
{
	struct upstream_conf	*up;
	struct str		 name;

	name = arena_fmt(conf_load_arena(load), "@%.*s", STR_FMT(obj->name));
	up = conf_lend(load, obj, &upstream_section, name, because);
	must(up != NULL);
	up->servers = r->target.n > 0 ? r->target : r->targets;
	return up;
}

/* Of a route with upstream = it can only have been meant for that. */
static int
refuse_shared(struct conf_load *load, const struct conf_obj *obj,
    struct str upstream)
{
	const struct conf_item	*it = conf_item(load, obj, "fallback");

	if (upstream.n == 0 || it == NULL || it->origin < CONF_FILE ||
	    conf_is_set(load, obj, "static"))
		return 0;
	diag_at(conf_load_diags(load), DIAG_KEY_GUEST, &it->kspan, obj,
	    it->row->key, "\"%.*s\" belongs to [upstream %.*s], or to routes "
	    "with static", STR_FMT(it->key), STR_FMT(upstream));
	return -1;
}

/* Keys of an upstream that is another section are its own. */
static int
refuse_guests(struct conf_load *load, const struct conf_obj *obj,
    struct str upstream)
{
	const struct conf_item	*it;
	size_t			 at = 0;
	int			 rc = refuse_shared(load, obj, upstream);

	while ((it = conf_guest(load, obj, &at)) != NULL) {
		/* defaults and like are for the routes that can use them */
		if (it->origin < CONF_FILE)
			continue;
		if (upstream.n > 0)
			diag_at(conf_load_diags(load), DIAG_KEY_GUEST,
			    &it->kspan, obj, it->row->key,
			    "\"%.*s\" belongs to [upstream %.*s]",
			    STR_FMT(it->key), STR_FMT(upstream));
		else
			diag_at(conf_load_diags(load), DIAG_KEY_GUEST,
			    &it->kspan, obj, it->row->key,
			    "\"%.*s\" is for routes with target",
			    STR_FMT(it->key));
		rc = -1;
	}
	return rc;
}

/*
 * Times that the route does not set are the upstream's; but how long calls
 * may be quiet first, which nobody knows of all that a server is asked.
 */
static void
merge_times(struct conf_load *load, const struct conf_obj *obj,
    struct proxy_route *r)
{
	const struct upstream_times	*t = &r->up->times;
	bool				 own;

	own = conf_is_set(load, obj, "timeout.connect") ||
	    conf_is_set(load, obj, "timeout.total");
	if (!conf_is_set(load, obj, "timeout.connect"))
		r->times.connect = t->connect;
	r->call_first = r->times.first_byte;
	if (!conf_is_set(load, obj, "timeout.first_byte"))
		r->times.first_byte = t->first_byte;
	if (!conf_is_set(load, obj, "timeout.between"))
		r->times.between = t->between;
	if (!conf_is_set(load, obj, "timeout.total"))
		r->times.total = t->total;
	if (!conf_is_set(load, obj, "timeout.stream_idle"))
		r->times.stream_idle = t->stream_idle;
	if (own)
		upstream_check_times(load, obj, &r->times);
}

static int
link_proxy(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct proxy_route	*r = part;
	const struct conf_item	*it = find_choice(load, obj);
	struct upstream_conf	*up;

	if ((it == NULL || r->upstream.n > 0) &&
	    refuse_guests(load, obj, r->upstream) == -1)
		return -1;
	if (it == NULL)
		return 0;
	up = r->upstream.n == 0 ? make_upstream(load, obj, r, it) :
	    conf_ref_at(load, obj, it, r->upstream, &upstream_section);
	if (up == NULL)
		return -1;
	up->used = true;
	r->up = up;
	sticky_site_note(load, obj->part[0], up);
	proxy_lint_loop(load, obj, up, it);
	proxy_lint_upgrade(load, obj, up);
	proxy_lint_grpc(load, obj, up);
	if (proxy_lint_pass(load, obj, up, it) == -1)
		return -1;
	merge_times(load, obj, r);
	if (!conf_is_set(load, obj, "host_header"))
		r->host = up->told.host;
	return 0;
}

static const struct conf_alias timeout[] = {
	{ "timeout", CONF_SECONDS, NULL }, { NULL, CONF_COUNT, NULL }
};

static const struct conf_row rows[] = {
	{
		.key = "upstream", .type = CONF_STR, .off = AT(upstream),
		.min = 1, .max = 63, .flags = CONF_F_HANDLER,
		.example = "users",
		.text = "Forwards requests to the servers of this upstream."
	}, {
		.key = "target", .type = CONF_CUSTOM, .off = AT(target),
		.flags = CONF_F_HANDLER | CONF_F_MANY,
		.parse = upstream_parse_servers,
		.example = "127.0.0.1:3000",
		.text = "Forwards requests to this server, without an "
		    "upstream of its own name.  The route may then have "
		    "the keys of [upstream] as well, as balance and "
		    "max_conns, but for server."
	}, {
		.key = "targets", .type = CONF_CUSTOM, .off = AT(targets),
		.flags = CONF_F_HANDLER | CONF_F_MANY,
		.parse = upstream_parse_servers,
		.example = "127.0.0.1:3000 127.0.0.1:3001",
		.text = "The same for several servers."
	}, {
		.key = "timeout.connect", .type = CONF_TIME,
		.off = AT(times.connect), .min = 1, .max = DAY_MS,
		.example = "1s",
		.text = "In place of the upstream's timeout.connect."
	}, {
		.key = "timeout.first_byte", .aliases = timeout,
		.type = CONF_TIME,
		.off = AT(times.first_byte), .max = DAY_MS,
		.example = "10s",
		.text = "In place of the upstream's timeout.first_byte; this "
		    "one holds for calls of gRPC as well."
	}, {
		.key = "timeout.between", .type = CONF_TIME,
		.off = AT(times.between), .max = DAY_MS, .example = "20s",
		.text = "In place of the upstream's timeout.between."
	}, {
		.key = "timeout.total", .type = CONF_TIME,
		.off = AT(times.total), .max = DAY_MS, .example = "5m",
		.text = "In place of the upstream's timeout.total."
	}, {
		.key = "timeout.stream_idle", .type = CONF_TIME,
		.off = AT(times.stream_idle), .max = 30 * (uint64_t)DAY_MS,
		.example = "10m",
		.text = "In place of the upstream's timeout.stream_idle."
	}, {
		.key = "buffering", .type = CONF_ENUM, .off = AT(buffering),
		.def = "auto", .choices = BUFFERING_WORDS, .example = "on",
		.text = "Whether small pieces of an answer are gathered (on) "
		    "until there are 12 KiB or 200 milliseconds have gone, "
		    "or go on as they come (off).  auto leaves it to "
		    "this version, for which it is off.  Event streams and "
		    "answers with X-Accel-Buffering: no are never gathered."
	}, {
		.key = "max_answer_message", .type = CONF_SIZE,
		.off = AT(max_message), .max = UINT32_MAX,
		.example = "4m",
		.text = "Bytes that one message of an answer of gRPC may "
		    "have; a call with a longer one ends with "
		    "RESOURCE_EXHAUSTED.  0 is no limit: clients have their "
		    "own, mostly of 4 MiB.  Those of requests are bounded "
		    "by max_body."
	}, {
		.key = "deadline", .type = CONF_ENUM, .off = AT(deadline),
		.def = "trusted", .choices = DEADLINE_WORDS, .example = "on",
		.text = "Whose X-Request-Deadline (the milliseconds that are "
		    "left) and grpc-timeout end a request: those of "
		    "trusted_proxies, everybody's (on), or nobody's (off).  "
		    "Unless off, the grpc-timeout of a call of gRPC holds "
		    "whoever makes it.  "
		    "Unless off, servers are told in these fields what is "
		    "left of them or of timeout.total; not with an upgrade, "
		    "for what follows that has no such end."
	}, {
		.key = "host_header", .type = CONF_CUSTOM, .off = AT(host),
		.parse = told_parse_host, .example = "server",
		.text = "In place of the upstream's host_header."
	},
	{ .key = NULL }
};

const struct conf_group proxy_group = {
	"proxy", rows, sizeof(struct proxy_route), link_proxy
};
