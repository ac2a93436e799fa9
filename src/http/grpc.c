/*
 * What a gateway has to know of gRPC (grpc.h).  All processes; pure.
 */
#include "http/grpc.h"

#include "base/text.h"

#define TIMEOUT_DIGITS	8

static const struct str names[GRPC_N] = {
#define GRPC(id, text)	[GRPC_##id] = STR_INIT(#id),
#include "http/grpc.tbl"
#undef GRPC
};

/* --- requests --- */

bool
grpc_is_type(struct str type)
{
	const struct str	want = GRPC_TYPE;
	char			c;

	if (!str_eq_fold(str_sub(type, 0, want.n), want))
		return false;
	if (type.n == want.n)
		return true;
	c = type.p[want.n];
	return c == '+' || c == ';' || c == ' ' || c == '\t';
}

bool
grpc_is_request(const struct msg *m)
{
	return m->meth == METHOD_POST &&
	    grpc_is_type(hdr_val(&m->hdrs, HDR_CONTENT_TYPE));
}

/* --- status --- */

struct str
grpc_name(unsigned status)
{
	return status < GRPC_N ? names[status] : STR("");
}

int
grpc_read_status(struct str s)
{
	uint64_t	n;

	if (s.n > 2 || str_to_u64(s, 99, &n) == -1)
		return -1;
	return (int)n;
}

enum grpc_status
grpc_of_http(unsigned status)
{
	switch (status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

/* By the row's status, where that says more than HTTP's would. */
static enum grpc_status
of_row(unsigned status)
{
	switch (status) {
	case 405:	/* of this path there is no method to POST to */
	case 501:
	case 505:
		return GRPC_UNIMPLEMENTED;
	case 413:
	case 414:
	case 431:
		return GRPC_RESOURCE_EXHAUSTED;
	case 408:
		return GRPC_CANCELLED;
	case 421:	/* UNAVAILABLE is tried again over the same one */
		return GRPC_UNKNOWN;
	case 500:
		return GRPC_INTERNAL;
	case 0:		/* its server's fault, behind the head */
		return GRPC_UNAVAILABLE;
	default:
		return grpc_of_http(status);
	}
}

enum grpc_status
grpc_of_fail(enum fail why)
{
	switch (why) {
	case FAIL_NONE:
		return GRPC_OK;
	case FAIL_CLIENT_GONE:
	case FAIL_CLIENT_RESET:
	case FAIL_BODY_CUT:
	case FAIL_WRITE_TIMEOUT:
		return GRPC_CANCELLED;
	case FAIL_DEADLINE_EXCEEDED:
	case FAIL_TOTAL_TIMEOUT:
		return GRPC_DEADLINE_EXCEEDED;
	case FAIL_ANSWER_MESSAGE_TOO_LARGE:
	case FAIL_RESPONSE_HEAD_TOO_LARGE:
	case FAIL_RESPONSE_TRAILER_TOO_LARGE:
		return GRPC_RESOURCE_EXHAUSTED;
	case FAIL_SERVER_H2_PROTOCOL:	/* it may have done the call */
	case FAIL_RESPONSE_LENGTH_MISMATCH:
		return GRPC_INTERNAL;
	default:
		return of_row(fail_row(why)->status);
	}
}

/* "gRPC over HTTP2", Errors; the codes are those of RFC 9113 7. */
int
grpc_of_reset(uint32_t code)
{
	static const int8_t	of[] = {
		[0x0] = GRPC_INTERNAL,		/* NO_ERROR */
		[0x1] = GRPC_INTERNAL,		/* PROTOCOL_ERROR */
		[0x2] = GRPC_INTERNAL,		/* INTERNAL_ERROR */
		[0x3] = GRPC_INTERNAL,		/* FLOW_CONTROL_ERROR */
		[0x4] = GRPC_INTERNAL,		/* SETTINGS_TIMEOUT */
		[0x5] = -1,			/* STREAM_CLOSED */
		[0x6] = GRPC_INTERNAL,		/* FRAME_SIZE_ERROR */
		[0x7] = GRPC_UNAVAILABLE,	/* REFUSED_STREAM */
		[0x8] = GRPC_CANCELLED,		/* CANCEL */
		[0x9] = GRPC_INTERNAL,		/* COMPRESSION_ERROR */
		[0xa] = GRPC_INTERNAL,		/* CONNECT_ERROR */
		[0xb] = GRPC_RESOURCE_EXHAUSTED, /* ENHANCE_YOUR_CALM */
		[0xc] = GRPC_PERMISSION_DENIED	/* INADEQUATE_SECURITY */
	};

	return code < sizeof(of) ? of[code] : -1;
}

/*
 * As Envoy maps them, but for UNIMPLEMENTED (501 there): that a method is
 * not known says nothing of who was asked, and any caller can ask for one.
 */
bool
grpc_is_servers_fault(unsigned status, bool timed)
{
	switch (status) {
	case GRPC_UNKNOWN:
	case GRPC_INTERNAL:
	case GRPC_UNAVAILABLE:
	case GRPC_DATA_LOSS:
		return true;
	case GRPC_DEADLINE_EXCEEDED:
		return !timed;
	default:
		return false;
	}
}

/* --- fields --- */

struct str
grpc_encode(struct arena *a, struct str s)
{
	static const char	digits[] = "0123456789ABCDEF";
	struct text		t;
	unsigned char		c;

	text_init_fixed(&t, arena_text(a, 3 * s.n), 3 * s.n);
	for (size_t i = 0; i < s.n; i++) {
		c = (unsigned char)s.p[i];
		if (c >= 0x20 && c <= 0x7e && c != '%') {
			text_c(&t, (char)c);
			continue;
		}
		text_c(&t, '%');
		text_c(&t, digits[c >> 4]);
		text_c(&t, digits[c & 15]);
	}
	return text_str(&t);
}

uint64_t
grpc_read_timeout(struct str s)
{
	static const struct {
		char		unit;
		uint64_t	mul;
		uint64_t	div;
	} units[] = {
		{ 'H', 3600000, 1 }, { 'M', 60000, 1 }, { 'S', 1000, 1 },
		{ 'm', 1, 1 }, { 'u', 1, 1000 }, { 'n', 1, 1000000 }
	};
	uint64_t	n;

	if (s.n < 2 || s.n > TIMEOUT_DIGITS + 1 ||
	    str_to_u64(str_sub(s, 0, s.n - 1), UINT64_MAX, &n) == -1)
		return GRPC_FAR;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (s.p[s.n - 1] == units[i].unit)
			return n * units[i].mul / units[i].div;
	return GRPC_FAR;
}

struct str
grpc_write_timeout(struct arena *a, uint64_t ms)
{
	static const struct {
		char		unit;
		uint64_t	ms;
	} units[] = {
		{ 'm', 1 }, { 'S', 1000 }, { 'M', 60000 }, { 'H', 3600000 }
	};
	size_t	i = 0;

	while (i < 3 && ms / units[i].ms > 99999999)
		i++;
	ms /= units[i].ms;
	return arena_fmt(a, "%llu%c", (unsigned long long)
	    (ms > 99999999 ? 99999999 : ms), units[i].unit);
}

/* --- grpc.health.v1 --- */

static char *
put_varint(char *p, uint64_t v)
{
	while (v > 127) {
		*p++ = (char)((v & 127) | 128);
		v >>= 7;
	}
	*p++ = (char)v;
	return p;
}

/* Takes one off the front; -1 if it is cut, or too long. */
static int
cut_varint(struct str *s, uint64_t *v)
{
	unsigned char	c;

	*v = 0;
	for (size_t i = 0; i < s->n && i < 10; i++) {
		c = (unsigned char)s->p[i];
		*v |= (uint64_t)(c & 127) << (7 * i);
		if (c < 128) {
			*s = str_sub(*s, i + 1, s->n);
			return 0;
		}
	}
	return -1;
}

/* field 1, a string, which is left out when it is empty */
struct str
grpc_write_health(struct arena *a, struct str service)
{
	char	*out = arena_text(a, GRPC_PREFIX + 11 + service.n);
	char	*p = out + GRPC_PREFIX;
	size_t	 n;

	if (service.n > 0) {
		*p++ = 1 << 3 | 2;
		p = put_varint(p, service.n);
		memcpy(p, service.p, service.n);
		p += service.n;
	}
	n = (size_t)(p - out) - GRPC_PREFIX;
	out[0] = 0;
	for (int i = 1; i < GRPC_PREFIX; i++)
		out[i] = (char)(n >> (8 * (GRPC_PREFIX - 1 - i)));
	return str_make(out, (size_t)(p - out));
}

/* What a field of this kind has behind its key is skipped. */
static int
skip_field(struct str *s, unsigned kind)
{
	uint64_t	n = kind == 1 ? 8 : 4;

	if (kind == 0)
		return cut_varint(s, &n);
	if ((kind != 1 && kind != 2 && kind != 5) ||
	    (kind == 2 && cut_varint(s, &n) == -1) || n > s->n)
		return -1;
	*s = str_sub(*s, (size_t)n, s->n);
	return 0;
}

/* field 1, a number; it is 0 if it is not there */
int
grpc_read_health(struct str body, uint64_t *status)
{
	struct grpc_scan	g = { 0 };
	struct str		s = str_sub(body, GRPC_PREFIX, body.n);
	uint64_t		key;

	*status = 0;
	if (!grpc_scan(&g, body, 0) || !grpc_scan_is_whole(&g) ||
	    g.messages != 1 || body.p[0] != 0)
		return -1;
	while (s.n > 0) {
		if (cut_varint(&s, &key) == -1)
			return -1;
		if (key == 1 << 3) {
			if (cut_varint(&s, status) == -1)
				return -1;
		} else if (skip_field(&s, key & 7) == -1)
			return -1;
	}
	return 0;
}

/* --- messages --- */

/* The next byte of a prefix; false: it says too much. */
static bool
take_prefix(struct grpc_scan *g, unsigned char c, uint64_t max)
{
	if (g->have++ == 0)
		return true;
	g->length = g->length << 8 | c;
	if (g->have < GRPC_PREFIX)
		return true;
	g->left = g->length;
	g->have = 0;
	g->length = 0;
	g->messages++;
	return max == 0 || g->left <= max;
}

bool
grpc_scan(struct grpc_scan *g, struct str s, uint64_t max)
{
	size_t	n;

	for (size_t i = 0; i < s.n; i += n) {
		n = g->left < s.n - i ? (size_t)g->left : s.n - i;
		g->left -= n;
		if (n > 0)
			continue;
		n = 1;
		if (!take_prefix(g, (unsigned char)s.p[i], max))
			return false;
	}
	return true;
}

bool
grpc_scan_is_whole(const struct grpc_scan *g)
{
	return g->left == 0 && g->have == 0;
}
