/*
 * Raw values to values: continued lines are joined with one blank, a pair
 * of quotes is taken off, ${env:NAME:-x} and ${file:PATH} are replaced
 * and $$ becomes $.  Builder and tools.
 *
 * Quotes protect all that is inside, dollars too.  Other ${words} stay:
 * they belong to templates, which are filled at run time.  Most values
 * need none of this and stay slices of the file; for the others a list of
 * pieces remembers where each byte stood, so that carets stay true.
 */
#include "base/must.h"
#include "conf/int.h"

struct expander {
	struct conf_load	*l;
	struct conf_item	*item;
	struct text		 out;
	struct vec		 pieces;	/* struct conf_piece */
	bool			 literal;	/* quoted */
};

/* The span of n bytes of a raw stretch from off on. */
static struct conf_span
cut_span(const struct raw *r, size_t off, size_t n)
{
	struct conf_span	sp = r->span;

	/* Masked: the whole, for nothing inside of it can be shown. */
	if (r->text.p < sp.text.p ||
	    r->text.p + r->text.n > sp.text.p + sp.text.n)
		return sp;
	sp.col += (unsigned)off;
	sp.len = (unsigned)n;
	return sp;
}

static int
fail(struct expander *x, const struct conf_span *at, const char *why,
    struct str what)
{
	diag_sect(x->l->diags, DIAG_EXPANSION, at, STR(""), x->item->key,
	    "%s \"%.*s\"", why, STR_FMT(str_sub(what, 0, 80)));
	return -1;
}

static int
fail_long(struct conf_load *l, const struct conf_item *it)
{
	diag_sect(l->diags, DIAG_VALUE_LONG, &it->vspan, STR(""), it->key,
	    "the value of \"%.*s\" is longer than %d bytes",
	    STR_FMT(it->key), CONF_VALUE_MAX);
	return -1;
}

/* Adds text of one place; false when the value becomes too long. */
static bool
add(struct expander *x, struct str s, const struct conf_span *sp,
    bool exact)
{
	struct conf_piece	*p;

	if (s.n == 0)
		return true;
	if (s.n > CONF_VALUE_MAX - x->out.n)
		return false;
	p = vec_push(&x->pieces);
	*p = (struct conf_piece){ x->out.n, s.n, *sp, exact };
	text_add(&x->out, s);
	return true;
}

/* The variable's value in the load's environment; p NULL: unset. */
static struct str
find_env(const struct conf_load *l, struct str name)
{
	char *const	*e;
	struct str	 s;

	for (e = l->opts.env; e != NULL && *e != NULL; e++) {
		s = str_from(*e);
		if (s.n > name.n && s.p[name.n] == '=' &&
		    str_starts(s, name))
			return str_sub(s, name.n + 1, s.n);
	}
	return STR_NONE;
}

static int
expand_env(struct expander *x, struct str body, const struct conf_span *sp)
{
	const char	*dash = memmem(body.p, body.n, ":-", 2);
	struct str	 name = body;
	struct str	 val;

	if (dash != NULL)
		name = str_sub(body, 0, (size_t)(dash - body.p));
	if (name.n == 0)
		return fail(x, sp, "no variable is named in", STR("${env:}"));
	val = find_env(x->l, name);
	if (dash != NULL && val.n == 0)
		val = str_sub(body, name.n + 2, body.n);
	else if (val.p == NULL)
		return fail(x, sp, "environment variable is not set:", name);
	return add(x, val, sp, false) ? 0 : fail_long(x->l, x->item);
}

/* The file's text without the newlines at its end. */
static int
expand_file(struct expander *x, struct str body, const struct conf_span *sp)
{
	struct conf_item	 at = *x->item;
	struct cfile		 f = { .name = NULL };
	struct str		 path;
	struct str		 s;

	if (body.n == 0 || memchr(body.p, '\0', body.n) != NULL)
		return fail(x, sp, "no file is named in", STR("${file:}"));
	at.vspan = *sp;
	at.val = body;
	path = conf_path(x->l, &at);
	if (include_slurp(x->l, arena_dup(&x->l->arena, path).p, &at,
	    &f) != 0)
		return -1;
	for (s = f.data; s.n > 0 && (s.p[s.n - 1] == '\n' ||
	    s.p[s.n - 1] == '\r');)
		s.n--;
	if (memchr(f.data.p, '\0', s.n) != NULL)
		return fail(x, sp, "there is a NUL byte in", path);
	return add(x, s, sp, false) ? 0 : fail_long(x->l, x->item);
}

/*
 * What begins with a dollar at r->text[i]; *used bytes of it are done.
 */
static int
expand_dollar(struct expander *x, const struct raw *r, size_t i,
    size_t *used)
{
	struct str		s = str_sub(r->text, i, r->text.n);
	struct conf_span	sp;
	ptrdiff_t		end;
	struct str		body;

	*used = 1;
	if (str_starts(s, STR("$$"))) {
		*used = 2;
		sp = cut_span(r, i, 2);
		return add(x, STR("$"), &sp, false) ? 0 :
		    fail_long(x->l, x->item);
	}
	if (!str_starts(s, STR("${env:")) && !str_starts(s, STR("${file:"))) {
		sp = cut_span(r, i, 1);
		return add(x, STR("$"), &sp, true) ? 0 :
		    fail_long(x->l, x->item);
	}
	end = str_find(s, '}', 0);
	sp = cut_span(r, i, end < 0 ? s.n : (size_t)end + 1);
	*used = s.n;
	if (end < 0)
		return fail(x, &sp, "no } closes", s);
	*used = (size_t)end + 1;
	body = str_sub(s, 2, (size_t)end);
	if (str_starts(body, STR("env:")))
		return expand_env(x, str_sub(body, 4, body.n), &sp);
	return expand_file(x, str_sub(body, 5, body.n), &sp);
}

/* One raw stretch: what stands between dollars is taken as it is. */
static int
expand_raw(struct expander *x, const struct raw *r)
{
	size_t			i = 0;
	size_t			used;
	ptrdiff_t		at;
	size_t			end;
	int			rc = 0;
	struct conf_span	sp;

	while (i < r->text.n) {
		at = x->literal ? -1 : str_find(r->text, '$', i);
		end = at < 0 ? r->text.n : (size_t)at;
		sp = cut_span(r, i, end - i);
		if (!add(x, str_sub(r->text, i, end), &sp, true))
			return fail_long(x->l, x->item);
		if (at < 0)
			break;
		/* Goes on after an error, to tell the next one as well. */
		if (expand_dollar(x, r, end, &used) != 0)
			rc = -1;
		i = end + used;
	}
	return rc;
}

static int
expand_all(struct expander *x, const struct raw *r, size_t n)
{
	struct conf_item	*it = x->item;
	struct conf_piece	*p;
	size_t			 i;
	int			 rc = 0;

	for (i = 0; i < n; i++) {
		if (i > 0 && !add(x, STR(" "), &r[i].span, false))
			return fail_long(x->l, it);
		if (expand_raw(x, &r[i]) != 0)
			rc = -1;
	}
	it->val = arena_dup(&x->l->arena, text_str(&x->out));
	it->npieces = x->pieces.n;
	p = arena_alloc(&x->l->arena, x->pieces.n * sizeof(*p));
	if (x->pieces.n > 0)
		memcpy(p, x->pieces.p, x->pieces.n * sizeof(*p));
	it->pieces = p;
	return rc;
}

/* Takes one pair of quotes off; -1 if one is open. */
static int
unquote(struct conf_load *l, const struct conf_item *it, struct raw *r,
    size_t n, bool *literal)
{
	struct raw	*last = &r[n - 1];
	size_t		 i;
	size_t		 quotes = 0;

	if (r->text.n == 0 || r->text.p[0] != '"')
		return 0;
	if ((n > 1 || r->text.n > 1) && last->text.n > 0 &&
	    last->text.p[last->text.n - 1] == '"') {
		*r = (struct raw){ str_sub(r->text, 1, r->text.n),
		    cut_span(r, 1, r->text.n - 1) };
		last->text.n--;
		*literal = true;
		return 0;
	}
	for (i = 0; i < n; i++)
		if (memchr(r[i].text.p, '"', r[i].text.n) != NULL)
			quotes++;
	if (quotes > 1 || str_find(r->text, '"', 1) >= 0)
		return 0;
	diag_sect(l->diags, DIAG_QUOTES, &it->vspan, STR(""), it->key,
	    "the double quote is not closed");
	return -1;
}

/* Who writes a comment behind a value is told; it may be meant so. */
static void
warn_comment(struct conf_load *l, const struct conf_item *it,
    const struct raw *r)
{
	struct conf_span	sp;
	ptrdiff_t		at = -1;

	while ((at = str_find(r->text, '#', (size_t)(at + 1))) >= 0)
		if (at == 0 || r->text.p[at - 1] == ' ' ||
		    r->text.p[at - 1] == '\t')
			break;
	if (at < 0 || r->span.line == 0)
		return;
	sp = cut_span(r, (size_t)at, r->text.n - (size_t)at);
	diag_sect(l->diags, DIAG_INLINE_COMMENT, &sp, STR(""), it->key,
	    "what follows # belongs to the value: comments are lines of "
	    "their own");
}

int
expand_value(struct conf_load *l, struct conf_item *it,
    const struct raw *raws, size_t n)
{
	struct expander	 x = { .l = l, .item = it };
	struct raw	*r = arena_alloc(&l->arena, n * sizeof(*r));
	size_t		 i;
	size_t		 sum = 0;
	int		 rc;

	must(n > 0);
	memcpy(r, raws, n * sizeof(*r));
	it->vspan = r[0].span;
	it->vspan.len = (unsigned)r[0].text.n;
	if (unquote(l, it, r, n, &x.literal) != 0)
		return -1;
	for (i = 0; i < n; i++)
		sum += r[i].text.n;
	for (i = 0; i < n && !x.literal; i++)
		warn_comment(l, it, &r[i]);
	if (sum > CONF_VALUE_MAX)
		return fail_long(l, it);
	it->quoted = x.literal;
	if (n == 1 && (x.literal || str_find(r->text, '$', 0) < 0)) {
		it->val = r->text;
		return 0;
	}
	text_init(&x.out);
	vec_init(&x.pieces, sizeof(struct conf_piece));
	rc = expand_all(&x, r, n);
	text_fini(&x.out);
	vec_fini(&x.pieces);
	return rc;
}

/* A span of n bytes at off of the piece. */
static struct conf_span
cut_piece(const struct conf_piece *p, size_t off, size_t n)
{
	struct conf_span	sp = p->span;

	if (!p->exact || sp.len != p->n)
		return sp;
	sp.col += (unsigned)off;
	sp.len = (unsigned)(n < p->n - off ? n : p->n - off);
	return sp;
}

/* The same, and what of the n bytes stands right behind in later pieces. */
static struct conf_span
cut_pieces(const struct conf_item *it, size_t i, size_t off, size_t n)
{
	const struct conf_piece	*p = &it->pieces[i];
	struct conf_span	 sp = cut_piece(p, off, n);

	while (p->exact && sp.len < n && ++i < it->npieces) {
		p = &it->pieces[i];
		if (!p->exact || p->span.len != p->n ||
		    p->span.line != sp.line || p->span.col != sp.col + sp.len)
			break;
		sp.len += (unsigned)(n - sp.len < p->n ? n - sp.len : p->n);
	}
	return sp;
}

/* The value's own bytes of a word that may be a copy; false if none. */
static bool
find_word(struct str val, struct str *word)
{
	struct str	w;

	if (word->p >= val.p && word->p < val.p + val.n)
		return true;
	while (str_word(&val, CONF_SEPS, &w))
		if (str_eq(w, *word)) {
			*word = w;
			return true;
		}
	return false;
}

/* The piece that has the byte: the last that does not begin behind it. */
static size_t
find_piece(const struct conf_item *it, size_t off)
{
	size_t	lo = 0;
	size_t	hi = it->npieces;
	size_t	mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (it->pieces[mid].from <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

struct conf_span
conf_word_span(const struct conf_item *it, struct str word)
{
	struct conf_span	sp = it->vspan;
	const struct str	*line = &it->vspan.text;
	size_t			 off;
	size_t			 i;

	if (!find_word(it->val, &word))
		return sp;
	off = (size_t)(word.p - it->val.p);
	if (it->npieces > 0) {
		i = find_piece(it, off);
		return cut_pieces(it, i, off - it->pieces[i].from, word.n);
	}
	if (word.p >= line->p &&
	    word.p + word.n <= line->p + line->n) {
		sp.col = (unsigned)(word.p - line->p) + 1;
		sp.len = (unsigned)word.n;
	}
	return sp;
}
