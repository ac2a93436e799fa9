/*
 * [log]: the form of lines, filter, sample, redaction.
 */
#include "core/log_conf.h"

#include <stdlib.h>

#include "base/must.h"
#include "conf/load.h"
#include "core/expr.h"
#include "core/serve.h"
#include "core/settings.h"

#define AT(member)	offsetof(struct log_conf, member)
#define HIDDEN		STR("***")

/* --- checks --- */

static const char *const	forms[] = {
	[FORM_JSON] = "json", [FORM_LOGFMT] = "logfmt",
	[FORM_COMMON] = "common", [FORM_COMBINED] = "combined",
};

/* Reports what is wrong from byte `from` of the key's value on. */
static int
fail_value(struct conf_load *load, const struct conf_obj *obj,
    const char *key, struct str val, size_t from, const char *why)
{
	const struct conf_item	*it = conf_item(load, obj, key);
	struct str		 bad = str_sub(val, from, val.n);
	struct conf_span	 sp;

	if (it != NULL)
		sp = bad.n > 0 ? conf_word_span(it, bad) : it->vspan;
	diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN,
	    it != NULL ? &sp : NULL, obj, key, "\"%.*s\": %s",
	    STR_FMT(str_sub(val, 0, 80)), why);
	return -1;
}

/* A word, or a template if it has a variable. */
static int
link_format(struct conf_load *load, const struct conf_obj *obj,
    struct log_conf *c)
{
	struct str	rest = c->format, piece;
	const char	*why;
	int		field, n = 0;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (!str_eq(c->format, str_from(forms[i])))
			continue;
		c->form = (enum record_form)i;
		if (!c->structured && c->form <= FORM_LOGFMT)
			c->form = FORM_PLAIN;
		return 0;
	}
	c->form = FORM_TEMPLATE;
	while (record_template_next(&rest, &piece, &field, &why))
		n += field >= 0;
	if (why == NULL && n == 0)
		why = "this is not json, logfmt, common or combined, nor a "
		    "template with fields such as ${status}";
	return why == NULL ? 0 : fail_value(load, obj, "format", c->format,
	    c->format.n - rest.n, why);
}

static int
link_log(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct log_conf	*c = part;
	struct expr	*x;
	struct err	 e;
	size_t		 at;

	if (link_format(load, obj, c) == -1)
		return -1;
	x = expr_new(c->filter, &at, &e);
	if (x == NULL)
		return fail_value(load, obj, "filter", c->filter, at, e.text);
	expr_free(&x);
	return 0;
}

static const struct conf_row rows[] = {
	{
		.key = "format", .type = CONF_STR, .off = AT(format),
		.def = "json", .min = 1, .max = 4096, .example = "combined",
		.text = "How a request stands in the file: json, logfmt, "
		    "common or combined (as httpd writes them; the size is "
		    "that of the whole response), or a template with fields "
		    "of the access record such as ${client} ${status}.  "
		    "With common and combined the lines of processes stand "
		    "in a file of their own, see file_pattern; with a "
		    "template they are plain text between the others."
	}, {
		.key = "structured_logging", .type = CONF_BOOL,
		.off = AT(structured), .def = "on", .example = "off",
		.text = "Whether lines have named fields; off: plain text in "
		    "place of json and logfmt."
	}, {
		.key = "enable_performance_metrics", .type = CONF_BOOL,
		.off = AT(metrics), .def = "on", .example = "off",
		.text = "Whether json, logfmt and plain lines tell how long "
		    "things took."
	}, {
		.key = "filter", .type = CONF_STR, .off = AT(filter),
		.max = 4096, .example = "status >= 400 or duration_us > 1s",
		.text = "Which requests are recorded: an expression over the "
		    "fields of the access record, see Filters.  All, if it "
		    "is empty."
	}, {
		.key = "sample", .type = CONF_INT, .off = AT(sample),
		.unit = CONF_COUNT, .def = "1", .min = 1, .max = 1000000,
		.example = "100",
		.text = "One of so many requests is recorded, chosen by its "
		    "id; those that failed or got a status from 500 up "
		    "always are."
	}, {
		.key = "redact", .type = CONF_LIST, .off = AT(redact),
		.def = "token access_token refresh_token id_token api_key "
		    "apikey key password passwd secret signature code",
		.example = "session token",
		.text = "Query parameters whose values are logged as ***, in "
		    "any case of letters.  Fields of requests other than "
		    "Referer and User-Agent are never logged."
	},
	{ .key = NULL }
};

const struct conf_group log_conf_group = {
	"log_conf", rows, sizeof(struct log_conf), link_log
};

const struct log_conf *
log_conf_of(const struct settings_log *l)
{
	return conf_part(&l->obj, &log_conf_group);
}

const struct log_conf *
log_conf(const struct conf *c)
{
	return log_conf_of(settings_log(c));
}

void
log_style(const struct conf *c, struct record_style *s)
{
	const struct log_conf	*l = log_conf(c);

	*s = (struct record_style){ .form = l->form, .tmpl = l->format,
	    .no_times = !l->metrics };
}

/* --- which requests --- */

struct log_state {
	struct expr	*filter;	/* own; NULL: all */
	struct expr	*fresh;		/* own: of a generation to come */
};

static int
prepare(struct serve *s, const struct conf *conf, struct err *e)
{
	void			**at = serve_state(s, &log_part);
	struct str		 text = log_conf(conf)->filter;
	struct log_state	*st;
	size_t			 where;

	if (*at == NULL)
		*at = must_calloc(1, sizeof(*st));
	st = *at;
	if (text.n == 0)
		return 0;
	st->fresh = expr_new(text, &where, e);
	return st->fresh != NULL ? 0 : -1;
}

static void
cancel(struct serve *s)
{
	struct log_state	*st = *serve_state(s, &log_part);

	if (st != NULL)
		expr_free(&st->fresh);
}

static void
commit(struct serve *s, const struct conf *conf)
{
	struct log_state	*st = *serve_state(s, &log_part);

	(void)conf;
	expr_free(&st->filter);
	st->filter = st->fresh;
	st->fresh = NULL;
}

static void
fini(struct serve *s)
{
	struct log_state	*st = *serve_state(s, &log_part);

	if (st == NULL)
		return;
	expr_free(&st->filter);
	expr_free(&st->fresh);
	free(st);
}

const struct serve_part log_part = {
	"log", prepare, commit, cancel, fini, NULL
};

bool
log_wants(struct exchange *x)
{
	const struct log_state	*st = *serve_state(x->serve, &log_part);
	uint64_t		 hash;

	if (!x->log_it)
		return false;
	if (st != NULL && st->filter != NULL &&
	    !expr_match(st->filter, &x->acc))
		return false;
	if (x->log_sample <= 1 || x->fail != FAIL_NONE ||
	    x->acc.num[ACCESS_STATUS] >= 500)
		return true;
	/* the same ones in all processes, as far as there are ids */
	hash = x->id.n > 0 ? str_hash(x->id, STR_HASH0) :
	    rand_next(&x->serve->rand);
	return hash % x->log_sample == 0;
}

/* --- redaction --- */

/* Whoever reads the parameter decodes its name: "%6bey" is "key". */
static bool
is_hidden(const struct log_conf *c, struct arena *a, struct str name)
{
	(void)uri_decode(a, name, &name);
	for (size_t i = 0; i < c->redact.n; i++)
		if (str_eq_fold(name, c->redact.v[i]))
			return true;
	return false;
}

/*
 * Adds the parameters of a query, values of hidden ones replaced.  True
 * if there was one.
 */
static bool
add_query(const struct log_conf *c, struct arena *a, struct text *t,
    struct str query)
{
	struct str	param;
	ptrdiff_t	end, eq;
	bool		any = false;

	while (query.n > 0) {
		end = str_find(query, '&', 0);
		param = str_sub(query, 0, end < 0 ? query.n : (size_t)end);
		query = str_sub(query, param.n + 1, query.n);
		eq = str_find(param, '=', 0);
		if (eq >= 0 && is_hidden(c, a,
		    str_sub(param, 0, (size_t)eq))) {
			text_add(t, str_sub(param, 0, (size_t)eq + 1));
			text_add(t, HIDDEN);
			any = true;
		} else
			text_add(t, param);
		if (end >= 0)
			text_c(t, '&');
	}
	return any;
}

struct str
log_redact(const struct log_conf *c, struct arena *a, struct str s)
{
	struct text	t;
	ptrdiff_t	mark;

	if (s.n == 0 || c->redact.n == 0)
		return s;
	mark = str_find(s, '?', 0);
	if (mark < 0)
		return s;
	text_init(&t);
	text_add(&t, str_sub(s, 0, (size_t)mark + 1));
	if (add_query(c, a, &t, str_sub(s, (size_t)mark + 1, s.n)))
		s = arena_dup(a, text_str(&t));
	text_fini(&t);
	return s;
}
