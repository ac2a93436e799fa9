/*
 * Host names in server = lines.  Builder and tools: they are only read
 * here, the control process asks for their addresses.
 */
#include "up/names.h"

#include "base/must.h"

#define LABEL_MAX	63
#define NAME_MAX_LEN	253

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_label_byte(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool
name_is_like(struct str s)
{
	ptrdiff_t	colon = str_find(s, ':', 0);
	struct str	host = colon < 0 ? s : str_sub(s, 0, (size_t)colon);

	if (str_starts(s, STR("unix:")) || (colon >= 0 &&
	    str_find(s, ':', (size_t)colon + 1) >= 0))
		return false;
	for (size_t i = 0; i < host.n; i++)
		if (is_letter(host.p[i]))
			return true;
	return false;
}

/* Why it is no name of a host; NULL: it is one.  A last dot is allowed. */
static const char *
check_host(struct str s)
{
	size_t	label = 0;

	if (str_ends(s, STR(".")))
		s = str_sub(s, 0, s.n - 1);
	if (s.n > NAME_MAX_LEN)
		return "the name has more than 253 bytes";
	for (size_t i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '.') {
			if (!is_label_byte(s.p[i]))
				return "names have letters, digits, - and _, "
				    "and dots between them";
			label++;
			continue;
		}
		if (label == 0)
			return "there is nothing between its dots";
		if (label > LABEL_MAX)
			return "more than 63 bytes stand between two dots";
		label = 0;
	}
	return NULL;
}

/* Names are the same in either case: one form is kept. */
static struct str
keep_lower(struct arena *a, struct str prefix, struct str s)
{
	char	*p = arena_alloc(a, prefix.n + s.n + 1);

	if (prefix.n > 0)
		memcpy(p, prefix.p, prefix.n);
	for (size_t i = 0; i < s.n; i++)
		p[prefix.n + i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ?
		    (char)(s.p[i] - 'A' + 'a') : s.p[i];
	p[prefix.n + s.n] = '\0';
	return str_make(p, prefix.n + s.n);
}

const char *
name_parse(struct arena *a, struct str s, int def_port, struct server_conf *c)
{
	ptrdiff_t	 colon = str_find(s, ':', 0);
	struct str	 host = colon < 0 ? s : str_sub(s, 0, (size_t)colon);
	uint64_t	 port = def_port < 0 ? 0 : (uint64_t)def_port;
	const char	*why = check_host(host);

	if (why != NULL)
		return why;
	if (colon < 0 && def_port < 0)
		return "the port is missing";
	if (colon >= 0 && (str_to_u64(str_sub(s, (size_t)colon + 1, s.n),
	    65535, &port) == -1 || port == 0))
		return "the port is a number from 1 to 65535";
	c->port = (uint16_t)port;
	c->name = keep_lower(a, STR_NONE, host);
	c->text = arena_fmt(a, "%.*s:%u", STR_FMT(c->name),
	    (unsigned)c->port);
	return NULL;
}

const char *
name_parse_srv(struct arena *a, struct str s, struct server_conf *c)
{
	const char	*why = check_host(s);

	if (why != NULL)
		return str_find(s, ':', 0) < 0 ? why :
		    "a service has no port: its records say them";
	if (s.n == 0 || s.p[0] != '_' || str_find(s, '.', 0) < 0)
		return "a service begins with _SERVICE._tcp.";
	c->srv = true;
	c->text = keep_lower(a, STR(NAME_SRV_SCHEME), s);
	c->name = str_sub(c->text, sizeof(NAME_SRV_SCHEME) - 1, c->text.n);
	return NULL;
}
