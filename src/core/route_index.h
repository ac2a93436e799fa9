/*
 * The index of routes: hosts, then exact paths, then a tree of prefixes
 * in which a parameter leads to another tree, then regular expressions.
 * The builder makes it in the generation; workers read it.  Work per
 * request follows the lengths of host and path, not the number of routes.
 */
#ifndef SL_CORE_ROUTE_INDEX_H
#define SL_CORE_ROUTE_INDEX_H

#include "base/arena.h"
#include "core/route.h"

/* a route by one of its patterns */
struct route_place {
	const struct route	*route;		/* of conf */
	const struct route_path	*path;		/* of conf */
};

/* routes of one place (host and path), the first to try in front */
struct route_set {
	uint32_t		 n;
	uint32_t		 cap;
	struct route_place	*v;		/* of conf */
};

/* from texts to pointers: open addressing, at most 3/4 full */
struct route_map {
	struct route_slot	*v;	/* of conf */
	size_t			 n;
	size_t			 cap;	/* power of two or 0 */
};

/* a node of a tree of literal text; the label leads to it */
struct route_node {
	struct str		  label;
	struct route_node	 *parent;	/* of conf; NULL: the root */
	struct route_set	 *set;		/* of conf; "*" here */
	struct route_set	 *end;		/* of conf; the path ends */
	struct route_node	 *param;	/* of conf; the tree behind */
	struct route_node	**kid;		/* by first byte of label */
	uint32_t		  nkid;
	uint32_t		  cap;
};

struct route_regex {
	struct str		 text;
	struct route_set	*set;		/* of conf */
};

struct route_host {
	struct str		 name;	/* "", "a.example", ".example" */
	struct route_map	 exact;	/* path: struct route_set */
	struct route_node	 root;
	struct route_regex	*regex;	/* of conf; in the order of files */
	uint32_t		 nregex;
	uint32_t		 cap;
	struct route_set	*all;	/* of conf; the path is any */
};

struct pass_index;

struct route_index {
	struct route_map	 hosts;	/* name: struct route_host */
	struct route_host	*any;	/* of conf; NULL: none */
	struct str		*regex;	/* of conf: all texts there are */
	size_t			 nregex;
	size_t			 cap;
	bool			 first;	/* [sluice] match = first */
	const struct pass_index	*pass;	/* of conf; NULL: none is passed on */
};

struct route_index *route_index_new(struct arena *);

/* The set of a place, made if it is new. */
struct route_set *route_index_set(struct arena *, struct route_index *,
    struct str host, const struct route_path *);

/* Puts a place before element at, unless its route is in the set. */
bool route_index_add(struct arena *, struct route_set *, uint32_t at,
    const struct route *, const struct route_path *);

/*
 * Below 0: a is tried before b; 0: only their order in files decides, in
 * which they are put into the index.
 */
int route_compare(const struct route *, const struct route *);

/* True if what r is for by its conditions, first is for too. */
bool route_covers(const struct route *first, const struct route *r);

/*
 * With match = first: a route before r that takes all that would come to
 * r at this host and path, or NULL.
 */
const struct route *route_cover_first(const struct route_index *,
    const struct route *r, struct str host, const struct route_path *);

/* Warns of what is odd about all routes. */
void route_lint(struct conf_load *, struct route_index *);

/* Notes a regular expression that processes have to compile. */
void route_index_regex(struct arena *, struct route_index *, struct str);

/*
 * Reading: a host by its name in the index, the set of an exact path, or
 * NULL; the node of the longest text that the path has from *at on, of
 * which the shorter ones are parents, *at being moved behind it.
 */
const struct route_host *route_index_host(const struct route_index *,
    struct str name);
const struct route_set *route_index_exact(const struct route_host *,
    struct str path);
const struct route_node *route_index_walk(const struct route_node *,
    struct str path, size_t *at);

#endif
