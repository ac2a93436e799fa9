/*
 * Records as lines of a file in the forms that others read: logfmt, the
 * Common and Combined Log Format of httpd, a template, plain text.
 * Logger.
 *
 * What a client sent stands escaped: control bytes and all beyond ASCII
 * as \xHH, quotes and backslashes with a backslash.  So a line is a line
 * and a quoted text ends where it seems to.  Times are UTC, for a line has
 * to be the same whenever it is made again.
 */
#include "core/record.h"

#include "base/put.h"
#include "http/date.h"

/* Durations, which a style may leave out. */
static bool
is_time(unsigned field)
{
	return field == ACCESS_DURATION || field == ACCESS_CONNECT ||
	    field == ACCESS_FIRST_BYTE;
}

static void
add_iso(struct text *t, uint64_t ms)
{
	char	buf[DATE_ISO_LEN];

	date_iso(ms, buf);
	text_add(t, str_make(buf, sizeof(buf)));
}

/* Escaped for a place between double quotes. */
static void
add_escaped(struct text *t, struct str s)
{
	char	*p = text_room(t, PUT_SAFE_MAX(s.n));

	if (p != NULL)
		t->n = (size_t)(put_safe(p, s) - t->p);
}

/* The value of a field, "" if it has none. */
static void
add_value(struct text *t, const struct rec_access *r, unsigned field,
    struct str s)
{
	switch (access_rows[field].type) {
	case ACCESS_TIME_T:
		add_iso(t, r->num[field]);
		break;
	case ACCESS_IP_T:
		sock_peer_text(t, &r->peer);
		break;
	case ACCESS_NUM_T:
		text_u64(t, r->num[field]);
		break;
	case ACCESS_STR_T:
		add_escaped(t, s);
		break;
	}
}

/* --- logfmt --- */

static bool
wants_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' ||
		    s.p[i] == '\\' || s.p[i] == 0x7f)
			return true;
	return s.n == 0;
}

static void
add_pair(struct text *t, const char *name, struct str s)
{
	bool	quotes = wants_quotes(s);

	if (s.n == 0)
		return;
	text_fmt(t, " %s=%s", name, quotes ? "\"" : "");
	add_escaped(t, s);
	if (quotes)
		text_c(t, '"');
}

static void
access_logfmt(struct text *t, const struct rec_access *r,
    const struct str str[ACCESS_N], bool no_times)
{
	const struct access_row	*row;

	for (unsigned i = 0; i < ACCESS_N; i++) {
		row = &access_rows[i];
		if (row->type == ACCESS_STR_T) {
			add_pair(t, row->name, str[i]);
			continue;
		}
		if (no_times && is_time(i))
			continue;
		if (row->type == ACCESS_NUM_T && r->num[i] == 0 &&
		    i != ACCESS_STATUS)
			continue;
		text_fmt(t, "%s%s=", i == 0 ? "" : " ", row->name);
		add_value(t, r, i, str[i]);
	}
}

static void
add_process(struct text *t, const struct rec_line *r,
    const struct rec_words *w)
{
	add_escaped(t, w->role);
	if (r->index != 0)
		text_fmt(t, " %u", r->index);
}

static void
line_logfmt(struct text *t, const struct rec_line *r,
    const struct rec_words *w)
{
	struct text	process;
	char		buf[RECORD_ROLE_MAX * 4 + 16];
	struct str	rest = w->fields;
	struct log_field f;
	char		name[LOG_NAME_MAX + 1];

	text_init_fixed(&process, buf, sizeof(buf));
	add_process(&process, r, w);
	text_add(t, STR("time="));
	add_iso(t, r->wall_ms);
	add_pair(t, "level",
	    str_from(log_level_name((enum log_level)r->level)));
	add_pair(t, "process", text_str(&process));
	add_pair(t, "module", w->module);
	add_pair(t, "request", w->request);
	if (r->conn != 0)
		text_fmt(t, " connection=%llu", (unsigned long long)r->conn);
	while (record_next_field(&rest, &f, name))
		add_pair(t, name, f.value);
	add_pair(t, "msg", w->text);
}

/* --- common and combined --- */

#define COMMON_MAX	(SOCK_PEER_MAX + DATE_CLF_LEN + 2 * PUT_U64_MAX + 64)

/* A text, "-" if there is none. */
static char *
put_or_dash(char *p, struct str s)
{
	return s.n > 0 ? put_safe(p, s) : put_c(p, '-');
}

static char *
put_request(char *p, const struct str str[ACCESS_N])
{
	if (str[ACCESS_METHOD].n == 0)
		return put_c(p, '-');
	p = put_c(put_safe(p, str[ACCESS_METHOD]), ' ');
	p = put_str(put_safe(p, str[ACCESS_TARGET]), STR(" HTTP/"));
	return put_safe(p, str[ACCESS_VERSION]);
}

static char *
put_common(char *p, const struct rec_access *r,
    const struct str str[ACCESS_N])
{
	p = put_str(sock_peer_put(p, &r->peer), STR(" - - "));
	date_clf(r->num[ACCESS_TIME] / 1000, p);
	p = put_str(p + DATE_CLF_LEN, STR(" \""));
	p = put_str(put_request(p, str), STR("\" "));
	p = put_c(put_u64(p, r->num[ACCESS_STATUS]), ' ');
	if (r->num[ACCESS_BYTES_OUT] == 0)
		return put_c(p, '-');
	return put_u64(p, r->num[ACCESS_BYTES_OUT]);
}

/* Room for the worst of a record of n bytes is taken once. */
static void
access_common(struct text *t, const struct rec_access *r,
    const struct str str[ACCESS_N], size_t n, bool combined)
{
	char	*p = text_room(t, COMMON_MAX + PUT_SAFE_MAX(n));

	if (p == NULL)
		return;
	p = put_common(p, r, str);
	if (combined) {
		p = put_or_dash(put_str(p, STR(" \"")), str[ACCESS_REFERER]);
		p = put_or_dash(put_str(p, STR("\" \"")),
		    str[ACCESS_USER_AGENT]);
		p = put_c(p, '"');
	}
	t->n = (size_t)(p - t->p);
}

/* --- templates --- */

static int
find_field(struct str name)
{
	for (int i = 0; i < ACCESS_N; i++)
		if (str_eq(name, str_from(access_rows[i].name)))
			return i;
	return -1;
}

bool
record_template_next(struct str *rest, struct str *piece, int *field,
    const char **why)
{
	ptrdiff_t	at = str_find(*rest, '$', 0), end;

	*why = NULL;
	*field = -1;
	if (rest->n == 0)
		return false;
	if (at != 0) {
		*piece = str_sub(*rest, 0, at < 0 ? rest->n : (size_t)at);
		*rest = str_sub(*rest, piece->n, rest->n);
		return true;
	}
	if (rest->n < 2 || rest->p[1] != '{') {
		*piece = str_sub(*rest, 0, 1);
		*rest = str_sub(*rest, 1, rest->n);
		return true;
	}
	end = str_find(*rest, '}', 2);
	if (end < 0) {
		*why = "the brace is not closed";
		return false;
	}
	*piece = str_sub(*rest, 2, (size_t)end);
	*field = find_field(*piece);
	if (*field < 0) {
		*why = "the access record has no such field";
		return false;
	}
	*rest = str_sub(*rest, (size_t)end + 1, rest->n);
	return true;
}

static void
access_template(struct text *t, const struct rec_access *r,
    const struct str str[ACCESS_N], struct str tmpl)
{
	struct str	piece;
	const char	*why;
	size_t		n;
	int		field;

	while (record_template_next(&tmpl, &piece, &field, &why)) {
		if (field < 0) {
			text_add(t, piece);
			continue;
		}
		n = t->n;
		add_value(t, r, (unsigned)field, str[field]);
		if (t->n == n)
			text_c(t, '-');
	}
}

/* --- plain --- */

static void
access_plain(struct text *t, const struct rec_access *r,
    const struct str str[ACCESS_N], bool no_times)
{
	add_iso(t, r->num[ACCESS_TIME]);
	text_c(t, ' ');
	sock_peer_text(t, &r->peer);
	text_c(t, ' ');
	add_escaped(t, str[ACCESS_METHOD]);
	text_c(t, ' ');
	add_escaped(t, str[ACCESS_HOST]);
	add_escaped(t, str[ACCESS_TARGET]);
	text_fmt(t, " %u %lluB", (unsigned)r->num[ACCESS_STATUS],
	    (unsigned long long)r->num[ACCESS_BYTES_OUT]);
	if (!no_times)
		text_fmt(t, " %lluus",
		    (unsigned long long)r->num[ACCESS_DURATION]);
	add_pair(t, "id", str[ACCESS_ID]);
	add_pair(t, "route", str[ACCESS_ROUTE]);
	add_pair(t, "server", str[ACCESS_SERVER]);
	add_pair(t, "grpc_status", str[ACCESS_GRPC_STATUS]);
	add_pair(t, "fail", str[ACCESS_FAIL]);
	add_pair(t, "cause", str[ACCESS_CAUSE]);
}

static void
line_plain(struct text *t, const struct rec_line *r,
    const struct rec_words *w)
{
	add_iso(t, r->wall_ms);
	text_fmt(t, " %s ", log_level_name((enum log_level)r->level));
	add_process(t, r, w);
	text_add(t, STR(": "));
	add_escaped(t, w->text);
	add_pair(t, "module", w->module);
	add_pair(t, "request", w->request);
}

/* --- all of them --- */

bool
record_form_has_lines(enum record_form form)
{
	return form != FORM_COMMON && form != FORM_COMBINED;
}

static int
write_access(struct text *t, struct str record, const struct record_style *s)
{
	struct rec_access	r;
	struct str		str[ACCESS_N];

	if (record_read_access(record, &r, str) == -1)
		return -1;
	switch (s->form) {
	case FORM_JSON:
	case FORM_LOGFMT:
		access_logfmt(t, &r, str, s->no_times);
		break;
	case FORM_COMMON:
	case FORM_COMBINED:
		access_common(t, &r, str, record.n,
		    s->form == FORM_COMBINED);
		break;
	case FORM_PLAIN:
		access_plain(t, &r, str, s->no_times);
		break;
	case FORM_TEMPLATE:
		access_template(t, &r, str, s->tmpl);
		break;
	}
	text_c(t, '\n');
	return 0;
}

static int
write_line(struct text *t, struct str record, enum record_form form)
{
	struct rec_line		r;
	struct rec_words	w;

	if (record_read_line(record, &r, &w) == -1)
		return -1;
	if (form == FORM_LOGFMT)
		line_logfmt(t, &r, &w);
	else
		line_plain(t, &r, &w);
	text_c(t, '\n');
	return 0;
}

int
record_write(struct text *t, struct str record, const struct record_style *s)
{
	char		copy[RECORD_MAX];
	struct str	own;

	if (s->form == FORM_JSON)
		return record_json(t, record, s->no_times);
	if (record.n == 0 || record.n > sizeof(copy))
		return -1;
	memcpy(copy, record.p, record.n);
	own = str_make(copy, record.n);
	switch (record_kind(own)) {
	case RECORD_ACCESS:
		return write_access(t, own, s);
	case RECORD_LINE:
		return write_line(t, own, s->form);
	case RECORD_NONE:
		break;
	}
	return -1;
}
