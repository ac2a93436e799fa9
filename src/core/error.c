/*
 * Error pages.  Workers and control.
 *
 * A page of the configuration (error_page.STATUS of the route, then of
 * [sluice]) unless Accept refuses its type; else a built-in one: JSON
 * (RFC 9457), HTML or text, as Accept prefers (RFC 9110 12.5.1); text if
 * it does not say.  Those have the status, the row of the fail table and
 * the request id, and nothing that a client sent.
 */
#include "core/error.h"

#include "base/text.h"
#include "core/error_grpc.h"
#include "core/int.h"
#include "core/route.h"
#include "core/settings.h"

enum kind { KIND_TEXT, KIND_JSON, KIND_HTML, KIND_N };

static const struct str types[KIND_N] = {
	[KIND_TEXT] = STR_INIT("text/plain; charset=utf-8"),
	[KIND_JSON] = STR_INIT("application/problem+json"),
	[KIND_HTML] = STR_INIT("text/html; charset=utf-8")
};

/* --- what is preferred --- */

/* "0.25" in thousandths; what is no weight counts as none. */
static unsigned
read_weight(struct str s)
{
	unsigned	v = 0, unit = 1000;

	if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') ||
	    (s.n > 1 && s.p[1] != '.'))
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		if (i == 1)
			continue;
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		v += (unsigned)(s.p[i] - '0') * unit;
		unit /= 10;
	}
	return v <= 1000 ? v : 0;
}

/* Takes "type/subtype" and the weight out of one range. */
static struct str
read_range(struct str s, unsigned *weight)
{
	struct str	type, param;

	*weight = 1000;
	if (!str_word(&s, ";", &type))
		return STR_NONE;
	while (str_word(&s, ";", &param)) {
		param = str_trim(param);
		if (param.n > 2 && (param.p[0] | 0x20) == 'q' &&
		    param.p[1] == '=')
			*weight = read_weight(str_sub(param, 2, param.n));
	}
	return str_trim(type);
}

static bool
kind_of(struct str type, enum kind *k)
{
	static const struct {
		struct str	type;
		enum kind	kind;
	} known[] = {
		{ STR_INIT("application/problem+json"), KIND_JSON },
		{ STR_INIT("application/json"), KIND_JSON },
		{ STR_INIT("application/*"), KIND_JSON },
		{ STR_INIT("text/html"), KIND_HTML },
		{ STR_INIT("application/xhtml+xml"), KIND_HTML },
		{ STR_INIT("text/plain"), KIND_TEXT },
		{ STR_INIT("text/*"), KIND_TEXT },
		{ STR_INIT("*/*"), KIND_TEXT }
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq_fold(type, known[i].type)) {
			*k = known[i].kind;
			return true;
		}
	return false;
}

/* The heaviest range, the first of equals. */
static enum kind
choose(const struct hdrs *hs)
{
	const struct hdr	*h;
	struct str		 rest, word;
	enum kind		 k, best = KIND_TEXT;
	unsigned		 weight, most = 0;

	for (h = hdr_get(hs, HDR_ACCEPT); h != NULL;
	    h = hdr_next(hs, HDR_ACCEPT, h)) {
		rest = h->val;
		while (str_word(&rest, ",", &word)) {
			word = read_range(word, &weight);
			if (weight > most && kind_of(word, &k)) {
				most = weight;
				best = k;
			}
		}
	}
	return best;
}

/* How well a range fits a type: 0 not, 3 exactly. */
static unsigned
fits(struct str range, struct str type)
{
	ptrdiff_t	slash = str_find(type, '/', 0);

	if (str_eq(range, STR("*/*")))
		return 1;
	if (str_eq_fold(range, type))
		return 3;
	return slash > 0 && range.n == (size_t)slash + 2 &&
	    range.p[slash + 1] == '*' && str_eq_fold(str_sub(range, 0,
	    (size_t)slash + 1), str_sub(type, 0, (size_t)slash + 1)) ? 2 : 0;
}

/* What the closest range says; who does not say takes all. */
static bool
accepts(const struct hdrs *hs, struct str type)
{
	const struct hdr	*h = hdr_get(hs, HDR_ACCEPT);
	struct str		 rest, word;
	unsigned		 weight, best = h == NULL, near = 0, fit;

	for (; h != NULL; h = hdr_next(hs, HDR_ACCEPT, h)) {
		rest = h->val;
		while (str_word(&rest, ",", &word)) {
			word = read_range(word, &weight);
			fit = fits(word, type);
			if (fit == 0 || fit < near)
				continue;
			best = fit > near || weight > best ? weight : best;
			near = fit;
		}
	}
	return best > 0;
}

/* --- what is configured --- */

static const struct error_page *
find_in(const struct error_pages *p, unsigned status)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].status == status)
			return &p->v[i];
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].status == status / 100)
			return &p->v[i];
	return NULL;
}

/* A handler's own page has its status, whatever the failure's is. */
static unsigned
status_of(const struct exchange *x)
{
	return x->gen != NULL && x->page != NULL ?
	    (unsigned)x->page->status : fail_row(x->fail)->status;
}

static const struct error_page *
find_page(const struct exchange *x, unsigned status)
{
	const struct error_page	*p = NULL;
	struct str		 type;
	ptrdiff_t		 semi;

	if (x->gen == NULL || x->serve->only != NULL)
		return NULL;
	if (x->page != NULL)
		return x->page;
	if (x->route != NULL)
		p = find_in(conf_part(&x->route->obj, &error_group), status);
	if (p == NULL)
		p = find_in(&settings_get(x->gen->conf)->error_pages, status);
	if (p == NULL)
		return NULL;
	semi = str_find(p->type, ';', 0);
	type = semi < 0 ? p->type : str_sub(p->type, 0, (size_t)semi);
	return accepts(&x->req->hdrs, type) ? p : NULL;
}

static void
write_value(struct text *t, enum error_form form, struct str s)
{
	struct text	j;

	switch (form) {
	case ERROR_PLAIN:
		text_add(t, s);
		return;
	case ERROR_MARKUP:
		text_html(t, s);
		return;
	case ERROR_JSON:
		/* the template has the quotes */
		text_init(&j);
		text_json(&j, s);
		text_add(t, str_sub(text_str(&j), 1, j.n - 1));
		text_fini(&j);
		return;
	}
}

static struct str
value_of(const struct exchange *x, const struct fail_row *r,
    enum error_var var)
{
	switch (var) {
	case ERROR_VAR_NONE:
		return STR("");
	case ERROR_VAR_STATUS:
		return arena_fmt(x->arena, "%u", status_of(x));
	case ERROR_VAR_REASON:
		return msg_reason(status_of(x));
	case ERROR_VAR_FAIL:
		return str_from(r->name);
	case ERROR_VAR_ID:
		return x->id;
	case ERROR_VAR_HOST:
		return x->host;
	}
	return STR("");
}

static void
write_page(struct text *t, const struct exchange *x,
    const struct error_page *p)
{
	const struct fail_row	*r = fail_row(x->fail);

	for (size_t i = 0; i < p->n; i++) {
		text_add(t, p->v[i].text);
		write_value(t, p->form, value_of(x, r, p->v[i].var));
	}
}

/* --- what is built in --- */

static void
write_json(struct text *t, const struct fail_row *r, struct str id)
{
	struct str	title = msg_reason(r->status);

	text_fmt(t, "{\"type\":\"about:blank\",\"title\":");
	text_json(t, title);
	text_fmt(t, ",\"status\":%u,\"detail\":", r->status);
	text_json(t, str_from(r->text));
	text_fmt(t, ",\"fail\":\"%s\"", r->name);
	if (id.n > 0) {
		text_add(t, STR(",\"id\":"));
		text_json(t, id);
	}
	text_add(t, STR("}\n"));
}

static void
write_html(struct text *t, const struct fail_row *r, struct str id)
{
	struct str	title = msg_reason(r->status);

	text_fmt(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta "
	    "charset=\"utf-8\">\n<title>%u %.*s</title>\n"
	    "<h1>%u %.*s</h1>\n<p>%s</p>\n<p><small>%s%s%.*s</small></p>\n"
	    "</html>\n", r->status, STR_FMT(title), r->status,
	    STR_FMT(title), r->text, r->name, id.n > 0 ? " " : "",
	    STR_FMT(id));
}

static void
write_text(struct text *t, const struct fail_row *r, struct str id)
{
	text_fmt(t, "%u %.*s\n%s\n%s%s%.*s\n", r->status,
	    STR_FMT(msg_reason(r->status)), r->text, r->name,
	    id.n > 0 ? " " : "", STR_FMT(id));
}

struct str
error_allow(struct arena *a, uint32_t bits, struct str more)
{
	struct text	t;
	char		buf[512];

	text_init_fixed(&t, buf, sizeof(buf));
	for (unsigned m = METHOD_OTHER + 1; m < METHOD_N; m++)
		if (bits & METHOD_BIT(m))
			text_fmt(&t, "%s%.*s", t.n > 0 ? ", " : "",
			    STR_FMT(msg_method_text((enum http_method)m)));
	if (more.n > 0)
		text_fmt(&t, "%s%.*s", t.n > 0 ? ", " : "", STR_FMT(more));
	return arena_dup(a, text_str(&t));
}

/* A string of RFC 8941 3.3.3; what it cannot hold is left out. */
static void
write_string(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			continue;
		if (s.p[i] == '"' || s.p[i] == '\\')
			text_c(t, '\\');
		text_c(t, s.p[i]);
	}
}

/*
 * RFC 9209.  The error type is what programs know; details has the name of
 * the failure, which is the word of the log.  Addresses only if wanted.
 */
static void
add_proxy_status(struct exchange *x, struct hdrs *hs)
{
	const struct fail_row	*r = fail_row(x->fail);
	int			 how = STATUS_ON;
	struct text		 t;

	if (x->gen != NULL)
		how = settings_get(x->gen->conf)->proxy_status;
	if (r->proxy[0] == '\0' || how == STATUS_OFF)
		return;
	text_init(&t);
	text_fmt(&t, "sluice; error=%s",
	    x->error_type != NULL ? x->error_type : r->proxy);
	if (x->received != 0)
		text_fmt(&t, "; received-status=%u", x->received);
	if (how == STATUS_FULL && x->acc.str[ACCESS_SERVER].n > 0) {
		text_add(&t, STR("; next-hop=\""));
		write_string(&t, x->acc.str[ACCESS_SERVER]);
		text_c(&t, '"');
	}
	text_fmt(&t, "; details=\"%s", r->name);
	if (how == STATUS_FULL && x->acc.str[ACCESS_CAUSE].n > 0) {
		text_add(&t, STR(": "));
		write_string(&t, x->acc.str[ACCESS_CAUSE]);
	}
	text_c(&t, '"');
	hdr_add(x->arena, hs, HDR_PROXY_STATUS, arena_dup(x->arena,
	    text_str(&t)));
	text_fini(&t);
}

static void
add_fields(struct exchange *x, struct hdrs *hs)
{
	unsigned	status = status_of(x);

	hdr_add(x->arena, hs, HDR_CACHE_CONTROL, STR("no-store"));
	if (status == 405)
		hdr_add(x->arena, hs, HDR_ALLOW,
		    error_allow(x->arena, x->allow, x->allow_more));
	if (status == 503)
		hdr_add(x->arena, hs, HDR_RETRY_AFTER,
		    arena_fmt(x->arena, "%u", x->retry_after > 0 ?
		    x->retry_after : 1));
	add_proxy_status(x, hs);
}

/* Writes the page; its type. */
static struct str
write_body(struct text *t, const struct exchange *x)
{
	static void	(*const writers[KIND_N])(struct text *,
	    const struct fail_row *, struct str) = {
		[KIND_TEXT] = write_text, [KIND_JSON] = write_json,
		[KIND_HTML] = write_html
	};
	const struct fail_row	*r = fail_row(x->fail);
	const struct error_page	*p = find_page(x, r->status);
	enum kind		 k;

	if (p != NULL) {
		write_page(t, x, p);
		return p->type;
	}
	k = choose(&x->req->hdrs);
	writers[k](t, r, x->id);
	return types[k];
}

/* Pages, ours and others', are nothing to a client of gRPC. */
static void
answer_grpc(struct exchange *x)
{
	x->res = error_grpc_head(x);
	add_proxy_status(x, &x->res->hdrs);
	x->res_flags = WAIST_END;
	x->error_page = true;
}

void
error_page(struct exchange *x)
{
	struct msg	*m;
	struct str	 type;
	struct text	 t;

	if (error_grpc_takes(x)) {
		answer_grpc(x);
		return;
	}
	m = exchange_new_head(x, status_of(x));
	text_init(&t);
	type = write_body(&t, x);
	x->reply = arena_dup(x->arena, text_str(&t));
	text_fini(&t);
	m->body = (int64_t)x->reply.n;
	hdr_add(x->arena, &m->hdrs, HDR_CONTENT_TYPE, type);
	add_fields(x, &m->hdrs);
	if (x->grpc)
		error_grpc_fields(x, &m->hdrs);
	x->res = m;
	x->res_flags = x->reply.n == 0 ? WAIST_END : 0;
	x->error_page = true;
}
