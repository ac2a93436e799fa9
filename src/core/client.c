/*
 * The client's address by X-Forwarded-For, Forwarded (RFC 7239) or
 * X-Real-IP of trusted proxies, and its scheme.  Workers and control.
 */
#include "core/client.h"

#include <string.h>

struct walk {
	const struct trust	*trust;
	struct sock_peer	*client;	/* out: as far as one came */
	struct str		 proto;		/* by which that one came */
	unsigned		 hops;		/* looked at */
	unsigned		 took;		/* the last one that was read */
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
	w->took = w->hops;
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

/* Is the character at a quote, and not one inside of quotes? */
static bool
is_quote(struct str s, size_t at)
{
	size_t	i = at;

	if (s.p[at] != '"')
		return false;
	while (i > 0 && s.p[i - 1] == '\\')
		i--;
	return (at - i) % 2 == 0;
}

/*
 * Takes the last element off the back.  The nearest proxy wrote it, and
 * wrote it well: from its end on it is understood whatever stands before
 * it, such as a quote that the client left open to swallow it.
 */
static void
cut_last(struct str *rest, struct str *element)
{
	bool	quoted = false;
	size_t	at;

	for (at = rest->n; at > 0; at--) {
		if (is_quote(*rest, at - 1))
			quoted = !quoted;
		else if (!quoted && rest->p[at - 1] == ',')
			break;
	}
	*element = str_trim(str_sub(*rest, at, rest->n));
	*rest = str_sub(*rest, 0, at > 0 ? at - 1 : 0);
}

/* The pairs of an element that are asked for; escapes are none in them. */
struct element {
	struct str	node;		/* for */
	struct str	proto;
};

static int
note_pair(struct element *e, struct str pair)
{
	ptrdiff_t	 at = str_find(pair, '=', 0);
	struct str	 name, val;
	struct str	*to;

	if (at < 0)
		return 0;
	name = str_sub(pair, 0, (size_t)at);
	to = str_eq_fold(name, STR("for")) ? &e->node :
	    str_eq_fold(name, STR("proto")) ? &e->proto : NULL;
	if (to == NULL)
		return 0;
	if (to->n > 0)
		return -1;
	val = str_sub(pair, (size_t)at + 1, pair.n);
	if (val.n > 2 && val.p[0] == '"' && val.p[val.n - 1] == '"')
		val = str_sub(val, 1, val.n - 1);
	*to = val;
	return 0;
}

/* -1: it is malformed. */
static int
read_element(struct str s, struct element *e)
{
	struct str	pair;

	*e = (struct element){ STR_NONE, STR_NONE };
	while (s.n > 0)
		if (cut(&s, ';', &pair) == -1 || note_pair(e, pair) == -1)
			return -1;
	return 0;
}

static bool
walk_forwarded(struct walk *w, struct str s)
{
	struct element	e;
	struct str	last;
	bool		more;

	while (s.n > 0) {
		cut_last(&s, &last);
		if (last.n == 0)
			continue;
		if (read_element(last, &e) == -1 || e.node.n == 0)
			return false;
		more = take(w, e.node);
		if (w->took == w->hops)
			w->proto = e.proto;
		if (!more)
			return false;
	}
	return true;
}

struct str
client_sound(struct str line)
{
	struct str	rest = line, last;
	struct element	e;
	size_t		from = line.n;

	while (rest.n > 0) {
		cut_last(&rest, &last);
		if (read_element(last, &e) == -1)
			break;
		from = rest.n == 0 ? 0 : rest.n + 1;
	}
	return str_trim(str_sub(line, from, line.n));
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

/* A scheme, or that of WebSocket which stands for it; else no change. */
static void
note_scheme(struct str s, bool *secure)
{
	if (str_eq_fold(s, STR("https")) || str_eq_fold(s, STR("wss")))
		*secure = true;
	else if (str_eq_fold(s, STR("http")) || str_eq_fold(s, STR("ws")))
		*secure = false;
}

/*
 * A proxy that tells of its client by Forwarded may pass on whatever
 * X-Forwarded-Proto that client sent.
 */
static void
find_scheme(const struct walk *w, enum client_field field,
    const struct hdrs *hs, bool *secure)
{
	const struct hdr	*h = hdr_get(hs, HDR_X_FORWARDED_PROTO);

	if (field == CLIENT_FORWARDED)
		note_scheme(w->proto, secure);
	else if (h != NULL && hdr_next(hs, HDR_X_FORWARDED_PROTO, h) == NULL)
		note_scheme(h->val, secure);
}

bool
client_find(const struct trust *t, enum client_field field,
    const struct hdrs *hs, const struct sock_peer *peer,
    struct sock_peer *client, bool *secure)
{
	struct walk	w = { t, client, STR_NONE, 0, 0 };

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
	find_scheme(&w, field, hs, secure);
	return true;
}
