/*
 * Health on every listener.  Workers; the builder reads [health].
 *
 * The gateway is well from when it said that it is ready until it is told
 * to stop: the master's slot of the board says so, so that the worker of
 * a roll that drains does not tell of the whole.
 */
#include "core/health.h"

#include "base/vec.h"
#include "conf/load.h"
#include "core/handler.h"
#include "core/listener.h"
#include "core/route.h"

#define AT(member)	offsetof(struct health, member)

enum { PARTS_LOOPBACK, PARTS_ALL, PARTS_OFF };

/* [health] */
struct health {
	struct conf_obj		obj;
	struct conf_list	paths;
	int			parts;		/* PARTS_ */
};

/* --- who is asked --- */

/* A proxy on this machine asks for somebody who is not. */
static bool
is_forwarded(const struct hdrs *hs)
{
	return hdr_get(hs, HDR_FORWARDED) != NULL ||
	    hdr_get(hs, HDR_X_FORWARDED_FOR) != NULL ||
	    hdr_get(hs, HDR_X_REAL_IP) != NULL ||
	    hdr_get(hs, HDR_VIA) != NULL;
}

static bool
is_loopback(const struct sock_peer *p)
{
	static const uint8_t	v4[13] = { [10] = 0xff, 0xff, 127 };
	static const uint8_t	v6[16] = { [15] = 1 };

	return p->family == AF_UNIX || memcmp(p->ip, v4, sizeof(v4)) == 0 ||
	    memcmp(p->ip, v6, sizeof(v6)) == 0;
}

/* "/NAME/health" or "/NAME/status"; *status: which. */
static const struct health_part *
find_part(struct str path, bool *status)
{
	struct str	name;

	*status = str_ends(path, STR("/status"));
	if (!*status && !str_ends(path, STR("/health")))
		return NULL;
	name = str_sub(path, 1, path.n - STR("/status").n);
	for (size_t i = 0; health_parts[i] != NULL; i++)
		if (str_eq(name, str_from(health_parts[i]->name)))
			return health_parts[i];
	return NULL;
}

static bool
is_path(const struct health *h, struct str path)
{
	for (size_t i = 0; i < h->paths.n; i++)
		if (str_eq(h->paths.v[i], path))
			return true;
	return false;
}

bool
health_takes(const struct conf *c, const struct exchange *x)
{
	const struct health	*h;
	bool			 status;

	if (x->route != NULL && !route_path_is_any(x->pattern))
		return false;
	if (x->req->meth != METHOD_GET && x->req->meth != METHOD_HEAD)
		return false;
	h = conf_one(c, &health_section);
	if (is_path(h, x->path))
		return true;
	if (h->parts == PARTS_OFF || find_part(x->path, &status) == NULL)
		return false;
	return h->parts == PARTS_ALL || (is_loopback(&x->acc.peer) &&
	    !is_forwarded(&x->req->hdrs));
}

/* --- answers --- */

static const char *
find_state(const struct exchange *x)
{
	const struct board_slot	*master = shm_row(x->serve->shm,
	    &board_slots, 0);

	switch (atomic_load_explicit(&master->state, memory_order_relaxed)) {
	case SLOT_STARTING:
		return "starting";
	case SLOT_DRAINING:
		return "draining";
	default:
		return "ok";
	}
}

void
health_num(struct text *t, const char *name, uint64_t v)
{
	text_fmt(t, ",\"%s\":%llu", name, (unsigned long long)v);
}

static void
answer(struct exchange *x, bool well, struct str type, struct str body)
{
	exchange_reply(x, well ? 200 : 503, type, body);
	if (x->res != NULL)
		hdr_add(x->arena, &x->res->hdrs, HDR_CACHE_CONTROL,
		    STR("no-store"));
	exchange_handler_done(x);
}

static void
start(struct exchange *x)
{
	const struct health_part	*p;
	const char			*state = find_state(x);
	bool				 status, well;
	struct text			 t;

	exchange_skip_request(x);
	well = strcmp(state, "ok") == 0;
	p = is_path(conf_one(x->gen->conf, &health_section), x->path) ?
	    NULL : find_part(x->path, &status);
	if (p == NULL && well && str_ends(x->path, STR("/ping"))) {
		answer(x, true, STR("text/plain; charset=utf-8"),
		    STR("pong"));
		return;
	}
	if (p != NULL && well && !p->is_well(x)) {
		well = false;
		state = "failed";
	}
	text_init(&t);
	text_fmt(&t, "{\"status\":\"%s\"", state);
	if (p != NULL && status)
		p->tell(x, &t);
	text_c(&t, '}');
	/* whoever asks for the status is told it, well or not */
	answer(x, well || (p != NULL && status), STR("application/json"),
	    arena_dup(x->arena, text_str(&t)));
	text_fini(&t);
}

const struct handler handler_health = {
	.name = "health", .start = start
};

/* --- keys --- */

static int
link_health(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct health		*h = part;
	struct arena		*a = conf_load_arena(load);
	struct conf_words	 w;
	struct conf_span	 sp;
	struct str		*v = arena_alloc(a, (h->paths.n + 1) *
	    sizeof(*v));

	conf_words_init(&w, load, obj, "path");
	for (size_t i = 0; i < h->paths.n; i++) {
		(void)conf_words_next(&w);
		if (str_find(h->paths.v[i], '*', 0) < 0 &&
		    uri_normalise(a, h->paths.v[i], false, &v[i]) ==
		    FAIL_NONE)
			continue;
		sp = conf_word_span(w.it, w.word);
		diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN, &sp, obj,
		    "path", "\"%.*s\" is not a path",
		    STR_FMT(str_sub(h->paths.v[i], 0, 80)));
		return -1;
	}
	h->paths.v = v;
	return 0;
}

static const struct conf_row rows[] = {
	{
		.key = "path", .type = CONF_LIST, .off = AT(paths),
		.def = "/health /ping", .flags = CONF_F_EMPTY,
		.example = "/healthz",
		.text = "Paths that are answered on every listener: 200 and "
		    "a status in JSON, pong where the last segment is ping, "
		    "503 before the gateway is ready and while it stops.  "
		    "None if the value is empty.  A route that names such a "
		    "path, or a prefix of it other than /*, goes before."
	}, {
		.key = "components", .type = CONF_ENUM, .off = AT(parts),
		.def = "loopback", .choices = "loopback|all|off",
		.example = "off",
		.text = "Who may ask for the state of components, which are "
		    "static, config and balancer: /static/health is 200 or "
		    "503, /static/status tells more in JSON.  The balancer "
		    "is well while somebody may be asked of each upstream "
		    "that a route uses.  From loopback: "
		    "without fields of a proxy in the request."
	},
	{ .key = NULL }
};

static const struct conf_group health_group = {
	"health", rows, sizeof(struct health), link_health
};
static const struct conf_group *const health_groups[] = {
	&health_group, NULL
};
const struct conf_section health_section = {
	.type = "health", .groups = health_groups,
	.text = "What load balancers and operators ask."
};
