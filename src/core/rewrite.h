/*
 * What a route changes of the path before anybody but the log sees it:
 * strip_prefix, then rewrite, then add_prefix.  Workers; the builder
 * reads the keys.
 */
#ifndef SL_CORE_REWRITE_H
#define SL_CORE_REWRITE_H

#include "core/route_path.h"
#include "core/template.h"

struct rewrite_rule {
	struct route_path	from;	/* a regular expression */
	struct template		to;
};

/* its part of [route] */
struct rewrite {
	struct str			 strip;	/* "", auto, a prefix */
	struct str			 add;
	const struct rewrite_rule	*rules;	/* of conf */
	size_t				 nrule;
	int				 encoded_slash;	/* refuse, keep */
	/* after link */
	bool				 keeps;		/* encoded slashes */
};
extern const struct conf_group rewrite_group;

/* Changes x->path and the query as the route wants. */
enum fail rewrite_run(struct exchange *);

#endif
