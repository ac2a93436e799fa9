/*
 * Connections that nobody looks into: bytes both ways, as one request and
 * one answer.  To the floors above it is the tunnel of a CONNECT that is
 * open at once, so that choice of a server, retries, counts, records and
 * drains are those of any request.  Workers.
 */
#ifndef SL_CODEC_RAW_RAW_H
#define SL_CODEC_RAW_RAW_H

#include "codec/codec.h"

/*
 * The server side on an io of which nothing was taken yet: one request for
 * the host of that name, which must last until the next turn.  As open()
 * of other codecs.
 */
struct codec_conn *raw_server_open(struct io *, const struct codec_env *,
    void *ctx, struct str name);

/* open is NULL: see above. */
extern const struct server_codec raw_server;
extern const struct client_codec raw_client;

#endif
