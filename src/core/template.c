/*
 * Templates.  The builder makes them lists of parts, each a literal text
 * and the variable behind it; workers put them together.
 */
#include "core/template.h"

#include "base/vec.h"
#include "core/conn.h"
#include "core/route.h"
#include "http/cookie.h"
#include "tls/policy.h"

enum template_var {
	VAR_NONE,	/* the end */
	VAR_HOST,
	VAR_PATH,
	VAR_QUERY,
	VAR_SCHEME,
	VAR_TLS_VERSION,
	VAR_TLS_CIPHER,
	VAR_TLS_SNI,
	VAR_CAUGHT,	/* ${path.NAME} */
	VAR_CLIENT,	/* these of TEMPLATE_ASKER alone */
	VAR_HEADER,
	VAR_COOKIE,
	VAR_GROUP	/* $1 */
};

struct template_part {
	struct str	 text;		/* literal, in front */
	uint8_t		 var;		/* enum template_var */
	uint8_t		 group;		/* from 1 */
	struct str	 name;		/* behind the dot */
};

static const struct {
	struct str	name;		/* with a dot: a name follows */
	uint8_t		var;
	unsigned	how;		/* only then */
} vars[] = {
	{ STR_INIT("host"), VAR_HOST, 0 },
	{ STR_INIT("path"), VAR_PATH, 0 },
	{ STR_INIT("query"), VAR_QUERY, 0 },
	{ STR_INIT("scheme"), VAR_SCHEME, 0 },
	{ STR_INIT("tls.version"), VAR_TLS_VERSION, 0 },
	{ STR_INIT("tls.cipher"), VAR_TLS_CIPHER, 0 },
	{ STR_INIT("tls.sni"), VAR_TLS_SNI, 0 },
	{ STR_INIT("path."), VAR_CAUGHT, 0 },
	{ STR_INIT("client"), VAR_CLIENT, TEMPLATE_ASKER },
	{ STR_INIT("header."), VAR_HEADER, TEMPLATE_ASKER },
	{ STR_INIT("cookie."), VAR_COOKIE, TEMPLATE_ASKER },
};

/* --- reading --- */

static bool
find_var(struct arena *a, struct str name, unsigned how,
    struct template_part *p)
{
	struct str	var;

	for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++) {
		var = vars[i].name;
		if ((vars[i].how & ~how) != 0)
			continue;
		p->var = vars[i].var;
		if (str_eq(var, name) && !str_ends(var, STR(".")))
			return true;
		if (!str_ends(var, STR(".")) || !str_starts(name, var) ||
		    name.n == var.n)
			continue;
		p->name = arena_dup(a, str_sub(name, var.n, name.n));
		return true;
	}
	return false;
}

/* Bytes of the variable that s begins with; 0: none, -1: an unknown one. */
static int
read_var(struct arena *a, struct str s, unsigned how,
    struct template_part *p)
{
	ptrdiff_t	end;

	if ((how & TEMPLATE_GROUPS) && s.n >= 2 && s.p[1] >= '1' &&
	    s.p[1] <= '9') {
		p->var = VAR_GROUP;
		p->group = (uint8_t)(s.p[1] - '0');
		return 2;
	}
	if (!str_starts(s, STR("${")))
		return 0;
	end = str_find(s, '}', 2);
	if (end < 0 || !find_var(a, str_sub(s, 2, (size_t)end),
	    how, p))
		return how & TEMPLATE_TEXT ? 0 : -1;
	return (int)end + 1;
}

static int
fail(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str at)
{
	struct conf_span	sp;
	ptrdiff_t		end = str_find(at, '}', 0);

	if (end >= 0)
		at = str_sub(at, 0, (size_t)end + 1);
	sp = conf_word_span(it, at);
	diag_at(conf_load_diags(load), DIAG_VALUE_TEMPLATE, &sp, NULL,
	    row->key, "\"%.*s\": there is no such variable here",
	    STR_FMT(str_sub(at, 0, 80)));
	return -1;
}

int
template_parse(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str text, unsigned how,
    struct template *t)
{
	struct arena		*a = conf_load_arena(load);
	struct template_part	*v, p;
	size_t			 n = 2, at = 0;
	ptrdiff_t		 next = 0;
	int			 len;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '$';
	t->v = v = arena_alloc(a, n * sizeof(*v));
	t->n = 0;
	while ((next = str_find(text, '$', (size_t)next)) >= 0) {
		p = (struct template_part){ .var = VAR_NONE };
		len = read_var(a, str_sub(text, (size_t)next, text.n),
		    how, &p);
		if (len == -1)
			return fail(load, row, it,
			    str_sub(text, (size_t)next, text.n));
		if (len > 0) {
			p.text = arena_dup(a, str_sub(text, at,
			    (size_t)next));
			v[t->n++] = p;
			at = (size_t)(next + len);
		}
		next += len > 0 ? len : 1;
	}
	v[t->n++] = (struct template_part){
		.text = arena_dup(a, str_sub(text, at, text.n)) };
	t->fixed = t->n == 1;
	return 0;
}

static bool
is_caught(const struct route *r, struct str name)
{
	for (size_t i = 0; i < r->paths.n; i++)
		if (route_find_name(&r->paths.v[i], name) >= 0)
			return true;
	return false;
}

/* Where a value of the key has the text. */
static struct conf_span
find_text(struct conf_load *load, const struct conf_obj *obj,
    const char *key, struct str text)
{
	struct conf_span	 none = { .file = NULL };
	struct conf_words	 w;
	struct str		 s;

	conf_words_init(&w, load, obj, key);
	while (conf_words_next(&w))
		for (size_t at = 0; at + text.n <= w.word.n; at++) {
			s = str_sub(w.word, at, at + text.n);
			if (str_eq(s, text))
				return conf_word_span(w.it, s);
		}
	return none;
}

int
template_check(struct conf_load *load, const struct conf_obj *obj,
    const char *key, const struct template *t)
{
	const struct route	*r = obj->part[0];
	struct conf_span	 sp;
	struct str		 name;

	for (size_t i = 0; i < t->n; i++) {
		name = t->v[i].name;
		if (t->v[i].var != VAR_CAUGHT || is_caught(r, name))
			continue;
		sp = find_text(load, obj, key, arena_fmt(
		    conf_load_arena(load), "${path.%.*s}", STR_FMT(name)));
		diag_at(conf_load_diags(load), DIAG_VALUE_TEMPLATE, &sp, obj,
		    key, "no path of the route has a parameter or a group "
		    "\"%.*s\"", STR_FMT(name));
		return -1;
	}
	return 0;
}

/* --- filling in --- */

static struct str
caught(const struct exchange *x, struct str name)
{
	int	i = x->pattern != NULL ? route_find_name(x->pattern, name) :
	    -1;

	return i >= 0 ? x->caps[i] : STR("");
}

static struct str
header(const struct exchange *x, struct str name)
{
	const struct hdr	*h = hdr_get_name(&x->req->hdrs, name);

	return h != NULL ? h->val : STR("");
}

static struct str
value(struct exchange *x, const struct template_part *p,
    const struct str *groups, uint32_t ngroup)
{
	switch (p->var) {
	case VAR_HOST:
		return x->host;
	case VAR_PATH:
		return x->path;
	case VAR_QUERY:
		return x->uri.query;
	case VAR_SCHEME:
		return exchange_scheme(x);
	case VAR_TLS_VERSION:
		return tls_version(conn_tls(x->conn));
	case VAR_TLS_CIPHER:
		return tls_cipher(conn_tls(x->conn));
	case VAR_TLS_SNI:
		return tls_sni(conn_tls(x->conn));
	case VAR_CAUGHT:
		return caught(x, p->name);
	case VAR_CLIENT:
		return exchange_client_ip(x);
	case VAR_HEADER:
		return header(x, p->name);
	case VAR_COOKIE:
		return cookie_get(&x->req->hdrs, p->name);
	case VAR_GROUP:
		return p->group <= ngroup ? groups[p->group - 1] : STR("");
	default:
		return STR("");
	}
}

struct str
template_expand(const struct template *t, struct exchange *x,
    const struct str *groups, uint32_t ngroup)
{
	struct text	out;
	struct str	val, got;

	if (t->fixed)
		return arena_dup(x->arena, t->v[0].text);
	text_init(&out);
	for (size_t i = 0; i < t->n; i++) {
		val = value(x, &t->v[i], groups, ngroup);
		got = t->v[i].text;
		if (t->v[i].var == VAR_QUERY && val.n == 0 &&
		    str_ends(got, STR("?")))
			got.n--;
		text_add(&out, got);
		text_add(&out, val);
	}
	got = arena_dup(x->arena, text_str(&out));
	text_fini(&out);
	return got;
}
