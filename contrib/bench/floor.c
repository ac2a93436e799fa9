/*
 * What OpenSSL alone takes for a handshake: both ends in one thread, over
 * memory, with what make bench's servers are asked for (TLS 1.3, X25519, one
 * ticket, the certificate of the benchmark).  No server can be below it.
 *
 * usage: floor [-R] [-n HANDSHAKES] PEM
 *
 * -R resumes each session by the ticket of the one before.  Prints a line of
 * JSON: microseconds of processor time per handshake, of the server's end.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

struct ends {
	SSL		*client;
	SSL		*server;
};

static SSL_SESSION	*ticket;	/* the last one */

static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(ticket);
	ticket = s;
	return 1;
}

static SSL_CTX *
make_server(const char *pem)
{
	SSL_CTX	*ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL ||
	    SSL_CTX_use_certificate_chain_file(ctx, pem) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) != 1)
		errx(1, "%s: no certificate and key", pem);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

static SSL_CTX *
make_client(void)
{
	SSL_CTX	*ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL ||
	    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1)
		errx(1, "no TLS 1.3");
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return ctx;
}

static double
now_us(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* What the server does; callgrind is told to count in these alone. */

static __attribute__((noinline)) void
server_open(struct ends *e, SSL_CTX *ctx, BIO *wire)
{
	e->server = SSL_new(ctx);
	if (e->server == NULL)
		errx(1, "no memory");
	SSL_set_bio(e->server, wire, wire);
	SSL_set_accept_state(e->server);
}

/* True: it is through. */
static __attribute__((noinline)) bool
server_step(struct ends *e)
{
	int	rc = SSL_do_handshake(e->server);

	if (rc != 1 && SSL_get_error(e->server, rc) != SSL_ERROR_WANT_READ)
		errx(1, "the handshake failed");
	return rc == 1;
}

static __attribute__((noinline)) void
server_close(struct ends *e)
{
	/* else the session would be taken for a bad one */
	SSL_set_shutdown(e->server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(e->server);
}

static void
client_open(struct ends *e, SSL_CTX *ctx, BIO *wire, bool resume)
{
	e->client = SSL_new(ctx);
	if (e->client == NULL)
		errx(1, "no memory");
	SSL_set_bio(e->client, wire, wire);
	SSL_set_connect_state(e->client);
	SSL_set_tlsext_host_name(e->client, "localhost");
	if (resume && SSL_set_session(e->client, ticket) != 1)
		errx(1, "the session is not taken");
}

/* The end of the handshake for the client, and the ticket behind it. */
static void
client_close(struct ends *e)
{
	char	c;

	SSL_read(e->client, &c, 1);
	SSL_set_shutdown(e->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(e->client);
}

/* Microseconds that the server took. */
static double
shake(SSL_CTX *server, SSL_CTX *client, bool resume)
{
	struct ends	e;
	BIO		*a, *b;
	double		 us, from;
	bool		 through;

	if (BIO_new_bio_pair(&a, 65536, &b, 65536) != 1)
		errx(1, "no memory");
	client_open(&e, client, b, resume);
	from = now_us();
	server_open(&e, server, a);
	us = now_us() - from;
	do {
		SSL_do_handshake(e.client);
		from = now_us();
		through = server_step(&e);
		us += now_us() - from;
	} while (!through);
	if (SSL_session_reused(e.server) != resume)
		errx(1, "the session was not resumed, or was");
	client_close(&e);
	from = now_us();
	server_close(&e);
	return us + now_us() - from;
}

int
main(int argc, char **argv)
{
	SSL_CTX		*server, *client;
	double		 us = 0;
	bool		 resume = false;
	int		 c, n = 1000;

	while ((c = getopt(argc, argv, "Rn:")) != -1) {
		if (c == 'R')
			resume = true;
		else if (c == 'n')
			n = atoi(optarg);
		else
			return 2;
	}
	if (optind + 1 != argc || n < 1)
		errx(2, "usage: floor [-R] [-n HANDSHAKES] PEM");
	server = make_server(argv[optind]);
	client = make_client();
	/* what is made once, and the session that the first one resumes */
	(void)shake(server, client, false);
	for (int i = 0; i < n; i++)
		us += shake(server, client, resume);
	printf("{\"cpu_us\": %.2f, \"handshakes\": %d}\n", us / n, n);
	SSL_SESSION_free(ticket);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	return 0;
}
