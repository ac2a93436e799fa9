/*
 * The control API's handler: which path does what, and the form of
 * answers.  Control process.  One table of paths; an answer is one JSON
 * object.  Queries are refused where none are known: what this version
 * does not know must not be taken for the plain request.
 */
#include "control/api.h"

#include <stdlib.h>

#include "base/must.h"
#include "control/int.h"
#include "os/proc.h"

#define TRIM_MIN	16384	/* bytes of an answer that are many */
#define TRIM_MS		1000

struct path {
	struct str		 path;
	enum http_method	 meth;
	void			(*run)(struct exchange *);
	bool			 query;		/* it knows some */
};

static void hand_out(struct exchange *);

static const struct path paths[] = {
	{ STR_INIT(API_VERSION), METHOD_GET, api_state_version, false },
	{ STR_INIT(API_STATUS), METHOD_GET, api_state_status, false },
	{ STR_INIT(API_GENERATIONS), METHOD_GET, api_state_gens, false },
	{ STR_INIT(API_RELOAD), METHOD_POST, api_order_reload, false },
	{ STR_INIT(API_PLAN), METHOD_POST, api_order_plan, false },
	{ STR_INIT(API_ROLL), METHOD_POST, api_order_roll, false },
	{ STR_INIT(API_NAMES), METHOD_GET, api_names, false },
	{ STR_INIT(API_METRICS), METHOD_GET, api_state_metrics, false },
	{ STR_INIT(API_BOARD), METHOD_GET, hand_out, false },
	{ STR_INIT(API_LOG), METHOD_GET, api_log, true },
	{ STR_INIT(API_EXPLAIN), METHOD_GET, api_explain, true },
	{ STR_INIT(API_UPSTREAMS), METHOD_GET, api_upstreams, true },
	{ STR_INIT(API_SERVERS), METHOD_POST, api_servers, true },
	{ STR_INIT(API_FAILURES), METHOD_GET, api_failures, true },
};
#define NPATH	(sizeof(paths) / sizeof(paths[0]))

struct api *
api_of(const struct exchange *x)
{
	return container_of(x->serve, struct api, serve);
}

static void
on_trim(struct timer *t)
{
	(void)t;
	must_trim();
}

void
api_init(struct api *a, const int ro_fd[2])
{
	a->serve.only = &api_handler;
	a->ro_fd = ro_fd;
	timer_init(&a->trim, on_trim);
	list_init(&a->orders);
	list_init(&a->looks);
	list_init(&a->readers);
	/*
	 * The master may still report to the control process before this
	 * one: ids begin with the tag, which no other life has.
	 */
	a->id = self->tag << 32;
	json_set_alloc_funcs(must_alloc, free);
	json_object_seed((size_t)rand_next(&self->rand) | 1);
}

/* --- values --- */

json_t *
api_num(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

json_t *
api_text(struct str s)
{
	json_t *j = json_stringn(s.p == NULL ? "" : s.p, s.n);
	struct text t;

	if (j != NULL)
		return j;
	text_init(&t);
	text_safe(&t, s);
	j = json_stringn(t.p, t.n);
	text_fini(&t);
	must(j != NULL);
	return j;
}

/* --- answers --- */

/* Collects what jansson prints; by pieces, so that nothing is copied twice. */
static int
on_piece(const char *p, size_t n, void *ctx)
{
	text_add(ctx, str_make(p, n));
	return 0;
}

void
api_answer(struct exchange *x, unsigned status, json_t *j)
{
	struct timer *trim = &api_of(x)->trim;
	struct str body;
	struct text t;

	must(j != NULL);
	text_init(&t);
	must(json_dump_callback(j, on_piece, &t, JSON_COMPACT) == 0);
	json_decref(j);
	text_c(&t, '\n');
	body = arena_dup(x->arena, text_str(&t));
	text_fini(&t);
	/* its values took many times as much as its text */
	if (body.n >= TRIM_MIN && !timer_is_armed(trim))
		ev_timer(x->serve->ev, trim, TRIM_MS);
	exchange_reply(x, status, STR("application/json"), body);
}

void
api_error(struct exchange *x, unsigned status, const char *name,
    const char *why)
{
	api_answer(x, status, json_pack("{s:i, s:s, s:s}", "v", 1, "error",
	    name, "why", why));
}

int
api_read_word(struct arena *a, struct str word, struct str *name,
    struct str *val)
{
	ptrdiff_t	at = str_find(word, '=', 0);

	if (at < 0 || uri_decode(a, str_sub(word, (size_t)at + 1, word.n),
	    val) == -1)
		return -1;
	*name = str_sub(word, 0, (size_t)at);
	return 0;
}

void
api_refuse(struct exchange *x)
{
	api_error(x, 503, "draining", self->replaced ?
	    "An upgrade is under way: ask again." :
	    "The gateway is stopping.");
}

/* The table's way of 405: the fields of Allow are said in words too. */
static void
refuse_method(struct exchange *x, const struct path *p)
{
	struct str allow = p->meth == METHOD_GET ? STR("GET, HEAD") :
	    msg_method_text(p->meth);

	api_answer(x, 405, json_pack("{s:i, s:s, s:s, s:o}", "v", 1, "error",
	    "method_not_allowed", "why", "This path has other methods.",
	    "allow", api_text(allow)));
	if (x->res != NULL)
		hdr_set(x->arena, &x->res->hdrs, HDR_ALLOW, allow);
}

/* Of a query that is ?name=WORD, and nothing else. */
int
api_query_name(struct exchange *x, struct str *name)
{
	struct str	q = x->uri.query;

	if (!x->uri.has_query)
		return 0;
	if (str_starts(q, STR("name=")) && str_find(q, '&', 0) < 0 &&
	    uri_decode(x->arena, str_sub(q, 5, q.n), name) == 0 &&
	    name->n > 0)
		return 0;
	api_error(x, 400, "bad_query", "The query is name, percent-encoded.");
	return -1;
}

static bool
is_method(const struct exchange *x, const struct path *p)
{
	return x->req->meth == p->meth ||
	    (x->req->meth == METHOD_HEAD && p->meth == METHOD_GET);
}

/* The descriptors travel with the first bytes of the answer. */
static void
hand_out(struct exchange *x)
{
	struct api *a = api_of(x);
	const struct proc_row *r;
	json_t *roles = json_array(), *states = json_array();
	unsigned i;

	if (io_send_fds(&x->conn->io, a->ro_fd, 2) < 0) {
		json_decref(roles);
		json_decref(states);
		api_error(x, 409, "no_descriptors",
		    "This connection cannot carry descriptors.");
		return;
	}
	for (r = procs; r->name != NULL; r++)
		json_array_append_new(roles, json_string(r->name));
	for (i = 0; i <= SLOT_DEAD; i++)
		json_array_append_new(states,
		    json_string(api_state_name(i)));
	api_answer(x, 200, json_pack("{s:i, s:[s, s], s:o, s:o}", "v", 1,
	    "descriptors", "dir", "live", "roles", roles, "states", states));
}

static void
start(struct exchange *x)
{
	size_t i;

	exchange_skip_request(x);
	for (i = 0; i < NPATH; i++)
		if (str_eq(paths[i].path, x->path))
			break;
	if (i == NPATH)
		api_error(x, 404, "not_found",
		    "There is no such path; see sluicectl(8).");
	else if (!is_method(x, &paths[i]))
		refuse_method(x, &paths[i]);
	else if (x->uri.has_query && !paths[i].query)
		api_error(x, 400, "bad_query",
		    "This version knows no query on this path.");
	else
		paths[i].run(x);
}

static void
on_body(struct exchange *x)
{
	if (str_eq(x->path, STR(API_LOG)))
		api_log_body(x);
}

static void
on_abort(struct exchange *x, enum fail why)
{
	(void)why;
	if (str_eq(x->path, STR(API_LOG)))
		api_log_forget(x);
	else if (str_eq(x->path, STR(API_EXPLAIN)))
		api_explain_forget(x);
	else
		api_order_forget(x);
	exchange_handler_done(x);
}

const struct handler api_handler = {
	.name = "api",
	.start = start,
	.body = on_body,
	.abort = on_abort,
};
