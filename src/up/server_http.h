/*
 * Which version of HTTP is spoken with a server: what its line says, then
 * the key http.  Builder, workers, health.
 */
#ifndef SL_UP_SERVER_HTTP_H
#define SL_UP_SERVER_HTTP_H

#include <stdbool.h>
#include <stdint.h>

struct server;

enum server_http {
	SERVER_H1,
	SERVER_H2,
	SERVER_ALPN	/* either, as it chooses in the handshake */
};
enum server_http server_http(const struct server *);
/* The same by what stands in the configuration. */
enum server_http server_http_of(uint32_t bits, bool h2, bool tls);

/* Workers: one with a choice has asked for HTTP/1.1, and gets it a while. */
void server_want_h1(struct server *);
bool server_wants_h1(const struct server *);

#endif
