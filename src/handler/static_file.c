/*
 * A representation of a file: its fields, made once, and its bytes, in
 * memory if they are few, else an open descriptor.  Workers.
 *
 * [M] 100 KiB sent from memory cost 20 us of processor time, by sendfile
 * 31; so what is held in memory is bounded by what it may hold.
 */
#include "handler/static_file.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/text.h"
#include "os/fs.h"

#define RACY_MS		100	/* finer than file systems count */
#define LINES_MAX	256	/* without the two that differ */

/* --- fields --- */

/* "etag" as "ETag", with its line; values are slices of the lines. */
static void
put(struct static_file *f, struct text *t, enum hdr_id id, const char *name,
    struct str val)
{
	struct hdr	*h = &f->hdrs[f->nall++];

	must(f->nall <= STATIC_HDRS);
	text_add(t, str_from(name));
	text_add(t, STR(": "));
	*h = (struct hdr){ .name = hdr_name(id), .id = (uint16_t)id,
	    .flags = (uint16_t)(hdr_flags(id) | HDR_F_OURS | HDR_F_GOOD),
	    .val = { t->p + t->n, val.n } };
	text_add(t, val);
	text_add(t, STR("\r\n"));
}

/* A coding has a tag of its own (RFC 9110 8.8.3.3). */
static void
put_tag(struct static_file *f, struct text *t, const struct static_source *s)
{
	char		buf[96];
	struct text	v;

	text_init_fixed(&v, buf, sizeof(buf));
	text_fmt(&v, "\"%llx-%llx", (unsigned long long)f->size,
	    (unsigned long long)f->mtime.tv_sec * 1000000000 +
	    (unsigned long long)f->mtime.tv_nsec);
	if (s->coding != CODING_NONE)
		text_fmt(&v, "-%.*s", STR_FMT(static_codings[s->coding].ext));
	text_c(&v, '"');
	put(f, t, HDR_ETAG, "ETag", text_str(&v));
	f->tag.etag = f->hdrs[f->nall - 1].val;
}

/* A time to come is told as the present one (RFC 9110 8.8.2.1). */
static void
put_time(struct static_file *f, struct text *t, const struct static_source *s)
{
	int64_t	now = (int64_t)(ev_wall_ms(s->serve->ev) / 1000);
	char	date[DATE_LEN];

	f->tag.mtime = f->mtime.tv_sec < now ? f->mtime.tv_sec : now;
	date_format(f->tag.mtime, date);
	put(f, t, HDR_LAST_MODIFIED, "Last-Modified",
	    str_make(date, DATE_LEN));
}

static void
put_fields(struct static_file *f, struct text *t,
    const struct static_source *s, struct str type)
{
	put_time(f, t, s);
	put_tag(f, t, s);
	if (s->route->cache_control.n > 0)
		put(f, t, HDR_CACHE_CONTROL, "Cache-Control",
		    s->route->cache_control);
	if (s->vary)
		put(f, t, HDR_VARY, "Vary", STR("Accept-Encoding"));
	f->nsame = f->nall;
	put(f, t, HDR_ACCEPT_RANGES, "Accept-Ranges", STR("bytes"));
	if (s->coding != CODING_NONE)
		put(f, t, HDR_CONTENT_ENCODING, "Content-Encoding",
		    static_codings[s->coding].name);
	f->nbase = f->nall;
	put(f, t, HDR_CONTENT_TYPE, "Content-Type", type);
	f->type = f->hdrs[f->nall - 1].val;
}

/* --- life --- */

static bool
is_fresh(const struct serve *s, const struct timespec *t)
{
	uint64_t	ms = (uint64_t)t->tv_sec * 1000 +
	    (uint64_t)t->tv_nsec / 1000000;

	return ms + RACY_MS > ev_wall_ms(s->ev);
}

struct static_file *
static_file_new(const struct static_source *s)
{
	bool			 packs;
	struct str		 type = static_type_of(s->route, s->name,
	    &packs);
	size_t			 n = LINES_MAX + type.n +
	    s->route->cache_control.n;
	struct static_file	*f = must_calloc(1, sizeof(*f) + n);
	struct text		 t;

	f->refs = 1;
	f->vary = s->vary;
	f->dev = s->st->st_dev;
	f->ino = s->st->st_ino;
	f->mtime = s->st->st_mtim;
	f->ctime = s->st->st_ctim;
	f->size = (uint64_t)s->st->st_size;
	f->racy = is_fresh(s->serve, &f->ctime);
	f->file = file_new(s->fd);
	text_init_fixed(&t, f->text, n);
	put_fields(f, &t, s, type);
	must(!t.cut);
	return f;
}

void
static_file_unref(struct static_file **fp)
{
	struct static_file	*f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	must(f->refs > 0);
	if (--f->refs > 0)
		return;
	page_unref(&f->page);
	file_unref(&f->file);
	free(f);
}

bool
static_file_is(const struct static_file *f, const struct stat *st)
{
	return f->dev == st->st_dev && f->ino == st->st_ino && !f->racy &&
	    f->size == (uint64_t)st->st_size &&
	    memcmp(&f->mtime, &st->st_mtim, sizeof(f->mtime)) == 0 &&
	    memcmp(&f->ctime, &st->st_ctim, sizeof(f->ctime)) == 0;
}

/*
 * One that has become shorter stays a descriptor: whoever sends it will
 * notice.
 */
bool
static_file_load(struct static_file *f, struct serve *s)
{
	struct page	*pg;
	ssize_t		 got;

	if (f->size == 0)
		file_unref(&f->file);
	if (f->size == 0 || f->size > STATIC_SMALL || f->page != NULL)
		return true;
	pg = page_new_sized(&s->pages, (size_t)f->size);
	got = fs_read_cached(f->file->fd, pg->data, (size_t)f->size, 0);
	if (got != (ssize_t)f->size) {
		page_unref(&pg);
		return got == 0 || (got == -1 && errno != EAGAIN);
	}
	pg->fill = (uint32_t)got;
	f->page = pg;
	file_unref(&f->file);
	return true;
}

struct msg *
static_file_head(const struct static_file *f, struct exchange *x,
    unsigned status, unsigned n)
{
	struct msg	*m = exchange_new_head(x, status);
	const struct hdr *last = &f->hdrs[n - 1];

	m->hdrs.cap = STATIC_HDRS + 4;
	m->hdrs.v = arena_alloc(x->arena, m->hdrs.cap * sizeof(*m->hdrs.v));
	memcpy(m->hdrs.v, f->hdrs, n * sizeof(*m->hdrs.v));
	m->hdrs.n = (uint16_t)n;
	m->hdrs.nline = (uint16_t)n;
	m->hdrs.lines = str_make(f->text,
	    (size_t)(last->val.p + last->val.n + 2 - f->text));
	return m;
}
