/*
 * What the proxy does otherwise for calls of gRPC: answers of HTTP become
 * answers of gRPC, long messages are not let through, and a call that is
 * under way (exchange.call) is a stream, which may be silent for
 * timeout.stream_idle.  That holds before its head too: servers in Python,
 * Go and Java send it with the first message, so who has nothing to tell
 * yet is quiet, and well.  Workers.
 */
#ifndef SL_HANDLER_PROXY_GRPC_H
#define SL_HANDLER_PROXY_GRPC_H

#include "http/msg.h"
#include "http/waist.h"

struct exchange;
struct proxy;

/* Is any server of the exchange's route one that gRPC could speak to? */
bool proxy_grpc_calls(const struct exchange *);
/*
 * A head came.  One that is none of gRPC's is replaced in p->res by a
 * status of gRPC that is the whole answer; the server's stream is let go.
 */
void proxy_grpc_answer(struct proxy *, const struct msg *);
/*
 * A head or trailers came, before anything else is done with them: a code
 * that is the server's fault counts against it.
 */
void proxy_grpc_judge(struct proxy *, const struct hdrs *);
/* The name of their code, which must be one. */
const char *proxy_grpc_code(const struct hdrs *);
/*
 * A head came that trailers may follow at once, as those of servers do
 * that do not join the two: true if it waits for the end of the turn, for
 * another server may be asked after them, or the breaker goes by it.
 */
bool proxy_grpc_holds(struct proxy *, const struct msg *);
/* They came: true if another server is asked. */
bool proxy_grpc_drops(struct proxy *, const struct hdrs *);
/* Bytes of the answer, before they go on; false: the call has failed. */
bool proxy_grpc_data(struct proxy *, const struct chunk *);
/* Its server may have reset its stream: with a code of a meaning. */
void proxy_grpc_cause(struct proxy *, const struct stream *);
/* Its trailers, with its status. */
void proxy_grpc_trailers(struct proxy *, const struct hdrs *);

/* How long the server of a call may be silent now, ms; 0: no end. */
uint64_t proxy_grpc_quiet(const struct proxy *);
/* Neither side has said a byte for too long. */
bool proxy_grpc_idles(const struct proxy *);

#endif
