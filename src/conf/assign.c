/*
 * Items to members: one function per type of row.  Builder and tools.
 *
 * Everything that is written here is copied to the generation's arena.
 * A value that is wrong is reported at its place and leaves the default.
 */
#include <unistd.h>

#include <limits.h>

#include "base/must.h"
#include "conf/diag_int.h"
#include "conf/int.h"

/* what is being assigned */
struct assign {
	struct conf_load		*l;
	const struct sect		*s;
	const struct conf_row		*row;
	const struct conf_item		*items;
	size_t				 n;
};

static const struct conf_item *
last_of(const struct assign *a)
{
	return &a->items[a->n - 1];
}

/* Reports at a part of the item; the reason stands in e. */
static bool
fail(const struct assign *a, enum diag_id id, const struct conf_item *it,
    struct str part, const struct err *e)
{
	struct conf_span	sp = conf_word_span(it, part);

	diag_at(a->l->diags, id, &sp, a->s->obj, a->row->key, "%s: %s",
	    a->row->key, a->row->flags & CONF_F_SECRET ?
	    "the value is not valid" : e->text);
	return false;
}

/* "x" is read as "y" (W0410), for words of values. */
static void
warn_word(const struct assign *a, const struct conf_item *it,
    struct str was, struct str is)
{
	struct conf_span	sp = conf_word_span(it, was);

	if (it->origin == CONF_DEFAULT)
		return;
	diag_at(a->l->diags, DIAG_ALIAS, &sp, a->s->obj, a->row->key,
	    "\"%.*s\" is read as \"%.*s\"", STR_FMT(was), STR_FMT(is));
	diag_hint(a->l->diags, "write \"%.*s\"", STR_FMT(is));
}

static bool
assign_bool(const struct assign *a, void *dst)
{
	const struct conf_item	*it = last_of(a);
	struct err		 e;
	bool			 on;

	if (conf_val_bool(it->val, &on, &e) != 0)
		return fail(a, DIAG_VALUE_BOOL, it, it->val, &e);
	if (it->val.p[0] != 'o')
		warn_word(a, it, it->val, on ? STR("on") : STR("off"));
	*(bool *)dst = on;
	return true;
}

/* The bounds of the row, in words of its unit. */
static void
hint_range(const struct assign *a)
{
	const struct conf_row	*r = a->row;
	struct text		 t;
	void			(*put)(struct text *, uint64_t) = text_u64;

	if (r->type == CONF_SIZE)
		put = text_size;
	else if (r->type == CONF_TIME)
		put = text_time;
	text_init(&t);
	if (r->min < 0)
		text_i64(&t, r->min);
	else
		put(&t, (uint64_t)r->min);
	if (r->max != 0) {
		text_add(&t, STR(" to "));
		put(&t, (uint64_t)r->max);
	} else
		text_add(&t, STR(" or more"));
	diag_hint(a->l->diags, "%.*s", STR_FMT(text_str(&t)));
	text_fini(&t);
}

static bool
fail_range(const struct assign *a, const struct conf_item *it)
{
	struct err	e;

	err_set(&e, "\"%.*s\" is out of bounds",
	    STR_FMT(str_sub(it->val, 0, 60)));
	fail(a, DIAG_VALUE_RANGE, it, it->val, &e);
	hint_range(a);
	return false;
}

static bool
assign_int(const struct assign *a, void *dst)
{
	const struct conf_item	*it = last_of(a);
	struct str		 val = it->val;
	struct err		 e;
	int64_t			 v;

	if (a->row->unit == CONF_PERCENT && str_ends(val, STR("%")))
		val = str_trim(str_sub(val, 0, val.n - 1));
	if (conf_val_int(val, INT64_MIN, INT64_MAX, &v, &e) != 0)
		return fail(a, DIAG_VALUE_INT, it, it->val, &e);
	if (v < a->row->min || (a->row->max != 0 && v > a->row->max))
		return fail_range(a, it);
	*(int64_t *)dst = v;
	return true;
}

/* SIZE and TIME. */
static bool
assign_scaled(const struct assign *a, void *dst)
{
	const struct conf_item	*it = last_of(a);
	const struct conf_row	*r = a->row;
	enum conf_unit		 unit = it->alias != NULL ?
	    it->alias->unit : r->unit;
	bool			 size = r->type == CONF_SIZE;
	struct err		 e;
	uint64_t		 v;
	int			 rc;

	if (size)
		rc = conf_val_size(it->val, unit, &v, &e);
	else
		rc = conf_val_time(it->val, unit, &v, &e);
	if (rc != 0)
		return fail(a, size ? DIAG_VALUE_SIZE : DIAG_VALUE_TIME, it,
		    it->val, &e);
	if ((r->min > 0 && v < (uint64_t)r->min) ||
	    (r->max > 0 && v > (uint64_t)r->max))
		return fail_range(a, it);
	*(uint64_t *)dst = v;
	return true;
}

/* "off, on, auto" */
static void
hint_choices(const struct assign *a)
{
	struct text	t;
	struct str	w;
	size_t		i;

	text_init(&t);
	for (i = 0; value_choice(a->row->choices, i, &w); i++)
		text_fmt(&t, "%s%.*s", i == 0 ? "one of " : ", ",
		    STR_FMT(w));
	diag_hint(a->l->diags, "%.*s", STR_FMT(text_str(&t)));
	text_fini(&t);
}

/* Reads a word of row->choices; aliases are told. */
static bool
read_choice(const struct assign *a, const struct conf_item *it,
    struct str *word, int *v)
{
	struct err	e;
	struct str	first;

	if (conf_val_enum(*word, a->row->choices, v, &e) != 0) {
		fail(a, DIAG_VALUE_CHOICE, it, *word, &e);
		hint_choices(a);
		return false;
	}
	must(value_choice(a->row->choices, (size_t)*v, &first));
	if (!str_eq(first, *word))
		warn_word(a, it, *word, first);
	*word = first;
	return true;
}

static bool
assign_enum(const struct assign *a, void *dst)
{
	struct str	word = last_of(a)->val;

	return read_choice(a, last_of(a), &word, dst);
}

/* Refuses control characters: they would end up in heads and logs. */
static bool
check_text(const struct assign *a, const struct conf_item *it, struct str s)
{
	size_t		i;
	struct err	e;

	for (i = 0; i < s.n; i++) {
		unsigned char	c = (unsigned char)s.p[i];

		if ((c >= 0x20 && c != 0x7f) || c == '\t')
			continue;
		err_set(&e, "there is a control character (0x%02x)", c);
		return fail(a, DIAG_VALUE_TEXT, it, str_sub(s, i, i + 1),
		    &e);
	}
	return true;
}

/* The default itself: what is constant needs no copy. */
static bool
is_constant(const struct assign *a, const struct conf_item *it)
{
	return a->row->def != NULL && it->val.p == a->row->def &&
	    !(a->row->flags & CONF_F_SECRET);
}

static bool
assign_str(const struct assign *a, void *dst)
{
	const struct conf_item	*it = last_of(a);
	const struct conf_row	*r = a->row;

	if (!check_text(a, it, it->val))
		return false;
	if (it->val.n < (uint64_t)r->min ||
	    (r->max > 0 && it->val.n > (uint64_t)r->max))
		return fail_range(a, it);
	if (is_constant(a, it))
		*(struct str *)dst = it->val;
	else
		*(struct str *)dst = arena_dup((r->flags & CONF_F_SECRET) &&
		    a->l->keys != NULL ? a->l->keys : a->l->out, it->val);
	return true;
}

static bool
assign_path(const struct assign *a, void *dst)
{
	const struct conf_item	*it = last_of(a);
	const struct conf_row	*r = a->row;
	struct str		 path = STR("");

	if (!check_text(a, it, it->val))
		return false;
	if (is_constant(a, it) && str_starts(it->val, STR("/")))
		path = it->val;
	else if (it->val.n > 0)
		path = conf_path(a->l, it);
	/* Of defaults configure is the judge. */
	if (it->origin != CONF_DEFAULT && (path.n < (uint64_t)r->min ||
	    (r->max > 0 && path.n > (uint64_t)r->max)))
		return fail_range(a, it);
	*(struct str *)dst = path;
	return true;
}

/* Words of one item into v (NULL: only counted); false after a report. */
static bool
add_words(const struct assign *a, const struct conf_item *it, struct vec *v)
{
	struct str	rest = it->val;
	struct str	word;
	struct err	e;
	size_t		n = 0;
	int		ignore;

	for (; str_word(&rest, CONF_SEPS, &word); n++) {
		if (a->row->choices != NULL &&
		    !read_choice(a, it, &word, &ignore))
			return false;
		*(struct str *)vec_push(v) = arena_dup(a->l->out, word);
	}
	if (n > 0 || it->val.n == 0)
		return true;
	err_set(&e, "there is no word in the list");
	return fail(a, DIAG_VALUE_EMPTY, it, it->val, &e);
}

static bool
assign_list(const struct assign *a, void *dst)
{
	struct vec		 v;
	struct str		*p;
	size_t			 i;
	bool			 ok = true;

	vec_init(&v, sizeof(*p));
	for (i = 0; i < a->n; i++) {
		if (!check_text(a, &a->items[i], a->items[i].val))
			ok = false;
		else if (a->row->type == CONF_LINES)
			*(struct str *)vec_push(&v) =
			    arena_dup(a->l->out, a->items[i].val);
		else if (!add_words(a, &a->items[i], &v))
			ok = false;
	}
	if (ok) {
		p = arena_alloc(a->l->out, v.n * sizeof(*p));
		if (v.n > 0)
			memcpy(p, v.p, v.n * sizeof(*p));
		*(struct conf_list *)dst = (struct conf_list){ p, v.n };
	}
	vec_fini(&v);
	return ok;
}

static bool
assign_pairs(const struct assign *a, void *dst)
{
	struct conf_pair	*p = arena_alloc(a->l->out,
	    a->n * sizeof(*p));
	const struct conf_item	*it;
	size_t			 i;
	size_t			 pre;

	for (i = 0; i < a->n; i++) {
		it = &a->items[i];
		if (!check_text(a, it, it->val))
			return false;
		pre = str_from(it->alias != NULL ? it->alias->key :
		    a->row->key).n - 1;
		p[i].key = arena_dup(a->l->out,
		    str_sub(it->key, pre, it->key.n));
		p[i].val = arena_dup(a->l->out, it->val);
	}
	*(struct conf_pairs *)dst = (struct conf_pairs){ p, a->n };
	return true;
}

/* Modules know no section yet: what they tell gets its name here. */
static bool
assign_custom(const struct assign *a, void *dst)
{
	struct diags	*d = a->l->diags;
	size_t		 before = diag_kept(d);
	bool		 ok;

	must(a->row->parse != NULL);
	ok = a->row->parse(a->l, a->row, dst, a->items, a->n) == 0;
	if (diag_kept(d) > before)
		diag_own(d, before, diag_name(a->l, a->s));
	return ok;
}

bool
assign_row(struct conf_load *l, const struct sect *s,
    const struct conf_row *row, void *dst, const struct conf_item *items,
    size_t n)
{
	struct assign	a = { l, s, row, items, n };

	must(n > 0);
	switch (row->type) {
	case CONF_BOOL:
		return assign_bool(&a, dst);
	case CONF_INT:
		return assign_int(&a, dst);
	case CONF_SIZE:
	case CONF_TIME:
		return assign_scaled(&a, dst);
	case CONF_ENUM:
		return assign_enum(&a, dst);
	case CONF_STR:
		return assign_str(&a, dst);
	case CONF_PATH:
		return assign_path(&a, dst);
	case CONF_LIST:
	case CONF_LINES:
		return assign_list(&a, dst);
	case CONF_PAIRS:
		return assign_pairs(&a, dst);
	case CONF_CUSTOM:
		return assign_custom(&a, dst);
	}
	must(!"a row's type");
	return false;
}

/* Where relative paths begin, with its slash. */
static struct str
find_cwd(struct conf_load *l)
{
	char	buf[PATH_MAX];

	if (l->cwd.p == NULL)
		l->cwd = getcwd(buf, sizeof(buf)) == NULL ? STR("/") :
		    arena_fmt(&l->arena, "%s%s", buf,
		    str_ends(str_from(buf), STR("/")) ? "" : "/");
	return l->cwd;
}

struct str
conf_path(struct conf_load *l, const struct conf_item *it)
{
	struct str	cwd = STR("");
	struct str	folder = STR("");
	struct str	val = it->val;

	if (val.n > 0 && val.p[0] == '/')
		return arena_dup(l->out, val);
	if (it->kspan.line > 0 && it->origin != CONF_DEFAULT)
		folder = include_folder(&l->arena, it->kspan.file);
	while (str_starts(folder, STR("./")))
		folder = str_sub(folder, 2, folder.n);
	if (folder.n == 0 || folder.p[0] != '/')
		cwd = find_cwd(l);
	while (str_starts(val, STR("./")))
		val = str_sub(val, 2, val.n);
	if (str_eq(val, STR(".")))
		val = STR("");
	return arena_fmt(l->out, "%.*s%.*s%.*s", STR_FMT(cwd),
	    STR_FMT(folder), STR_FMT(val));
}
