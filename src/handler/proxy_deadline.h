/*
 * How long a proxied exchange may take in all.  Workers.
 */
#ifndef SL_HANDLER_PROXY_DEADLINE_H
#define SL_HANDLER_PROXY_DEADLINE_H

#include "http/msg.h"

struct proxy;

/* whose words about the time that is left are obeyed */
enum deadline { DEADLINE_TRUSTED, DEADLINE_ON, DEADLINE_OFF };
#define DEADLINE_WORDS	"trusted|on|off"

/* Is a field of the request ours to write? */
bool proxy_deadline_drops(const struct proxy *, const struct hdr *);
/* Arms p->total for the nearest end; false: it has come already. */
bool proxy_deadline_start(struct proxy *);
/* Has the client set a time, and its server been told of it? */
bool proxy_deadline_is_clients(const struct proxy *);
/* Tells the attempt's server how much is left. */
void proxy_deadline_tell(struct proxy *);

#endif
