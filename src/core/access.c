/*
 * Records in the log rings.  Put by every process, rendered by the logger.
 *
 * A record is a head with kind and version, then all numbers, then the
 * lengths of the texts, then the texts without anything between them.
 * The version is made from the table of fields, so a logger that knows
 * other fields refuses a record rather than misread it.
 *
 * The logger copies a record before it looks at it: the memory is shared
 * with its writer, and what was checked must be what is rendered.
 */
#include "core/access.h"

#include "base/must.h"
#include "core/record.h"
#include "http/date.h"

enum {
	TABLE_VERSION = (1
#define ACCESS(id, name, type, text) \
	+ ((int)ACCESS_##id + 7) * \
	((int)sizeof(name) + 31 * (int)ACCESS_##type##_T)
#include "core/access.tbl"
#undef ACCESS
	) & 0xffff
};

#define LINE_VERSION	1
#define MODULE_MAX	64

const struct access_row access_rows[] = {
#define ACCESS(id, name, type, text)	{ name, ACCESS_##type##_T, text },
#include "core/access.tbl"
#undef ACCESS
};

_Static_assert(sizeof(struct rec_access) + ACCESS_N * 512 <= RECORD_MAX,
    "512 bytes of each text always have room");

/* Length of each text when none may have more than max; the sum. */
static size_t
measure(struct rec_access *r, const struct access *a, size_t max)
{
	size_t	sum = sizeof(*r);

	for (unsigned i = 0; i < ACCESS_N; i++) {
		if (access_rows[i].type != ACCESS_STR_T)
			continue;
		r->len[i] = (uint16_t)str_sub(a->str[i], 0, max).n;
		sum += r->len[i];
	}
	return sum;
}

bool
access_put(struct ring *ring, const struct access *a, size_t *n)
{
	struct rec_access	r = { .head = { .kind = RECORD_ACCESS } };
	size_t			max = RECORD_STR_MAX;
	char			*p;

	/* the longest give way first */
	while ((*n = measure(&r, a, max)) > RECORD_MAX)
		max /= 2;
	p = ring_reserve(ring, *n);
	if (p == NULL)
		return false;
	r.head.version = TABLE_VERSION;
	r.head.n = (uint32_t)*n;
	for (unsigned i = 0; i < ACCESS_N; i++)
		if (access_rows[i].type == ACCESS_NUM_T ||
		    access_rows[i].type == ACCESS_TIME_T)
			r.num[i] = a->num[i];
	r.peer = a->peer;
	memcpy(p, &r, sizeof(r));
	p += sizeof(r);
	for (unsigned i = 0; i < ACCESS_N; i++) {
		if (r.len[i] == 0)
			continue;
		memcpy(p, a->str[i].p, r.len[i]);
		p += r.len[i];
	}
	return true;
}

static char *
add(char *p, struct str s)
{
	if (s.n != 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

bool
record_put_line(struct ring *ring, const struct record_line *l)
{
	struct str	role = str_sub(str_from(l->role), 0, RECORD_ROLE_MAX);
	struct str	module = str_sub(str_from(l->ids->module), 0,
	    MODULE_MAX);
	struct str	request = str_sub(l->ids->request, 0, RECORD_STR_MAX);
	struct str	text = str_sub(l->text, 0, RECORD_STR_MAX);
	struct rec_line	r = {
		.head = { .kind = RECORD_LINE, .version = LINE_VERSION },
		.wall_ms = l->wall_ms, .conn = l->ids->conn,
		.index = l->index, .level = (uint16_t)l->level,
		.role_n = (uint16_t)role.n, .module_n = (uint16_t)module.n,
		.request_n = (uint16_t)request.n, .text_n = (uint32_t)text.n,
	};
	size_t		n = sizeof(r) + role.n + module.n + request.n + text.n;
	char		*p = ring_reserve(ring, n);

	if (p == NULL)
		return false;
	r.head.n = (uint32_t)n;
	p = add(p, str_make((const char *)&r, sizeof(r)));
	p = add(p, role);
	p = add(p, module);
	p = add(p, request);
	add(p, text);
	ring_commit(ring, n);
	return true;
}

/* The head, if the record is as long as it says. */
static bool
read_head(struct str record, struct rec_head *h)
{
	if (record.n < sizeof(*h) || record.n > RECORD_MAX)
		return false;
	memcpy(h, record.p, sizeof(*h));
	return h->n == record.n;
}

enum record_kind
record_kind(struct str record)
{
	struct rec_head	h;

	if (!read_head(record, &h))
		return RECORD_NONE;
	if (h.kind == RECORD_ACCESS && h.version == TABLE_VERSION)
		return RECORD_ACCESS;
	if (h.kind == RECORD_LINE && h.version == LINE_VERSION)
		return RECORD_LINE;
	return RECORD_NONE;
}

/* The next n bytes of what follows the fixed part. */
static struct str
cut(struct str *rest, size_t n)
{
	struct str	s = str_sub(*rest, 0, n);

	*rest = str_sub(*rest, n, rest->n);
	return s;
}

/* Begins a member; the first one opens the object. */
static void
add_name(struct text *t, const char *name, bool first)
{
	text_c(t, first ? '{' : ',');
	text_json(t, str_from(name));
	text_c(t, ':');
}

static void
add_time(struct text *t, uint64_t ms)
{
	char	buf[DATE_ISO_LEN];

	date_iso(ms, buf);
	text_json(t, str_make(buf, sizeof(buf)));
}

static void
add_peer(struct text *t, const struct sock_peer *peer)
{
	struct text	addr;
	char		buf[128];

	text_init_fixed(&addr, buf, sizeof(buf));
	sock_peer_text(&addr, peer);
	text_json(t, text_str(&addr));
}

/* Numbers that are told even when they are zero. */
static bool
is_always_told(unsigned i)
{
	return i == ACCESS_STATUS || i == ACCESS_BYTES_IN ||
	    i == ACCESS_BYTES_OUT || i == ACCESS_DURATION;
}

static void
add_field(struct text *t, const struct rec_access *r, unsigned i,
    struct str value)
{
	bool	first = i == 0;

	switch (access_rows[i].type) {
	case ACCESS_TIME_T:
		add_name(t, access_rows[i].name, first);
		add_time(t, r->num[i]);
		break;
	case ACCESS_IP_T:
		add_name(t, access_rows[i].name, first);
		add_peer(t, &r->peer);
		break;
	case ACCESS_NUM_T:
		if (r->num[i] == 0 && !is_always_told(i))
			break;
		add_name(t, access_rows[i].name, first);
		text_u64(t, r->num[i]);
		break;
	case ACCESS_STR_T:
		if (value.n == 0)
			break;
		add_name(t, access_rows[i].name, first);
		text_json(t, value);
		break;
	}
}

_Static_assert(ACCESS_TIME == 0, "the first field is always told");

int
record_read_access(struct str record, struct rec_access *r,
    struct str str[ACCESS_N])
{
	size_t	sum = sizeof(*r);

	if (record.n < sizeof(*r))
		return -1;
	memcpy(r, cut(&record, sizeof(*r)).p, sizeof(*r));
	for (unsigned i = 0; i < ACCESS_N; i++)
		sum += r->len[i];
	if (sum != r->head.n)
		return -1;
	for (unsigned i = 0; i < ACCESS_N; i++)
		str[i] = cut(&record, r->len[i]);
	return 0;
}

int
record_read_line(struct str record, struct rec_line *r, struct rec_words *w)
{
	if (record.n < sizeof(*r))
		return -1;
	memcpy(r, cut(&record, sizeof(*r)).p, sizeof(*r));
	if ((uint64_t)r->role_n + r->module_n + r->request_n + r->text_n !=
	    record.n || r->role_n > RECORD_ROLE_MAX || r->level >= LOG_NLEVEL)
		return -1;
	w->role = cut(&record, r->role_n);
	w->module = cut(&record, r->module_n);
	w->request = cut(&record, r->request_n);
	w->text = record;
	return 0;
}

static int
access_json(struct text *t, struct str record, bool no_times)
{
	struct rec_access	r;
	struct str		str[ACCESS_N];

	if (record_read_access(record, &r, str) == -1)
		return -1;
	for (unsigned i = 0; i < ACCESS_N; i++)
		if (!no_times || (i != ACCESS_DURATION && i != ACCESS_CONNECT &&
		    i != ACCESS_FIRST_BYTE))
			add_field(t, &r, i, str[i]);
	return 0;
}

/* "worker 2"; "logger", of which there is one. */
static void
add_process(struct text *t, struct str role, uint32_t index)
{
	struct text	name;
	char		buf[RECORD_ROLE_MAX + 16];

	text_init_fixed(&name, buf, sizeof(buf));
	text_add(&name, role);
	if (index != 0)
		text_fmt(&name, " %u", index);
	text_json(t, text_str(&name));
}

static void
add_str(struct text *t, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	add_name(t, name, false);
	text_json(t, value);
}

static int
line_json(struct text *t, struct str record)
{
	struct rec_line		r;
	struct rec_words	w;

	if (record_read_line(record, &r, &w) == -1)
		return -1;
	add_name(t, "time", true);
	add_time(t, r.wall_ms);
	add_str(t, "level", str_from(log_level_name((enum log_level)r.level)));
	add_name(t, "process", false);
	add_process(t, w.role, r.index);
	add_str(t, "module", w.module);
	add_str(t, "request", w.request);
	if (r.conn != 0) {
		add_name(t, "connection", false);
		text_u64(t, r.conn);
	}
	add_name(t, "msg", false);
	text_json(t, w.text);
	return 0;
}

int
record_json(struct text *t, struct str record, bool no_times)
{
	char		copy[RECORD_MAX];
	struct str	own;
	int		rc = -1;

	if (record.n == 0 || record.n > sizeof(copy))
		return -1;
	memcpy(copy, record.p, record.n);
	own = str_make(copy, record.n);
	switch (record_kind(own)) {
	case RECORD_ACCESS:
		rc = access_json(t, own, no_times);
		break;
	case RECORD_LINE:
		rc = line_json(t, own);
		break;
	case RECORD_NONE:
		break;
	}
	if (rc == 0)
		text_add(t, STR("}\n"));
	return rc;
}
