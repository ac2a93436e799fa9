/*
 * Handlers: everything that answers a request.  One file each in
 * handler/, one line in registry.c.
 */
#ifndef SL_CORE_HANDLER_H
#define SL_CORE_HANDLER_H

#include "core/exchange.h"

struct handler {
	const char		*name;
	/*
	 * Its keys of [route]; the one flagged CONF_F_HANDLER chooses it.
	 * NULL: not chosen by a route (control's api).
	 */
	const struct conf_group	*group;
	/*
	 * Begins; x->req, route and the part of group are there.  Answers
	 * now or later with exchange_respond, _reply or _fail.
	 */
	void			(*start)(struct exchange *);
	/* The head is sent, x->out is ready for body; NULL if never needed. */
	void			(*body)(struct exchange *);
	/*
	 * The exchange ends early (client gone, time): let go of all and
	 * call exchange_handler_done, now or later.  NULL: holds nothing.
	 */
	void			(*abort)(struct exchange *, enum fail);
	/* What it answers, METHOD_BITs for Allow; 0: every method. */
	uint32_t		methods;
	/* It answers CONNECT, if a route's method says so. */
	bool			tunnels;
	/*
	 * Its answer waits for somebody else, so a client that leaves ends
	 * the exchange; others answer at once, also who says no more.
	 */
	bool			waits;
	/*
	 * May the body of a call of gRPC go on for ever here, so that its
	 * messages alone are bounded?  NULL: no.
	 */
	bool			(*calls)(const struct exchange *);
};

extern const struct handler *const handlers[];	/* NULL at the end */

/* The struct of the handler's group for the exchange's route. */
const void *handler_part(const struct exchange *);

#endif
