/*
 * HTTP/1.1 for load: its requests, and what it has to know of answers.
 */
#ifndef LOAD_H1_H
#define LOAD_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes the head of a request, which has a body of so many bytes (0: it
 * is a GET) and, with last, ends its connection.  Returns its length.
 */
size_t h1_request(char *, size_t, const char *path, const char *host,
    uint64_t upload, bool last);
/* The value of a field ("name:") in a head; NULL: it is not there. */
const char *h1_field(const char *head, const char *name);

#endif
