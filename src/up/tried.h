/*
 * Servers that an exchange has asked, by their tags.  Workers; in the
 * arena of the exchange.
 */
#ifndef SL_UP_TRIED_H
#define SL_UP_TRIED_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct server;

struct tried {
	uint64_t	*tag;		/* of arena */
	uint32_t	 n, cap;
};
bool tried_has(const struct tried *, const struct server *);
void tried_add(struct tried *, struct arena *, const struct server *);

#endif
