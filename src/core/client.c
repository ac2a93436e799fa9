/*
 * The client's address by X-Forwarded-For, Forwarded (RFC 7239) or
 * X-Real-IP of trusted proxies.  Workers and control.
 */
#include "core/client.h"

#include <string.h>

struct walk {
	const struct trust	*trust;
	struct sock_peer	*client;	/* out: as far as one came */
	unsigned		 hops;
};

/* --- one address --- */

/* Ports may be hidden, too (RFC 7239 6.3); they are then 0. */
static int
read_port(struct str s, uint16_t *port)
{
	uint64_t	n;

	*port = 0;
	if (s.n > 1 && s.p[0] == '_')
		return 0;
	if (s.n > 5 || str_to_u64(s, UINT16_MAX, &n) == -1)
		return -1;
	*port = (uint16_t)n;
	return 0;
}

/* Splits "[ip]:port", "ip:port" and "ip"; -1: a bracket is left open. */
static int
split(struct str s, struct str *ip, struct str *port)
{
	ptrdiff_t	at = str_find(s, ':', 0);

	*port = STR_NONE;
	*ip = s;
	if (s.n > 0 && s.p[0] == '[') {
		at = str_find(s, ']', 0);
		if (at < 0)
			return -1;
		*ip = str_sub(s, 1, (size_t)at);
		s = str_sub(s, (size_t)at + 1, s.n);
		if (s.n > 0 && s.p[0] != ':')
			return -1;
		*port = str_sub(s, 1, s.n);
		return s.n == 1 ? -1 : 0;
	}
	if (at < 0 || str_find(s, ':', (size_t)at + 1) >= 0)
		return 0;
	*ip = str_sub(s, 0, (size_t)at);
	*port = str_sub(s, (size_t)at + 1, s.n);
	return port->n == 0 ? -1 : 0;
}

int
client_read(struct str s, struct sock_peer *p)
{
	struct str	ip, port;
	unsigned	bits;

	memset(p, 0, sizeof(*p));
	if (str_eq(s, STR("unix")) || str_eq(s, STR("_unix"))) {
		p->family = AF_UNIX;
		return 0;
	}
	if (split(s, &ip, &port) == -1)
		return -1;
	bits = net_parse_ip(ip, p->ip);
	if (bits == 0 || (s.p[0] == '[' && bits != 128))
		return -1;
	p->family = net_is_mapped(p->ip) ? AF_INET : AF_INET6;
	return port.n > 0 ? read_port(port, &p->port) : 0;
}

/* The next address to the left; false: go no further. */
static bool
take(struct walk *w, struct str node)
{
	struct sock_peer	p;

	if (w->hops++ == CLIENT_HOPS || client_read(node, &p) == -1)
		return false;
	*w->client = p;
	return trust_has(w->trust, &p);
}

/* --- X-Forwarded-For --- */

static bool
walk_list(struct walk *w, struct str s)
{
	struct str	node;
	size_t		at;

	for (;;) {
		for (at = s.n; at > 0 && s.p[at - 1] != ','; at--)
			;
		node = str_trim(str_sub(s, at, s.n));
		/* empty elements are none (RFC 9110 5.6.1.2) */
		if (node.n > 0 && !take(w, node))
			return false;
		if (at == 0)
			return true;
		s = str_sub(s, 0, at - 1);
	}
}

/* --- Forwarded --- */

/* Takes what stands before sep, outside of quotes, off the front. */
static int
cut(struct str *rest, char sep, struct str *part)
{
	bool	quoted = false;
	size_t	i;

	for (i = 0; i < rest->n; i++) {
		if (quoted && rest->p[i] == '\\')
			i++;
		else if (rest->p[i] == '"')
			quoted = !quoted;
		else if (!quoted && rest->p[i] == sep)
			break;
	}
	if (quoted)
		return -1;
	*part = str_trim(str_sub(*rest, 0, i));
	*rest = str_sub(*rest, i + 1, rest->n);
	return 0;
}

/* The value of the one "for" of an element; escapes are none in it. */
static int
find_for(struct str element, struct str *node)
{
	struct str	pair, val;
	ptrdiff_t	at;

	*node = STR_NONE;
	while (element.n > 0) {
		if (cut(&element, ';', &pair) == -1)
			return -1;
		at = str_find(pair, '=', 0);
		if (at < 0 || !str_eq_fold(str_sub(pair, 0, (size_t)at),
		    STR("for")))
			continue;
		if (node->n > 0)
			return -1;
		val = str_sub(pair, (size_t)at + 1, pair.n);
		if (val.n > 2 && val.p[0] == '"' && val.p[val.n - 1] == '"')
			val = str_sub(val, 1, val.n - 1);
		*node = val;
	}
	return node->n > 0 ? 0 : -1;
}

/*
 * Quotes are understood from the left only: the last elements of a line
 * are noted first.  A line with a quote left open says nothing at all.
 */
static bool
walk_forwarded(struct walk *w, struct str s)
{
	struct str	last[CLIENT_HOPS];
	struct str	element, node;
	size_t		n = 0;

	while (s.n > 0) {
		if (cut(&s, ',', &element) == -1)
			return false;
		if (element.n > 0)
			last[n++ % CLIENT_HOPS] = element;
	}
	for (size_t i = 0; i < n; i++) {
		if (i == CLIENT_HOPS || find_for(
		    last[(n - 1 - i) % CLIENT_HOPS], &node) == -1 ||
		    !take(w, node))
			return false;
	}
	return true;
}

/* --- the field --- */

static void
walk_lines(struct walk *w, const struct hdrs *hs, enum hdr_id id)
{
	const struct hdr	*h;
	bool			 more = true;

	for (size_t i = hs->n; i > 0 && more; i--) {
		h = &hs->v[i - 1];
		if (h->id != id || (h->flags & HDR_F_DEAD) != 0)
			continue;
		more = id == HDR_FORWARDED ? walk_forwarded(w, h->val) :
		    walk_list(w, h->val);
	}
}

/* One address, of which there is one. */
static void
read_one(struct walk *w, const struct hdrs *hs)
{
	const struct hdr	*h = hdr_get(hs, HDR_X_REAL_IP);

	if (h != NULL && hdr_next(hs, HDR_X_REAL_IP, h) == NULL)
		(void)take(w, h->val);
}

bool
client_find(const struct trust *t, enum client_field field,
    const struct hdrs *hs, const struct sock_peer *peer,
    struct sock_peer *client)
{
	struct walk	w = { t, client, 0 };

	*client = *peer;
	if (t->n == 0 || !trust_has(t, peer))
		return false;
	switch (field) {
	case CLIENT_XFF:
		walk_lines(&w, hs, HDR_X_FORWARDED_FOR);
		break;
	case CLIENT_FORWARDED:
		walk_lines(&w, hs, HDR_FORWARDED);
		break;
	case CLIENT_REAL_IP:
		read_one(&w, hs);
		break;
	}
	return true;
}
