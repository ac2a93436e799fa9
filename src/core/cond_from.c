/*
 * The route condition `from`: networks of clients.  Builder; workers
 * match.
 *
 * IPv4 is compared as IPv6 mapped, so there is one kind of network.  Two
 * networks are apart or one holds the other: sorted and without those
 * that others hold, the last one that begins at or before the address is
 * the only one that can have it.
 */
#include <arpa/inet.h>

#include <stdlib.h>

#include "core/cond.h"

struct network {
	uint8_t		ip[16];
	unsigned	bits;		/* of 128 */
};

struct cond_from {
	struct network	*v;		/* of conf; sorted, apart */
	size_t		 n;
	size_t		 cap;
};

static bool
holds(const struct network *net, const uint8_t *ip)
{
	unsigned	whole = net->bits / 8, rest = net->bits % 8;
	uint8_t		mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(net->ip, ip, whole) != 0)
		return false;
	return rest == 0 || ((net->ip[whole] ^ ip[whole]) & mask) == 0;
}

static int
compare(const void *a, const void *b)
{
	const struct network	*x = a, *y = b;
	int			 c = memcmp(x->ip, y->ip, sizeof(x->ip));

	return c != 0 ? c : (int)x->bits - (int)y->bits;
}

/* Addresses as text to 16 bytes; bits of its own kind, or 0: neither. */
static unsigned
read_ip(struct str word, uint8_t *ip)
{
	static const uint8_t	mapped[12] = { [10] = 0xff, [11] = 0xff };
	char			buf[INET6_ADDRSTRLEN];

	if (str_to_c(word, buf, sizeof(buf)) == -1)
		return 0;
	memcpy(ip, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, buf, ip + 12) == 1)
		return 32;
	return inet_pton(AF_INET6, buf, ip) == 1 ? 128 : 0;
}

static const char *
read_net(struct str word, struct network *net)
{
	ptrdiff_t	slash = str_find(word, '/', 0);
	struct str	addr = slash < 0 ? word :
	    str_sub(word, 0, (size_t)slash);
	unsigned	max = read_ip(addr, net->ip);
	uint64_t	bits = max;

	if (max == 0)
		return "this is not an address";
	if (slash >= 0 && str_to_u64(str_sub(word, (size_t)slash + 1,
	    word.n), max, &bits) == -1)
		return max == 32 ? "the length of an IPv4 network is 0 to 32"
		    : "the length of an IPv6 network is 0 to 128";
	net->bits = 128 - max + (unsigned)bits;
	for (unsigned i = net->bits; i < 128; i++)
		if (net->ip[i / 8] & (0x80 >> i % 8))
			return "the address has bits beyond the length";
	return NULL;
}

static const char *
add(struct arena *a, void *dst, struct str word)
{
	struct cond_from	*c = dst;
	struct network		*v;

	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 4 : 2 * c->cap;
		v = arena_alloc(a, c->cap * sizeof(*v));
		if (c->n > 0)
			memcpy(v, c->v, c->n * sizeof(*v));
		c->v = v;
	}
	return read_net(word, &c->v[c->n++]);
}

static int
parse(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct cond_from	*c = dst;
	size_t			 kept = 0;

	if (cond_parse_words(load, row, dst, items, n, add) == -1)
		return -1;
	qsort(c->v, c->n, sizeof(*c->v), compare);
	for (size_t i = 0; i < c->n; i++)
		if (kept == 0 || !holds(&c->v[kept - 1], c->v[i].ip))
			c->v[kept++] = c->v[i];
	c->n = kept;
	return 0;
}

static uint32_t
count(const void *part)
{
	return ((const struct cond_from *)part)->n > 0;
}

/* The network that begins at or before the address; NULL: none does. */
static const struct network *
find_net(const struct cond_from *c, const uint8_t *ip)
{
	size_t	lo = 0, hi = c->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (memcmp(c->v[mid].ip, ip, sizeof(c->v[mid].ip)) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 ? &c->v[lo - 1] : NULL;
}

static bool
match(const void *part, const struct exchange *x)
{
	const struct network	*net;

	if (x->acc.peer.family == AF_UNIX)
		return false;
	net = find_net(part, x->acc.peer.ip);
	return net != NULL && holds(net, x->acc.peer.ip);
}

static bool
covers(const void *wide, const void *narrow)
{
	const struct cond_from	*n = narrow;
	const struct network	*net;

	for (size_t i = 0; i < n->n; i++) {
		net = find_net(wide, n->v[i].ip);
		if (net == NULL || net->bits > n->v[i].bits ||
		    !holds(net, n->v[i].ip))
			return false;
	}
	return true;
}

static const struct conf_row rows[] = {
	{
		.key = "from", .type = CONF_CUSTOM, .off = 0,
		.flags = CONF_F_COND | CONF_F_MANY, .parse = parse,
		.example = "10.0.0.0/8 2001:db8::/32",
		.text = "Networks or addresses of clients that the route is "
		    "for.  A client at a unix socket is in none."
	},
	{ .key = NULL }
};

const struct conf_group cond_from_group = {
	"from", rows, sizeof(struct cond_from), NULL
};

const struct route_cond cond_from = {
	.name = "from", .group = &cond_from_group, .count = count,
	.match = match, .covers = covers, .fail = FAIL_NONE
};
