/*
 * How much may be under way from a client: a window is enlarged while it
 * is what limits the client.  In the time of a PING's round trip so many
 * bytes came; where that is most of a window, the path holds more.  Pure.
 */
#ifndef SL_CODEC_H2_BDP_H
#define SL_CODEC_H2_BDP_H

#include <stdbool.h>
#include <stdint.h>

#define H2_WINDOW	65536		/* of a stream, at first */
#define H2_WINDOW_MAX	(4 << 20)
#define H2_WINDOW_CONN	(1 << 20)	/* of a connection, at first */

struct h2_bdp {
	uint32_t	window;		/* of a stream */
	uint64_t	bytes;		/* since the PING */
	bool		asking:1;	/* it is under way */
};

void h2_bdp_init(struct h2_bdp *);
/* n bytes of bodies came; true: send a PING now. */
bool h2_bdp_data(struct h2_bdp *, uint64_t n);
/* Its answer is here; true: b->window is larger now. */
bool h2_bdp_answer(struct h2_bdp *);
/* The window of a connection whose streams have that one. */
uint32_t h2_bdp_conn(const struct h2_bdp *);

#endif
