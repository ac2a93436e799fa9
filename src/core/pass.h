/*
 * Passthrough: connections that are led to a server by the name in their
 * ClientHello, and not opened here.  [route] with tls = passthrough says
 * which; all else of the same port is served as ever.  Workers; the
 * builder makes the index.
 *
 * What a client sends is looked at in its socket until the ClientHello is
 * whole, and stays there: the server gets every byte as it came.  From
 * then on the connection is a tunnel (codec/raw) that handler/proxy opens.
 */
#ifndef SL_CORE_PASS_H
#define SL_CORE_PASS_H

#include "core/conn.h"
#include "core/route.h"

/* a name that is passed on; of conf */
struct pass_name {
	struct str		 host;		/* "a.example", ".example" */
	const struct route	*route;
};

/* by host, then the first to try in front */
struct pass_index {
	size_t			 n;
	struct pass_name	 v[];
};

enum pass_rc {
	PASS_NOT,	/* it is to be opened here */
	PASS_WAIT,	/* an event will come */
	PASS_ON,	/* it is a tunnel now, and not the caller's */
	PASS_GONE	/* the client left */
};

/*
 * Looks at what a client began with, on a listener that passes.  A
 * greeting that PASS_ON ends is let go by done before that.
 */
enum pass_rc pass_look(struct conn *, void (*done)(struct conn *));

/* The route of a tunnel in its exchange's generation; NULL: none now. */
const struct route *pass_route(const struct exchange *);

/* Would a connection of this client that asks for the host be passed on? */
bool pass_is_for(const struct conf *, const struct conn *, struct str host);

/* The same for whoever asks what would happen; x NULL: on no condition. */
const struct route *pass_find(const struct conf *, struct str listener,
    struct str host, const struct exchange *);

/* --- builder --- */

extern const struct conf_group pass_group;

/* Of all routes that say so; marks the listeners that they are for. */
const struct pass_index *pass_build(struct conf_load *,
    const struct conf_objs *routes);
/* Whether a route passes. */
bool pass_is(const struct route *);

#endif
