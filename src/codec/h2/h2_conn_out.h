/*
 * A connection of HTTP/2, either side: bodies and fields that leave, as a
 * part of h2_conn.h.
 */
#ifndef SL_CODEC_H2_CONN_OUT_H
#define SL_CODEC_H2_CONN_OUT_H

#include <nghttp2/nghttp2.h>

#include "codec/h2/h2_stream.h"

struct h2c;

/* The stream of its sink. */
struct h2s *h2_conn_of_out(struct sink *);
/* True if bodies hold all the memory that they may. */
bool h2_conn_is_short(const struct h2c *);
/* How much may wait of a stream. */
int64_t h2_conn_window(const struct h2s *);
/* Nothing more can be sent on it. */
bool h2_conn_is_shut(const struct h2s *);
/* The source has ended. */
void h2_conn_end_out(struct h2s *);
/* A field more, into room that suffices; NGHTTP2_NV_FLAG_s. */
void h2_conn_add_nv(nghttp2_nv *, size_t *n, struct str name,
    struct str val, unsigned flags);
/* Those that have none of these flags. */
void h2_conn_add_fields(struct h2c *, nghttp2_nv *, size_t *n,
    const struct hdrs *, unsigned not);
/* What nghttp2 asks of a stream's body. */
ssize_t h2_conn_read(nghttp2_session *, int32_t id, uint8_t *, size_t,
    uint32_t *flags, nghttp2_data_source *, void *);
int h2_conn_send(nghttp2_session *, nghttp2_frame *, const uint8_t *head,
    size_t n, nghttp2_data_source *, void *);
/* Tells the source of room, if it waits for it. */
void h2_conn_room(struct h2s *);
/* Calls of the sink, behind the head. */
enum flow h2_conn_out_data(struct sink *, struct chunk, unsigned flags);
void h2_conn_out_trailers(struct sink *, const struct hdrs *);
void h2_conn_out_end(struct sink *);
void h2_conn_out_abort(struct sink *, enum fail);

#endif
