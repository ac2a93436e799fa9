/*
 * Patterns of paths, from text.  Builder and tools.
 *
 * A word is brought into the form that requests are compared in: it is
 * normalised as their paths are.  A value that begins with a tilde is one
 * regular expression as it stands, for it may hold blanks and commas.
 */
#include "core/route_path.h"

#include "base/vec.h"
#include "core/cond.h"
#include "core/regex.h"

bool
route_cut_param(struct str *rest, struct str *lit, struct str *name)
{
	struct str	s = *rest;
	ptrdiff_t	at = 0;
	size_t		end;

	while ((at = str_find(s, ':', (size_t)at)) > 0 &&
	    s.p[at - 1] != '/')
		at++;
	*lit = at > 0 ? str_sub(s, 0, (size_t)at) : s;
	if (at <= 0)
		return false;
	for (end = (size_t)at; end < s.n && s.p[end] != '/';)
		end++;
	*name = str_sub(s, (size_t)at + 1, end);
	*rest = str_sub(s, end, s.n);
	return true;
}

int
route_find_name(const struct route_path *p, struct str name)
{
	uint64_t	n;

	for (uint32_t i = 0; i < p->ncap; i++)
		if (str_eq(p->names[i], name))
			return (int)i;
	/* a group that has a name has its number, too */
	if (p->kind == ROUTE_REGEX && str_to_u64(name, p->ncap, &n) == 0 &&
	    n > 0)
		return (int)n - 1;
	return -1;
}

bool
route_path_is_any(const struct route_path *p)
{
	return p->kind == ROUTE_TREE && p->ncap == 0 &&
	    str_eq(p->text, STR("/"));
}

bool
route_path_may_begin(const struct route_path *p, struct str s)
{
	struct str	rest = p->text, lit, name;
	bool		more = p->kind == ROUTE_TREE && p->prefix;

	if (p->kind == ROUTE_REGEX)
		return true;
	lit = rest;
	if (p->kind == ROUTE_TREE && p->ncap > 0)
		more |= route_cut_param(&rest, &lit, &name);
	if (lit.n < s.n)
		return more && str_starts(s, lit);
	return str_starts(lit, s) && (lit.n > s.n ? lit.p[s.n] == '/' : true);
}

static bool
is_param_name(struct str s)
{
	bool	ok = s.n > 0 && s.n <= 32;

	for (size_t i = 0; ok && i < s.n; i++)
		ok = (s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '_' ||
		    (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
		    (i > 0 && s.p[i] >= '0' && s.p[i] <= '9');
	return ok;
}

/* The names of a pattern's parameters; NULL, or why they cannot be. */
static const char *
read_params(struct arena *a, struct route_path *p)
{
	struct str	*names = arena_alloc(a, ROUTE_PARAMS *
	    sizeof(*names));
	struct str	 rest = p->text, lit, name;

	p->names = names;
	while (route_cut_param(&rest, &lit, &name)) {
		if (rest.n == 0 && p->prefix)
			return "a slash goes between a parameter and the "
			    "asterisk";
		if (!is_param_name(name))
			return "a parameter is a whole segment: a colon and "
			    "a name of letters, digits and _";
		if (p->ncap == ROUTE_PARAMS)
			return "there are more than 8 parameters";
		if (route_find_name(p, name) >= 0)
			return "two parameters have the same name";
		names[p->ncap++] = name;
	}
	return NULL;
}

static void
warn_slash(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str word)
{
	struct conf_span	sp = conf_word_span(it, word);

	diag_at(conf_load_diags(load), DIAG_PATH_SLASH, &sp, NULL, row->key,
	    "\"%.*s\" is read as \"/%.*s\"", STR_FMT(word), STR_FMT(word));
}

/* Bytes that no request line may have are shown as they would come. */
static int
fail_path(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str word)
{
	struct text	t;
	unsigned char	b;
	bool		high = false;

	text_init(&t);
	for (size_t i = 0; i < word.n; i++) {
		b = (unsigned char)word.p[i];
		high |= b >= 0x80;
		if (b >= 0x80)
			text_fmt(&t, "%%%02X", b);
		else
			text_c(&t, (char)b);
	}
	(void)cond_fail(load, row, it, word, high ?
	    "a path has only ASCII characters" :
	    "no request has such a path");
	if (high)
		diag_hint(conf_load_diags(load),
		    "write it percent-encoded: %.*s", STR_FMT(text_str(&t)));
	text_fini(&t);
	return -1;
}

static int
read_word(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str word, struct route_path *p)
{
	struct arena	*a = conf_load_arena(load);
	struct str	 lit = word, norm;
	const char	*why;

	p->prefix = str_ends(word, STR("*"));
	lit.n -= p->prefix;
	if (str_find(lit, '*', 0) >= 0)
		return cond_fail(load, row, it, word,
		    "an asterisk may only be the last character");
	if (lit.n > 0 && lit.p[0] != '/')
		warn_slash(load, row, it, word);
	if (lit.n == 0 || lit.p[0] != '/')
		lit = arena_fmt(a, "/%.*s", STR_FMT(lit));
	if (uri_normalise(a, lit, true, &norm) != FAIL_NONE)
		return fail_path(load, row, it, word);
	p->text = arena_dup(a, norm);
	why = read_params(a, p);
	if (why != NULL)
		return cond_fail(load, row, it, word, why);
	p->kind = p->prefix || p->ncap > 0 ? ROUTE_TREE : ROUTE_EXACT;
	return 0;
}

int
route_read_regex(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str text, struct route_path *p)
{
	struct arena		*a = conf_load_arena(load);
	struct str		*names;
	struct conf_span	 sp;
	struct err		 e = { "it is empty" };
	size_t			 off = 0;

	p->kind = ROUTE_REGEX;
	p->text = arena_dup(a, text);
	names = arena_alloc(a, ROUTE_CAPS * sizeof(*names));
	p->names = names;
	if (text.n > 0 && regex_check(a, p->text, names, &p->ncap, &off,
	    &e) == 0)
		return 0;
	if (off >= text.n)
		off = text.n > 0 ? text.n - 1 : 0;
	sp = conf_word_span(it, str_sub(text, off, off + 1));
	diag_at(conf_load_diags(load), DIAG_REGEX, text.n > 0 ? &sp :
	    &it->vspan, NULL, row->key, "regular expression: %s", e.text);
	return -1;
}

static int
read_item(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct vec *v)
{
	struct str	rest = str_trim(it->val), word;
	int		rc = 0;

	if (str_starts(rest, STR("~")))
		return route_read_regex(load, row, it,
		    str_trim(str_sub(rest, 1, rest.n)), vec_push(v));
	while (str_word(&rest, " \t\n,", &word))
		if (read_word(load, row, it, word, vec_push(v)) == -1)
			rc = -1;
	return rc;
}

int
route_parse_paths(struct conf_load *load, const struct conf_row *row,
    void *dst, const struct conf_item *items, size_t n)
{
	struct route_paths	*ps = dst;
	struct route_path	*p;
	struct vec		 v;
	int			 rc = 0;

	vec_init(&v, sizeof(*p));
	for (size_t i = 0; i < n; i++)
		if (read_item(load, row, &items[i], &v) == -1)
			rc = -1;
	if (rc == 0 && v.n == 0)
		rc = cond_fail_empty(load, row, &items[0]);
	p = arena_alloc(conf_load_arena(load), (v.n + 1) * sizeof(*p));
	if (v.n > 0)
		memcpy(p, v.p, v.n * sizeof(*p));
	*ps = (struct route_paths){ p, v.n };
	vec_fini(&v);
	return rc;
}
