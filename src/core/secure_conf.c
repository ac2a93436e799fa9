/*
 * Keys of [route] about TLS: the terms of its hosts, and what is asked of
 * clients' certificates.  Builder.
 */
#include "conf/load.h"
#include "core/cond.h"
#include "core/secure_host.h"

#define AT(member)	offsetof(struct secure_route, member)
#define PRINT_HEX	64	/* digits of a SHA-256 */

/* "DNS:*.a.example", or a name alone. */
static const char *
read_san(struct arena *a, void *dst, struct str word)
{
	struct conf_list	*l = dst;
	struct str		*v = arena_alloc(a, (l->n + 1) * sizeof(*v));

	if (l->n > 0)
		memcpy(v, l->v, l->n * sizeof(*v));
	v[l->n++] = str_find(word, ':', 0) >= 0 ? arena_dup(a, word) :
	    arena_fmt(a, "DNS:%.*s", STR_FMT(word));
	l->v = v;
	return NULL;
}

/* Digits in any case, with colons between pairs or without. */
static const char *
read_print(struct arena *a, void *dst, struct str word)
{
	struct conf_list	*l = dst;
	struct str		*v = arena_alloc(a, (l->n + 1) * sizeof(*v));
	char			*hex = arena_text(a, PRINT_HEX);
	size_t			 n = 0;
	char			 c;

	for (size_t i = 0; i < word.n; i++) {
		c = word.p[i];
		if (c == ':' && n > 0 && n % 2 == 0)
			continue;
		if (c >= 'A' && c <= 'F')
			c |= 0x20;
		if (n == PRINT_HEX || !((c >= '0' && c <= '9') ||
		    (c >= 'a' && c <= 'f')))
			return "is no SHA-256 in hexadecimal digits";
		hex[n++] = c;
	}
	if (n != PRINT_HEX)
		return "is no SHA-256: that has 64 hexadecimal digits";
	if (l->n > 0)
		memcpy(v, l->v, l->n * sizeof(*v));
	v[l->n++] = str_make(hex, n);
	l->v = v;
	return NULL;
}

static int
parse_sans(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	return cond_parse_words(load, row, dst, items, n, read_san);
}

static int
parse_prints(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	return cond_parse_words(load, row, dst, items, n, read_print);
}

/* A name decides at the handshake; a route for all hosts has none. */
static int
link_route(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct secure_route	*s = part;
	const struct conf_item		*it = conf_item(load, obj,
	    "tls_policy");
	struct conf_words		 w;
	bool				 any = false;

	if (s->policy.n == 0)
		return 0;
	if (conf_ref_at(load, obj, it, it->val, &tls_section) == NULL)
		return -1;
	conf_words_init(&w, load, obj, "host");
	while (conf_words_next(&w)) {
		if (str_eq(w.word, STR("*")))
			break;
		any = true;
	}
	if (any && !str_eq(w.word, STR("*")))
		return 0;
	diag_at(conf_load_diags(load), DIAG_TLS_POLICY, &it->kspan, obj,
	    "tls_policy", "route \"%.*s\" is for all hosts: their terms are "
	    "the listener's", STR_FMT(obj->name));
	return -1;
}

static const struct conf_row rows[] = {
	{
		.key = "tls_policy", .type = CONF_STR, .off = AT(policy),
		.min = 1, .max = 63, .example = "one",
		.text = "The [tls NAME] with the terms of handshakes for the "
		    "hosts of the route, in place of the listener's.  They "
		    "hold for the hosts, so for all routes of these; two "
		    "routes may not name different ones.  A request that "
		    "comes by a connection for a host with other terms is "
		    "answered 421."
	}, {
		.key = "client_cert", .type = CONF_ENUM, .off = AT(cert),
		.def = "off", .choices = "off|required",
		.example = "required",
		.text = "Whether clients must have shown a certificate that "
		    "is valid (see tls.client); else 403."
	}, {
		.key = "client_san", .type = CONF_CUSTOM, .off = AT(sans),
		.flags = CONF_F_MANY, .parse = parse_sans,
		.example = "*.clients.example URI:spiffe://example/*",
		.text = "Names of which the client's certificate must have "
		    "one (subjectAltName), else 403: TYPE:TEXT with DNS, "
		    "URI, email or IP, or the name of a host alone.  An "
		    "asterisk stands for any text, in names of hosts for "
		    "one without dots."
	}, {
		.key = "client_fingerprint", .type = CONF_CUSTOM,
		.off = AT(prints), .flags = CONF_F_MANY,
		.parse = parse_prints,
		.example = "4f5a9f1e0b7d1c3a6f2e8d9c0b1a2938475665748392"
		    "a1b0c9d8e7f60514a3b2",
		.text = "SHA-256 digests of certificates, of which the "
		    "client's must be one, else 403; as openssl x509 "
		    "-fingerprint -sha256 shows them.  The certificate "
		    "must be valid besides."
	},
	{ .key = NULL }
};

const struct conf_group secure_route_group = {
	"secure_route", rows, sizeof(struct secure_route), link_route
};
