/*
 * HTTP/2 for load: one connection of many streams.  Pure: bytes in and out.
 */
#ifndef LOAD_H2_H
#define LOAD_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h2_client;

/* A request has ended: why is NULL if its answer was whole and right. */
typedef void h2_done_fn(void *ctx, uint64_t due, const char *why);

/*
 * A connection whose answers are to be 200 and of that length.  Failure of
 * memory ends the program.
 */
struct h2_client *h2_new(bool secure, const char *host, uint64_t length,
    h2_done_fn *, void *ctx);
/* Requests under way end without a word. */
void h2_free(struct h2_client **);

/* Asks for a path, later sent by h2_pending; false: no more go. */
bool h2_ask(struct h2_client *, const char *path, uint64_t due);
/* What came; false: that is no HTTP/2, or the server has said goodbye. */
bool h2_take(struct h2_client *, const void *, size_t);

/* What is to be sent next, the same until h2_sent has counted all of it. */
size_t h2_pending(struct h2_client *, const char **);
void h2_sent(struct h2_client *, size_t);
/* Requests under way. */
unsigned h2_busy(const struct h2_client *);

#endif
