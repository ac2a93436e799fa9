/*
 * Why a handshake with a server came to nothing: the row, and what was
 * wanted beside what was presented.  Workers, health.
 *
 * The chain that came is still with the session; of the one that was built
 * of it only the depth of the fault was kept.
 */
#include "tls/client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "http/fail.h"
#include "tls/cert_say.h"

static bool
is_name_fault(long result)
{
	return result == X509_V_ERR_HOSTNAME_MISMATCH ||
	    result == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

/* The certificate at that depth, or the last below it that came. */
static X509 *
cert_at(const STACK_OF(X509) *chain, unsigned depth)
{
	X509	*x = sk_X509_value(chain, 0), *next = x;

	while (depth-- > 0 && next != NULL) {
		next = NULL;
		for (int i = 1; i < sk_X509_num(chain); i++)
			if (X509_check_issued(sk_X509_value(chain, i), x) ==
			    X509_V_OK && sk_X509_value(chain, i) != x)
				next = sk_X509_value(chain, i);
		x = next != NULL ? next : x;
	}
	return x;
}

static void
say_name(struct text *t, const struct tls_out *out, const X509 *leaf)
{
	text_fmt(t, ": wanted \"%.*s\", its certificate is for ",
	    STR_FMT(out->peer->name));
	cert_say_hosts(t, leaf);
	if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
		text_add(t, STR("; it has expired, too"));
}

static void
say_chain(struct text *t, const X509 *x)
{
	text_add(t, STR(": subject \""));
	cert_say_name(t, X509_get_subject_name(x));
	text_add(t, STR("\", issuer \""));
	cert_say_name(t, X509_get_issuer_name(x));
	text_c(t, '"');
}

static void
say_pin(struct text *t, const X509 *leaf)
{
	uint8_t	pin[TLS_PIN_BYTES];

	if (!tls_client_key_pin(leaf, pin))
		return;
	text_add(t, STR(": it has pin="));
	for (size_t i = 0; i < sizeof(pin); i++)
		text_fmt(t, "%02x", pin[i]);
}

static enum fail
blame_cert(SSL *ssl, const struct tls_out *out, struct text *what)
{
	const STACK_OF(X509)	*chain = SSL_get_peer_cert_chain(ssl);
	long			 result = SSL_get_verify_result(ssl);
	X509			*x;

	x = chain == NULL ? NULL : cert_at(chain, out->depth);
	if (out->pin_failed) {
		text_add(what, STR("its key is none of pin="));
		if (x != NULL)
			say_pin(what, x);
		return FAIL_TLS_UPSTREAM_PIN;
	}
	text_fmt(what, "%s", X509_verify_cert_error_string(result));
	if (is_name_fault(result)) {
		if (x != NULL)
			say_name(what, out, x);
		return FAIL_TLS_UPSTREAM_NAME;
	}
	if (x != NULL)
		say_chain(what, x);
	return FAIL_TLS_UPSTREAM_VERIFY;
}

enum fail
tls_client_blame(const struct io *io, const struct tls_out *out, bool ended,
    struct text *what)
{
	const struct tls_error	*e = tls_error(io);
	const char		*text = NULL;

	if (ERR_GET_REASON(e->code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return blame_cert(tls_ssl(io), out, what);
	if (tls_client_alert(out) != NULL) {
		text_fmt(what, "%s", tls_client_alert(out));
		return FAIL_TLS_UPSTREAM_ALERT;
	}
	if (e->code != 0)
		text = ERR_reason_error_string(e->code);
	/* so the heads of records are judged: what came is none */
	if (ERR_GET_REASON(e->code) == SSL_R_WRONG_VERSION_NUMBER)
		text_add(what, STR("it does not speak TLS: "));
	text_fmt(what, "%s", text != NULL ? text : ended ?
	    "it left within it" : "the connection broke");
	return FAIL_TLS_UPSTREAM_HANDSHAKE;
}

void
tls_client_blame_alpn(const struct io *io, struct text *what)
{
	struct str	got = tls_client_alpn(io);

	text_add(what, STR("ALPN: it chose "));
	if (got.n == 0) {
		text_add(what, STR("nothing"));
		return;
	}
	text_c(what, '"');
	text_safe(what, str_sub(got, 0, 32));
	text_c(what, '"');
}
