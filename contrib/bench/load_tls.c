/*
 * See load_tls.h.
 */
#include "load_tls.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { SESSIONS = 1024 };

struct tls_client {
	SSL	*ssl;
	bool	 offered;
};

struct tls_count tls_count;

static SSL_CTX		*ctx;
static bool		 resumes;
static SSL_SESSION	*kept[SESSIONS];	/* a stack */
static unsigned		 nkept;

static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	if (nkept == SESSIONS)
		return 0;
	kept[nkept++] = s;
	return 1;
}

void
tls_setup(unsigned version, bool resume, bool h2)
{
	int	v = version == 2 ? TLS1_2_VERSION : TLS1_3_VERSION;

	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
		errx(1, "no TLS");
	SSL_CTX_set_min_proto_version(ctx, v);
	SSL_CTX_set_max_proto_version(ctx, v);
	SSL_CTX_set1_groups_list(ctx, "X25519:P-256");
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	if (h2)
		SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\2h2", 3);
	resumes = resume;
	if (!resume)
		return;
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
}

struct tls_client *
tls_new(int fd)
{
	struct tls_client	*t = calloc(1, sizeof(*t));
	SSL_SESSION		*s;

	if (t == NULL || (t->ssl = SSL_new(ctx)) == NULL ||
	    SSL_set_fd(t->ssl, fd) != 1)
		errx(1, "no memory for TLS");
	SSL_set_connect_state(t->ssl);
	SSL_set_tlsext_host_name(t->ssl, "localhost");
	if (resumes && nkept > 0) {
		s = kept[--nkept];
		t->offered = SSL_set_session(t->ssl, s) == 1;
		SSL_SESSION_free(s);
	}
	return t;
}

void
tls_free(struct tls_client **t)
{
	if (*t == NULL)
		return;
	/* else it would take the session for a bad one */
	SSL_set_shutdown((*t)->ssl, SSL_SENT_SHUTDOWN |
	    SSL_RECEIVED_SHUTDOWN);
	SSL_free((*t)->ssl);
	free(*t);
	*t = NULL;
}

int
tls_go(struct tls_client *t)
{
	int	rc, why;

	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	if (rc == 1) {
		tls_count.shaken++;
		tls_count.offered += t->offered;
		tls_count.resumed += SSL_session_reused(t->ssl) == 1;
		return 1;
	}
	why = SSL_get_error(t->ssl, rc);
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ?
	    0 : -1;
}

static ssize_t
judge(struct tls_client *t, int rc)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = EPIPE;
		return -1;
	}
}

ssize_t
tls_send(struct tls_client *t, const void *p, size_t n)
{
	int	rc;

	ERR_clear_error();
	rc = SSL_write(t->ssl, p, (int)n);
	return rc > 0 ? rc : judge(t, rc);
}

ssize_t
tls_recv(struct tls_client *t, void *p, size_t n)
{
	int	rc;

	ERR_clear_error();
	rc = SSL_read(t->ssl, p, (int)n);
	return rc > 0 ? rc : judge(t, rc);
}
