/*
 * WebSocket syntax (RFC 6455): the keys of the handshake and the heads of
 * frames.  Pure functions; whoever asks a server for a ping uses them.
 */
#ifndef SL_CODEC_WS_WS_H
#define SL_CODEC_WS_WS_H

#include "base/str.h"

#define WS_NONCE	16	/* bytes of a key, before base64 */
#define WS_KEY		24
#define WS_ACCEPT	28
#define WS_CONTROL	125	/* bytes of a control frame's payload */
#define WS_OUT		(6 + WS_CONTROL)

enum ws_opcode {
	WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8,
	WS_PING = 9, WS_PONG = 10
};

enum ws_rc {
	WS_DONE,	/* the head is whole */
	WS_NEED,	/* more bytes are needed */
	WS_BAD		/* no server may send that */
};

struct ws_head {
	size_t		used;		/* bytes of the head */
	uint64_t	len;		/* of the payload behind it */
	uint8_t		opcode;
	bool		fin;
};

/* The value of Sec-WebSocket-Key. */
void ws_key(char out[WS_KEY], const uint8_t nonce[WS_NONCE]);
/* What Sec-WebSocket-Accept must be for a key. */
void ws_accept(char out[WS_ACCEPT], struct str key);

/*
 * Reads the head of a frame of a server: not masked, no extensions, a
 * known opcode, control frames whole and short.
 */
enum ws_rc ws_read_head(struct str, struct ws_head *);

/*
 * Writes a whole frame of a client with at most WS_CONTROL bytes of
 * payload; returns its length, at most WS_OUT.
 */
size_t ws_write(char *out, enum ws_opcode, struct str payload,
    const uint8_t mask[4]);

#endif
