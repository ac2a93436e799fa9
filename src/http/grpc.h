/*
 * gRPC over HTTP/2, as far as a gateway has to know it: which requests are
 * its, its status codes and what becomes of ours and HTTP's, its fields,
 * and the lengths of the messages in a body.  All processes; pure.
 */
#ifndef SL_HTTP_GRPC_H
#define SL_HTTP_GRPC_H

#include "http/fail.h"
#include "http/msg.h"

enum grpc_status {
#define GRPC(id, text)	GRPC_##id,
#include "http/grpc.tbl"
#undef GRPC
	GRPC_N
};

#define GRPC_TYPE	STR("application/grpc")

/*
 * Is it application/grpc, with a suffix (+proto) or parameters or without?
 * gRPC-Web is another protocol.
 */
bool grpc_is_type(struct str content_type);
/* Is a request one of gRPC: a POST with that type? */
bool grpc_is_request(const struct msg *);

/* "UNAVAILABLE"; "" if there is no such code. */
struct str grpc_name(unsigned status);
/* Code of a field grpc-status; -1 if it is no number of two digits. */
int grpc_read_status(struct str);
/* What clients make of an answer without grpc-status. */
enum grpc_status grpc_of_http(unsigned status);
/* What a failure of ours is to a client of gRPC; FAIL_NONE is OK. */
enum grpc_status grpc_of_fail(enum fail);
/* What a server's reset with a code of HTTP/2 is; -1: what a lost one is. */
int grpc_of_reset(uint32_t code);
/*
 * Is this code what a status of 5xx is, the server's own fault?  timed:
 * the caller has set a deadline, so a time that is over is the caller's.
 */
bool grpc_is_servers_fault(unsigned status, bool timed);

/*
 * A text as grpc-message has it: what is not printable ASCII, and the
 * percent sign, percent-encoded.
 */
struct str grpc_encode(struct arena *, struct str);

#define GRPC_FAR	UINT64_MAX	/* no end */

/* grpc-timeout in milliseconds; GRPC_FAR: it does not say. */
uint64_t grpc_read_timeout(struct str);
/* Milliseconds as grpc-timeout has them, in the finest unit with room. */
struct str grpc_write_timeout(struct arena *, uint64_t ms);

/* --- grpc.health.v1 --- */

/* A request to Check, with its prefix: is this service well? */
struct str grpc_write_health(struct arena *, struct str service);
/* A body that is one answer of Check; 1 is SERVING.  -1: it is not. */
int grpc_read_health(struct str body, uint64_t *status);

/* --- messages --- */

#define GRPC_PREFIX	5	/* bytes: compressed or not, length */

/* where in a body of messages one is; zeroed it is at its beginning */
struct grpc_scan {
	uint64_t	left;		/* of the message's bytes */
	uint64_t	messages;	/* whose prefix was seen */
	uint32_t	length;		/* that the prefix says so far */
	uint8_t		have;		/* bytes of the prefix */
};

/*
 * Goes over the next bytes, without looking into messages.  False: one
 * begins here that is longer than max (0: any length).
 */
bool grpc_scan(struct grpc_scan *, struct str, uint64_t max);
/* The body may end here: no message is cut. */
bool grpc_scan_is_whole(const struct grpc_scan *);

#endif
