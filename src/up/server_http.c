/*
 * Which version is spoken with a server (server_http.h).
 */
#include "up/server_http.h"

#include <string.h>

#include "codec/codec.h"
#include "core/serve.h"
#include "up/upstream.h"

#define H1_MS	300000	/* then it is asked over HTTP/2 again */

static uint32_t
bit_of(const char *version)
{
	for (unsigned i = 0; codecs[i].alpn != NULL; i++)
		if (strcmp(codecs[i].version, version) == 0)
			return 1U << i;
	return 0;
}

/* Without TLS nothing tells that a server would speak the other, too. */
enum server_http
server_http_of(uint32_t bits, bool h2, bool tls)
{
	uint32_t	one = bit_of("1.1"), two = bit_of("2");

	if (h2 || (bits & (one | two)) == two)
		return SERVER_H2;
	return tls && (bits & (one | two)) != one ? SERVER_ALPN : SERVER_H1;
}

enum server_http
server_http(const struct server *s)
{
	return server_http_of(s->upstream->http, s->h2, s->peer != NULL);
}

void
server_want_h1(struct server *s)
{
	server_multi(s)->h1_ms = ev_ms(s->upstream->serve->ev) + H1_MS;
}

bool
server_wants_h1(const struct server *s)
{
	return s->multi != NULL &&
	    ev_ms(s->upstream->serve->ev) < s->multi->h1_ms &&
	    server_http(s) == SERVER_ALPN;
}
