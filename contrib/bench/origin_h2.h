/*
 * HTTP/2 for origin: one connection, bytes in and out.
 */
#ifndef ORIGIN_H2_H
#define ORIGIN_H2_H

#include <stdbool.h>
#include <stddef.h>

struct h2_origin;

/* How long the answer for a path is; 0: there is none. */
typedef size_t origin_length_fn(const char *path, size_t n);

/* Answers are the first bytes of body.  Failure of memory is the end. */
struct h2_origin *origin_h2_new(const char *body, origin_length_fn *);
void origin_h2_free(struct h2_origin **);
/* What came; false: that is no HTTP/2. */
bool origin_h2_take(struct h2_origin *, const void *, size_t);
/* What is to be sent next, the same until all of it is counted. */
size_t origin_h2_pending(struct h2_origin *, const char **);
void origin_h2_sent(struct h2_origin *, size_t);

#endif
