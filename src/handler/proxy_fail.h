/*
 * What is told of an attempt that failed.  Workers.
 */
#ifndef SL_HANDLER_PROXY_FAIL_H
#define SL_HANDLER_PROXY_FAIL_H

#include "base/str.h"
#include "http/fail.h"

struct proxy;

/* "connect: Connection refused", of arena; "" if there is no more to say. */
struct str proxy_cause(const struct proxy *);
/*
 * Logs and counts the attempt's failure, once; then: what is done about
 * it, or NULL, when the request fails with it.  A failure of the client's
 * is none of the attempt.
 */
void proxy_tell(struct proxy *, enum fail, const char *then);
/* Counts it without a line: the one that follows has it as its cause. */
void proxy_count(struct proxy *, enum fail);
/* Its server answered with an error, which the client gets. */
void proxy_note_error(const struct proxy *, enum fail);
/*
 * The error type of Proxy-Status where the row alone does not say whose
 * fault it was, as long as everything is as it failed; else NULL.
 */
const char *proxy_error_type(const struct proxy *, enum fail);

#endif
