/*
 * What lines say of certificates of others.  Workers, health.
 */
#include "tls/cert_say.h"

#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include "base/must.h"

#define HOSTS		4	/* that are named */
#define HOST_MAX	64	/* bytes of one that are shown */

void
cert_say_whole(struct text *t, const X509_NAME *name)
{
	BIO	*b = BIO_new(BIO_s_mem());
	char	*p = NULL;
	long	 n;

	must(b != NULL);
	X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253);
	n = BIO_get_mem_data(b, &p);
	if (n > 0)
		text_add(t, str_make(p, (size_t)n));
	BIO_free(b);
}

void
cert_say_name(struct text *t, const X509_NAME *name)
{
	struct text	whole;
	struct str	s;

	text_init(&whole);
	cert_say_whole(&whole, name);
	s = text_str(&whole);
	text_add(t, str_sub(s, 0, CERT_SAY_NAME));
	if (s.n > CERT_SAY_NAME)
		text_add(t, STR("..."));
	text_fini(&whole);
}

/* False: it is neither a host nor an address. */
static bool
put_host(struct text *t, const GENERAL_NAME *g, bool wanted)
{
	int			 type;
	const ASN1_STRING	*v = GENERAL_NAME_get0_value(g, &type);
	const unsigned char	*p;
	char			 buf[INET6_ADDRSTRLEN];
	int			 n;

	if (type != GEN_DNS && type != GEN_IPADD)
		return false;
	p = ASN1_STRING_get0_data(v);
	n = ASN1_STRING_length(v);
	if (type == GEN_IPADD && n != 4 && n != 16)
		return false;
	if (!wanted)
		return true;
	if (type == GEN_IPADD) {
		(void)inet_ntop(n == 4 ? AF_INET : AF_INET6, p, buf,
		    sizeof(buf));
		text_add(t, str_from(buf));
		return true;
	}
	for (int i = 0; i < n && i < HOST_MAX; i++)
		text_c(t, p[i] > ' ' && p[i] < 0x7f && p[i] != '"' ?
		    (char)p[i] : '?');
	if (n > HOST_MAX)
		text_add(t, STR("..."));
	return true;
}

void
cert_say_hosts(struct text *t, const X509 *x)
{
	GENERAL_NAMES	*all = X509_get_ext_d2i(x, NID_subject_alt_name,
	    NULL, NULL);
	int		 n = sk_GENERAL_NAME_num(all);
	unsigned	 found = 0;

	for (int i = 0; i < n; i++) {
		const GENERAL_NAME	*g = sk_GENERAL_NAME_value(all, i);

		if (!put_host(t, g, false))
			continue;
		if (found < HOSTS && found > 0)
			text_add(t, STR(", "));
		(void)put_host(t, g, found < HOSTS);
		found++;
	}
	if (found == 0)
		text_add(t, STR("no host"));
	else if (found > HOSTS)
		text_fmt(t, " and %u more", found - HOSTS);
	GENERAL_NAMES_free(all);
}

void
cert_say_print(struct text *t, const X509 *x)
{
	unsigned char	md[EVP_MAX_MD_SIZE];
	unsigned	n = 0;

	must(X509_digest(x, EVP_sha256(), md, &n) == 1);
	for (unsigned i = 0; i < n; i++)
		text_fmt(t, "%02x", md[i]);
}
