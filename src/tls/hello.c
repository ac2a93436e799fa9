/*
 * ClientHello: records to one message, and through its fields to the
 * extension with the name.  A message may be cut into records anywhere.  A
 * name that is malformed counts as none: OpenSSL parses it once more and
 * refuses it.
 */
#include "tls/hello.h"

#include <string.h>

#define RECORD_HEAD	5
#define HANDSHAKE	22	/* a record's type */
#define CLIENT_HELLO	1	/* a message's type */
#define SERVER_NAME	0	/* an extension, and a host's type in it */

/* what is left of a message */
struct cut {
	const unsigned char	*p;
	size_t			 n;
	bool			 bad;
};

static size_t
take_num(struct cut *c, size_t bytes)
{
	size_t	v = 0;

	if (c->n < bytes) {
		c->bad = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | c->p[i];
	c->p += bytes;
	c->n -= bytes;
	return v;
}

static struct cut
take(struct cut *c, size_t n)
{
	struct cut	part = { c->p, n, false };

	if (c->bad || c->n < n) {
		c->bad = true;
		return (struct cut){ NULL, 0, true };
	}
	c->p += n;
	c->n -= n;
	return part;
}

/* A vector whose length stands in front of it. */
static struct cut
take_vector(struct cut *c, size_t bytes)
{
	return take(c, take_num(c, bytes));
}

/* --- records --- */

/* Joins their contents; the bytes of the message so far, or -1. */
static ptrdiff_t
join(struct str in, char *room)
{
	struct cut	c = { (const unsigned char *)in.p, in.n, false };
	size_t		n = 0, len, part;

	while (c.n > 0) {
		if (c.p[0] != HANDSHAKE || (c.n > 1 && c.p[1] != 3))
			return -1;
		if (c.n < RECORD_HEAD)
			break;
		len = (size_t)c.p[3] << 8 | c.p[4];
		if (len == 0 || len > HELLO_MAX)
			return -1;
		(void)take(&c, RECORD_HEAD);
		part = len < c.n ? len : c.n;
		memcpy(room + n, c.p, part);
		n += part;
		(void)take(&c, part);
	}
	return (ptrdiff_t)n;
}

/* --- the message --- */

struct str
tls_hello_fold(struct str name, char buf[TLS_NAME_MAX])
{
	unsigned char	b;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > TLS_NAME_MAX)
		return STR_NONE;
	for (size_t i = 0; i < name.n; i++) {
		b = (unsigned char)name.p[i];
		if (b <= ' ' || b >= 0x7f)
			return STR_NONE;
		buf[i] = (char)(b >= 'A' && b <= 'Z' ? b | 0x20 : b);
	}
	return str_make(buf, name.n);
}

static struct str
read_names(struct cut ext, char *room)
{
	struct cut	list = take_vector(&ext, 2), one;
	size_t		type;

	if (list.bad || ext.n > 0)
		return STR_NONE;
	while (list.n > 0) {
		type = take_num(&list, 1);
		one = take_vector(&list, 2);
		if (one.bad)
			return STR_NONE;
		if (type == SERVER_NAME)
			return tls_hello_fold(str_make((const char *)one.p,
			    one.n), room);
	}
	return STR_NONE;
}

struct str
tls_hello_name(struct str ext, char buf[TLS_NAME_MAX])
{
	struct cut	c = { (const unsigned char *)ext.p, ext.n, false };

	return read_names(c, buf);
}

static bool
read_hello(struct cut c, char *room, struct str *name)
{
	struct cut	exts, ext;
	size_t		type;

	(void)take(&c, 2 + 32);		/* version, random */
	(void)take_vector(&c, 1);	/* session */
	(void)take_vector(&c, 2);	/* ciphers */
	(void)take_vector(&c, 1);	/* compression */
	if (!c.bad && c.n == 0)
		return true;
	exts = take_vector(&c, 2);
	while (!exts.bad && exts.n > 0) {
		type = take_num(&exts, 2);
		ext = take_vector(&exts, 2);
		if (ext.bad || type != SERVER_NAME)
			continue;
		*name = read_names(ext, room);
		if (name->p == NULL)
			*name = STR("");
		return true;
	}
	return !c.bad && !exts.bad;
}

enum hello_rc
tls_hello_parse(struct str in, char *room, struct str *name)
{
	ptrdiff_t	n = join(in, room);
	struct cut	c = { (const unsigned char *)room, 0, false };
	size_t		len;

	*name = STR("");
	if (n < 0 || (n > 0 && room[0] != CLIENT_HELLO))
		return HELLO_BAD;
	if (n < 4)
		return HELLO_MORE;
	c.n = (size_t)n;
	(void)take_num(&c, 1);
	len = take_num(&c, 3);
	if (len > HELLO_MAX)
		return HELLO_BAD;
	if (c.n < len)
		return in.n >= HELLO_MAX ? HELLO_BAD : HELLO_MORE;
	c.n = len;
	/* the name goes to the front, which nobody reads any more */
	return read_hello(c, room, name) ? HELLO_DONE : HELLO_BAD;
}
