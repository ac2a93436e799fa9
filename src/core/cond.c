/*
 * What conditions of routes share.  Builder; workers match.
 */
#include "core/cond.h"

int
cond_fail(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str word, const char *why)
{
	struct conf_span	sp = conf_word_span(it, word);

	diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN, &sp, NULL,
	    row->key, "\"%.*s\": %s", STR_FMT(str_sub(word, 0, 80)), why);
	return -1;
}

int
cond_fail_name(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, const char *why)
{
	diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN, &it->kspan, NULL,
	    row->key, "\"%.*s\": %s", STR_FMT(str_sub(it->key, 0, 80)), why);
	return -1;
}

int
cond_fail_empty(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it)
{
	diag_at(conf_load_diags(load), DIAG_VALUE_EMPTY, &it->vspan, NULL,
	    row->key, "%s: there is no word in the list", row->key);
	return -1;
}

int
cond_parse_words(struct conf_load *load, const struct conf_row *row,
    void *dst, const struct conf_item *items, size_t n,
    const char *(*read)(struct arena *, void *dst, struct str word))
{
	struct arena	*a = conf_load_arena(load);
	struct str	 rest, word;
	const char	*why;
	size_t		 nword = 0;
	int		 rc = 0;

	for (size_t i = 0; i < n; i++) {
		rest = items[i].val;
		for (; str_word(&rest, " \t\n,", &word); nword++) {
			why = read(a, dst, word);
			if (why != NULL)
				rc = cond_fail(load, row, &items[i], word,
				    why);
		}
	}
	if (nword > 0)
		return rc;
	return cond_fail_empty(load, row, &items[0]);
}

/* "X-Y" of "header.X-Y" */
static struct str
name_of(const struct conf_row *row, const struct conf_item *it)
{
	const char	*key = it->alias != NULL ? it->alias->key : row->key;

	return str_sub(it->key, str_from(key).n - 1, it->key.n);
}

int
cond_parse_pairs(struct conf_load *load, const struct conf_row *row,
    void *dst, const struct conf_item *items, size_t n)
{
	struct arena		*a = conf_load_arena(load);
	struct conf_pair	*p = arena_alloc(a, n * sizeof(*p));

	for (size_t i = 0; i < n; i++) {
		p[i].key = arena_dup(a, name_of(row, &items[i]));
		p[i].val = arena_dup(a, items[i].val);
		if (!hdr_is_value(p[i].val))
			return cond_fail(load, row, &items[i], items[i].val,
			    "no request has such a value");
	}
	*(struct conf_pairs *)dst = (struct conf_pairs){ p, n };
	return 0;
}

static bool
is_name(struct str a, struct str b, bool fold)
{
	return fold ? str_eq_fold(a, b) : str_eq(a, b);
}

uint32_t
cond_count_pairs(const struct conf_pairs *ps, bool fold)
{
	uint32_t	n = 0;
	size_t		k;

	for (size_t i = 0; i < ps->n; i++) {
		for (k = 0; k < i; k++)
			if (is_name(ps->v[i].key, ps->v[k].key, fold))
				break;
		n += k == i;
	}
	return n;
}

bool
cond_match_pairs(const struct conf_pairs *ps, const struct exchange *x,
    bool fold, bool (*has)(const struct exchange *,
    const struct conf_pair *))
{
	bool	found;

	for (size_t i = 0; i < ps->n; i++) {
		found = false;
		for (size_t k = 0; k < ps->n && !found; k++)
			found = is_name(ps->v[i].key, ps->v[k].key, fold) &&
			    has(x, &ps->v[k]);
		if (!found)
			return false;
	}
	return true;
}

/* True if wide has the name with this value, or with any. */
static bool
has_pair(const struct conf_pairs *wide, const struct conf_pair *p, bool fold)
{
	for (size_t i = 0; i < wide->n; i++)
		if (is_name(wide->v[i].key, p->key, fold) &&
		    cond_fits(&wide->v[i], p->val))
			return true;
	return false;
}

bool
cond_covers_pairs(const struct conf_pairs *wide,
    const struct conf_pairs *narrow, bool fold)
{
	bool	found;

	for (size_t i = 0; i < wide->n; i++) {
		found = false;
		for (size_t k = 0; k < narrow->n; k++) {
			if (!is_name(wide->v[i].key, narrow->v[k].key, fold))
				continue;
			found = true;
			if (!has_pair(wide, &narrow->v[k], fold))
				return false;
		}
		if (!found)
			return false;
	}
	return true;
}

bool
cond_fits(const struct conf_pair *want, struct str val)
{
	return str_eq(want->val, STR("*")) || str_eq(want->val, val);
}
