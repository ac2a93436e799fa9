/*
 * Failures, and answers of HTTP, as clients of gRPC understand them: heads
 * and trailers with grpc-status and grpc-message.  Workers; what is made is
 * of the exchange's arena.
 */
#ifndef SL_CORE_ERROR_GRPC_H
#define SL_CORE_ERROR_GRPC_H

#include "core/exchange.h"

/* Does the client understand grpc-status alone? */
bool error_grpc_takes(const struct exchange *);
/* And is there somebody to be told of this failure? */
bool error_grpc_tells(const struct exchange *, enum fail);

/*
 * An answer of HTTP as a head that is the whole answer: what that status is
 * there, and the text.  who, as "the answer was", is for the record, which
 * has the status.
 */
struct msg *error_grpc_make(struct exchange *, unsigned http,
    struct str text, const char *who);
/* Answers with it; false: the client is none of gRPC.  text "": http. */
bool error_grpc_reply(struct exchange *, unsigned http, struct str text);

/* grpc-status and grpc-message of x->fail. */
void error_grpc_fields(struct exchange *, struct hdrs *);
/* x->fail as a head that is the whole answer. */
struct msg *error_grpc_head(struct exchange *);
/* Ends the answer under way with x->fail; false: it has to be cut. */
bool error_grpc_end(struct exchange *, enum fail why);

/* A head or trailers may have a call's status: it is noted. */
void error_grpc_note(struct exchange *, const struct hdrs *);
/* At the end: its status for the record and the counters. */
void error_grpc_count(struct exchange *);

#endif
