/*
 * Headers of the PROXY protocol: what is whole stays so whatever follows,
 * every shorter piece of it is a piece, and what is told of can be written
 * and read again.
 */
#include "base/must.h"
#include "io/proxy_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_again(const struct proxy_proto *p, unsigned version)
{
	char			out[PROXY_PROTO_OUT];
	struct proxy_proto	q;
	size_t			n;

	n = proxy_proto_build(out, version, &p->from, &p->to);
	must(n <= sizeof(out));
	must(proxy_proto_parse(str_make(out, n), &q) == PROXY_PROTO_DONE);
	must(q.used == n && q.version == version);
	must(q.told == (p->from.family != AF_UNIX));
	must(!q.told || memcmp(q.from.ip, p->from.ip, 16) == 0);
	must(!q.told || q.from.port == p->from.port);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct str		s = str_make((const char *)in, n);
	struct proxy_proto	p, q;
	enum proxy_proto_rc	rc = proxy_proto_parse(s, &p);

	if (rc == PROXY_PROTO_BAD) {
		must(p.why[0] != '\0');
		return 0;
	}
	if (rc == PROXY_PROTO_MORE) {
		must(n < PROXY_PROTO_MAX);
		return 0;
	}
	must(p.used > 0 && p.used <= n && p.used <= PROXY_PROTO_MAX);
	must(p.version == 1 || p.version == 2);
	for (size_t i = 0; i < p.used; i++)
		must(proxy_proto_parse(str_sub(s, 0, i), &q) ==
		    PROXY_PROTO_MORE);
	if (p.told) {
		check_again(&p, 1);
		check_again(&p, 2);
	}
	return 0;
}
