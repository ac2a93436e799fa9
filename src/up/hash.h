/*
 * What the balancer hash needs of others: keys as numbers.
 */
#ifndef SL_UP_HASH_H
#define SL_UP_HASH_H

#include <stddef.h>

#include "base/str.h"

struct pick;
struct server;
struct upstream;

/* The same on every machine, so that several gateways choose alike. */
uint64_t hash_key(struct str);

/* what becomes of a request at a server that its key comes to */
enum hash_stop {
	HASH_TAKES,
	HASH_OVER,	/* it has more than its share and hash.load allow */
	HASH_OUT	/* it may not be asked, or has no room */
};
struct hash_place {
	struct server	*s;	/* ref */
	enum hash_stop	 how;
};

/*
 * The first servers on a key's way, each once, at most n: requests go to
 * the first that takes them.  For a view that is fresh and not empty.
 */
size_t hash_follow(struct upstream *, const struct pick *,
    struct hash_place *, size_t n);

#endif
