/*
 * Certificates that are about to expire: a line of the log at each of the
 * times that tls.expiry_warn names, and the least days left as a gauge.
 * Control process.
 */
#ifndef SL_CONTROL_EXPIRY_H
#define SL_CONTROL_EXPIRY_H

#include "base/map.h"
#include "conf/conf.h"
#include "os/ev.h"

struct expiry {
	struct ev		*ev;	/* ref */
	struct timer		 timer;	/* when something may be to say */
	const struct conf	*conf;	/* the live one */
	struct map		 said;	/* own: id to the time that was said */
	uint64_t		 gauge;	/* what it is at */
};

void expiry_init(struct expiry *, struct ev *);
void expiry_fini(struct expiry *);

/* Another generation is live: looks at once, and each hour from then on. */
void expiry_commit(struct expiry *, const struct conf *);

#endif
