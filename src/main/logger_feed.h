/*
 * Records for those who look on: what was written lately is kept for a
 * second, and while somebody follows it is sent on.  Logger; the other
 * end is the control process.  A reader who is slow misses records, which
 * are counted; the log itself never waits for one.
 */
#ifndef SL_MAIN_LOGGER_FEED_H
#define SL_MAIN_LOGGER_FEED_H

#include "core/feed.h"
#include "os/chan.h"

struct logger_feed {
	struct ev	*ev;		/* ref */
	struct list	 kept;		/* own: the past, oldest first */
	size_t		 nkept;		/* bytes of it */
	struct feed_peer *peer;		/* own: control, or NULL */
	uint64_t	 dropped;	/* not told yet */
	bool		 live:1;	/* somebody follows */
};

void logger_feed_init(struct logger_feed *, struct ev *);
void logger_feed_fini(struct logger_feed *);

/* A channel to a control process, in place of the one before. */
void logger_feed_join(struct logger_feed *, int fd);

/* Records that were written, as core/feed.h has them. */
void logger_feed_put(struct logger_feed *, struct str records);

/* Forgets what is older than it is kept for; each second. */
void logger_feed_age(struct logger_feed *);

#endif
