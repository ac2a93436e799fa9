/*
 * Patterns of paths: `path` of [route].  Read by the builder, matched by
 * workers through the index (core/route_index.h).
 */
#ifndef SL_CORE_ROUTE_PATH_H
#define SL_CORE_ROUTE_PATH_H

#include "conf/load.h"

#define ROUTE_PARAMS	8	/* parameters of a pattern */
#define ROUTE_CAPS	16	/* what a pattern catches */

enum route_kind {
	ROUTE_EXACT,	/* "/a" */
	ROUTE_TREE,	/* parameters, an asterisk at the end, or both */
	ROUTE_REGEX	/* "~ ^/a/(\d+)$" */
};

struct route_path {
	enum route_kind		 kind;
	bool			 prefix;	/* it had an asterisk */
	struct str		 text;		/* without '*' and '~' */
	const struct str	*names;		/* of what it catches */
	uint32_t		 ncap;		/* at most ROUTE_CAPS */
};

struct route_paths {
	const struct route_path	*v;	/* of conf */
	size_t			 n;
};

/* The row's parse function, into a struct route_paths. */
int route_parse_paths(struct conf_load *, const struct conf_row *, void *dst,
    const struct conf_item *items, size_t n);

/*
 * Takes the literal text in front of the next parameter off *rest, and
 * the parameter; false: *lit is all that was left.
 */
bool route_cut_param(struct str *rest, struct str *lit, struct str *name);

/*
 * Index of a name, or of a group by its number, among those that the
 * pattern catches, or -1.
 */
int route_find_name(const struct route_path *, struct str name);

/*
 * True if some path that it fits begins with that one, which ends with no
 * slash, and goes on with a slash or not at all.  A regular expression may
 * fit anything.
 */
bool route_path_may_begin(const struct route_path *, struct str);

/* True for what fits any path at all. */
bool route_path_is_any(const struct route_path *);

/*
 * A regular expression of a value, checked and dumped to the arena with
 * the names of its groups.  -1 after a report at the place of the fault.
 */
int route_read_regex(struct conf_load *, const struct conf_row *,
    const struct conf_item *, struct str text, struct route_path *);

#endif
