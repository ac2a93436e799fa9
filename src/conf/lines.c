/*
 * Physical lines to logical ones: a header, or a key with its value and
 * the indented lines that continue it.  Builder and tools.
 *
 * Comments are whole lines, blank lines mean nothing; neither ends a
 * value.  Lines end with LF or CR LF.  What is not text, or neither header
 * nor assignment, is told here and left out.
 */
#include "conf/lines.h"

#include "conf/int.h"

void
lines_init(struct lines *s, struct conf_load *l, const struct cfile *f)
{
	*s = (struct lines){ .l = l, .file = f };
	vec_init(&s->raws, sizeof(struct raw));
}

void
lines_fini(struct lines *s)
{
	vec_fini(&s->raws);
}

struct conf_span
lines_span(const struct lines *s, const struct line *ln, struct str part)
{
	return (struct conf_span){
		.file = s->file->name, .line = ln->number,
		.col = (unsigned)(part.p - ln->text.p) + 1,
		.len = (unsigned)part.n, .text = ln->text
	};
}

static void
tell(struct lines *s, const struct line *ln, enum diag_id id,
    struct str part, const char *text)
{
	struct conf_span	sp = lines_span(s, ln, part);

	s->l->broken = true;
	diag_sect(s->l->diags, id, &sp, STR(""), STR(""), "%s", text);
}

/* True if the line is text; a NUL ends the reading of the file. */
static bool
is_text(struct lines *s, const struct line *ln)
{
	ptrdiff_t	at = str_find(ln->text, '\0', 0);

	if (at >= 0) {
		tell(s, ln, DIAG_NUL_BYTE, str_sub(ln->text, (size_t)at,
		    (size_t)at + 1), "there is a NUL byte in the file");
		s->pos = s->file->data.n;
		return false;
	}
	at = str_find(ln->text, '\r', 0);
	if (at >= 0) {
		tell(s, ln, DIAG_LONE_CR, str_sub(ln->text, (size_t)at,
		    (size_t)at + 1), "there is a CR that no LF follows");
		return false;
	}
	return true;
}

/* The next physical line; false at the end. */
static bool
fetch(struct lines *s, struct line *ln)
{
	const struct str	*data = &s->file->data;
	ptrdiff_t		 lf;

	if (s->has_back) {
		s->has_back = false;
		*ln = s->back;
		return true;
	}
	while (s->pos < data->n) {
		lf = str_find(*data, '\n', s->pos);
		ln->text = str_sub(*data, s->pos,
		    lf < 0 ? data->n : (size_t)lf);
		ln->number = ++s->number;
		s->pos = lf < 0 ? data->n : (size_t)lf + 1;
		if (lf >= 0 && str_ends(ln->text, STR("\r")))
			ln->text.n--;
		if (is_text(s, ln))
			return true;
	}
	return false;
}

/* Blank or comment. */
static bool
is_nothing(struct str s)
{
	s = str_trim(s);
	return s.n == 0 || s.p[0] == '#' || s.p[0] == ';';
}

static bool
is_indented(struct str s)
{
	return s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t');
}

static bool
is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	    c == '_' || c == '-' || c == '.';
}

/*
 * Looks like `key = value` or a whole `[type name]`, though indented.
 * Without a blank ("weight=2") it must be a key of the section.
 */
static bool
looks_like_own(const struct lines *l, struct str s)
{
	size_t		i = 0;
	struct str	rest;

	s = str_trim(s);
	if (s.p[0] == '[') {
		if (!str_ends(s, STR("]")))
			return false;
		for (i = 1; i < s.n - 1; i++)
			if (!is_word_byte(s.p[i]) && s.p[i] != ' ' &&
			    s.p[i] != '\t')
				return false;
		return s.n > 2;
	}
	while (i < s.n && is_word_byte(s.p[i]))
		i++;
	rest = str_trim(str_sub(s, i, s.n));
	if (i == 0 || s.p[0] < 'a' || s.p[0] > 'z' || rest.n == 0 ||
	    rest.p[0] != '=')
		return false;
	return s.p[i] != '=' || (l->rows != NULL &&
	    keys_find(l->rows->keys, str_sub(s, 0, i)) != NULL);
}

static void
warn_indented(struct lines *s, const struct line *ln, struct str part)
{
	struct conf_span	 sp = lines_span(s, ln, part);
	const struct rowref	*ref = NULL;

	if (s->rows != NULL)
		ref = keys_find(s->rows->keys, s->key);
	if (ref != NULL && (ref->row->flags & CONF_F_SECRET))
		sp.col = 0;
	diag_sect(s->l->diags, DIAG_INDENTED, &sp, STR(""), STR(""),
	    "this indented line continues the value above");
}

/* The value so far is within quotes. */
static bool
is_quoting(const struct lines *s)
{
	const struct raw	*first;
	const struct raw	*last;

	if (s->raws.n == 0)
		return false;
	first = vec_at(&s->raws, 0);
	last = vec_at(&s->raws, s->raws.n - 1);
	return first->text.n > 0 && first->text.p[0] == '"' &&
	    ((s->raws.n == 1 && first->text.n == 1) ||
	    !str_ends(last->text, STR("\"")));
}

static void
add_raw(struct lines *s, const struct line *ln, struct str part)
{
	struct raw	*r = vec_push(&s->raws);

	r->text = part;
	r->span = lines_span(s, ln, part);
}

/* Takes the indented lines that follow. */
static void
take_more(struct lines *s, bool key)
{
	struct line	ln;
	struct str	part;

	while (fetch(s, &ln)) {
		if (is_nothing(ln.text))
			continue;
		if (!is_indented(ln.text)) {
			s->back = ln;
			s->has_back = true;
			return;
		}
		part = str_trim(ln.text);
		if (key && looks_like_own(s, part) && !is_quoting(s))
			warn_indented(s, &ln, part);
		add_raw(s, &ln, part);
	}
}

static bool
is_key_byte(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f;
}

/* Splits at '='; false after a report. */
static bool
split(struct lines *s, const struct line *ln, struct str t)
{
	ptrdiff_t	eq = str_find(t, '=', 0);
	struct str	val;
	size_t		i;

	if (eq < 0) {
		tell(s, ln, DIAG_SYNTAX, t, "this is neither key = value "
		    "nor a [section]");
		return false;
	}
	s->key = str_trim(str_sub(t, 0, (size_t)eq));
	for (i = 0; i < s->key.n && is_key_byte(s->key.p[i]); i++)
		;
	if (s->key.n == 0 || i < s->key.n || s->key.n > CONF_KEY_MAX) {
		tell(s, ln, DIAG_SYNTAX, s->key.n == 0 ?
		    str_sub(t, 0, 1) : s->key, s->key.n == 0 ?
		    "there is no key before =" : i < s->key.n ?
		    "a key is one word" : "a key has at most 255 bytes");
		return false;
	}
	s->kspan = lines_span(s, ln, s->key);
	val = str_trim(str_sub(t, (size_t)eq + 1, t.n));
	if (val.n == 0)
		val = str_make(t.p + t.n, 0);
	add_raw(s, ln, val);
	return true;
}

enum line_kind
lines_next(struct lines *s)
{
	struct line	ln;
	struct str	t;
	bool		ok;

	while (fetch(s, &ln)) {
		if (is_nothing(ln.text))
			continue;
		t = str_trim(ln.text);
		s->raws.n = 0;
		s->at = ln;
		if (t.p[0] == '[') {
			s->key = t;
			return LINE_HEAD;
		}
		ok = split(s, &ln, t);
		take_more(s, ok);
		if (ok)
			return LINE_KEY;
	}
	return LINE_END;
}
