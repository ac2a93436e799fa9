/*
 * Networks of addresses.  All processes.
 */
#include "os/net.h"

#include <arpa/inet.h>

unsigned
net_parse_ip(struct str s, uint8_t *ip)
{
	static const uint8_t	mapped[12] = { [10] = 0xff, [11] = 0xff };
	char			buf[INET6_ADDRSTRLEN];

	if (str_to_c(s, buf, sizeof(buf)) == -1)
		return 0;
	memcpy(ip, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, buf, ip + 12) == 1)
		return 32;
	return inet_pton(AF_INET6, buf, ip) == 1 ? 128 : 0;
}

const char *
net_parse(struct str s, struct net *net)
{
	ptrdiff_t	slash = str_find(s, '/', 0);
	struct str	addr = slash < 0 ? s : str_sub(s, 0, (size_t)slash);
	uint64_t	bits;
	unsigned	max;

	*net = (struct net){ .unix_peers = str_eq(s, STR("unix")) };
	if (net->unix_peers)
		return NULL;
	max = net_parse_ip(addr, net->ip);
	bits = max;
	if (max == 0)
		return "this is not an address or a network";
	if (slash >= 0 && str_to_u64(str_sub(s, (size_t)slash + 1, s.n), max,
	    &bits) == -1)
		return max == 32 ? "the length of an IPv4 network is 0 to 32" :
		    "the length of an IPv6 network is 0 to 128";
	net->bits = (uint8_t)(128 - max + bits);
	return NULL;
}

bool
net_is_mapped(const uint8_t *ip)
{
	static const uint8_t	mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

bool
net_has(const struct net *net, const struct sock_peer *p)
{
	unsigned	whole = net->bits / 8, rest = net->bits % 8;
	uint8_t		mask = (uint8_t)(0xff00 >> rest);

	if (net->unix_peers || p->family == AF_UNIX)
		return net->unix_peers && p->family == AF_UNIX;
	if (p->family != AF_INET && p->family != AF_INET6)
		return false;
	if (memcmp(net->ip, p->ip, whole) != 0)
		return false;
	return rest == 0 || ((net->ip[whole] ^ p->ip[whole]) & mask) == 0;
}
