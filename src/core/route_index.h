/*
 * The index of routes: hosts, then exact paths, then a tree of prefixes.
 * The builder makes it in the generation; workers read it.  Work per
 * request follows the lengths of host and path, not the number of routes.
 */
#ifndef SL_CORE_ROUTE_INDEX_H
#define SL_CORE_ROUTE_INDEX_H

#include "base/arena.h"
#include "core/route.h"

/* routes of one place (host and path), the first to try in front */
struct route_set {
	uint32_t		  n;
	uint32_t		  cap;
	const struct route	**v;	/* of conf */
};

/* from texts to pointers: open addressing, at most 3/4 full */
struct route_map {
	struct route_slot	*v;	/* of conf */
	size_t			 n;
	size_t			 cap;	/* power of two or 0 */
};

/* a node of the tree of prefixes; the label leads to it */
struct route_node {
	struct str		  label;
	struct route_node	 *parent;	/* of conf; NULL: the root */
	struct route_set	 *set;		/* of conf; NULL: none */
	struct route_node	**kid;		/* by first byte of label */
	uint32_t		  nkid;
	uint32_t		  cap;
};

struct route_host {
	struct str		name;	/* "", "a.example", ".example" */
	struct route_map	exact;	/* path: struct route_set */
	struct route_node	root;
};

struct route_index {
	struct route_map	hosts;	/* name: struct route_host */
	const struct route_host	*any;	/* of conf; NULL: none */
};

struct route_index *route_index_new(struct arena *);

/* The set of a place, made if it is new; a prefix ends before its '*'. */
struct route_set *route_index_set(struct arena *, struct route_index *,
    struct str host, struct str path, bool prefix);

/* Puts a route before element at, unless it is in the set already. */
bool route_index_add(struct arena *, struct route_set *, uint32_t at,
    const struct route *);

/*
 * Reading: a host by its name in the index, the set of an exact path, or
 * NULL; the longest prefix, of which the shorter ones are parents.
 */
const struct route_host *route_index_host(const struct route_index *,
    struct str name);
const struct route_set *route_index_exact(const struct route_host *,
    struct str path);
const struct route_node *route_index_prefix(const struct route_host *,
    struct str path);

#endif
