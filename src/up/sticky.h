/*
 * Sticky sessions: a client keeps its server by a cookie that names it.
 * Workers.
 *
 * A cookie holds when it was made, a number for the server and a MAC over
 * both.  The number is a MAC of the address under the same key, which
 * follows from sticky.secret, or the board's, and the upstream's name: so
 * it tells nobody an address, is good for no other upstream, and is the
 * same on all machines that share the secret.
 */
#ifndef SL_UP_STICKY_H
#define SL_UP_STICKY_H

#include "base/arena.h"
#include "core/template.h"
#include "up/upstream.h"

#define STICKY_TEXT	38	/* characters of a cookie's value */

enum sticky_mode { STICKY_OFF, STICKY_COOKIE, STICKY_CLIENT };
#define STICKY_WORDS	"off|cookie|client"

/* keys hash.* and sticky.*, of [upstream]; read through choice_conf() */
struct choice_conf {
	struct template		 key;		/* n 0: client's address */
	int64_t			 load;		/* percent; 0: no bound */
	int			 sticky;	/* enum sticky_mode */
	struct str		 name;		/* of the cookie; "": by rule */
	uint64_t		 ttl;		/* ms; 0: a session's */
	struct str		 secret;	/* "": the board's */
};
extern const struct conf_group choice_group;

/* Never NULL: an upstream without parts has the defaults. */
const struct choice_conf *choice_conf(const struct upstream_conf *);

/* The name of the cookie that an upstream's clients have, of arena. */
struct str sticky_cookie(struct arena *, const struct upstream_conf *);

/* what a twin with sticky = cookie has of it */
struct sticky;

/* NULL: it is not that, or there is no key. */
struct sticky *sticky_new(const struct upstream_conf *, const struct serve *);
void sticky_free(struct sticky **);

/* The cookie's name, as long as the twin lives. */
struct str sticky_name(const struct sticky *);
/* The number of a server, never 0. */
uint64_t sticky_number(const struct sticky *, struct str address);

/* what a cookie said */
struct sticky_told {
	uint64_t	number;		/* of a server; 0: nothing of ours */
	bool		old;		/* to be renewed */
	bool		late;		/* ours, but too old: nothing */
};
/* Reads a cookie's value; false if it is forged, cut or too old. */
bool sticky_read(const struct sticky *, struct str val, uint64_t wall_ms,
    struct sticky_told *);
/* A Set-Cookie for a server, of arena. */
struct str sticky_make(const struct sticky *, struct arena *,
    uint64_t number, uint64_t wall_ms, bool secure);

/*
 * The member of that number if it may still be asked: one that drains or
 * weighs nothing may, one that was asked for this request may not.  It
 * may have no room.
 */
struct server *sticky_find(struct upstream *, uint64_t number,
    const struct tried *);
/* The member of that number, whether it may be asked or not, or NULL. */
struct server *sticky_member(struct upstream *, uint64_t number);
/* For the view: the members are others now. */
void sticky_index(struct upstream *);

#endif
