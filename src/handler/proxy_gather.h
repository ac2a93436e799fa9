/*
 * Small pieces of an answer made one.  Workers.
 */
#ifndef SL_HANDLER_PROXY_GATHER_H
#define SL_HANDLER_PROXY_GATHER_H

#include "http/waist.h"

struct proxy;

/* pieces of answers go on as they come (auto and off), or gathered */
enum buffering { BUFFERING_AUTO, BUFFERING_ON, BUFFERING_OFF };
#define BUFFERING_WORDS	"auto|on|off"

/* Where the answer's body goes: to itself, or what gathers before it. */
struct sink *proxy_gather_begin(struct proxy *, struct sink *to);
/* Lets go of what it has. */
void proxy_gather_end(struct proxy *);

#endif
