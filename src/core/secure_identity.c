/*
 * Identity of clients.  Workers.
 *
 * OpenSSL has the certificate in the session, resumed or not, with the
 * verdict of the handshake that looked at it.  What each record tells of
 * it is kept with the connection; all else is read anew where it is asked
 * for.  What goes into texts is escaped, so that no name can forge
 * another, or a line.
 */
#include "core/secure_identity.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "base/must.h"
#include "core/pass.h"
#include "core/route.h"
#include "core/secure.h"
#include "core/secure_host.h"
#include "tls/cert_say.h"
#include "tls/hello.h"

static SSL *
ssl_of(const struct exchange *x)
{
	return x->conn == NULL || !x->conn->io.open ? NULL :
	    tls_ssl(&x->conn->io);
}

/* --- names of a certificate --- */

/* one name, with the word for its type */
struct san {
	struct str	type;
	struct str	text;
	char		buf[INET6_ADDRSTRLEN];
};

static bool
read_ip(const ASN1_OCTET_STRING *ip, struct san *s)
{
	int	n = ASN1_STRING_length(ip);

	if (n != 4 && n != 16)
		return false;
	(void)inet_ntop(n == 4 ? AF_INET : AF_INET6,
	    ASN1_STRING_get0_data(ip), s->buf, sizeof(s->buf));
	s->text = str_from(s->buf);
	return true;
}

/* False: a type that nobody asks for. */
static bool
read_san(const GENERAL_NAME *g, struct san *s)
{
	int			 type;
	const ASN1_STRING	*v = GENERAL_NAME_get0_value(g, &type);

	switch (type) {
	case GEN_DNS:
		s->type = STR("DNS");
		break;
	case GEN_URI:
		s->type = STR("URI");
		break;
	case GEN_EMAIL:
		s->type = STR("email");
		break;
	case GEN_IPADD:
		s->type = STR("IP");
		return read_ip(v, s);
	default:
		return false;
	}
	s->text = str_make((const char *)ASN1_STRING_get0_data(v),
	    (size_t)ASN1_STRING_length(v));
	return true;
}

static char
fold(char c, bool dns)
{
	return dns && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* An asterisk is any text, of a host's name one without dots. */
static bool
fits_text(struct str pat, struct str s, bool dns)
{
	size_t	i = 0, k = 0, star = SIZE_MAX, back = 0;

	while (k < s.n) {
		if (i < pat.n && pat.p[i] == '*') {
			star = i++;
			back = k;
		} else if (i < pat.n && fold(pat.p[i], dns) ==
		    fold(s.p[k], dns)) {
			i++;
			k++;
		} else if (star != SIZE_MAX && !(dns &&
		    s.p[back] == '.')) {
			i = star + 1;
			k = ++back;
		} else {
			return false;
		}
	}
	while (i < pat.n && pat.p[i] == '*')
		i++;
	return i == pat.n;
}

static bool
fits(struct str want, const struct san *s)
{
	ptrdiff_t	at = str_find(want, ':', 0);

	return at >= 0 && str_eq_fold(str_sub(want, 0, (size_t)at),
	    s->type) && fits_text(str_sub(want, (size_t)at + 1, want.n),
	    s->text, str_eq(s->type, STR("DNS")));
}

static bool
has_san(X509 *x, const struct conf_list *want)
{
	GENERAL_NAMES	*all = X509_get_ext_d2i(x, NID_subject_alt_name,
	    NULL, NULL);
	struct san	 s;
	bool		 found = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && !found; i++) {
		if (!read_san(sk_GENERAL_NAME_value(all, i), &s))
			continue;
		for (size_t k = 0; k < want->n && !found; k++)
			found = fits(want->v[k], &s);
	}
	GENERAL_NAMES_free(all);
	return found;
}

/* --- what is kept with a connection --- */

/* The strings are of the same memory. */
struct shown {
	struct str	name;
	struct str	print;
};

/* where an SSL has it; 0: none has any yet */
static int	shown_index;

static void
on_end(void *ssl, void *s, CRYPTO_EX_DATA *all, int i, long n, void *arg)
{
	(void)ssl;
	(void)all;
	(void)i;
	(void)n;
	(void)arg;
	free(s);
}

static struct shown *
make_shown(const X509 *cert)
{
	struct text	 t;
	char		 buf[2 * CERT_SAY_ROOM];
	size_t		 cut;
	struct shown	*s;
	struct str	 all;

	text_init_fixed(&t, buf, sizeof(buf));
	cert_say_name(&t, X509_get_subject_name(cert));
	cut = t.n;
	cert_say_print(&t, cert);
	s = must_alloc(sizeof(*s) + t.n);
	memcpy(s + 1, t.p, t.n);
	all = str_make((const char *)(s + 1), t.n);
	s->name = str_sub(all, 0, cut);
	s->print = str_sub(all, cut, all.n);
	return s;
}

/* Its name and fingerprint, made once for all requests. */
static const struct shown *
shown_of(SSL *ssl, const X509 *cert)
{
	struct shown	*s;

	if (shown_index == 0) {
		shown_index = SSL_get_ex_new_index(0, NULL, NULL, NULL,
		    on_end);
		must(shown_index > 0);
	}
	s = SSL_get_ex_data(ssl, shown_index);
	if (s == NULL) {
		s = make_shown(cert);
		must(SSL_set_ex_data(ssl, shown_index, s) == 1);
	}
	return s;
}

/* --- texts --- */

static bool
is_plain(char c)
{
	return c > ' ' && c < 0x7f && c != ',' && c != '%' && c != '"';
}

/* "DNS:a.example, URI:x": what would end a name is %XX. */
static void
put_sans(struct text *t, X509 *x)
{
	GENERAL_NAMES	*all = X509_get_ext_d2i(x, NID_subject_alt_name,
	    NULL, NULL);
	struct san	 s;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		if (!read_san(sk_GENERAL_NAME_value(all, i), &s))
			continue;
		text_fmt(t, "%s%.*s:", t->n > 0 ? ", " : "",
		    STR_FMT(s.type));
		for (size_t k = 0; k < s.text.n; k++)
			if (is_plain(s.text.p[k]))
				text_c(t, s.text.p[k]);
			else
				text_fmt(t, "%%%02X",
				    (unsigned char)s.text.p[k]);
	}
	GENERAL_NAMES_free(all);
}

static void
put_hex(struct text *t, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_fmt(t, "%02x", p[i]);
}

static void
put_verify(struct text *t, const SSL *ssl, const X509 *x)
{
	long	rc = x == NULL ? X509_V_OK : SSL_get_verify_result(ssl);

	if (x == NULL)
		text_add(t, STR("NONE"));
	else if (rc == X509_V_OK)
		text_add(t, STR("SUCCESS"));
	else
		text_fmt(t, "FAILED: %s", X509_verify_cert_error_string(rc));
}

static void
put_what(struct text *t, SSL *ssl, X509 *x, enum identity what)
{
	const ASN1_INTEGER	*no;

	switch (what) {
	case IDENTITY_SUBJECT:
		cert_say_whole(t, X509_get_subject_name(x));
		break;
	case IDENTITY_ISSUER:
		cert_say_whole(t, X509_get_issuer_name(x));
		break;
	case IDENTITY_SAN:
		put_sans(t, x);
		break;
	case IDENTITY_SERIAL:
		no = X509_get0_serialNumber(x);
		put_hex(t, ASN1_STRING_get0_data(no),
		    (size_t)ASN1_STRING_length(no));
		break;
	default:
		text_add(t, shown_of(ssl, x)->print);
		break;
	}
}

struct str
identity_get(struct exchange *x, enum identity what)
{
	SSL		*ssl = ssl_of(x);
	X509		*cert = ssl == NULL ? NULL :
	    SSL_get0_peer_certificate(ssl);
	struct text	 t;
	struct str	 s;

	text_init(&t);
	if (what == IDENTITY_VERIFY)
		put_verify(&t, ssl, cert);
	else if (cert != NULL && SSL_get_verify_result(ssl) == X509_V_OK)
		put_what(&t, ssl, cert, what);
	s = arena_dup(x->arena, text_str(&t));
	text_fini(&t);
	return s;
}

/* --- may the request come by this connection? --- */

static const struct listener_conf *
listener_of(const struct exchange *x)
{
	return x->conn == NULL || x->gen == NULL ? NULL :
	    conf_find(x->gen->conf, &listener_section,
	    x->conn->listener->name);
}

/* Names the certificate, good or not, in the access record. */
static void
note(struct exchange *x, SSL *ssl, const X509 *cert)
{
	const struct shown	*s = shown_of(ssl, cert);

	x->acc.str[ACCESS_CLIENT_CERT] = arena_dup(x->arena, s->name);
	x->acc.str[ACCESS_CLIENT_PRINT] = arena_dup(x->arena, s->print);
}

void
identity_note(struct exchange *x)
{
	SSL		*ssl = ssl_of(x);
	const X509	*cert = ssl == NULL ? NULL :
	    SSL_get0_peer_certificate(ssl);

	if (cert != NULL && SSL_get_verify_result(ssl) == X509_V_OK)
		note(x, ssl, cert);
}

enum fail
identity_host(const struct exchange *x, struct str *cause)
{
	const struct listener_conf	*l;
	const SSL			*ssl = ssl_of(x);
	char				 buf[TLS_NAME_MAX];
	struct str			 sni;

	*cause = STR("");
	if (ssl == NULL || x->gen == NULL)
		return FAIL_NONE;
	/* it is another server's, however alike their certificates are */
	if (x->conn->listener->passes &&
	    pass_is_for(x->gen->conf, x->conn, x->host)) {
		*cause = arena_fmt(x->arena, "connections for \"%.*s\" are "
		    "passed on", STR_FMT(x->host));
		return FAIL_MISDIRECTED_REQUEST;
	}
	if (!secure_host_any(x->gen->conf))
		return FAIL_NONE;
	l = listener_of(x);
	if (l == NULL)
		return FAIL_NONE;
	sni = tls_hello_fold(tls_sni(ssl), buf);
	if (secure_host_same(x->gen->conf, l, sni, x->host))
		return FAIL_NONE;
	*cause = arena_fmt(x->arena, "its handshake was for %s%.*s%s, whose "
	    "policy of TLS is not that of \"%.*s\"",
	    sni.n > 0 ? "\"" : "no host", STR_FMT(sni),
	    sni.n > 0 ? "\"" : "", STR_FMT(x->host));
	return FAIL_MISDIRECTED_REQUEST;
}

/*
 * By terms that hold no more a client may have shown what would not do
 * now.
 */
static bool
is_current(const struct exchange *x, const SSL *ssl)
{
	const struct listener_conf	*l = listener_of(x);
	struct tls_digest		 now;

	if (l == NULL)
		return false;
	secure_digest(l, secure_host_terms(x->gen->conf, l, x->host), &now);
	return tls_policy_made(ssl, &now);
}

static bool
has_print(SSL *ssl, const X509 *x, const struct conf_list *want)
{
	struct str	print = shown_of(ssl, x)->print;

	for (size_t i = 0; i < want->n; i++)
		if (str_eq(want->v[i], print))
			return true;
	return false;
}

static enum fail
refuse(struct exchange *x, const X509 *cert, struct str *cause,
    const char *why)
{
	note(x, ssl_of(x), cert);
	*cause = str_from(why);
	return FAIL_CLIENT_CERT_REFUSED;
}

enum fail
identity_check(struct exchange *x, struct str *cause)
{
	const struct secure_route	*r;
	SSL				*ssl = ssl_of(x);
	X509				*cert;
	long				 rc;

	*cause = STR("");
	/* a route that no file has made has no groups */
	if (x->route->obj.part == NULL)
		return FAIL_NONE;
	r = conf_part(&x->route->obj, &secure_route_group);
	if (r->cert == 0 && r->sans.n == 0 && r->prints.n == 0)
		return FAIL_NONE;
	cert = ssl == NULL ? NULL : SSL_get0_peer_certificate(ssl);
	if (ssl != NULL && !is_current(x, ssl)) {
		*cause = STR("its handshake was by another policy of TLS than "
		    "the host has now");
		return FAIL_MISDIRECTED_REQUEST;
	}
	if (cert == NULL)
		return FAIL_CLIENT_CERT_MISSING;
	rc = SSL_get_verify_result(ssl);
	if (rc != X509_V_OK)
		return refuse(x, cert, cause,
		    X509_verify_cert_error_string(rc));
	if (r->sans.n > 0 && !has_san(cert, &r->sans))
		return refuse(x, cert, cause,
		    "no name of it is one of client_san");
	if (r->prints.n > 0 && !has_print(ssl, cert, &r->prints))
		return refuse(x, cert, cause,
		    "it is none of client_fingerprint");
	return FAIL_NONE;
}
