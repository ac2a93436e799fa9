/*
 * Keys to rows: a map per section, families by prefix, and what a word
 * that is unknown may have meant.  Builder, -t and tools.
 *
 * All of it follows from the tables of the modules, so the program's own
 * are gone through once per process, at the first load.
 */
#include "conf/keys.h"

#include <stdlib.h>

#include "base/must.h"

static const struct {
	const char	*type;
	const char	*keys;
} later[] = {
#define LATER(type, keys)	{ type, keys },
#include "conf/later.tbl"
#undef LATER
};

/* of conf_sections, for all loads */
static struct keytab *own;

static bool
is_family(struct str key)
{
	return str_ends(key, STR(".*"));
}

/* Bytes whose lower six bits are the same share one. */
static uint64_t
letters_of(struct str s)
{
	uint64_t	set = 0;
	size_t		i;

	for (i = 0; i < s.n; i++)
		set |= UINT64_C(1) << ((unsigned char)s.p[i] & 63);
	return set;
}

static void
add_key(struct keys *k, struct arena *a, const char *key, struct rowref r)
{
	struct str	 word = str_from(key);
	struct rowref	*ref;

	if (is_family(word)) {
		*(struct rowref *)vec_push(&k->fams) = r;
		return;
	}
	ref = arena_alloc(a, sizeof(*ref));
	*ref = r;
	/* Two rows of one name in a section would be a broken table. */
	must(map_add(&k->map, word, ref) == NULL);
	*(struct keyword *)vec_push(&k->words) = (struct keyword){
		word, letters_of(word), ref
	};
}

/* The row of a guest, as far as its words are none of ours. */
static void
add_guest(struct keys *k, struct arena *a, const struct conf_row *row)
{
	const struct conf_alias	*al = row->aliases;
	unsigned		 nth = (unsigned)k->nrow;

	if ((row->flags & CONF_F_HOME) != 0 ||
	    map_find(&k->map, str_from(row->key)) != NULL)
		return;
	k->nrow++;
	add_key(k, a, row->key, (struct rowref){ row, NULL, nth });
	for (; al != NULL && al->key != NULL; al++)
		if (map_find(&k->map, str_from(al->key)) == NULL)
			add_key(k, a, al->key, (struct rowref){ row, al,
			    nth });
}

static void
add_row(struct keys *k, struct arena *a, const struct conf_row *row)
{
	const struct conf_alias	*al;
	unsigned		 nth = (unsigned)k->nrow++;

	add_key(k, a, row->key, (struct rowref){ row, NULL, nth });
	if (row->aliases == NULL)
		return;
	for (al = row->aliases; al->key != NULL; al++)
		add_key(k, a, al->key, (struct rowref){ row, al, nth });
}

/* The words of later.tbl; "*" is the family of all. */
static void
add_later(struct keys *k)
{
	struct str	rest = STR("");
	struct str	w;
	size_t		i;

	map_init(&k->later, 0);
	vec_init(&k->later_fams, sizeof(struct str));
	for (i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (str_eq(str_from(later[i].type),
		    str_from(k->section->type)))
			rest = str_from(later[i].keys);
	while (str_word(&rest, " ", &w))
		if (is_family(w) || str_eq(w, STR("*")))
			*(struct str *)vec_push(&k->later_fams) =
			    str_sub(w, 0, w.n - 1);
		else
			map_add(&k->later, w, k);
}

static void
add_guests(struct keys *k, const struct conf_section *s, struct arena *a)
{
	const struct conf_row	*row;

	for (size_t i = 0; s->groups[i] != NULL; i++)
		for (row = s->groups[i]->rows; row != NULL &&
		    row->key != NULL; row++)
			add_guest(k, a, row);
}

static void
init(struct keys *k, const struct conf_section *s, struct arena *a)
{
	const struct conf_row	*row;

	k->section = s;
	map_init(&k->map, 0);
	vec_init(&k->words, sizeof(struct keyword));
	vec_init(&k->fams, sizeof(struct rowref));
	vec_init(&k->late, sizeof(struct laterow));
	for (; s->groups[k->ngroup] != NULL; k->ngroup++) {
		row = s->groups[k->ngroup]->rows;
		for (; row != NULL && row->key != NULL; row++)
			add_row(k, a, row);
	}
	must(k->ngroup > 0 &&
	    s->groups[0]->size >= sizeof(struct conf_obj));
	if (s->guest != NULL)
		add_guests(k, *s->guest, a);
	add_later(k);
}

static struct keytab *
make(const struct conf_section *const *sections)
{
	struct keytab	*t = must_calloc(1, sizeof(*t));
	size_t		 i;

	arena_init(&t->arena, NULL);
	t->sections = sections;
	for (; sections[t->n] != NULL; t->n++) {
		must(t->n < CONF_NSECTION);
		for (i = 0; i < t->n; i++)
			must(!str_eq(str_from(sections[i]->type),
			    str_from(sections[t->n]->type)));
		init(&t->v[t->n], sections[t->n], &t->arena);
	}
	for (i = 0; i < t->n; i++)
		for (size_t j = 0; j < t->n; j++)
			if (sections[i]->guest != NULL &&
			    *sections[i]->guest == sections[j])
				t->v[i].guest = &t->v[j];
	return t;
}

struct keytab *
keytab_get(const struct conf_section *const *sections)
{
	if (sections != conf_sections)
		return make(sections);
	if (own == NULL)
		own = make(sections);
	return own;
}

void
keytab_put(struct keytab **tp)
{
	struct keytab	*t = *tp;
	size_t		 i;

	*tp = NULL;
	if (t == NULL || t == own)
		return;
	for (i = 0; i < t->n; i++) {
		map_fini(&t->v[i].map);
		vec_fini(&t->v[i].words);
		vec_fini(&t->v[i].fams);
		vec_fini(&t->v[i].late);
		map_fini(&t->v[i].later);
		vec_fini(&t->v[i].later_fams);
	}
	arena_fini(&t->arena);
	free(t);
}

bool
keytab_is_later(struct str type)
{
	size_t	i;

	for (i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (str_eq(str_from(later[i].type), type))
			return true;
	return false;
}

bool
keys_is_later(const struct keys *k, struct str key)
{
	const struct str	*pre;
	size_t			 i;

	if (map_find(&k->later, key) != NULL)
		return true;
	for (i = 0; i < k->later_fams.n; i++) {
		pre = vec_at(&k->later_fams, i);
		if (key.n > pre->n && str_starts(key, *pre))
			return true;
	}
	return k->guest != NULL && keys_find(k->guest, key) == NULL &&
	    keys_is_later(k->guest, key);
}

bool
keys_is_guest(const struct keys *k, const struct conf_row *row)
{
	const struct conf_row	*r;

	for (size_t i = 0; i < k->ngroup; i++)
		for (r = k->section->groups[i]->rows; r != NULL &&
		    r->key != NULL; r++)
			if (r == row)
				return false;
	return true;
}

/* "header." of "header.*", the word that the reference was found by. */
static struct str
prefix_of(const struct rowref *ref)
{
	struct str	w = str_from(ref->alias != NULL ? ref->alias->key :
	    ref->row->key);

	return str_sub(w, 0, w.n - 1);
}

const struct rowref *
keys_find(const struct keys *k, struct str key)
{
	const struct rowref	*best = map_find(&k->map, key);
	const struct rowref	*f;
	struct str		 pre;
	size_t			 i;
	size_t			 n = 0;

	if (best != NULL)
		return best;
	for (i = 0; i < k->fams.n; i++) {
		f = vec_at(&k->fams, i);
		pre = prefix_of(f);
		if (pre.n > n && key.n > pre.n && str_starts(key, pre)) {
			best = f;
			n = pre.n;
		}
	}
	return best;
}

/* --- names of environment variables --- */

/* Upper case with '.' and '-' as '_', the first n bytes of both. */
static bool
canon_eq(struct str key, struct str canon, size_t n)
{
	size_t	i;
	char	c;

	if (key.n < n || canon.n < n)
		return false;
	for (i = 0; i < n; i++) {
		c = key.p[i];
		if (c == '.' || c == '-')
			c = '_';
		else if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (c != canon.p[i])
			return false;
	}
	return true;
}

static struct str
make_family_key(struct arena *a, struct str pre, struct str rest)
{
	char	*p = arena_text(a, pre.n + rest.n);
	size_t	 i;

	memcpy(p, pre.p, pre.n);
	for (i = 0; i < rest.n; i++)
		p[pre.n + i] = rest.p[i] >= 'A' && rest.p[i] <= 'Z' ?
		    (char)(rest.p[i] - 'A' + 'a') : rest.p[i];
	return str_make(p, pre.n + rest.n);
}

struct str
keys_find_env(const struct keys *k, struct str canon, struct arena *a)
{
	struct str	key;
	size_t		i;

	for (i = 0; i < k->words.n; i++) {
		key = ((struct keyword *)vec_at(&k->words, i))->word;
		if (key.n == canon.n && canon_eq(key, canon, key.n))
			return key;
	}
	for (i = 0; i < k->fams.n; i++) {
		key = prefix_of(vec_at(&k->fams, i));
		if (canon.n > key.n && canon_eq(key, canon, key.n))
			return make_family_key(a, key,
			    str_sub(canon, key.n, canon.n));
	}
	return STR_NONE;
}

/* --- what was meant --- */

/* the search for the nearest word */
struct near {
	struct str		 word;	/* p NULL: none yet */
	const struct rowref	*ref;
	unsigned		 d;	/* its distance; the limit + 1 */
};

/* a before b: nearer, or as near and earlier in the alphabet. */
static bool
is_better(unsigned d, struct str key, const struct near *has)
{
	return d < has->d || (d == has->d && has->word.p != NULL &&
	    str_cmp(key, has->word) < 0);
}

/* More letters apart than max edits can bring together: two at each. */
static bool
is_far(uint64_t a, uint64_t b, unsigned max)
{
	return (unsigned)__builtin_popcountll(a ^ b) > 2 * max;
}

static void
search_words(const struct keys *k, struct str key, unsigned max,
    struct near *near)
{
	uint64_t		 letters = letters_of(key);
	const struct keyword	*w = k->words.p;
	const struct keyword	*end = w + k->words.n;
	unsigned		 d;

	for (; w < end; w++) {
		if (is_far(w->letters, letters, max))
			continue;
		d = str_distance(key, w->word, max);
		if (d <= max && is_better(d, w->word, near))
			*near = (struct near){ w->word, w->ref, d };
	}
}

struct str
keys_find_near(const struct keys *k, struct str key, unsigned max,
    struct arena *a, const struct rowref **ref)
{
	struct near	near = { .word = STR_NONE, .d = max + 1 };
	struct str	pre;
	ptrdiff_t	dot = str_find(key, '.', 0);
	unsigned	d;
	size_t		i;

	if (k->words.n > 0)
		search_words(k, key, max, &near);
	for (i = 0; dot > 0 && i < k->fams.n; i++) {
		pre = prefix_of(vec_at(&k->fams, i));
		d = str_distance(str_sub(key, 0, (size_t)dot + 1), pre, max);
		if (d >= near.d)
			continue;
		near.d = d;
		near.ref = vec_at(&k->fams, i);
		near.word = arena_fmt(a, "%.*s%.*s", STR_FMT(pre),
		    STR_FMT(str_sub(key, (size_t)dot + 1, key.n)));
	}
	*ref = near.ref;
	return near.word;
}
