/*
 * The server side of HTTP/2, shared by its files: h2_server_side.c (life
 * of a connection), h2_server_msg.c (requests and responses),
 * h2_server_look.c (time).
 */
#ifndef SL_CODEC_H2_SERVER_H
#define SL_CODEC_H2_SERVER_H

#include "codec/h2/h2_conn.h"

/* Asks the client to bring no more streams, in two steps. */
void h2_server_bye(struct h2c *);
/* Too old, or too many requests: it ends gently. */
void h2_server_age(struct h2c *);

/* --- h2_server_look.c --- */
/* Ends what took too long. */
void h2_server_look(struct h2c *);

/* --- h2_server_msg.c: parts of struct h2_side --- */
struct h2s *h2_server_heading(struct h2c *, const nghttp2_frame *);
void h2_server_headed(struct h2s *, const nghttp2_frame *);
void h2_server_spoil(struct h2s *, enum fail);
void h2_server_framed(struct h2s *);
void h2_server_writes(struct h2c *);
void h2_server_wrote(struct h2c *);
/* A 100, if the client waits for it. */
void h2_server_continue(struct h2s *);
extern const struct source_ops h2_server_in_ops;
extern const struct sink_ops h2_server_out_ops;

#endif
