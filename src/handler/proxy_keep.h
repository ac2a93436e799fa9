/*
 * What was taken of a request's body, for another attempt.  Workers.
 */
#ifndef SL_HANDLER_PROXY_KEEP_H
#define SL_HANDLER_PROXY_KEEP_H

#include "http/waist.h"

struct keep;
struct proxy;

/* Is the body of this request to be kept? */
void proxy_keep_begin(struct proxy *);
/* Lets go of it. */
void proxy_keep_end(struct proxy *);
/* Bytes were taken of the client that cannot be sent again. */
bool proxy_keep_lost(const struct proxy *);
/* What comes next is kept, or may be. */
bool proxy_keep_is_on(const struct proxy *);
/*
 * A piece came.  True: it waits behind others that the stream has not
 * had yet, else the caller sends it.
 */
bool proxy_keep_add(struct proxy *, const struct chunk *);
/* There is a new stream, which has nothing of it. */
void proxy_keep_rewind(struct proxy *);
/* Sends what credit allows; true: the stream has all that came. */
bool proxy_keep_send(struct proxy *);

#endif
