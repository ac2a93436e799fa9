/*
 * TLS to servers: tls, tls.* and pin= of [upstream].  The builder reads
 * CAs, certificate and key; a twin has the client (tls/client.h) and who
 * each of its servers has to be; a server keeps one session to resume.
 * Workers; health, for probes.
 */
#ifndef SL_UP_SERVER_TLS_H
#define SL_UP_SERVER_TLS_H

#include "tls/client.h"
#include "up/upstream.h"

struct server_tls_conf {
	/* as written */
	bool			 on;
	bool			 verify;
	struct str		 ca;		/* "": the system's */
	int64_t			 ca_until;	/* see tls_files.h */
	struct str		 name;		/* "": the server's own */
	struct str		 cert;
	struct str		 key;
	struct str		 passphrase;
	/* the words of it as written, the rest made of the above */
	struct tls_client_conf	 client;
	bool			 used;		/* a server has TLS */
};
extern const struct conf_group server_tls_group;

/* NULL: no server of the upstream has TLS. */
const struct server_tls_conf *server_tls_of(const struct upstream_conf *);

/* --- builder --- */

/* The server of a line has TLS. */
void server_tls_make_peer(struct conf_load *, struct server_conf *);
/* NULL, or why the pin is not taken. */
const char *server_tls_add_pin(struct conf_load *, struct server_conf *,
    struct str);

/* --- workers --- */

/* The twin's part of it, and its end.  -1: OpenSSL cannot. */
int server_tls_init(struct upstream *, const struct upstream_conf *,
    struct err *);
void server_tls_fini(struct upstream *);

/* Who the nth server of the configuration has to be; NULL: no TLS. */
const struct tls_peer *server_tls_peer(const struct upstream *, size_t nth);
/* It is that one from now on; what was another's is let go. */
void server_tls_set(struct server *, const struct tls_peer *);
/* Its session, if it keeps one, is not resumed. */
void server_tls_forget(struct server *);

/* Whether connections to the one are as good for the other. */
bool server_tls_same(const struct server *, const struct server *);

/*
 * Puts the layer on a connection to it; tls_shake follows.  h1: HTTP/1.1
 * is wanted, if the server may choose.
 */
void server_tls_open(struct server *, struct io *, struct tls_out *, bool h1);
/* What is offered to servers of which that is spoken. */
struct str server_tls_alpn(enum server_http, bool h1);

#endif
