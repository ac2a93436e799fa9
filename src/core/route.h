/*
 * Routes: which handler answers.  Host (exact, wildcard, default), then
 * path (exact, the longest literal text, regular expressions, any), then
 * further conditions, then priority; equal: proxy before static, then
 * file order.  The index is compiled into the generation by the builder;
 * matching reads it only.
 */
#ifndef SL_CORE_ROUTE_H
#define SL_CORE_ROUTE_H

#include "core/exchange.h"
#include "core/route_path.h"

struct chain;
struct https_route;

/* a condition of one route, with what it asks for */
struct route_check {
	const struct route_cond	*cond;	/* const */
	const void		*part;	/* of conf: a struct of its group */
	bool			 not;	/* it must fail */
	struct str		 key;	/* of conf: what is behind "not." */
};

struct route_nots {
	const struct route_check	*v;	/* of conf */
	size_t				 n;
};

/* [route NAME] */
struct route {
	struct conf_obj		 obj;
	struct conf_list	 listeners;	/* names; empty: all */
	struct conf_list	 hosts;
	struct route_paths	 paths;
	struct route_nots	 nots;
	int64_t			 priority;
	uint64_t		 max_body;	/* bytes; 0: none */
	const struct handler	*handler;	/* const */
	const void		*part;		/* of conf: the handler's */
	const struct chain	*chain;		/* of conf; NULL: no filters */
	const struct https_route *https;	/* of conf; or NULL */
	/* compiled by route_section.done */
	uint32_t		 order;		/* in files */
	uint32_t		 nconds;	/* for specificity */
	const struct route_check *checks;	/* of conf */
	uint32_t		 nchecks;
};
extern const struct conf_section route_section;

/*
 * A further condition: one file in core/ (or a group of rows in an
 * existing one) and one line in registry.c.
 */
struct route_cond {
	const char		*name;
	/* Its keys of [route], all with a parse function (core/cond.h). */
	const struct conf_group	*group;
	/* How many conditions it makes here; 0: the user set none. */
	uint32_t		(*count)(const void *part);
	bool			(*match)(const void *part,
				    const struct exchange *);
	/* Methods it lets through, METHOD_BIT, for Allow; may be NULL. */
	uint32_t		(*methods)(const void *part);
	/* Those that have no bit, "A, B"; may be NULL. */
	struct str		(*others)(const void *part);
	/* True if what narrow lets through, wide does too. */
	bool			(*covers)(const void *wide,
				    const void *narrow);
	/* What to answer when only this one fails; FAIL_NONE: try on. */
	enum fail		fail;
};
extern const struct route_cond *const route_conds[];	/* NULL at the end */
/* groups of [route]: its own, of handlers, of conditions; registry.c */
extern const struct conf_group *const route_groups[];	/* NULL at the end */
extern const struct conf_section *const route_guest;
extern const struct conf_group route_group;

/*
 * The route for a request, or NULL with *why (NO_ROUTE,
 * METHOD_NOT_ALLOWED).  *allow: methods of the candidates, bit per
 * http_method, for Allow; others are added to x->allow_more.  Sets
 * x->pattern, x->caps and x->fixed.
 */
const struct route *route_match(const struct conf *, struct exchange *,
    enum fail *why, uint32_t *allow);

/* True if the route is for the listener of that name. */
bool route_has_listener(const struct route *, struct str name);

/* The methods that a check which knows them lets through. */
uint32_t route_methods(const struct route_check *);

/* who wants to know what was tried */
struct route_trace {
	/* failed: the first condition that did, "listener" or its name, or
	 * NULL; the first route of NULL is the one, those behind it were
	 * not tried otherwise.  One may come twice.  not: it held, but must
	 * not. */
	void	(*on)(struct route_trace *, const struct route *,
		    const char *failed, bool not);
};
/* route_match, which tells what it tries if trace is not NULL. */
const struct route *route_explain(const struct conf *, struct exchange *,
    enum fail *why, uint32_t *allow, struct route_trace *trace);

/*
 * What the path has behind what the route's pattern fixed: "" or "a/b" of
 * "/x/ *"; all of it for a regular expression.
 */
struct str route_rest(const struct exchange *);

#endif
