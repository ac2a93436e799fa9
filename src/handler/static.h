/*
 * The static handler's own things, shared by its files:
 *
 *	static.c	a request from its path to its last byte
 *	static_open.c	opening below a root without waiting for the disk
 *	static_cond.c	conditions and ranges
 *	static_type.c	types by extension
 *	static_conf.c	its keys of [route]
 */
#ifndef SL_HANDLER_STATIC_H
#define SL_HANDLER_STATIC_H

#include "core/ask.h"
#include "core/handler.h"
#include "core/route.h"
#include "http/range.h"

enum { DOTS_DENY, DOTS_ALLOW };

/* keys of [route] */
struct static_route {
	struct str		root;		/* absolute; "": not static */
	struct conf_list	index;
	int			dot_files;	/* DOTS_ */
	int			links;		/* enum ask_links */
};
extern const struct conf_group static_group;
extern const struct handler handler_static;

/* --- static_open.c --- */

/* Descriptors of roots, in a process; a row of serve_parts[]. */
extern const struct serve_part static_part;

/*
 * Opens a path below the route's root; without waiting where there are
 * helpers to be asked.  -1 with errno; EAGAIN: ask one.
 */
int static_open(struct serve *, const struct static_route *,
    const char *path);
/* The question then, of arena. */
struct str static_question(struct arena *, const struct static_route *,
    struct str path);

/* --- static_cond.c --- */

/* what a file is to a cache */
struct static_tag {
	struct str	etag;		/* with its quotes; strong */
	int64_t		mtime;		/* seconds */
};

/* FAIL_NONE, FAIL_PRECONDITION, or *same: 304 (RFC 9110 13.2.2). */
enum fail static_check(const struct hdrs *, const struct static_tag *,
    int64_t now, bool *same);
/* The one range that is to be sent, if If-Range allows it. */
enum range_rc static_range(const struct hdrs *, const struct static_tag *,
    int64_t now, uint64_t size, struct range *);

/* --- static_type.c --- */

/* Content-Type of a file name. */
struct str static_type(struct str name);

#endif
