/*
 * error_page.STATUS: statuses, files, templates.  Builder and tools.
 *
 * A file is cut at the variables there are; other text that looks like
 * one stays, for scripts have it too.  In a text that stands in the
 * configuration an unknown variable is an error.
 */
#include "core/error.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "base/vec.h"
#include "conf/load.h"

#define FILE_MAX	(256 * 1024)
#define PREFIX		(sizeof("error_page.") - 1)
#define UTF8		"; charset=utf-8"

static const struct {
	const char	*ext;		/* of a file; "x:" before a text */
	const char	*type;
	enum error_form	 form;
} types[] = {
	{ "html:", "text/html" UTF8, ERROR_MARKUP },
	{ "json:", "application/json", ERROR_JSON },
	{ "text:", "text/plain" UTF8, ERROR_PLAIN },
	{ ".htm", "text/html" UTF8, ERROR_MARKUP },
	{ ".html", "text/html" UTF8, ERROR_MARKUP },
	{ ".json", "application/json", ERROR_JSON },
	{ ".svg", "image/svg+xml", ERROR_MARKUP },
	{ ".txt", "text/plain" UTF8, ERROR_PLAIN },
	{ ".xhtml", "application/xhtml+xml", ERROR_MARKUP },
	{ ".xml", "application/xml", ERROR_MARKUP }
};
#define NINLINE	3
#define NTYPE	(sizeof(types) / sizeof(types[0]))

static const struct {
	struct str	name;
	enum error_var	var;
} vars[] = {
	{ STR_INIT("${status}"), ERROR_VAR_STATUS },
	{ STR_INIT("${reason}"), ERROR_VAR_REASON },
	{ STR_INIT("${fail}"), ERROR_VAR_FAIL },
	{ STR_INIT("${request_id}"), ERROR_VAR_ID },
	{ STR_INIT("${host}"), ERROR_VAR_HOST }
};

/* a page that is read */
struct reading {
	struct conf_load	*load;
	const struct conf_item	*it;
	struct error_page	*page;
	enum diag_id		bad;		/* of a file */
};

static int
fail_at(const struct reading *r, enum diag_id id,
    const struct conf_span *at, const char *key, struct str what,
    const char *why)
{
	struct text	t;

	text_init(&t);
	text_safe(&t, str_sub(what, 0, 80));
	diag_at(conf_load_diags(r->load), id, at, NULL, key,
	    "\"%.*s\": %s", STR_FMT(text_str(&t)), why);
	text_fini(&t);
	return -1;
}

static int
fail_value(const struct reading *r, enum diag_id id, struct str word,
    const char *why)
{
	struct conf_span	at = conf_word_span(r->it, word);

	return fail_at(r, id, &at, r->it->row->key, word, why);
}

/* --- the status --- */

static int
read_status(const struct reading *r)
{
	struct str	s = str_sub(r->it->key, PREFIX, r->it->key.n);
	uint64_t	v;

	if (str_eq(s, STR("4xx")) || str_eq(s, STR("5xx"))) {
		r->page->status = (uint64_t)(s.p[0] - '0');
		return 0;
	}
	if (str_to_u64(s, 599, &v) == -1 || v < 400 || s.n != 3)
		return fail_at(r, DIAG_VALUE_STATUS, &r->it->kspan,
		    "error_page.*", s,
		    "the status is 400 to 599, 4xx or 5xx");
	r->page->status = v;
	return 0;
}

/* --- the text --- */

/* The variable that s begins with, and how long it is. */
static enum error_var
find_var(struct str s, size_t *n)
{
	for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++) {
		*n = vars[i].name.n;
		if (str_starts(s, vars[i].name))
			return vars[i].var;
	}
	return ERROR_VAR_NONE;
}

/* What stands at the front of s up to the brace that ends it. */
static struct str
cut_var(struct str s)
{
	ptrdiff_t	end = str_find(s, '}', 0);

	return end < 0 ? s : str_sub(s, 0, (size_t)end + 1);
}

/* Cuts s at its variables; strict: there are no others. */
static int
cut(const struct reading *r, struct str s, bool strict)
{
	struct arena		*a = conf_load_arena(r->load);
	struct error_part	*p;
	struct vec		 v;
	enum error_var		 var;
	size_t			 from = 0, at, n;
	int			 rc = 0;

	vec_init(&v, sizeof(*p));
	for (at = 0; at + 1 < s.n; at++) {
		if (s.p[at] != '$' || s.p[at + 1] != '{')
			continue;
		var = find_var(str_sub(s, at, s.n), &n);
		if (var == ERROR_VAR_NONE && strict)
			rc = fail_value(r, DIAG_VALUE_TEMPLATE,
			    cut_var(str_sub(s, at, s.n)),
			    "there is no such variable here");
		if (var == ERROR_VAR_NONE)
			continue;
		p = vec_push(&v);
		p->text = arena_dup(a, str_sub(s, from, at));
		p->var = var;
		from = at + n;
		at = from - 1;
	}
	p = vec_push(&v);
	p->text = arena_dup(a, str_sub(s, from, s.n));
	r->page->v = arena_alloc(a, v.n * sizeof(*p));
	memcpy((void *)(uintptr_t)r->page->v, v.p, v.n * sizeof(*p));
	r->page->n = v.n;
	vec_fini(&v);
	return rc;
}

/* --- the file --- */

static int
read_all(int fd, char *buf, size_t size, size_t *n)
{
	ssize_t	got;

	for (*n = 0; *n < size; *n += (size_t)got) {
		got = read(fd, buf + *n, size - *n);
		if (got == -1 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			return got == 0 ? 0 : -1;
	}
	return 0;
}

/* NULL, or why it cannot be had; a FIFO must not hold the builder. */
static const char *
read_file(const char *path, char *buf, size_t *n)
{
	const char	*why = NULL;
	struct stat	 st;
	int		 fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd == -1)
		return strerror(errno);
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		why = "this is no file";
	else if (read_all(fd, buf, FILE_MAX + 1, n) == -1)
		why = strerror(errno);
	else if (*n > FILE_MAX)
		why = "it has more than 256 KiB";
	close(fd);
	return why;
}

static int
load_file(const struct reading *r)
{
	struct str	 path = conf_path(r->load, r->it);
	const char	*why;
	char		 name[PATH_MAX], *buf;
	size_t		 n = 0;
	int		 rc;

	/* a configuration in memory has no files */
	if (conf_load_opts(r->load)->memory != NULL)
		return cut(r, STR(""), false);
	if (str_to_c(path, name, sizeof(name)) == -1)
		return fail_value(r, r->bad, r->it->val,
		    "the path is too long");
	buf = must_alloc(FILE_MAX + 1);
	why = read_file(name, buf, &n);
	if (why != NULL)
		rc = fail_value(r, r->bad, r->it->val, why);
	else
		rc = cut(r, str_make(buf, n), false);
	free(buf);
	return rc;
}

/* --- both --- */

static int
read_page(const struct reading *r)
{
	struct str	val = r->it->val, word;
	bool		text;

	for (size_t i = 0; i < NTYPE; i++) {
		word = str_from(types[i].ext);
		text = i < NINLINE;
		if (text ? !str_starts(val, word) : !str_ends(val, word))
			continue;
		r->page->type = str_from(types[i].type);
		r->page->form = types[i].form;
		if (!text)
			return load_file(r);
		return cut(r, str_trim(str_sub(val, word.n, val.n)), true);
	}
	return fail_value(r, r->bad, val, "its type is not known");
}

const struct error_page *
error_read_page(struct conf_load *load, const struct conf_item *it,
    unsigned status)
{
	struct reading	r = { .load = load, .it = it,
		.bad = DIAG_FALLBACK_PAGE };

	r.page = arena_alloc(conf_load_arena(load), sizeof(*r.page));
	r.page->status = status;
	return read_page(&r) == -1 ? NULL : r.page;
}

/* The later assignment of a status holds. */
int
error_parse_pages(struct conf_load *load, const struct conf_row *row,
    void *dst, const struct conf_item *items, size_t n)
{
	struct error_pages	*pages = dst;
	struct error_page	*v;
	struct reading		 r = { .load = load,
		.bad = DIAG_PAGE_FILE };
	int			 rc = 0;

	(void)row;
	v = arena_alloc(conf_load_arena(load), n * sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		r.it = &items[n - 1 - i];
		r.page = &v[i];
		if (read_status(&r) == -1 || read_page(&r) == -1)
			rc = -1;
	}
	*pages = (struct error_pages){ v, n };
	return rc;
}

static const struct conf_row rows[] = {
	{
		.key = "error_page.*", .type = CONF_CUSTOM, .off = 0,
		.flags = CONF_F_MANY, .parse = error_parse_pages,
		.example = "text:${status} ${reason}",
		.text = "In place of the error page of [sluice], for errors "
		    "of this route."
	},
	{ .key = NULL }
};

const struct conf_group error_group = {
	"error", rows, sizeof(struct error_pages), NULL
};
