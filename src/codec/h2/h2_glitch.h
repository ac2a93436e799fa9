/*
 * What a peer does that costs more than it is worth: a client, or a server
 * of ours.  Each kind has a count of its own that wears off with time or
 * with work done; beyond its limit the connection ends with
 * ENHANCE_YOUR_CALM and the row that names the kind.  Pure.
 */
#ifndef SL_CODEC_H2_GLITCH_H
#define SL_CODEC_H2_GLITCH_H

#include <stdbool.h>
#include <stdint.h>

#include "http/fail.h"

enum h2_glitch_kind {
	H2_GLITCH_RESET,	/* the client reset a stream early */
	H2_GLITCH_MADE,		/* it made us do so, or sent bad heads */
	H2_GLITCH_CUT,		/* the client reset one within its answer */
	H2_GLITCH_REFUSED,	/* streams beyond the limit, not yet known */
	H2_GLITCH_PING,
	H2_GLITCH_SETTINGS,
	H2_GLITCH_PRIORITY,
	H2_GLITCH_WINDOW,	/* WINDOW_UPDATE */
	H2_GLITCH_EMPTY,	/* DATA without a byte and without an end */
	H2_GLITCH_STRAY,	/* unknown frames, resets of nothing */
	H2_GLITCH_N
};

struct h2_glitch {
	uint32_t	level[H2_GLITCH_N];	/* in thousandths */
	uint64_t	ms;		/* when they last wore off */
	uint32_t	blocks;		/* CONTINUATIONs of this head */
};

/*
 * One of a kind; more: so many on top of the most of it.  FAIL_NONE, or the
 * row with which the connection ends.
 */
enum fail h2_glitch_add(struct h2_glitch *, enum h2_glitch_kind,
    uint64_t now_ms, uint32_t more);
/* Three quarters of what resets may be: no more streams from this one. */
bool h2_glitch_is_high(const struct h2_glitch *);

/*
 * A stream was opened by a good head, or answered by one; a frame of DATA
 * was sent, or came: work was done.
 */
void h2_glitch_opened(struct h2_glitch *);
void h2_glitch_sent(struct h2_glitch *);
void h2_glitch_got(struct h2_glitch *);
/* A stream is through: a reset behind its end may still come. */
void h2_glitch_closed(struct h2_glitch *);
/* We reset a stream: what is on its way may mean nothing any more. */
void h2_glitch_crossed(struct h2_glitch *);

/* A head begins; one more CONTINUATION of it. */
void h2_glitch_head(struct h2_glitch *);
enum fail h2_glitch_continued(struct h2_glitch *);

#endif
