/*
 * The static handler's own things, shared by its files:
 *
 *	static.c	a request: from its path to a file
 *	static_answer.c	from a file to the head of the answer
 *	static_body.c	the body: text, memory, pieces of files
 *	static_file.c	one representation: fields, bytes or descriptor
 *	static_cache.c	what was found lately, by site and path
 *	static_site.c	roots of routes in this process; opening below them
 *	static_cond.c	conditions and ranges
 *	static_coding.c	which precompressed sibling a client gets
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
	struct str		fallback;	/* below root; "": none */
	struct str		cache_control;
	struct conf_pairs	types;		/* by extension */
	int			dot_files;	/* DOTS_ */
	int			links;		/* enum ask_links */
	bool			listing;
	bool			precompressed;
	struct str		key;		/* all of it, as text */
};
extern const struct conf_group static_group;
extern const struct handler handler_static;

#define STATIC_SMALL	131072		/* such files are held in memory */
#define STATIC_LOOK_MS	500		/* what was found holds so long */
#define STATIC_ASK_MS	10000

/* --- static_cond.c --- */

/* what a file is to a cache */
struct static_tag {
	struct str	etag;		/* with its quotes; strong */
	int64_t		mtime;		/* seconds */
};

/* FAIL_NONE, FAIL_PRECONDITION, or *same: 304 (RFC 9110 13.2.2). */
enum fail static_check(const struct hdrs *, const struct static_tag *,
    int64_t now, bool *same);
/* The ranges that are to be sent, if If-Range allows it; RANGE_MAX of v. */
enum range_rc static_range(const struct hdrs *, const struct static_tag *,
    int64_t now, uint64_t size, struct range *v, unsigned *n);

/* --- static_coding.c --- */

enum static_coding {
	CODING_NONE, CODING_BR, CODING_ZSTD, CODING_GZIP, CODING_N
};
extern const struct static_coding_row {
	struct str	name;		/* of Content-Encoding */
	struct str	ext;		/* of the sibling */
} static_codings[CODING_N];

/*
 * Which of those there are (bits) the client likes best; the smallest of
 * equals (RFC 9110 12.5.3).
 */
enum static_coding static_choose(const struct hdrs *, unsigned have,
    const uint64_t size[CODING_N]);

/* --- static_type.c --- */

/* Content-Type of a file name; *packs: worth compressing. */
struct str static_type(struct str name, bool *packs);
/* The same with the types of the route before it. */
struct str static_type_of(const struct static_route *, struct str name,
    bool *packs);

/* --- static_site.c --- */

struct static_site;

extern const struct serve_part static_part;	/* a row of serve_parts[] */

/*
 * The site of a route in this process, NULL with errno if its root is
 * not there.  Valid in this turn only.
 */
struct static_site *static_site(struct serve *, const struct static_route *);
struct map *static_site_entries(struct static_site *);
/*
 * Opens a path below the root; without waiting where there are helpers
 * to be asked.  -1 with errno; EAGAIN: ask one.
 */
int static_site_open(struct serve *, struct static_site *,
    const struct static_route *, const char *path);
/* The question then, of arena: of CHAN_OPEN and CHAN_LIST. */
struct str static_question(struct arena *, const struct static_route *,
    struct str path);

#endif
