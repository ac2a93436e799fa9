/*
 * The client side of HTTP/2, shared by its files: h2_client.c (life of a
 * connection to a server), h2_client_msg.c (requests and answers).
 */
#ifndef SL_CODEC_H2_CLIENT_H
#define SL_CODEC_H2_CLIENT_H

#include "codec/h2/h2_conn.h"

/* why a request that had not left was not looked at */
#define H2_CLIENT_LOST	"the connection was lost"

/* The stream fails soon; what: more of it, constant, or NULL. */
void h2_client_fail(struct h2s *, enum fail why, const char *what);

/* A caller's time was over, and nothing was heard: is the path dead? */
void h2_client_doubt(struct h2c *);

/* --- h2_client_msg.c: parts of struct h2_side --- */
struct h2s *h2_client_heading(struct h2c *, const nghttp2_frame *);
void h2_client_headed(struct h2s *, const nghttp2_frame *);
void h2_client_spoil(struct h2s *, enum fail);
extern const struct source_ops h2_client_in_ops;
extern const struct sink_ops h2_client_out_ops;

#endif
