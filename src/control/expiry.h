/*
 * Certificates, authorities and lists of revoked certificates that are
 * about to expire: a line of the log at each of the times that
 * tls.expiry_warn names, and the least time left as gauges.
 * Control process.
 */
#ifndef SL_CONTROL_EXPIRY_H
#define SL_CONTROL_EXPIRY_H

#include "base/map.h"
#include "conf/conf.h"
#include "os/ev.h"

/* a gauge, and what it is at */
struct stat_gauge {
	int		 stat;	/* enum stat_id */
	uint64_t	 at;
};

struct expiry {
	struct ev		*ev;	/* ref */
	struct timer		 timer;	/* when something may be to say */
	const struct conf	*conf;	/* the live one */
	int64_t			 next;	/* seconds to the next end */
	struct map		 said;	/* own: id to the time that was said */
	struct stat_gauge	 cert;
	struct stat_gauge	 ca;
	struct stat_gauge	 crl;
};

void expiry_init(struct expiry *, struct ev *);
void expiry_fini(struct expiry *);

/*
 * Another generation is live: looks at once, each hour from then on, and
 * when something ends.
 */
void expiry_commit(struct expiry *, const struct conf *);

#endif
