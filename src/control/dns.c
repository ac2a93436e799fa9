/*
 * Answers of name servers (RFC 1035, 2782, 3596).  Control process.
 *
 * The library that asks gives back whole messages, and its own readers
 * keep the times to live of SRV records to themselves.  Every length is
 * looked at before it is used; a pointer in a name only leads back.
 */
#include "control/dns.h"

#include <string.h>

#define HEAD		12
#define LABEL_MAX	63
#define HOPS		32	/* pointers in one name */

/* a message, and where it is being read */
struct reader {
	const uint8_t	*p;
	size_t		 n;
	size_t		 at;
	bool		 bad;
};

static uint32_t
take(struct reader *r, unsigned bytes)
{
	uint32_t	v = 0;

	if (r->bad || r->n - r->at < bytes) {
		r->bad = true;
		return 0;
	}
	while (bytes-- > 0)
		v = v << 8 | r->p[r->at++];
	return v;
}

static void
skip(struct reader *r, size_t bytes)
{
	if (r->bad || r->n - r->at < bytes)
		r->bad = true;
	else
		r->at += bytes;
}

/* Past a name, without following its pointer. */
static void
skip_name(struct reader *r)
{
	uint32_t	len;

	for (;;) {
		len = take(r, 1);
		if (r->bad || len == 0)
			return;
		if (len >= 0xc0) {
			skip(r, 1);
			return;
		}
		if (len > LABEL_MAX)
			r->bad = true;
		skip(r, len);
	}
}

static bool
is_host_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	    c == '-' || c == '_';
}

/* Adds a label in lower case; false: this is no name of a host. */
static bool
add_label(const uint8_t *p, size_t n, char *out, size_t *len)
{
	uint8_t	c;

	if (*len + n + 2 > DNS_NAME)
		return false;
	if (*len > 0)
		out[(*len)++] = '.';
	for (size_t i = 0; i < n; i++) {
		c = p[i] >= 'A' && p[i] <= 'Z' ? p[i] - 'A' + 'a' : p[i];
		if (!is_host_byte(c))
			return false;
		out[(*len)++] = (char)c;
	}
	return true;
}

/*
 * The name that begins at `at`; 1, 0: no host name (the root is none
 * either), -1: malformed.
 */
static int
read_name(const uint8_t *p, size_t n, size_t at, char out[DNS_NAME])
{
	size_t		len = 0;
	size_t		to;
	unsigned	hops = 0;
	int		rc = 1;

	while (at < n && p[at] != 0) {
		if (p[at] >= 0xc0) {
			if (at + 1 >= n || ++hops > HOPS)
				return -1;
			to = (size_t)(p[at] & 0x3f) << 8 | p[at + 1];
			if (to >= at)
				return -1;
			at = to;
			continue;
		}
		if (p[at] > LABEL_MAX || n - at - 1 < p[at])
			return -1;
		if (rc == 1 && !add_label(p + at + 1, p[at], out, &len))
			rc = 0;
		at += (size_t)p[at] + 1;
	}
	if (at >= n)
		return -1;
	out[rc == 1 ? len : 0] = '\0';
	return len == 0 ? 0 : rc;
}

/* The data of a record of the type wanted: 1, 0: left out, -1. */
static int
read_data(const struct reader *r, size_t len, enum dns_type type,
    struct dns_record *rec)
{
	struct reader	in = *r;

	memset(rec, 0, sizeof(*rec));
	in.n = r->at + len;
	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (len != (type == DNS_A ? 4 : 16))
			return -1;
		memcpy(rec->ip, r->p + r->at, len);
		return 1;
	default:
		rec->priority = (uint16_t)take(&in, 2);
		rec->weight = (uint16_t)take(&in, 2);
		rec->port = (uint16_t)take(&in, 2);
		if (in.bad)
			return -1;
		return read_name(r->p, in.n, in.at, rec->host);
	}
}

/* RFC 2181 8: a time whose highest bit is set counts as 0. */
static uint32_t
min_ttl(uint32_t a, uint32_t b)
{
	if (b > INT32_MAX)
		b = 0;
	return a < b ? a : b;
}

static int
compare(enum dns_type type, const struct dns_record *a,
    const struct dns_record *b)
{
	int	d;

	if (type != DNS_SRV)
		return memcmp(a->ip, b->ip, sizeof(a->ip));
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	d = strcmp(a->host, b->host);
	if (d != 0)
		return d;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return (a->weight > b->weight) - (a->weight < b->weight);
}

/*
 * Ordered from the first on: name servers turn their answers round, and
 * of too many always the same ones are to stay.
 */
static void
keep(struct dns_answer *a, enum dns_type type, const struct dns_record *one)
{
	unsigned	at = a->n;

	if (a->n == DNS_RECORDS) {
		a->cut = true;
		if (compare(type, one, &a->rec[--at]) >= 0)
			return;
	} else
		a->n++;
	while (at > 0 && compare(type, one, &a->rec[at - 1]) < 0) {
		a->rec[at] = a->rec[at - 1];
		at--;
	}
	a->rec[at] = *one;
}

static int
read_record(struct reader *r, enum dns_type type, struct dns_answer *a)
{
	struct dns_record	one;
	uint32_t		got, class, ttl, len;
	int			rc = 0;

	skip_name(r);
	got = take(r, 2);
	class = take(r, 2);
	ttl = take(r, 4);
	len = take(r, 2);
	if (r->bad || r->n - r->at < len)
		return -1;
	if (class == 1 && got == (uint32_t)type)
		rc = read_data(r, len, type, &one);
	if (class == 1 && (got == (uint32_t)type || got == DNS_CNAME))
		a->ttl = min_ttl(a->ttl, ttl);
	r->at += len;
	if (rc != 1)
		return rc;
	keep(a, type, &one);
	return 0;
}

int
dns_parse(const uint8_t *p, size_t n, enum dns_type type,
    struct dns_answer *a)
{
	struct reader	r = { .p = p, .n = n, .at = 4 };
	uint32_t	questions, answers;

	a->n = 0;
	a->cut = false;
	a->ttl = INT32_MAX;
	if (n < HEAD)
		return -1;
	questions = take(&r, 2);
	answers = take(&r, 2);
	r.at = HEAD;
	while (questions-- > 0 && !r.bad) {
		skip_name(&r);
		skip(&r, 4);
	}
	while (answers-- > 0 && !r.bad)
		if (read_record(&r, type, a) == -1)
			return -1;
	return r.bad ? -1 : 0;
}
