/*
 * Records in the log rings.  Put by every process, rendered by the logger.
 *
 * An access record is a head with kind and version, the client, a bit for
 * each field that is neither zero nor empty, then these fields' numbers,
 * the lengths of their texts, and the texts, without anything between
 * them.  The version is made from the table of fields, so a logger that
 * knows other fields refuses a record rather than misread it.
 *
 * The logger copies a record before it looks at it: the memory is shared
 * with its writer, and what was checked must be what is rendered.
 */
#include "core/access.h"

#include "base/put.h"
#include "core/record.h"
#include "http/date.h"

enum {
	TABLE_VERSION = (2
#define ACCESS(id, name, type, text) \
	+ ((int)ACCESS_##id + 7) * \
	((int)sizeof(name) + 31 * (int)ACCESS_##type##_T)
#include "core/access.tbl"
#undef ACCESS
	) & 0xffff
};

#define LINE_VERSION	2
#define MODULE_MAX	64
#define FIELD_MAX	255	/* of a value */

const struct access_row access_rows[] = {
#define ACCESS(id, name, type, text)	{ name, ACCESS_##type##_T, text },
#include "core/access.tbl"
#undef ACCESS
};

/* how an access record begins */
struct rec_fixed {
	struct rec_head	 head;
	struct sock_peer peer;
	uint32_t	 pad;
	uint64_t	 set;
};

/* Bits of the fields of a type. */
#define ACCESS(id, name, type, text)					\
	| (uint64_t)(ACCESS_##type##_T == TYPE) << ACCESS_##id
#define TYPE	ACCESS_STR_T
static const uint64_t texts = 0
#include "core/access.tbl"
;
#undef TYPE
#define TYPE	ACCESS_IP_T
static const uint64_t ips = 0
#include "core/access.tbl"
;
#undef TYPE
#undef ACCESS

#define FIXED	sizeof(struct rec_fixed)
#define BIT(i)	(1ULL << (i))

_Static_assert(ACCESS_N < 64, "a bit for each field");
_Static_assert(FIXED == 40, "no holes");
#define ACCESS(id, name, type, text)	+ (ACCESS_##type##_T == ACCESS_STR_T)
enum { NTEXT = 0
#include "core/access.tbl"
};
#undef ACCESS
_Static_assert(FIXED + (ACCESS_N - NTEXT) * 8 + NTEXT * (2 + 512) <=
    RECORD_MAX, "512 bytes of each text always have room");

/* Takes the lowest bit; its number. */
static unsigned
next_bit(uint64_t *bits)
{
	unsigned	i = (unsigned)__builtin_ctzll(*bits);

	*bits &= *bits - 1;
	return i;
}

/* The builtin is a call where the processor is not known to count. */
static size_t
count_bits(uint64_t v)
{
	v -= v >> 1 & 0x5555555555555555;
	v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return v * 0x0101010101010101 >> 56;
}

/* Which of the fields are to be recorded; unrolled by the table. */
static uint64_t
find_set(const struct access *a)
{
	uint64_t	set = 0;

#define ACCESS(id, name, type, text)					\
	if (ACCESS_##type##_T == ACCESS_STR_T)				\
		set |= (uint64_t)(a->str[ACCESS_##id].n != 0) <<	\
		    ACCESS_##id;					\
	else if (ACCESS_##type##_T != ACCESS_IP_T)			\
		set |= (uint64_t)(a->num[ACCESS_##id] != 0) <<		\
		    ACCESS_##id;
#include "core/access.tbl"
#undef ACCESS
	return set;
}

/* Length of each text when none may have more than max; the sum. */
static size_t
measure(uint64_t set, const struct access *a, size_t max, uint16_t *len)
{
	uint64_t	bits = set & texts;
	size_t		sum = 0, n;

	while (bits != 0) {
		n = a->str[next_bit(&bits)].n;
		n = n < max ? n : max;
		*len++ = (uint16_t)n;
		sum += n;
	}
	return sum;
}

/* What stands behind the fixed part; n: lengths. */
static void
put_fields(char *p, uint64_t set, const struct access *a,
    const uint16_t *len, size_t n)
{
	uint64_t	bits = set & ~texts;

	for (; bits != 0; p += sizeof(a->num[0]))
		memcpy(p, &a->num[next_bit(&bits)], sizeof(a->num[0]));
	memcpy(p, len, n * sizeof(*len));
	p += n * sizeof(*len);
	for (bits = set & texts; bits != 0; len++)
		p = put_str(p, str_make(a->str[next_bit(&bits)].p, *len));
}

bool
access_put(struct ring *ring, const struct access *a, size_t *n)
{
	struct rec_fixed	f = { .head = { .kind = RECORD_ACCESS,
	    .version = TABLE_VERSION }, .peer = a->peer };
	uint16_t		len[ACCESS_N];
	size_t			max = RECORD_STR_MAX, fixed, ntext;
	char			*p;

	f.set = find_set(a);
	ntext = count_bits(f.set & texts);
	fixed = FIXED + sizeof(len[0]) * ntext +
	    sizeof(a->num[0]) * count_bits(f.set & ~texts);
	/* the longest give way first */
	while ((*n = fixed + measure(f.set, a, max, len)) > RECORD_MAX)
		max /= 2;
	p = ring_reserve(ring, *n);
	if (p == NULL)
		return false;
	f.head.n = (uint32_t)*n;
	memcpy(p, &f, FIXED);
	put_fields(p + FIXED, f.set, a, len, ntext);
	return true;
}

/* The next n bytes of what follows the fixed part. */
static struct str
cut(struct str *rest, size_t n)
{
	struct str	s = str_sub(*rest, 0, n);

	*rest = str_sub(*rest, n, rest->n);
	return s;
}

static char *
add(char *p, struct str s)
{
	if (s.n != 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

/* before each field of a line: its name, its value follow */
struct rec_field {
	uint8_t		number;
	uint8_t		name_n;
	uint16_t	value_n;
};

/* Those that are there, one behind the other. */
static struct str
pack_fields(const struct log_ids *ids, struct text *t)
{
	const struct log_field	*f = ids->fields;
	struct rec_field	 r;
	struct str		 name, value;

	for (unsigned i = 0; i < ids->nfield && i < LOG_FIELDS; i++) {
		name = str_sub(str_from(f[i].name), 0, LOG_NAME_MAX);
		value = str_sub(f[i].value, 0, FIELD_MAX);
		if (value.n == 0)
			continue;
		r = (struct rec_field){ f[i].number, (uint8_t)name.n,
		    (uint16_t)value.n };
		text_add(t, str_make((const char *)&r, sizeof(r)));
		text_add(t, name);
		text_add(t, value);
	}
	return text_str(t);
}

bool
record_next_field(struct str *rest, struct log_field *f,
    char name[LOG_NAME_MAX + 1])
{
	struct rec_field	r;

	if (rest->n < sizeof(r))
		return false;
	memcpy(&r, cut(rest, sizeof(r)).p, sizeof(r));
	if (r.name_n > LOG_NAME_MAX || rest->n < (size_t)r.name_n + r.value_n)
		return false;
	f->number = r.number != 0;
	(void)str_to_c(cut(rest, r.name_n), name, LOG_NAME_MAX + 1);
	f->name = name;
	f->value = cut(rest, r.value_n);
	return true;
}

bool
record_put_line(struct ring *ring, const struct record_line *l)
{
	char		room[LOG_FIELDS * (FIELD_MAX + LOG_NAME_MAX +
	    sizeof(struct rec_field))];
	struct text	ft;
	struct str	fields;
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
	char		*p;

	text_init_fixed(&ft, room, sizeof(room));
	fields = pack_fields(l->ids, &ft);
	r.fields_n = (uint32_t)fields.n;
	n += fields.n;
	p = ring_reserve(ring, n);
	if (p == NULL)
		return false;
	r.head.n = (uint32_t)n;
	p = add(p, str_make((const char *)&r, sizeof(r)));
	p = add(p, role);
	p = add(p, module);
	p = add(p, request);
	p = add(p, text);
	add(p, fields);
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

/* The texts of these fields, which are all that is left. */
static int
read_texts(const char *p, const char *end, uint64_t bits,
    struct str str[ACCESS_N])
{
	size_t		 n = count_bits(bits) * sizeof(uint16_t);
	const char	*text;
	uint16_t	 len;

	if ((size_t)(end - p) < n)
		return -1;
	text = p + n;
	for (; bits != 0; text += len) {
		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		if (len > end - text)
			return -1;
		str[next_bit(&bits)] = str_make(text, len);
	}
	return text == end ? 0 : -1;
}

int
record_read_access(struct str record, struct rec_access *r,
    struct str str[ACCESS_N])
{
	const char		*p = record.p + FIXED, *end;
	struct rec_fixed	 f;
	uint64_t		 bits;

	if (record.n < FIXED)
		return -1;
	memcpy(&f, record.p, FIXED);
	if ((f.set & ips) != 0 || f.set >= BIT(ACCESS_N))
		return -1;
	*r = (struct rec_access){ .set = f.set, .peer = f.peer };
	memset(str, 0, ACCESS_N * sizeof(*str));
	end = record.p + record.n;
	for (bits = f.set & ~texts; bits != 0; p += sizeof(r->num[0])) {
		if ((size_t)(end - p) < sizeof(r->num[0]))
			return -1;
		memcpy(&r->num[next_bit(&bits)], p, sizeof(r->num[0]));
	}
	return read_texts(p, end, f.set & texts, str);
}

int
record_read_line(struct str record, struct rec_line *r, struct rec_words *w)
{
	if (record.n < sizeof(*r))
		return -1;
	memcpy(r, cut(&record, sizeof(*r)).p, sizeof(*r));
	if ((uint64_t)r->role_n + r->module_n + r->request_n + r->text_n +
	    r->fields_n != record.n || r->role_n > RECORD_ROLE_MAX ||
	    r->level >= LOG_NLEVEL)
		return -1;
	w->role = cut(&record, r->role_n);
	w->module = cut(&record, r->module_n);
	w->request = cut(&record, r->request_n);
	w->text = cut(&record, r->text_n);
	w->fields = record;
	return 0;
}

/* --- JSON --- */

/* how a member begins; copied as a whole, n bytes of it count */
struct key {
	char	p[24];
	size_t	n;
};

static const struct key keys[] = {
#define ACCESS(id, name, type, text)					\
	{ ",\"" name "\":", sizeof(",\"" name "\":") - 1 },
#include "core/access.tbl"
#undef ACCESS
};
#define ACCESS(id, name, type, text)					\
	_Static_assert(sizeof(",\"" name "\":") <= sizeof(keys[0].p), name);
#include "core/access.tbl"
#undef ACCESS

/* Fields that are told even when they are zero, and the durations. */
#define ALWAYS	(BIT(ACCESS_TIME) | BIT(ACCESS_CLIENT) |		\
	BIT(ACCESS_STATUS) | BIT(ACCESS_BYTES_IN) |			\
	BIT(ACCESS_BYTES_OUT) | BIT(ACCESS_DURATION))
#define TIMES	(BIT(ACCESS_DURATION) | BIT(ACCESS_CONNECT) |		\
	BIT(ACCESS_FIRST_BYTE) | BIT(ACCESS_ATTEMPT))

static char *
put_value(char *p, const struct rec_access *r, unsigned i, struct str value)
{
	switch (access_rows[i].type) {
	case ACCESS_TIME_T:
		p = put_c(p, '"');
		date_iso(r->num[i], p);
		return put_c(p + DATE_ISO_LEN, '"');
	case ACCESS_IP_T:
		p = sock_peer_put(put_c(p, '"'), &r->peer);
		return put_c(p, '"');
	case ACCESS_NUM_T:
		return put_u64(p, r->num[i]);
	case ACCESS_STR_T:
		return put_json(p, value);
	}
	return p;
}

_Static_assert(ACCESS_TIME == 0, "the first field is always told");

static int
access_json(struct text *t, struct str record, bool no_times)
{
	struct rec_access	r;
	struct str		str[ACCESS_N];
	uint64_t		bits;
	size_t			was = t->n;
	char			*p;
	unsigned		i;

	if (record_read_access(record, &r, str) == -1)
		return -1;
	p = text_room(t, PUT_JSON_MAX(record.n) +
	    ACCESS_N * (sizeof(keys[0]) + SOCK_PEER_MAX));
	if (p == NULL)
		return -1;
	bits = (r.set | ALWAYS) & ~(no_times ? TIMES : 0);
	while (bits != 0) {
		i = next_bit(&bits);
		memcpy(p, keys[i].p, sizeof(keys[i].p));
		p = put_value(p + keys[i].n, &r, i, str[i]);
	}
	t->p[was] = '{';
	t->n = (size_t)(p - t->p);
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
	struct log_field	f;
	char			name[LOG_NAME_MAX + 1];

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
	while (record_next_field(&w.fields, &f, name)) {
		add_name(t, name, false);
		if (f.number)
			text_add(t, f.value);
		else
			text_json(t, f.value);
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
