/*
 * Headers of the PROXY protocol.  Workers.
 */
#include "io/proxy_proto.h"

#include <arpa/inet.h>

#include "base/text.h"
#include "os/net.h"

#define SIGN	"\r\n\r\n\0\r\nQUIT\n"
#define SIGN_N	12
#define V1_MAX	107		/* with CRLF */
#define V2_HEAD	16
#define V2_MAX	(PROXY_PROTO_MAX - V2_HEAD)

#define TLV_CRC	0x03
#define CRC_N	4
#define TLV_TLS	0x20		/* PP2_TYPE_SSL; bits, result, more TLVs */
#define TLS_N	5
#define TLS_ON	0x01

/* --- version 1 --- */

static enum proxy_proto_rc
bad(struct proxy_proto *p, const char *why)
{
	p->why = why;
	return PROXY_PROTO_BAD;
}

/* Words are split at one space each. */
static struct str
cut_word(struct str *rest)
{
	ptrdiff_t	at = str_find(*rest, ' ', 0);
	struct str	word;

	word = str_sub(*rest, 0, at < 0 ? rest->n : (size_t)at);
	*rest = str_sub(*rest, at < 0 ? rest->n : (size_t)at + 1, rest->n);
	return word;
}

static bool
read_ip(struct str s, unsigned bits, struct sock_peer *p)
{
	p->family = bits == 32 ? AF_INET : AF_INET6;
	return net_parse_ip(s, p->ip) == bits;
}

static bool
read_port(struct str s, struct sock_peer *p)
{
	uint64_t	n;

	if (s.n > 5 || (s.n > 1 && s.p[0] == '0') ||
	    str_to_u64(s, UINT16_MAX, &n) == -1)
		return false;
	p->port = (uint16_t)n;
	return true;
}

static enum proxy_proto_rc
read_v1(struct str line, struct proxy_proto *p)
{
	struct str	rest = line, kind, word[4];
	unsigned	bits;

	kind = cut_word(&rest);
	if (str_eq(kind, STR("UNKNOWN")))
		return PROXY_PROTO_DONE;
	if (str_eq(kind, STR("TCP4")))
		bits = 32;
	else if (str_eq(kind, STR("TCP6")))
		bits = 128;
	else
		return bad(p, "neither TCP4 nor TCP6 nor UNKNOWN");
	for (size_t i = 0; i < 4; i++)
		word[i] = cut_word(&rest);
	if (rest.n > 0 || line.p[line.n - 1] == ' ')
		return bad(p, "something stands behind the ports");
	if (!read_ip(word[0], bits, &p->from) ||
	    !read_ip(word[1], bits, &p->to))
		return bad(p, "an address is malformed");
	if (!read_port(word[2], &p->from) || !read_port(word[3], &p->to))
		return bad(p, "a port is malformed");
	p->told = true;
	return PROXY_PROTO_DONE;
}

/* What is there of the line cannot become one with a family we know. */
static bool
is_no_kind(struct str line)
{
	static const char *const	kinds[] = { "TCP4", "TCP6", "UNKNOWN" };
	bool				whole = str_find(line, ' ', 0) >= 0;
	struct str			kind = cut_word(&line);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (str_starts(str_from(kinds[i]), kind) &&
		    (!whole || str_eq(kind, str_from(kinds[i]))))
			return false;
	return true;
}

static enum proxy_proto_rc
find_v1(struct str in, struct proxy_proto *p)
{
	struct str	name = STR("PROXY ");
	ptrdiff_t	at;

	p->version = 1;
	in = str_sub(in, 0, V1_MAX);
	at = str_find(in, '\r', 0);
	if (at < 0 && is_no_kind(str_sub(in, name.n, in.n)))
		return bad(p, "neither TCP4 nor TCP6 nor UNKNOWN");
	if (at < 0 || (size_t)at + 1 == in.n)
		return in.n == V1_MAX ? bad(p, "the line is too long") :
		    PROXY_PROTO_MORE;
	if (in.p[at + 1] != '\n')
		return bad(p, "a CR stands alone");
	p->used = (size_t)at + 2;
	return read_v1(str_sub(in, name.n, (size_t)at), p);
}

/* --- version 2 --- */

static unsigned
read16(const char *p)
{
	const unsigned char	*b = (const unsigned char *)p;

	return (unsigned)b[0] << 8 | b[1];
}

static uint32_t
add_crc(uint32_t crc, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		crc ^= (unsigned char)s.p[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	return crc;
}

uint32_t
proxy_proto_crc(struct str a, struct str b)
{
	return ~add_crc(add_crc(UINT32_MAX, a), b);
}

/* The sum is of the whole header, with zeroes in its own place. */
static bool
crc_holds(struct str head, size_t at)
{
	static const char	zero[CRC_N];
	struct str		s = str_sub(head, at, at + CRC_N);
	uint32_t		crc;

	crc = add_crc(UINT32_MAX, str_sub(head, 0, at));
	crc = add_crc(crc, str_make(zero, CRC_N));
	crc = ~add_crc(crc, str_sub(head, at + CRC_N, head.n));
	return read16(s.p) == crc >> 16 && read16(s.p + 2) == (crc & 0xffff);
}

/* Type, length, value: passed over, but for the sum and for TLS. */
static enum proxy_proto_rc
check_tlvs(struct str head, size_t at, struct proxy_proto *p)
{
	unsigned	n;

	while (at < head.n) {
		if (head.n - at < 3)
			return bad(p, "a TLV is cut off");
		n = read16(head.p + at + 1);
		if (n > head.n - at - 3)
			return bad(p, "a TLV is longer than the header");
		if (head.p[at] == TLV_CRC && (n != CRC_N ||
		    !crc_holds(head, at + 3)))
			return bad(p, "the checksum is wrong");
		if (head.p[at] == TLV_TLS && n >= TLS_N)
			p->secure = head.p[at + 3] & TLS_ON;
		at += 3 + n;
	}
	return PROXY_PROTO_DONE;
}

static void
read_v2_ip(const char *a, size_t n, const char *port, struct sock_peer *p)
{
	static const uint8_t	mapped[12] = { [10] = 0xff, [11] = 0xff };

	memcpy(p->ip, mapped, sizeof(mapped));
	memcpy(p->ip + 16 - n, a, n);
	p->family = n == 4 || net_is_mapped(p->ip) ? AF_INET : AF_INET6;
	p->port = (uint16_t)read16(port);
}

/* Addresses of the kinds that streams have; others tell nothing. */
static enum proxy_proto_rc
read_v2_addrs(struct str head, struct proxy_proto *p)
{
	const char	*a = head.p + V2_HEAD;
	size_t		 n;

	switch ((unsigned char)head.p[13]) {
	case 0x11:
		n = 4;
		break;
	case 0x21:
		n = 16;
		break;
	case 0x31:
		if (head.n - V2_HEAD < 216)
			return bad(p, "the addresses are cut off");
		p->from.family = p->to.family = AF_UNIX;
		p->told = true;
		return check_tlvs(head, V2_HEAD + 216, p);
	default:
		return PROXY_PROTO_DONE;
	}
	if (head.n - V2_HEAD < 2 * n + 4)
		return bad(p, "the addresses are cut off");
	read_v2_ip(a, n, a + 2 * n, &p->from);
	read_v2_ip(a + n, n, a + 2 * n + 2, &p->to);
	p->told = true;
	return check_tlvs(head, V2_HEAD + 2 * n + 4, p);
}

static enum proxy_proto_rc
find_v2(struct str in, struct proxy_proto *p)
{
	unsigned	how, n;

	p->version = 2;
	if (in.n > SIGN_N && (in.p[12] & 0xf0) != 0x20)
		return bad(p, "the version is not known");
	if (in.n < V2_HEAD)
		return PROXY_PROTO_MORE;
	how = in.p[12] & 0x0f;
	n = read16(in.p + 14);
	if (how > 1)
		return bad(p, "the command is not known");
	if (n > V2_MAX)
		return bad(p, "the header is too long");
	if (in.n < V2_HEAD + n)
		return PROXY_PROTO_MORE;
	p->used = V2_HEAD + n;
	/* LOCAL: whatever else it says does not count */
	return how == 0 ? PROXY_PROTO_DONE :
	    read_v2_addrs(str_sub(in, 0, p->used), p);
}

enum proxy_proto_rc
proxy_proto_parse(struct str in, struct proxy_proto *p)
{
	struct str	v1 = STR("PROXY ");
	struct str	v2 = str_make(SIGN, SIGN_N);

	*p = (struct proxy_proto){ .why = "" };
	if (in.n == 0)
		return PROXY_PROTO_MORE;
	if (str_starts(in, str_sub(v1, 0, in.n)))
		return in.n < v1.n ? PROXY_PROTO_MORE : find_v1(in, p);
	if (str_starts(in, str_sub(v2, 0, in.n)))
		return in.n < v2.n ? PROXY_PROTO_MORE : find_v2(in, p);
	return bad(p, "there is none");
}

/* --- ours --- */

static bool
is_ip(const struct sock_peer *p)
{
	return p->family == AF_INET || p->family == AF_INET6;
}

static unsigned
common_kind(const struct sock_peer *from, const struct sock_peer *to)
{
	if (!is_ip(from))
		return AF_UNSPEC;
	if (from->family == AF_INET && (to->family == AF_INET || !is_ip(to)))
		return AF_INET;
	return AF_INET6;
}

static void
add_ip(struct text *t, unsigned kind, const struct sock_peer *p)
{
	char	buf[INET6_ADDRSTRLEN];

	if (kind == AF_INET)
		(void)inet_ntop(AF_INET, p->ip + 12, buf, sizeof(buf));
	else
		(void)inet_ntop(AF_INET6, p->ip, buf, sizeof(buf));
	text_add(t, str_from(buf));
	text_c(t, ' ');
}

static size_t
build_v1(char *out, unsigned kind, const struct sock_peer *from,
    const struct sock_peer *to)
{
	struct text	t;

	text_init_fixed(&t, out, PROXY_PROTO_OUT);
	if (kind == AF_UNSPEC) {
		text_add(&t, STR("PROXY UNKNOWN\r\n"));
		return text_str(&t).n;
	}
	text_add(&t, kind == AF_INET ? STR("PROXY TCP4 ") :
	    STR("PROXY TCP6 "));
	add_ip(&t, kind, from);
	add_ip(&t, kind, to);
	text_fmt(&t, "%u %u\r\n", from->port, to->port);
	return text_str(&t).n;
}

static void
put16(char *p, unsigned n)
{
	p[0] = (char)(n >> 8);
	p[1] = (char)(n & 0xff);
}

static size_t
build_v2(char *out, unsigned kind, const struct sock_peer *from,
    const struct sock_peer *to)
{
	size_t	n = kind == AF_INET ? 4 : kind == AF_INET6 ? 16 : 0;
	size_t	len = n == 0 ? 0 : 2 * n + 4;
	char	*a = out + V2_HEAD;

	memcpy(out, SIGN, SIGN_N);
	out[12] = 0x21;
	out[13] = kind == AF_INET ? 0x11 : kind == AF_INET6 ? 0x21 : 0;
	put16(out + 14, (unsigned)len);
	if (n == 0)
		return V2_HEAD;
	memcpy(a, from->ip + 16 - n, n);
	memcpy(a + n, to->ip + 16 - n, n);
	put16(a + 2 * n, from->port);
	put16(a + 2 * n + 2, to->port);
	return V2_HEAD + len;
}

size_t
proxy_proto_build(char *out, unsigned version, const struct sock_peer *from,
    const struct sock_peer *to)
{
	unsigned		kind = common_kind(from, to);
	struct sock_peer	none = { .family = AF_UNSPEC };

	/* where it came in has no address: the socket is a file */
	if (!is_ip(to))
		to = &none;
	return version == 1 ? build_v1(out, kind, from, to) :
	    build_v2(out, kind, from, to);
}
