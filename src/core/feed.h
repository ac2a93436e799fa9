/*
 * What goes between the logger and whoever shows records as they come:
 * frames with the op CHAN_LOG.  The asker sends struct feed_ask with the
 * id of a reader (not 0).  The answers have that id and CHAN_F_REPLY and
 * bring the past, the last of them with no records; what comes later has
 * id 0.  Each begins with struct feed_head, then per record its length in
 * four bytes and the record.  Id 0 asks for nothing to come any more.
 */
#ifndef SL_CORE_FEED_H
#define SL_CORE_FEED_H

#include <stdint.h>

#define FEED_PAST_ALL	UINT64_MAX
#define FEED_BYTES	60000	/* of the records in a frame */

struct feed_ask {
	uint64_t	past_ms;	/* records of so long ago first */
	uint64_t	live;		/* 1: and all that come */
};

struct feed_head {
	uint64_t	dropped;	/* records left out before these */
};

#endif
