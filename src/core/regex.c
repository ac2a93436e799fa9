/*
 * Regular expressions of paths.  Workers; the builder checks them.
 */
#include "core/regex.h"

#define PCRE2_CODE_UNIT_WIDTH	8
#include <pcre2.h>
#include <stdlib.h>

#include "base/must.h"
#include "core/board.h"
#include "core/route_index.h"

/* what one match may cost: some milliseconds, and little memory */
#define MATCH_STEPS	50000
#define MATCH_DEPTH	1000
#define MATCH_KB	512

struct regex {
	struct str	 text;		/* own */
	pcre2_code	*code;		/* own */
	bool		 wanted;
};

/* of a process */
struct regexes {
	struct map		 by_text;	/* own: struct regex */
	pcre2_match_context	*limits;	/* own */
	pcre2_match_data	*data;		/* own: of any match */
};

static pcre2_code *
compile(struct str text, size_t *off, struct err *e)
{
	pcre2_code	*code;
	PCRE2_SIZE	 at = 0;
	char		 why[200] = "";
	int		 no = 0;

	code = pcre2_compile((PCRE2_SPTR)text.p, text.n,
	    PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C,
	    &no, &at, NULL);
	if (code != NULL)
		return code;
	pcre2_get_error_message(no, (PCRE2_UCHAR *)why, sizeof(why));
	*off = at;
	err_set(e, "%s", why);
	return NULL;
}

int
regex_check(struct arena *a, struct str text, struct str *names,
    uint32_t *nname, size_t *off, struct err *e)
{
	pcre2_code	*code = compile(text, off, e);
	uint32_t	 n = 0, named = 0, size = 0, at;
	PCRE2_SPTR	 tab = NULL;

	if (code == NULL)
		return -1;
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &n);
	pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &named);
	pcre2_pattern_info(code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, &tab);
	*nname = n < ROUTE_CAPS ? n : ROUTE_CAPS;
	for (uint32_t i = 0; i < *nname; i++)
		names[i] = arena_fmt(a, "%u", i + 1);
	for (uint32_t i = 0; i < named; i++, tab += size) {
		at = (uint32_t)tab[0] << 8 | tab[1];
		if (at <= *nname)
			names[at - 1] = arena_dup(a,
			    str_from((const char *)tab + 2));
	}
	pcre2_code_free(code);
	return 0;
}

/* --- of a process --- */

static void
init_pool(struct regexes *p, uint64_t seed)
{
	map_init(&p->by_text, seed);
	p->limits = pcre2_match_context_create(NULL);
	p->data = pcre2_match_data_create(ROUTE_CAPS + 1, NULL);
	must(p->limits != NULL && p->data != NULL);
	pcre2_set_match_limit(p->limits, MATCH_STEPS);
	pcre2_set_depth_limit(p->limits, MATCH_DEPTH);
	pcre2_set_heap_limit(p->limits, MATCH_KB);
}

static struct regexes *
get_pool(struct serve *s)
{
	void		**at = serve_state(s, &regex_part);
	struct regexes	*p = *at;

	if (p != NULL)
		return p;
	p = must_calloc(1, sizeof(*p));
	init_pool(p, rand_next(&s->rand));
	*at = p;
	return p;
}

static int
add(struct regexes *p, struct str text, struct err *e)
{
	struct regex	*r;
	pcre2_code	*code;
	char		*mem;
	size_t		 off;

	if (map_find(&p->by_text, text) != NULL)
		return 0;
	code = compile(text, &off, e);
	if (code == NULL)
		return -1;
	r = must_calloc(1, sizeof(*r) + text.n);
	mem = (char *)(r + 1);
	memcpy(mem, text.p, text.n);
	r->text = str_make(mem, text.n);
	r->code = code;
	map_add(&p->by_text, r->text, r);
	return 0;
}

static int
prepare(struct serve *s, const struct conf *c, struct err *e)
{
	const struct route_index	*x = conf_data(c, &route_section);
	struct regexes			*p = get_pool(s);

	for (size_t i = 0; i < x->nregex; i++)
		if (add(p, x->regex[i], e) == -1)
			return -1;
	return 0;
}

/* Frees those that are not wanted; none is after that. */
static void
sweep(struct regexes *p)
{
	struct regex	*r;
	struct str	 key;
	void		*val;
	size_t		 i = 0;

	while (map_next(&p->by_text, &i, &key, &val)) {
		r = val;
		if (!r->wanted) {
			map_del(&p->by_text, key);
			pcre2_code_free(r->code);
			free(r);
			i = 0;
		}
	}
}

static void
commit(struct serve *s, const struct conf *c)
{
	const struct route_index	*x = conf_data(c, &route_section);
	struct regexes			*p = get_pool(s);
	struct regex			*r;
	struct str			 key;
	void				*val;

	for (size_t i = 0; i < x->nregex; i++) {
		r = map_find(&p->by_text, x->regex[i]);
		if (r != NULL)
			r->wanted = true;
	}
	sweep(p);
	for (size_t i = 0; map_next(&p->by_text, &i, &key, &val);)
		((struct regex *)val)->wanted = false;
}

static void
fini_pool(struct regexes *p)
{
	sweep(p);
	map_fini(&p->by_text);
	pcre2_match_context_free(p->limits);
	pcre2_match_data_free(p->data);
}

static void
fini(struct serve *s)
{
	void		**at = serve_state(s, &regex_part);
	struct regexes	 *p = *at;

	if (p == NULL)
		return;
	fini_pool(p);
	free(p);
	*at = NULL;
}

const struct serve_part regex_part = {
	"regex", prepare, commit, NULL, fini, NULL
};

static void
set_groups(const struct regexes *p, int found, struct str subject,
    struct str *groups, uint32_t n)
{
	const PCRE2_SIZE	*o = pcre2_get_ovector_pointer(p->data);

	for (uint32_t i = 0; i < n; i++, groups++) {
		*groups = STR("");
		o += 2;
		if ((int)i + 1 < found && o[0] != PCRE2_UNSET &&
		    o[0] <= o[1])
			*groups = str_sub(subject, o[0], o[1]);
	}
}

static enum regex_rc
match(struct regexes *p, struct str text, struct str subject,
    struct str *groups, uint32_t n)
{
	const struct regex	*r = map_find(&p->by_text, text);
	int			 rc;

	if (r == NULL)
		return REGEX_NO;
	rc = pcre2_match(r->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0,
	    p->data, p->limits);
	if (rc == PCRE2_ERROR_NOMATCH)
		return REGEX_NO;
	if (rc < 0) {
		stat_add(STAT_REGEX_LIMITS, 1);
		return REGEX_LIMIT;
	}
	set_groups(p, rc == 0 ? ROUTE_CAPS + 1 : rc, subject, groups, n);
	return REGEX_YES;
}

enum regex_rc
regex_match(struct serve *s, struct str text, struct str subject,
    struct str *groups, uint32_t n)
{
	struct regexes	tmp;
	struct err	e;
	enum regex_rc	rc;

	if (s != NULL)
		return match(get_pool(s), text, subject, groups, n);
	init_pool(&tmp, 0);
	rc = add(&tmp, text, &e) == -1 ? REGEX_NO :
	    match(&tmp, text, subject, groups, n);
	fini_pool(&tmp);
	return rc;
}
