/*
 * Keys of [upstream]: health.*.  Builder and tools.
 */
#include "up/probe_conf.h"

#include "base/vec.h"
#include "http/msg.h"
#include "up/probe_regex.h"
#include "up/server_tls.h"
#include "up/upstream.h"

#define HOUR_MS		(60 * 60 * 1000)
#define AT(member)	offsetof(struct probe_conf, member)

const char *const probe_types[] = { "off", "tcp", "http", "websocket",
	"tls", "grpc" };

static const struct probe_conf none;

static const enum http_method methods[] = {
	METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_POST
};

const struct probe_conf *
probe_conf_of(const struct upstream_conf *c)
{
	const struct probe_conf	*p = c->obj.part == NULL ? NULL :
	    conf_part(&c->obj, &probe_group);

	return p == NULL ? &none : p;
}

static int
refuse(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, enum diag_id id, struct str word,
    const char *why)
{
	struct conf_span	sp = conf_word_span(it, word);

	diag_at(conf_load_diags(load), id, &sp, NULL, row->key,
	    "\"%.*s\": %s", STR_FMT(str_sub(word, 0, 80)), why);
	return -1;
}

/* --- health.type --- */

static int
parse_type(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	int			*type = dst;

	for (int i = PROBE_OFF; i <= PROBE_GRPC; i++)
		if (str_eq(it->val, str_from(probe_types[i]))) {
			*type = i;
			return 0;
		}
	return refuse(load, row, it, DIAG_VALUE_CHOICE, it->val,
	    "a probe is off, tcp, tls, http, websocket or grpc");
}

/* --- health.expect --- */

static int
read_range(struct str word, struct probe_range *r)
{
	ptrdiff_t	dash = str_find(word, '-', 0);
	uint64_t	low, high;

	if (str_to_u64(dash < 0 ? word : str_sub(word, 0, (size_t)dash),
	    599, &low) == -1)
		return -1;
	high = low;
	if (dash >= 0 && str_to_u64(str_sub(word, (size_t)dash + 1, word.n),
	    599, &high) == -1)
		return -1;
	*r = (struct probe_range){ (uint16_t)low, (uint16_t)high };
	return low < 200 || high < low ? -1 : 0;
}

static int
parse_expect(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct probe_ranges	*out = dst;
	struct probe_range	*r, *v;
	struct str		 rest = it->val, word;
	struct vec		 all;
	int			 rc = 0;

	vec_init(&all, sizeof(*r));
	while (rc == 0 && str_word(&rest, " \t,", &word)) {
		r = vec_push(&all);
		if (read_range(word, r) == -1)
			rc = refuse(load, row, it, DIAG_VALUE_STATUS, word,
			    "this is no status from 200 to 599, nor a "
			    "range of them");
	}
	v = arena_alloc(conf_load_arena(load), all.n * sizeof(*v) + 1);
	if (all.n > 0)
		memcpy(v, all.p, all.n * sizeof(*v));
	*out = (struct probe_ranges){ v, all.n };
	vec_fini(&all);
	return rc;
}

/* --- health.body --- */

static int
check_regex(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str text)
{
	struct probe_regex	*r;
	size_t			 off = 0;
	struct err		 e;

	r = probe_regex_new(text, &off, &e);
	if (r == NULL)
		return refuse(load, row, it, DIAG_REGEX, text, e.text);
	probe_regex_free(&r);
	return 0;
}

/* As written, so that it shows whether it is an expression. */
static int
parse_body(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];

	*(struct str *)dst = arena_dup(conf_load_arena(load), it->val);
	return str_starts(it->val, STR("~")) ? check_regex(load, row, it,
	    str_trim(str_sub(it->val, 1, it->val.n))) : 0;
}

/* --- the whole --- */

static uint64_t
add_text(uint64_t h, struct str s)
{
	h = str_hash(str_make((const char *)&s.n, sizeof(s.n)), h);
	return str_hash(s, h);
}

static uint64_t
digest(const struct probe_conf *p, int send_proxy)
{
	uint64_t	h = STR_HASH0;
	uint64_t	v[] = { (uint64_t)p->type, (uint64_t)p->method,
		p->interval, p->timeout, (uint64_t)p->fall,
		(uint64_t)p->rise, (uint64_t)send_proxy };

	h = str_hash(str_make((const char *)v, sizeof(v)), h);
	h = add_text(add_text(add_text(h, p->path), p->host), p->body);
	h = add_text(h, p->service);
	for (size_t i = 0; i < p->fields.n; i++)
		h = add_text(add_text(h, p->fields.v[i].key),
		    p->fields.v[i].val);
	h = str_hash(str_make((const char *)p->expect.v,
	    p->expect.n * sizeof(*p->expect.v)), h);
	return h == 0 ? 1 : h;
}

static int
check_path(struct conf_load *load, struct conf_obj *obj,
    const struct probe_conf *p)
{
	const struct conf_item	*it = conf_item(load, obj, "health.path");

	if (p->path.n == 0 || p->path.p[0] == '/')
		return 0;
	diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN,
	    it == NULL ? NULL : &it->vspan, obj, "health.path",
	    "\"%.*s\": a path begins with a slash",
	    STR_FMT(str_sub(p->path, 0, 80)));
	return -1;
}

static int
link_probe(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct upstream_conf	*c = container_of(obj,
	    struct upstream_conf, obj);
	struct probe_conf		*p = part;

	if (!conf_is_set(load, obj, "health.type") && p->path.n > 0)
		p->type = PROBE_HTTP;
	if (check_path(load, obj, p) == -1)
		return -1;
	if (p->type == PROBE_TLS && server_tls_of(c) == NULL)
		diag_at(conf_load_diags(load), DIAG_TLS_UNUSED,
		    &conf_item(load, obj, "health.type")->vspan, obj,
		    "health.type", "no server of this upstream speaks TLS");
	p->target = p->path.n == 0 ? STR("/") : p->path;
	p->meth = (int)methods[p->method];
	p->is_regex = str_starts(p->body, STR("~"));
	p->text = p->is_regex ? str_trim(str_sub(p->body, 1, p->body.n)) :
	    p->body;
	p->digest = digest(p, c->told.send_proxy);
	return 0;
}

static const struct conf_alias health_check[] = {
	{ "health_check", CONF_COUNT, NULL }, { NULL, CONF_COUNT, NULL }
};
static const struct conf_alias health_interval[] = {
	{ "health_interval", CONF_SECONDS, NULL }, { NULL, CONF_COUNT, NULL }
};

static const struct conf_row rows[] = {
	{
		.key = "health.type", .type = CONF_CUSTOM, .off = AT(type),
		.def = "off", .choices = "off|tcp|tls|http|websocket|grpc",
		.parse = parse_type, .example = "tcp",
		.text = "How each server is probed, all the time: tcp "
		    "(whether it accepts connections), tls (a handshake, of a "
		    "server that has it; but for tcp all others make one, "
		    "too), http (whether it "
		    "answers a request well), websocket (a handshake, a "
		    "ping and its pong) or grpc (the Check of "
		    "grpc.health.v1.Health, over HTTP/2, whose answer must "
		    "be SERVING).  With health.path alone it is "
		    "http.  A server that fails gets no requests until it "
		    "is well again; one that was never probed counts as "
		    "well."
	}, {
		.key = "health.path", .aliases = health_check,
		.type = CONF_STR, .off = AT(path), .max = 4096,
		.example = "/healthz",
		.text = "What probes ask for, with a query if need be; "
		    "without it, and another health.type, /."
	}, {
		.key = "health.method", .type = CONF_ENUM, .off = AT(method),
		.def = "GET", .choices = "GET|HEAD|OPTIONS|POST",
		.example = "HEAD",
		.text = "The method of probes of type http."
	}, {
		.key = "health.host", .type = CONF_STR, .off = AT(host),
		.max = 255, .example = "app.example.com",
		.text = "The Host field of probes; without it the server's "
		    "name or address."
	}, {
		.key = "health.header.*", .type = CONF_PAIRS,
		.off = AT(fields), .example = "Bearer abc",
		.text = "A further field of probes, named by what stands for "
		    "the asterisk."
	}, {
		.key = "health.expect", .type = CONF_CUSTOM,
		.off = AT(expect), .def = "200-399", .parse = parse_expect,
		.example = "200 204",
		.text = "Statuses, and ranges of them, with which a server "
		    "is well."
	}, {
		.key = "health.body", .type = CONF_CUSTOM, .off = AT(body),
		.parse = parse_body, .example = "~ ^(ok|ready)",
		.text = "A text that the first 64 KiB of the answer must "
		    "have, or, behind a tilde, a regular expression that "
		    "must fit them."
	}, {
		.key = "health.service", .type = CONF_STR,
		.off = AT(service), .max = 255, .example = "users.v1.Users",
		.text = "The service that probes of type grpc ask after; "
		    "without it the server as a whole."
	}, {
		.key = "health.interval", .aliases = health_interval,
		.type = CONF_TIME, .off = AT(interval), .def = "5s",
		.min = 100, .max = HOUR_MS, .example = "2s",
		.text = "The time from one probe of a server to the next, "
		    "give or take a tenth: twice that while it is down, and "
		    "a second, if that is less, while its probes say "
		    "otherwise than before."
	}, {
		.key = "health.timeout", .type = CONF_TIME,
		.off = AT(timeout), .def = "2s", .min = 10, .max = HOUR_MS,
		.example = "500ms",
		.text = "How long a probe may take, connecting included."
	}, {
		.key = "health.fall", .type = CONF_INT, .off = AT(fall),
		.def = "3", .min = 1, .max = 100, .example = "2",
		.text = "So many probes in a row must fail until a server "
		    "is down."
	}, {
		.key = "health.rise", .type = CONF_INT, .off = AT(rise),
		.def = "2", .min = 1, .max = 100, .example = "1",
		.text = "So many probes in a row must succeed until it is "
		    "up again."
	},
	{ .key = NULL }
};

const struct conf_group probe_group = {
	"probe", rows, sizeof(struct probe_conf), link_probe
};
