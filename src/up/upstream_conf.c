/*
 * [upstream NAME]: its keys, and the words of server = lines.  Builder
 * and tools.
 *
 * A server line is one or several addresses followed by options, which
 * hold for all addresses of the line.  Nothing is looked up here: names
 * are asked for by the control process.
 */
#include <stdlib.h>

#include "base/map.h"
#include "base/must.h"
#include "base/vec.h"
#include "core/version.h"
#include "up/breaker_conf.h"
#include "up/fallback.h"
#include "up/names.h"
#include "up/retry.h"
#include "up/server_tls.h"
#include "up/sticky.h"
#include "up/sticky_site.h"
#include "up/probe_conf.h"
#include "up/watch_conf.h"

#define SEPS		" \t,"
#define PORT_HTTP	80
#define PORT_HTTPS	443
#define MAX_CONNS	1000000

/* a server line being read */
struct line {
	struct conf_load		*load;
	const struct conf_row		*row;
	const struct conf_item		*item;
	struct vec			*v;	/* struct server_conf */
	struct map			*seen;	/* texts of those */
	size_t				 first;	/* of this line in v */
};

static int
fail_word(const struct line *l, enum diag_id id, struct str word,
    const char *why)
{
	struct conf_span	sp = conf_word_span(l->item, word);

	diag_at(conf_load_diags(l->load), id, &sp, NULL, l->row->key,
	    "\"%.*s\": %s", STR_FMT(str_sub(word, 0, 80)), why);
	return -1;
}

/* The system's words on an address tell the word already. */
static int
fail_addr(const struct line *l, struct str word, const struct err *e)
{
	struct conf_span	sp = conf_word_span(l->item, word);

	diag_at(conf_load_diags(l->load), DIAG_VALUE_ADDR, &sp, NULL,
	    l->row->key, "%s", e->text);
	return -1;
}

/* --- one address --- */

/* Nobody can be reached at "any address" or at port 0. */
static const char *
check_addr(const struct sock_addr *a)
{
	static const struct in6_addr	any6 = IN6ADDR_ANY_INIT;

	switch (a->u.sa.sa_family) {
	case AF_INET:
		if (a->u.in4.sin_addr.s_addr == INADDR_ANY)
			return "a server needs an address";
		return a->u.in4.sin_port == 0 ? "port 0 cannot be asked" :
		    NULL;
	case AF_INET6:
		if (memcmp(&a->u.in6.sin6_addr, &any6, sizeof(any6)) == 0)
			return "a server needs an address";
		return a->u.in6.sin6_port == 0 ? "port 0 cannot be asked" :
		    NULL;
	default:
		return a->u.un.sun_path[0] == '/' ? NULL :
		    "the path of a unix socket begins with a slash";
	}
}

/* a word that names a server, without its scheme */
struct place {
	struct str	addr;
	int		port;		/* if it names none; -1: it must */
	bool		tls;
	bool		h2;		/* and no other version */
	bool		plain;		/* its scheme says so */
};

/* The scheme is taken off; unknown ones are refused. */
static int
cut_scheme(const struct line *l, struct str word, struct place *p)
{
	ptrdiff_t	at;
	struct str	scheme;

	*p = (struct place){ .addr = word, .port = -1 };
	for (at = 0; (at = str_find(word, ':', (size_t)at)) >= 0; at++)
		if (str_starts(str_sub(word, (size_t)at, word.n),
		    STR("://")))
			break;
	if (at < 0)
		return 0;
	scheme = str_sub(word, 0, (size_t)at);
	p->h2 = str_eq_fold(scheme, STR("h2")) ||
	    str_eq_fold(scheme, STR("h2c"));
	p->tls = str_eq_fold(scheme, STR("https")) ||
	    str_eq_fold(scheme, STR("h2"));
	if (!p->tls && !p->h2 && !str_eq_fold(scheme, STR("http")))
		return fail_word(l, DIAG_SERVER_SCHEME, word,
		    "servers of this scheme cannot be asked");
	p->plain = !p->tls;
	p->addr = str_sub(word, scheme.n + 3, word.n);
	p->port = p->tls ? PORT_HTTPS : PORT_HTTP;
	if (str_ends(p->addr, STR("/")))
		p->addr = str_sub(p->addr, 0, p->addr.n - 1);
	if (str_find(p->addr, '/', 0) >= 0 &&
	    !str_starts(p->addr, STR("unix:")))
		return fail_word(l, DIAG_VALUE_ADDR, word,
		    "a server has no path; see add_prefix of a route");
	return 0;
}

/* W0319: both lines make one server, which has the options of one. */
static void
note_server(const struct line *l, struct str word, struct str text)
{
	struct conf_span	sp;

	if (map_add(l->seen, text, l->seen) == NULL)
		return;
	sp = conf_word_span(l->item, word);
	diag_at(conf_load_diags(l->load), DIAG_SERVER_TWICE, &sp, NULL,
	    l->row->key, "\"%.*s\" is named twice, and is one server all "
	    "the same", STR_FMT(str_sub(word, 0, 80)));
}

/* A server whose name was read; why: it is refused. */
static int
add_name(const struct line *l, struct str word, const char *why,
    struct server_conf *c)
{
	if (why != NULL)
		return fail_word(l, DIAG_SERVER_NAME, word, why);
	note_server(l, word, c->text);
	*(struct server_conf *)vec_push(l->v) = *c;
	return 0;
}

static int
read_addr(const struct line *l, struct str word)
{
	struct server_conf	 c = { .text = STR_NONE, .weight = 1 };
	struct place		 at;
	struct sock_addr	 a;
	struct text		 t;
	struct err		 e;
	const char		*why;

	if (str_starts(word, STR(NAME_SRV_SCHEME)))
		return add_name(l, word, name_parse_srv(
		    conf_load_arena(l->load), str_sub(word,
		    sizeof(NAME_SRV_SCHEME) - 1, word.n), &c), &c);
	if (cut_scheme(l, word, &at) == -1)
		return -1;
	if (at.tls)
		server_tls_make_peer(l->load, &c);
	c.h2 = at.h2;
	c.plain = at.plain;
	if (sock_parse(at.addr, at.port, &a, &e) == -1) {
		if (!name_is_like(at.addr))
			return fail_addr(l, word, &e);
		return add_name(l, word, name_parse(conf_load_arena(l->load),
		    at.addr, at.port, &c), &c);
	}
	c.local = str_starts(at.addr, STR("localhost"));
	why = check_addr(&a);
	if (why != NULL)
		return fail_word(l, DIAG_VALUE_ADDR, word, why);
	text_init(&t);
	sock_text(&t, &a);
	c.text = arena_dup(conf_load_arena(l->load), text_str(&t));
	text_fini(&t);
	note_server(l, word, c.text);
	*(struct server_conf *)vec_push(l->v) = c;
	return 0;
}

/* --- options --- */

/* True if the word is NAME=..., whose value it gives. */
static bool
is_named(struct str word, const char *name, struct str *val)
{
	struct str	s = str_from(name);

	*val = str_sub(word, s.n + 1, word.n);
	return str_starts(word, s) && word.n > s.n && word.p[s.n] == '=';
}

static int
read_max_conns(const struct line *l, struct str word, struct str val)
{
	struct server_conf	*c;
	uint64_t		 n;

	if (str_to_u64(val, MAX_CONNS, &n) == -1)
		return fail_word(l, DIAG_VALUE_INT, word,
		    "max_conns is a number from 0 to 1000000");
	for (size_t i = l->first; i < l->v->n; i++) {
		c = vec_at(l->v, i);
		c->max_conns = (uint32_t)n;
		c->own_max = true;
	}
	return 0;
}

static int
read_weight(const struct line *l, struct str word, struct str val)
{
	struct server_conf	*c;
	uint64_t		 n;

	if (str_to_u64(val, WEIGHT_MAX, &n) == -1)
		return fail_word(l, DIAG_VALUE_INT, word,
		    "weight is a number from 0 to 1000");
	for (size_t i = l->first; i < l->v->n; i++) {
		c = vec_at(l->v, i);
		c->weight = (uint32_t)n;
	}
	return 0;
}

static int
set_backup(const struct line *l)
{
	struct server_conf	*c;

	for (size_t i = l->first; i < l->v->n; i++) {
		c = vec_at(l->v, i);
		c->backup = true;
	}
	return 0;
}

static int
read_pin(const struct line *l, struct str word, struct str val)
{
	const char	*why = NULL;

	for (size_t i = l->first; i < l->v->n; i++)
		if (((const struct server_conf *)vec_at(l->v, i))->plain)
			return fail_word(l, DIAG_TLS_SCHEME, word,
			    "the scheme of its server is one without TLS, "
			    "so it shows no key");
	for (size_t i = l->first; i < l->v->n && why == NULL; i++)
		why = server_tls_add_pin(l->load, vec_at(l->v, i), val);
	return why == NULL ? 0 : fail_word(l, DIAG_VALUE_CHOICE, word, why);
}

static int
read_option(const struct line *l, struct str word)
{
	struct str	val;

	if (is_named(word, "max_conns", &val))
		return read_max_conns(l, word, val);
	if (is_named(word, "weight", &val))
		return read_weight(l, word, val);
	if (str_eq(word, STR("backup")))
		return set_backup(l);
	if (is_named(word, "pin", &val))
		return read_pin(l, word, val);
	return fail_word(l, DIAG_VALUE_CHOICE, word, "the option is not "
	    "known; weight=, max_conns=, pin= and backup are");
}

/* "backup" has no value but is no address. */
static bool
is_option(struct str word)
{
	return str_find(word, '=', 0) >= 0 || str_eq(word, STR("backup"));
}

/* Another word of the line is the same option, and it is no pin. */
static bool
is_repeated(struct str rest, struct str option)
{
	ptrdiff_t	end = str_find(option, '=', 0);
	struct str	name = end < 0 ? option :
			    str_sub(option, 0, (size_t)end + 1);
	struct str	word;
	unsigned	n = 0;

	if (str_eq(name, STR("pin=")))
		return false;
	while (str_word(&rest, SEPS, &word))
		n += end < 0 ? str_eq(word, name) : str_starts(word, name);
	return n > 1;
}

static int
read_line(struct line *l)
{
	struct str	rest = l->item->val;
	struct str	word;
	bool		options = false;
	int		rc = 0;

	l->first = l->v->n;
	while (rc == 0 && str_word(&rest, SEPS, &word)) {
		if (is_option(word)) {
			options = true;
			if (is_repeated(l->item->val, word))
				return fail_word(l, DIAG_VALUE_CHOICE, word,
				    "the option stands there twice");
			rc = l->v->n > l->first ? read_option(l, word) :
			    fail_word(l, DIAG_VALUE_ADDR, word,
			    "the address comes before its options");
		} else
			rc = !options ? read_addr(l, word) :
			    fail_word(l, DIAG_VALUE_ADDR, word,
			    "options end the line; use another line");
	}
	if (rc == 0 && l->v->n == l->first)
		rc = fail_word(l, DIAG_VALUE_EMPTY, l->item->val,
		    "there is no server");
	return rc;
}

int
upstream_parse_servers(struct conf_load *load, const struct conf_row *row,
    void *dst, const struct conf_item *items, size_t n)
{
	struct server_list	*list = dst;
	struct server_conf	*p;
	struct map		 seen;
	struct vec		 v;
	int			 rc = 0;

	vec_init(&v, sizeof(*p));
	map_init(&seen, 0);
	for (size_t i = 0; i < n; i++) {
		struct line	l = { load, row, &items[i], &v, &seen, 0 };

		if (read_line(&l) == -1)
			rc = -1;
	}
	if (rc == 0) {
		p = arena_alloc(conf_load_arena(load), v.n * sizeof(*p) + 1);
		if (v.n > 0)
			memcpy(p, v.p, v.n * sizeof(*p));
		*list = (struct server_list){ p, v.n };
	}
	map_fini(&seen);
	vec_fini(&v);
	return rc;
}

/* --- other keys --- */

/* words of others, read as ours (W0410) */
static const struct {
	struct str	word, name;
} also[] = {
	{ STR_INIT("least_connections"), STR_INIT("least_conn") },
	{ STR_INIT("weighted_round_robin"), STR_INIT("round_robin") },
};

static struct str
balance_word(const struct line *l, struct str s)
{
	struct conf_span	sp = conf_word_span(l->item, s);

	for (size_t i = 0; i < sizeof(also) / sizeof(also[0]); i++) {
		if (!str_eq(s, also[i].word))
			continue;
		diag_at(conf_load_diags(l->load), DIAG_ALIAS, &sp, NULL,
		    l->row->key, "\"%.*s\" is read as \"%.*s\"", STR_FMT(s),
		    STR_FMT(also[i].name));
		diag_hint(conf_load_diags(l->load), "write \"%.*s\"",
		    STR_FMT(also[i].name));
		return also[i].name;
	}
	return s;
}

static int
parse_balance(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct line		 l = { load, row, it, NULL, NULL, 0 };
	struct str		 name = balance_word(&l, it->val);

	for (size_t i = 0; balancers[i] != NULL; i++)
		if (str_eq(name, str_from(balancers[i]->name))) {
			*(const struct balancer **)dst = balancers[i];
			return 0;
		}
	if (str_eq(name, STR("least_time")))
		return fail_word(&l, DIAG_KEY_LATER, it->val,
		    "this balancer is not there yet");
	return fail_word(&l, DIAG_VALUE_CHOICE, it->val,
	    "there is no such balancer");
}

void
upstream_check_times(struct conf_load *load, const struct conf_obj *obj,
    const struct upstream_times *t)
{
	const struct conf_item	*it = conf_item(load, obj, "timeout.total");

	/* A default is no contradiction: what ends sooner holds. */
	if (it == NULL || conf_item(load, obj, "timeout.connect") == NULL ||
	    t->total == 0 || t->total >= t->connect)
		return;
	diag_at(conf_load_diags(load), DIAG_TIME_ORDER, &it->vspan, obj,
	    "timeout.total",
	    "timeout.total (%llu ms) ends before timeout.connect (%llu ms)",
	    (unsigned long long)t->total, (unsigned long long)t->connect);
}

static uint64_t
add_hash(uint64_t h, const void *p, size_t n)
{
	return str_hash(str_make(p, n), h);
}

void
upstream_add_digest(struct upstream_conf *c, const void *p, size_t n)
{
	c->digest = add_hash(c->digest, p, n);
}

/* All that a twin is made from; times and Host are read per exchange. */
static uint64_t
content_digest(const struct upstream_conf *c)
{
	uint64_t			 h = str_hash(c->obj.name, STR_HASH0);
	const struct server_conf	*s;

	h = str_hash(str_from(c->balance->name), h);
	h = add_hash(h, &c->panic, sizeof(c->panic));
	h = add_hash(h, &c->pool, sizeof(c->pool));
	h = add_hash(h, &c->http, sizeof(c->http));
	for (size_t i = 0; i < c->servers.n; i++) {
		s = &c->servers.v[i];
		h = add_hash(h, &s->text.n, sizeof(s->text.n));
		h = str_hash(s->text, h);
		h = add_hash(h, &s->h2, sizeof(s->h2));
	}
	return h;
}

static int
link_upstream(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct upstream_conf	*c = part;
	struct conf_span	 at = conf_obj_span(obj);

	for (size_t i = 0; i < c->servers.n; i++)
		if (!c->servers.v[i].own_max)
			c->servers.v[i].max_conns =
			    (uint32_t)c->queue.max_conns;
	c->digest = content_digest(c);
	if (c->servers.n == 0) {
		diag_at(conf_load_diags(load), DIAG_UPSTREAM_EMPTY, &at, obj,
		    "server", "upstream \"%.*s\" has no server",
		    STR_FMT(obj->name));
		return -1;
	}
	upstream_check_times(load, obj, &c->times);
	return 0;
}

/* Routes have marked what they use. */
static void
warn_unused(struct conf_load *load)
{
	struct conf_objs	 all;
	struct upstream_conf	*c;
	struct conf_span	 at;

	all = conf_all(conf_load_conf(load), &upstream_section);
	for (size_t i = 0; i < all.n; i++) {
		c = (struct upstream_conf *)all.v[i];
		if (c->used)
			continue;
		at = conf_obj_span(&c->obj);
		diag_at(conf_load_diags(load), DIAG_UNUSED, &at, &c->obj, "",
		    "no route uses upstream \"%.*s\"", STR_FMT(c->obj.name));
	}
}

static int
finish(struct conf_load *load)
{
	sticky_site_done(load);
	warn_unused(load);
	return 0;
}

static const struct conf_alias strategy[] = {
	{ "strategy", CONF_COUNT, NULL }, { NULL, CONF_COUNT, NULL }
};
static const struct conf_alias timeout[] = {
	{ "timeout", CONF_SECONDS, NULL }, { NULL, CONF_COUNT, NULL }
};

#define DAY_MS		(24 * 60 * 60 * 1000)
#define AT(member)	offsetof(struct upstream_conf, member)

static const struct conf_row rows[] = {
	{
		.key = "server", .type = CONF_CUSTOM, .off = AT(servers),
		.flags = CONF_F_MANY | CONF_F_HOME,
		.parse = upstream_parse_servers,
		.example = "10.0.0.5:8080 weight=2",
		.text = "Servers to be asked: addresses (ADDRESS:PORT, "
		    "[IPv6]:PORT, unix:PATH, http://ADDRESS:PORT) or names "
		    "(NAME:PORT, dns+srv://_SERVICE._tcp.NAME), then "
		    "options for all of the line.  weight=N (0 to 1000, 1) is "
		    "its share of the requests beside the others; with 0 it "
		    "gets none.  backup keeps it for when the others are "
		    "missing.  max_conns=N "
		    "limits the connections to a server over all workers, "
		    "idle ones included; 0 is no limit.  https:// before "
		    "an address or a name says that the server speaks TLS, "
		    "on port 443 if none is named (http:// on 80); "
		    "h2:// says so and that it is HTTP/2, h2c:// that it is "
		    "HTTP/2 without TLS.  "
		    "pin=SHA256 names its key, and says that it speaks TLS, "
		    "too: hex or base64 of the "
		    "SHA-256 of its SubjectPublicKeyInfo, up to 4 times.  "
		    "Each address of "
		    "a name is a server; Names of servers below says how "
		    "they are found."
	}, {
		.key = "max_conns", .type = CONF_INT,
		.off = AT(queue.max_conns), .def = "1024", .max = MAX_CONNS,
		.example = "100",
		.text = "Connections that each server without a max_conns= "
		    "of its own may have over all workers, idle ones "
		    "included; 0 is no limit.  One of HTTP/2 is of one "
		    "worker: with fewer than there are workers a long "
		    "stream may keep others out."
	}, {
		.key = "queue", .type = CONF_INT, .off = AT(queue.length),
		.def = "256", .max = MAX_CONNS, .example = "1000",
		.text = "How many requests may wait, over all workers, while "
		    "every server has its max_conns connections; one more "
		    "is refused with 503.  0 lets none wait."
	}, {
		.key = "queue_timeout", .type = CONF_TIME,
		.off = AT(queue.timeout), .def = "1s", .min = 1,
		.max = DAY_MS, .example = "500ms",
		.text = "How long a request may wait for a connection "
		    "before it is refused with 503."
	}, {
		.key = "pool.size", .type = CONF_INT, .off = AT(pool.size),
		.def = "64", .max = 65535, .example = "16",
		.text = "Idle connections that a worker keeps to each "
		    "server; those that come back besides end when nobody "
		    "has wanted them for a second.  0 keeps none."
	}, {
		.key = "pool.idle", .type = CONF_TIME, .off = AT(pool.idle),
		.def = "55s", .min = 1, .max = DAY_MS, .example = "4s",
		.text = "How long a connection may be idle: less than the "
		    "servers allow, else requests meet connections that are "
		    "being closed.  A server that says less itself "
		    "(Keep-Alive: timeout=N) is obeyed."
	}, {
		.key = "pool.age", .type = CONF_TIME, .off = AT(pool.age),
		.def = "1h", .max = 30LL * DAY_MS, .example = "10m",
		.text = "Age from which a connection takes no further "
		    "request, up to a tenth earlier so that not all end at "
		    "once; 0 is no limit."
	}, {
		.key = "pool.requests", .type = CONF_INT,
		.off = AT(pool.requests), .def = "0", .max = 1000000000,
		.example = "1000",
		.text = "Requests over one connection; 0 is no limit."
	}, {
		.key = "pool.streams", .type = CONF_INT,
		.off = AT(pool.streams), .def = "100", .min = 1,
		.max = 100000, .example = "250",
		.text = "Requests that one connection of HTTP/2 may have "
		    "under way; less if the server says so.  Another "
		    "connection is opened only when all are full, and "
		    "max_conns counts connections, not requests: a server "
		    "has up to max_conns times this many."
	}, {
		.key = "pool.ping", .type = CONF_TIME, .off = AT(pool.ping),
		.def = "6m", .max = DAY_MS, .example = "10s",
		.text = "A connection of HTTP/2 from which nothing came for "
		    "so long while requests are under way is asked for a "
		    "sign of life (PING); if none comes within as long "
		    "again, 10 s at most, it ends.  0 never asks.  Servers "
		    "of gRPC (C++, Python, Java, Go) allow a quiet "
		    "connection one ping in 5 minutes, and at the third "
		    "that comes sooner they end it with all its calls "
		    "(too_many_pings): who sets less here raises that limit "
		    "there.  nginx never asks; nor does Envoy, unless "
		    "connection_keepalive is set."
	}, {
		.key = "http", .type = CONF_CUSTOM, .off = AT(http),
		.parse = version_parse, .def = "auto", .example = "2",
		.text = "HTTP versions that are spoken with servers: 1.1 and "
		    "2, one or both.  With TLS a server that may speak both "
		    "chooses (ALPN); without, 2 alone begins with HTTP/2 at "
		    "once, and else it is 1.1.  The default, auto, is both "
		    "with TLS and 1.1 without.  What stands before a server "
		    "as h2:// or h2c:// has no choice.  An upgrade "
		    "(WebSocket) needs 1.1.  A server with a choice that "
		    "answers HTTP_1_1_REQUIRED gets 1.1 for five minutes, "
		    "but for calls of gRPC."
	}, {
		.key = "balance", .aliases = strategy, .type = CONF_CUSTOM,
		.off = AT(balance), .def = "two_choices",
		.choices = "two_choices|round_robin|least_conn|random|"
		    "hash",
		.parse = parse_balance, .example = "least_conn",
		.text = "How a server is chosen for a request.  With "
		    "two_choices it is, of two that are drawn by weight, "
		    "the one with the fewer requests under way for its "
		    "weight.  With round_robin servers take turns, by "
		    "weight and in one order for all workers.  With "
		    "least_conn it is the one with the fewest requests "
		    "under way for its weight; all servers are looked at "
		    "for that.  With random it is drawn by weight.  With "
		    "hash it follows from hash.key, and a server that comes "
		    "or goes moves the keys of no others but a few.  "
		    "Requests under way are those of all workers; upgraded "
		    "connections are among them."
	}, {
		.key = "panic", .type = CONF_INT, .off = AT(panic),
		.def = "30", .max = 100, .example = "50",
		.text = "Percent of the servers that must be fit for use: "
		    "while there are less, and no backups, ejected servers "
		    "and those that are down are asked as well, for the few "
		    "left could not bear the load of all; what fails there "
		    "is tried again with the fit.  Where nobody listens "
		    "nobody is asked.  With none left it is the ejected "
		    "ones alone; 0 does none of this before that."
	}, {
		.key = "timeout.connect", .type = CONF_TIME,
		.off = AT(times.connect), .def = "3s", .min = 1,
		.max = DAY_MS, .flags = CONF_F_ROUTE, .example = "1s",
		.text = "How long connecting to a server may take."
	}, {
		.key = "timeout.first_byte", .aliases = timeout,
		.type = CONF_TIME, .off = AT(times.first_byte),
		.def = "30s", .max = DAY_MS, .flags = CONF_F_ROUTE,
		.example = "10s",
		.text = "How long a server may take from the request on "
		    "until the head of its answer, or of an interim one, is "
		    "whole; 0 is no limit.  For calls of gRPC only that of a "
		    "route holds: else timeout.stream_idle does, and their "
		    "callers' deadlines."
	}, {
		.key = "timeout.between", .type = CONF_TIME,
		.off = AT(times.between), .def = "60s", .max = DAY_MS,
		.flags = CONF_F_ROUTE, .example = "20s",
		.text = "How long a server may pause within the body of its "
		    "answer; 0 is no limit.  Calls of gRPC have "
		    "timeout.stream_idle in its place."
	}, {
		.key = "timeout.total", .type = CONF_TIME,
		.off = AT(times.total), .def = "0", .max = DAY_MS,
		.flags = CONF_F_ROUTE, .example = "5m",
		.text = "How long a request may take with all attempts and "
		    "its answer; 0 is no limit."
	}, {
		.key = "timeout.stream_idle", .type = CONF_TIME,
		.off = AT(times.stream_idle), .def = "1h",
		.max = 30 * (uint64_t)DAY_MS, .flags = CONF_F_ROUTE,
		.example = "10m",
		.text = "How long an upgraded connection (WebSocket), a "
		    "tunnel or a call of gRPC may be without a byte in "
		    "either direction; 0 is no limit.  For calls, from "
		    "clients that speak HTTP/2 with TE: trailers to servers "
		    "that may be asked over it, it is in place of this "
		    "upstream's timeout.first_byte, of timeout.between, and "
		    "of the listener's timeout.body and timeout.min_rate."
	}, {
		.key = "host_header", .type = CONF_CUSTOM,
		.off = AT(told.host), .def = "preserve",
		.flags = CONF_F_ROUTE,
		.parse = told_parse_host, .example = "server",
		.text = "The Host field that servers get: preserve (the "
		    "client's; the server's address for one of HTTP/1.0 "
		    "that sent none), server (the server's address) or a "
		    "text."
	}, {
		.key = "forwarded", .type = CONF_ENUM,
		.off = AT(told.forwarded),
		.def = "x", .choices = FORWARDED_WORDS, .example = "both",
		.text = "What servers are told about the client: x "
		    "(X-Forwarded-For, -Proto, -Host and X-Real-IP), rfc7239 "
		    "(Forwarded), both, or off (nothing).  What the client "
		    "says itself is dropped, unless it is a trusted proxy."
	}, {
		.key = "send_proxy", .type = CONF_ENUM,
		.off = AT(told.send_proxy), .def = "off",
		.choices = SEND_PROXY_WORDS, .example = "v2",
		.text = "Whether connections to servers begin with a header "
		    "of the PROXY protocol, version 1 or 2, that tells of "
		    "the client.  Such a connection serves one request."
	},
	{ .key = NULL }
};

static const struct conf_group group = {
	"upstream", rows, sizeof(struct upstream_conf), link_upstream
};
static const struct conf_group *const groups[] = {
	&group,
	&retry_group,
	&fallback_group,
	&choice_group,
	&breaker_group,
	&server_tls_group,
	&probe_group,
	&watch_group,
	NULL
};

const struct conf_section upstream_section = {
	.type = "upstream", .named = true, .groups = groups,
	.done = finish, .text = "Servers that answer the same requests."
};
