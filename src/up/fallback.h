/*
 * The key fallback of [upstream]: who is asked, or what is sent, when no
 * server of it can answer.
 */
#ifndef SL_UP_FALLBACK_H
#define SL_UP_FALLBACK_H

#include "conf/load.h"

struct error_page;
struct upstream;
struct upstream_conf;

#define FALLBACK_MAX	4	/* upstreams behind the first */

/* neither: there is none */
struct fallback_conf {
	struct str			 to;	/* of conf: name or path */
	const struct upstream_conf	*up;	/* of conf, or NULL */
	const struct error_page		*page;	/* of conf, or NULL */
};
extern const struct conf_group fallback_group;

/* Of an upstream; never NULL. */
const struct fallback_conf *fallback_of(const struct upstream_conf *);
/*
 * When it may be worth to ask again: the first of its servers comes back
 * from its ejection, or its breaker lets probes through; at least 1.
 */
uint32_t fallback_seconds(const struct upstream *);

#endif
