/*
 * From frame to frame over what a client sends, whatever the reads cut:
 * every frame is seen, those too that nghttp2 passes over in silence.
 * Pure.
 */
#ifndef SL_CODEC_H2_WALK_H
#define SL_CODEC_H2_WALK_H

#include "base/str.h"

#define H2_PRIORITY_UPDATE 0x10	/* a frame's type (RFC 9218 7.1) */
#define H2_HEAD		9	/* bytes before each frame */
#define H2_PREFACE	24	/* bytes before all frames of a client */

struct h2_walk {
	uint8_t		head[H2_HEAD];
	uint8_t		have;	/* of head; all: the padding's length */
	uint32_t	left;	/* bytes before the next head */
};

struct h2_walked {
	uint32_t	n;	/* bytes behind the head */
	uint8_t		type;
	uint8_t		flags;
	uint32_t	id;
	uint8_t		pad;	/* the padding's length, if it has one */
};

/* Begins before the preface of a client, or the first frame of a server. */
void h2_walk_init(struct h2_walk *, bool preface);
/*
 * Goes on over *in, takes off what it has passed.  True: a frame's head
 * ended there; one that is padded, its length of the padding began.
 */
bool h2_walk_next(struct h2_walk *, struct str *in, struct h2_walked *);

#endif
