/*
 * What is to come by TLS: requests that came without it are led to https
 * or refused, and clients are told to come by it from now on (HSTS, RFC
 * 6797).  Listeners and routes say so.  Workers; the builder reads keys.
 *
 * Whether a request came by TLS is what a trusted proxy says of it, if one
 * stands before us (x->secure): else it would be led in a circle.
 */
#ifndef SL_CORE_HTTPS_H
#define SL_CORE_HTTPS_H

#include "core/exchange.h"
#include "core/listener.h"

enum https_need { HTTPS_OFF, HTTPS_REDIRECT, HTTPS_REFUSE };

/* keys of [listener] */
struct https_listener {
	int64_t			 port;		/* redirect_https; 0: off,
						 * -1: on */
	struct conf_list	 exempt;
	struct str		 hsts;		/* the field's value; "": off */
};
extern const struct conf_group https_listener_group;

/* keys of [route] */
struct https_route {
	int			 need;		/* enum https_need */
	struct str		 hsts;
	bool			 own_hsts;	/* also if it is off */
};
extern const struct conf_group https_route_group;
extern const struct conf_section ssl_section;

extern const struct handler handler_https;

/* What is to be done with a request before its route is asked. */
enum https_need https_look(const struct exchange *);

/* What its answer says in Strict-Transport-Security; "": nothing. */
struct str https_hsts(const struct exchange *);
/* Adds Strict-Transport-Security to an answer that goes by TLS. */
void https_mark(struct exchange *);

/*
 * The port that a listener's clients are led to: its own word, or 443 if
 * a listener with TLS has it or there is none, or that of the first one.
 */
unsigned https_port(const struct conf *, const struct https_listener *);

/* Where a request is led to, of the arena. */
struct str https_place(struct arena *, const struct conf *,
    const struct https_listener *, const struct exchange *);

/* The keys of a listener in a generation; NULL: it has none. */
const struct https_listener *https_of(const struct conf *,
    struct str listener);

/* True if a path is answered without TLS all the same. */
bool https_exempts(const struct https_listener *, struct str path);

#endif
