/*
 * Fields of the client's identity.  A field of such a name is never the
 * client's own, be it written with another kind of dash.
 */
#include "handler/proxy_identity.h"

#include "core/cond.h"
#include "core/template.h"

struct field {
	struct str	name;
	struct template	value;
};

struct proxy_identity {
	const struct field	*v;	/* of conf */
	size_t			 n;
};

/* NULL: a route that no file has made has no groups. */
static const struct proxy_identity *
keys_of(const struct exchange *x)
{
	if (x->route == NULL || x->route->obj.part == NULL)
		return NULL;
	return conf_part(&x->route->obj, &proxy_identity_group);
}

/* "X_Client" and "x-client" are one variable to CGI, WSGI and PHP. */
static char
flat(char c)
{
	if (c == '_')
		return '-';
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool
is_same(struct str a, struct str b)
{
	size_t	i = 0;

	if (a.n != b.n)
		return false;
	while (i < a.n && flat(a.p[i]) == flat(b.p[i]))
		i++;
	return i == a.n;
}

bool
proxy_identity_drops(const struct exchange *x, const struct hdr *h)
{
	const struct proxy_identity	*p = keys_of(x);

	for (size_t i = 0; p != NULL && i < p->n; i++)
		if (is_same(p->v[i].name, h->name))
			return true;
	return false;
}

void
proxy_identity_add(struct exchange *x, struct hdrs *hs)
{
	const struct proxy_identity	*p = keys_of(x);
	struct str			 s;

	for (size_t i = 0; p != NULL && i < p->n; i++) {
		s = template_expand(&p->v[i].value, x, NULL, 0);
		if (s.n > 0 && hdr_is_value(s))
			hdr_add_name(x->arena, hs, p->v[i].name, s);
	}
}

/* --- configuration --- */

/* What frames a request, or names its host, is not to be written so. */
static bool
is_free(struct str name)
{
	static const char *const	taken[] = { "connection",
		"content-length", "host", "keep-alive", "te", "trailer",
		"transfer-encoding", "upgrade", "via", "x-request-id" };

	if (!hdr_is_token(name))
		return false;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (is_same(name, str_from(taken[i])))
			return false;
	return true;
}

static int
parse(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct arena		*a = conf_load_arena(load);
	struct proxy_identity	*p = dst;
	struct field		*v = arena_alloc(a, n * sizeof(*v));
	size_t			 skip = str_from(row->key).n - 1;

	for (size_t i = 0; i < n; i++) {
		v[i].name = arena_dup(a, str_sub(items[i].key, skip,
		    items[i].key.n));
		if (!is_free(v[i].name))
			return cond_fail_name(load, row, &items[i],
			    "no field of that name can be added");
		if (template_parse(load, row, &items[i], items[i].val,
		    TEMPLATE_ASKER, &v[i].value) == -1)
			return -1;
	}
	*p = (struct proxy_identity){ v, n };
	return 0;
}

static const struct conf_row rows[] = {
	{
		.key = "identity.*", .type = CONF_CUSTOM, .off = 0,
		.flags = CONF_F_MANY | CONF_F_LINES, .parse = parse,
		.example = "${tls.client.subject}",
		.text = "A field that servers are sent, its name in place "
		    "of the asterisk, to tell them who the client is: "
		    "variables are ${tls.client.subject}, .issuer, .san, "
		    ".serial, .fingerprint and .verify, all but the last "
		    "empty unless its certificate is valid.  A field with "
		    "no value is left out; one of that name that the "
		    "client sent never goes on."
	},
	{ .key = NULL }
};

const struct conf_group proxy_identity_group = {
	"proxy_identity", rows, sizeof(struct proxy_identity), NULL
};
