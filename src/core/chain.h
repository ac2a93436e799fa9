/*
 * Filters and their chain.  Request hooks run in the order of `use`,
 * response hooks in reverse.  Four answers: NEXT go on, DONE answered
 * (exchange_respond was called), WAIT one thing is armed and
 * exchange_go() will come (the same hook is called again), FAIL
 * (exchange's fail is set).  Response hooks run for those filters whose
 * request hook said NEXT; end hooks for all that were called.
 */
#ifndef SL_CORE_CHAIN_H
#define SL_CORE_CHAIN_H

#include "core/exchange.h"

enum filter_phase {
	PHASE_EDGE, PHASE_AUTH, PHASE_LIMIT, PHASE_TRANSFORM, PHASE_STORE
};

struct filter {
	const char			*name;
	enum filter_phase		 phase;	/* for the lint only */
	const struct conf_section	*section;	/* its instances */
	/* per exchange state, zeroed, in the arena */
	size_t				 size;
	enum step_rc	(*req_head)(struct exchange *, const void *conf,
			    void *state);
	enum step_rc	(*res_head)(struct exchange *, const void *conf,
			    void *state);
	/* wraps the sink of the response body; NULL: bodies pass by */
	struct sink	*(*res_body)(struct exchange *, const void *conf,
			    void *state, struct sink *next);
	/* end hook; the exchange is over */
	void		(*done)(struct exchange *, const void *conf,
			    void *state);
};
extern const struct filter *const filters[];	/* NULL at the end */

struct chain_link {
	const struct filter	*filter;	/* const */
	const void		*conf;		/* of conf */
};

struct chain {
	uint32_t			 n;
	const struct chain_link		*link;	/* of conf */
};

/* Runs hooks from x->chain_at on; STEP_NEXT when all are through. */
enum step_rc chain_request(struct exchange *);
enum step_rc chain_response(struct exchange *);
/* Wraps x->out with the body hooks; end hooks. */
void chain_wrap(struct exchange *);
void chain_done(struct exchange *);

#endif
