/*
 * What OpenSSL alone keeps of an idle connection of TLS: handshakes in
 * memory, as in floor.c, of which the server's ends stay after a request and
 * an answer, with the settings of io/tls.c.  What a gateway takes beyond it
 * is its own.
 *
 * usage: held [-2] PEM
 *
 * -2: TLS 1.2.  Prints a line of JSON: bytes and pieces of one connection,
 * what glibc adds to each included, and which part of OpenSSL has them.
 */
#include <err.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define CONNS	10	/* one has had what is made once */

/* by the source that asked for the memory; the last is all else */
static const struct {
	const char	*file;
	const char	*what;
} parts[] = {
	{ "ssl_lib.c", "SSL" },
	{ "cipher_", "ciphers" }, { "evp_enc.c", "ciphers" },
	{ "ssl_sess.c", "session" },
	{ "ssl_cert.c", "certificates" },
	{ "sha2_prov.c", "digests" }, { "digest.c", "digests" },
	{ "p_lib.c", "exchange of keys" }, { "ecx_key.c", "exchange of keys" },
	{ "stack.c", "the client's offer" },
	{ "t1_lib.c", "the client's offer" },
	{ "packet.h", "the client's offer" },
	{ "threads_", "locks" },
	{ "", "else" }
};
#define NPART	(sizeof(parts) / sizeof(parts[0]))

/* before each piece */
struct head {
	alignas(16) size_t	n;
	size_t			part;	/* + 1; 0: not counted */
};

static struct {
	bool	on;
	long	bytes[NPART];
	long	pieces[NPART];
} count;

static size_t
find_part(const char *file)
{
	const char	*base = strrchr(file == NULL ? "" : file, '/');
	size_t		 i = 0;

	base = base == NULL ? "" : base + 1;
	while (strncmp(base, parts[i].file, strlen(parts[i].file)) != 0)
		i++;
	return i;
}

/* What malloc takes for it, with its own head. */
static long
cost(size_t n)
{
	return (long)((n + sizeof(size_t) + 15) / 16 * 16);
}

static void
note(const struct head *h, long sign)
{
	if (h->part == 0)
		return;
	count.bytes[h->part - 1] += sign * cost(h->n);
	count.pieces[h->part - 1] += sign;
}

static void *
take(size_t n, const char *file, int line)
{
	struct head	*h = malloc(sizeof(*h) + n);

	(void)line;
	if (h == NULL)
		return NULL;
	h->n = n;
	h->part = count.on ? find_part(file) + 1 : 0;
	note(h, 1);
	return h + 1;
}

static void
give(void *p, const char *file, int line)
{
	struct head	*h = p == NULL ? NULL : (struct head *)p - 1;

	(void)file;
	(void)line;
	if (h != NULL)
		note(h, -1);
	free(h);
}

/* It stays whose it was. */
static void *
take_again(void *p, size_t n, const char *file, int line)
{
	struct head	*h = p == NULL ? NULL : (struct head *)p - 1, *more;

	if (h == NULL)
		return take(n, file, line);
	note(h, -1);
	more = realloc(h, sizeof(*h) + n);
	if (more == NULL)
		return NULL;
	more->n = n;
	note(more, 1);
	return more + 1;
}

static SSL_CTX *
make_ctx(const SSL_METHOD *how)
{
	SSL_CTX	*ctx = SSL_CTX_new(how);

	if (ctx == NULL)
		errx(1, "no memory");
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

/* Both directions are used once, as by a client that is idle then. */
static void
talk(SSL *client, SSL *server)
{
	char	buf[64];
	bool	ok;

	for (int i = 0; i < 6; i++) {
		(void)SSL_do_handshake(client);
		count.on = true;
		(void)SSL_do_handshake(server);
		count.on = false;
	}
	ok = SSL_write(client, "ask", 3) == 3;
	count.on = true;
	ok = ok && SSL_read(server, buf, sizeof(buf)) == 3 &&
	    SSL_write(server, "answer", 6) == 6 &&
	    SSL_read(server, buf, sizeof(buf)) == -1;
	count.on = false;
	if (!ok || SSL_read(client, buf, sizeof(buf)) != 6)
		errx(1, "the connection failed");
}

/* The server's end is kept. */
static void
hold_one(SSL_CTX *for_server, SSL_CTX *for_client)
{
	SSL	*client = SSL_new(for_client), *server;
	BIO	*a, *b;

	count.on = true;
	server = SSL_new(for_server);
	count.on = false;
	if (client == NULL || server == NULL ||
	    BIO_new_bio_pair(&a, 65536, &b, 65536) != 1)
		errx(1, "no memory");
	SSL_set_bio(client, b, b);
	SSL_set_bio(server, a, a);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	SSL_set_tlsext_host_name(client, "localhost");
	SSL_set_read_ahead(server, 1);
	SSL_set_mode(server, SSL_MODE_RELEASE_BUFFERS);
	talk(client, server);
}

static void
print_json(void)
{
	const char	*sep = "";
	long		 bytes = 0, pieces = 0;

	for (size_t i = 0; i < NPART; i++) {
		bytes += count.bytes[i];
		pieces += count.pieces[i];
	}
	printf("{\"bytes\": %ld, \"pieces\": %ld, \"parts\": {",
	    bytes / CONNS, pieces / CONNS);
	for (size_t i = 0; i < NPART; i++) {
		/* those of a name stand together */
		bytes = count.bytes[i];
		while (i + 1 < NPART &&
		    strcmp(parts[i].what, parts[i + 1].what) == 0)
			bytes += count.bytes[++i];
		printf("%s\"%s\": %ld", sep, parts[i].what, bytes / CONNS);
		sep = ", ";
	}
	printf("}}\n");
}

int
main(int argc, char **argv)
{
	SSL_CTX	*server, *client;
	bool	 old = argc == 3 && strcmp(argv[1], "-2") == 0;

	if (argc != 2 + old)
		errx(2, "usage: held [-2] PEM");
	if (CRYPTO_set_mem_functions(take, take_again, give) != 1)
		errx(1, "OpenSSL keeps its own memory");
	server = make_ctx(TLS_server_method());
	client = make_ctx(TLS_client_method());
	SSL_CTX_set_num_tickets(server, 1);
	SSL_CTX_set_max_proto_version(server, old ? TLS1_2_VERSION :
	    TLS1_3_VERSION);
	if (SSL_CTX_use_certificate_chain_file(server, argv[1 + old]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server, argv[1 + old],
	    SSL_FILETYPE_PEM) != 1)
		errx(1, "%s: no certificate and key", argv[1 + old]);
	hold_one(server, client);
	memset(count.bytes, 0, sizeof(count.bytes));
	memset(count.pieces, 0, sizeof(count.pieces));
	for (int i = 0; i < CONNS; i++)
		hold_one(server, client);
	print_json();
	return 0;
}
