/*
 * [listener NAME]: addresses, and time-outs of clients.  Builder and
 * tools; the addresses of all listeners are collected in one list, which
 * is the order in which their sockets travel.
 */
#include "base/must.h"
#include "base/vec.h"
#include "conf/load.h"
#include "core/https.h"
#include "core/listener.h"
#include "core/settings.h"
#include "core/version.h"
#include "os/priv.h"
#include "tls/policy.h"

#define SEPS		" \t,"
#define AT(member)	offsetof(struct listener_conf, member)
#define CONNS_MAX	10000000
#define RATE_MAX	1000000
#define STREAMS_MAX	10000
#define DAY_MS		(24 * 3600 * INT64_C(1000))

/* section data */
struct addrs {
	size_t			n;
	struct listen_addr	v[];
};

struct bind_list {
	struct sock_addr	*v;	/* of conf */
	size_t			 n;
};

_Static_assert(AT(nbind) == AT(bind) + offsetof(struct bind_list, n),
    "bind and nbind are a struct bind_list");

static int
read_addr(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str word, struct vec *v)
{
	struct conf_span	sp = conf_word_span(it, word);
	struct sock_addr	a;
	struct err		e;

	if (sock_parse(word, -1, &a, &e) == -1) {
		diag_at(conf_load_diags(load), DIAG_VALUE_ADDR, &sp, NULL,
		    row->key, "%s", e.text);
		return -1;
	}
	*(struct sock_addr *)vec_push(v) = a;
	return 0;
}

static int
parse_bind(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct bind_list	*list = dst;
	struct str		 rest, word;
	struct vec		 v;
	int			 rc = 0;

	vec_init(&v, sizeof(struct sock_addr));
	for (size_t i = 0; i < n; i++) {
		rest = items[i].val;
		while (str_word(&rest, SEPS, &word))
			if (read_addr(load, row, &items[i], word, &v) == -1)
				rc = -1;
	}
	if (rc == 0 && v.n == 0) {
		diag_at(conf_load_diags(load), DIAG_VALUE_EMPTY,
		    &items[n - 1].vspan, NULL, row->key,
		    "there is no address");
		rc = -1;
	}
	if (rc == 0) {
		list->v = arena_alloc(conf_load_arena(load),
		    v.n * sizeof(*list->v));
		memcpy(list->v, v.p, v.n * sizeof(*list->v));
		list->n = v.n;
	}
	vec_fini(&v);
	return rc;
}

/* --- max_new_conns_per_ip --- */

static int
fail_rate(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str word, const char *why)
{
	struct conf_span	sp = conf_word_span(it, word);

	diag_at(conf_load_diags(load), DIAG_VALUE_RATE, &sp, NULL, row->key,
	    "\"%.*s\" %s", STR_FMT(str_sub(word, 0, 80)), why);
	return -1;
}

/* "20", "20/s", "600/m": how many in which time. */
static int
read_rate(struct str word, struct listener_rate *r)
{
	static const struct {
		struct str	unit;
		uint64_t	ms;
	} units[] = {
		{ STR_INIT(""), 1000 }, { STR_INIT("/s"), 1000 },
		{ STR_INIT("/m"), 60000 }, { STR_INIT("/h"), 3600000 }
	};
	ptrdiff_t	at = str_find(word, '/', 0);
	size_t		n = at < 0 ? word.n : (size_t)at;

	if (str_to_u64(str_sub(word, 0, n), RATE_MAX, &r->n) == -1)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (str_eq(str_sub(word, n, word.n), units[i].unit)) {
			r->span_ms = units[i].ms;
			return 0;
		}
	return -1;
}

static int
parse_rate(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct listener_rate	*r = dst;
	struct str		 rest = it->val, word;

	*r = (struct listener_rate){ 0, 0, 0 };
	if (!str_word(&rest, SEPS, &word) || read_rate(word, r) == -1)
		return fail_rate(load, row, it, it->val, "is no number of "
		    "connections per time");
	r->burst = r->n;
	while (str_word(&rest, SEPS, &word))
		if (!str_starts(word, STR("burst=")) ||
		    str_to_u64(str_sub(word, 6, word.n), RATE_MAX,
		    &r->burst) == -1 || r->burst == 0)
			return fail_rate(load, row, it, word, "is not "
			    "burst= and a number from 1");
	return 0;
}

/* Where the nth word of the bind lines stands. */
static void
find_word(struct conf_load *load, const struct conf_obj *obj, size_t n,
    struct conf_span *at)
{
	struct conf_words	w;

	conf_words_init(&w, load, obj, "bind");
	*at = conf_obj_span(obj);
	do
		if (!conf_words_next(&w))	/* it was made: [ssl] */
			return;
	while (n-- > 0);
	*at = conf_word_span(w.it, w.word);
}

/* E0502 for ports that this user may not bind. */
static int
check_ports(struct conf_load *load, const struct listener_conf *l)
{
	unsigned		first, port;
	struct conf_words	w;
	struct conf_span	at;
	int			rc = 0;

	if (conf_load_opts(load)->as_root)
		return 0;
	first = priv_first_port();
	conf_words_init(&w, load, &l->obj, "bind");
	for (size_t i = 0; i < l->nbind; i++) {
		port = sock_port(&l->bind[i]);
		if (!conf_words_next(&w) || port == 0 || port >= first)
			continue;
		at = conf_word_span(w.it, w.word);
		diag_at(conf_load_diags(load), DIAG_PRIVILEGE, &at, &l->obj,
		    "bind", "\"%.*s\": ports below %u are for root",
		    STR_FMT(str_sub(w.word, 0, 80)), first);
		rc = -1;
	}
	return rc;
}

/* W0318: who reaches the port may say to be anybody. */
static void
warn_anybody(struct conf_load *load, const struct listener_conf *l)
{
	const struct conf_item	*it = conf_item(load, &l->obj,
	    "proxy_protocol");
	size_t			 n = 0;

	for (size_t i = 0; i < l->nbind; i++)
		n += l->bind[i].u.sa.sa_family != AF_UNIX;
	if (!l->proxy || l->proxy_from.n > 0 || n == 0)
		return;
	diag_at(conf_load_diags(load), DIAG_PROXY_ANYBODY,
	    it != NULL ? &it->kspan : NULL, &l->obj, "proxy_protocol",
	    "listener \"%.*s\" believes everybody who connects which "
	    "client he is", STR_FMT(l->obj.name));
}

static int
link_listener(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct listener_conf		*l = part;
	const struct settings_limits	*s;

	(void)obj;
	s = settings_limits(conf_load_conf(load));
	l->limits.header_bytes = s->header_bytes;
	l->limits.header_field = s->header_field;
	l->limits.header_count = (uint64_t)s->header_count;
	l->limits.target = s->target;
	l->limits.requests = (uint64_t)s->requests;
	l->limits.age_ms = s->age;
	warn_anybody(load, l);
	return check_ports(load, l);
}

/* E0301 if an address before i is the same. */
static int
check_twice(struct conf_load *load, const struct addrs *all, size_t i)
{
	const struct listen_addr	*a = &all->v[i];
	struct conf_span		 at;
	struct text			 t;
	size_t				 j;

	for (j = 0; j < i; j++)
		if (sock_eq(all->v[j].addr, a->addr))
			break;
	if (j == i)
		return 0;
	text_init(&t);
	sock_text(&t, a->addr);
	find_word(load, &a->conf->obj, (size_t)(a->addr - a->conf->bind), &at);
	diag_at(conf_load_diags(load), DIAG_LISTENER_TWICE, &at,
	    &a->conf->obj, "bind",
	    "\"%.*s\" is bound already, by listener \"%.*s\"",
	    STR_FMT(text_str(&t)), STR_FMT(all->v[j].conf->obj.name));
	text_fini(&t);
	return -1;
}

static int
finish(struct conf_load *load)
{
	struct conf_objs	 objs;
	struct listener_conf	*l;
	struct addrs		*all;
	size_t			 n = 0, i, j;
	int			 rc = 0;

	objs = conf_all(conf_load_conf(load), &listener_section);
	for (i = 0; i < objs.n; i++)
		n += ((struct listener_conf *)objs.v[i]->part[0])->nbind;
	all = arena_alloc(conf_load_arena(load),
	    sizeof(*all) + n * sizeof(all->v[0]));
	for (i = 0; i < objs.n; i++) {
		l = objs.v[i]->part[0];
		for (j = 0; j < l->nbind; j++, all->n++) {
			all->v[all->n] = (struct listen_addr){ l,
			    &l->bind[j] };
			if (check_twice(load, all, all->n) == -1)
				rc = -1;
		}
	}
	conf_set_data(load, &listener_section, all);
	return rc;
}

const struct listen_addr *
listener_addrs(const struct conf *c, size_t *n)
{
	const struct addrs	*all = conf_data(c, &listener_section);

	*n = all->n;
	return all->v;
}

static const struct conf_row rows[] = {
	{
		.key = "bind", .type = CONF_CUSTOM, .off = AT(bind),
		.flags = CONF_F_REQUIRED | CONF_F_MANY, .parse = parse_bind,
		.example = "0.0.0.0:80 [::]:80",
		.text = "Addresses to accept connections on: ADDRESS:PORT, "
		    "[IPv6]:PORT or unix:PATH, one or several.  A reload "
		    "may add up to 240."
	}, {
		.key = "http", .type = CONF_CUSTOM, .off = AT(http),
		.parse = version_parse, .def = "auto", .example = "1.1 2",
		.text = "HTTP versions that are spoken: 1.1 and 2, one or "
		    "both.  Without TLS a client of HTTP/2 begins with it "
		    "at once (prior knowledge), which its first bytes "
		    "tell; an Upgrade to h2c is not offered.  auto: both "
		    "with TLS, where the client chooses (ALPN), else 1.1 "
		    "alone."
	}, {
		.key = "max_streams", .type = CONF_INT,
		.off = AT(limits.streams), .def = "100", .min = 1,
		.max = STREAMS_MAX, .example = "250",
		.text = "Requests that one connection of HTTP/2 may have "
		    "under way at a time."
	}, {
		.key = "proxy_protocol", .type = CONF_BOOL, .off = AT(proxy),
		.def = "off", .example = "on",
		.text = "Whether each connection must begin with a header of "
		    "the PROXY protocol, version 1 or 2, whose address is "
		    "then the client's.  One without is closed."
	}, {
		.key = "proxy_protocol_from", .type = CONF_CUSTOM,
		.off = AT(proxy_from), .flags = CONF_F_MANY,
		.parse = trust_parse, .example = "10.0.0.0/8",
		.text = "Addresses and networks that may connect to a "
		    "listener with proxy_protocol; others are closed.  "
		    "Without it everybody may say who he is, which -t "
		    "warns of unless it is a socket file."
	}, {
		.key = "on_change", .type = CONF_ENUM, .off = AT(on_change),
		.def = "retire", .choices = "retire|cut", .example = "cut",
		.text = "What becomes of open connections when a reload "
		    "removes the address they came to, changes "
		    "proxy_protocol, proxy_protocol_from or what TLS is to "
		    "agree on, or takes the version of HTTP away that they "
		    "speak.  retire: each ends with its request under "
		    "way, or after a second without one (at once if it "
		    "asked for a certificate), streams have drain.streams.  "
		    "cut: all are closed at once, with what is under way "
		    "on them; for rules that must not hold a moment longer."
	}, {
		.key = "max_conns", .type = CONF_INT, .off = AT(share.conns),
		.def = "0", .max = CONNS_MAX, .example = "10000",
		.text = "Connections that may be open at a time, over all "
		    "workers.  Who comes next waits, unanswered, in the "
		    "kernel's queue until one ends.  0 is no limit."
	}, {
		.key = "max_conns_per_ip", .type = CONF_INT,
		.off = AT(share.per_ip), .def = "0", .max = CONNS_MAX,
		.example = "100",
		.text = "Connections of one client address that may be open "
		    "at a time, over all workers; one more is closed at "
		    "once, without an answer.  IPv6 addresses count by "
		    "their /64.  0 is no limit."
	}, {
		.key = "max_new_conns_per_ip", .type = CONF_CUSTOM,
		.off = AT(share.rate), .parse = parse_rate, .def = "0",
		.example = "20/s burst=40",
		.text = "New connections of one client address per time: "
		    "a number with /s (or nothing), /m or /h, counted over "
		    "all workers; one more is closed at once, without an "
		    "answer.  burst= says how many may come at once, if not "
		    "that number; each is made good after a share of the "
		    "time.  0 is no limit."
	}, {
		.key = "half_close", .type = CONF_BOOL,
		.off = AT(limits.half_close), .def = "off", .example = "on",
		.text = "Whether a client that ends its direction of the "
		    "connection still waits for what a server is to answer. "
		    " off: it has left, as most who do so have; once it has "
		    "nothing more to ask its request ends as client_gone, "
		    "be it in a queue, with a server or within the answer. "
		    " on: only a reset tells that it left.  What is "
		    "answered here, such as files, is sent whole either "
		    "way, and upgraded connections may end one direction."
	}, {
		.key = "timeout.header", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(limits.header_ms),
		.def = "10s", .min = 1, .max = DAY_MS, .example = "5s",
		.text = "How long a client may take for a whole request "
		    "head; then 408."
	}, {
		.key = "timeout.body", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(limits.body_ms),
		.def = "30s", .min = 1, .max = DAY_MS, .example = "20s",
		.text = "How long a client may pause within a request body; "
		    "then 408."
	}, {
		.key = "timeout.min_rate", .type = CONF_SIZE,
		.off = AT(limits.min_rate), .def = "256",
		.max = INT64_C(1) << 30, .example = "1k",
		.text = "Bytes of a request body that must come each second "
		    "on average, counted after 10 seconds; then 408.  0 is "
		    "no limit."
	}, {
		.key = "timeout.write", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(limits.write_ms),
		.def = "60s", .min = 1, .max = DAY_MS, .example = "30s",
		.text = "How long a client may take nothing of an answer; "
		    "then the connection is closed, at most a tenth "
		    "later.  Of an answer in HTTP/2 less than 1 KiB is "
		    "nothing, unless it is all that there is; then the "
		    "stream ends."
	}, {
		.key = "timeout.idle", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(limits.idle_ms),
		.def = "75s", .min = 1, .max = DAY_MS, .example = "120s",
		.text = "How long a connection may wait between requests."
	}, {
		.key = "timeout.idle_http2", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(limits.idle2_ms),
		.def = "120s", .min = 1, .max = DAY_MS, .example = "5m",
		.text = "How long a connection of HTTP/2 may be without a "
		    "request; then it is told to go."
	},
	{ .key = NULL }
};

static const struct conf_group group = {
	"listener", rows, sizeof(struct listener_conf), link_listener
};
static const struct conf_group *const groups[] = {
	&group, &tls_policy_group, &tls_terms_group, &https_listener_group, NULL
};

const struct conf_section listener_section = {
	.type = "listener", .named = true, .groups = groups, .done = finish,
	.text = "Where connections are accepted."
};
