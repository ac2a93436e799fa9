/*
 * Which HTTP version a connection speaks, when all that comes before HTTP
 * is through: by ALPN, or without TLS by the client's first bytes where a
 * listener allows HTTP/2 there (http = 1.1 2).  Workers.
 */
#ifndef SL_CORE_VERSION_H
#define SL_CORE_VERSION_H

#include "conf/load.h"
#include "core/conn.h"

/* Chooses and begins; alpn: what TLS has agreed on, "" for nothing. */
void version_start(struct conn *, struct str alpn);
/* Ends one whose first bytes are waited for. */
void version_close(struct conn *);

/*
 * What listeners speak, auto spelt out, as bits of codecs[].  Their
 * connections that speak something else came by another configuration;
 * those that do not speak yet begin with what holds then.
 */
uint32_t version_bits(const struct listener_conf *);
bool version_is_current(const struct conn *, const struct listener_conf *);
/* May clients speak HTTP/2 there? */
bool version_has_h2(const struct listener_conf *);

/*
 * What a listener with these bits offers by ALPN, the best first, as on the
 * wire (RFC 7301); with none, which is auto, all that there is.
 */
void version_alpn(struct text *, uint32_t bits);

/* A row's parser: "1.1 2" to bits of codecs[], "auto" to none. */
int version_parse(struct conf_load *, const struct conf_row *, void *dst,
    const struct conf_item *, size_t n);

#endif
