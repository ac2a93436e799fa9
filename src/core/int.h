/*
 * Between the files of core/ only.  Workers and control.
 */
#ifndef SL_CORE_INT_H
#define SL_CORE_INT_H

#include "core/conn.h"
#include "core/exchange.h"
#include "core/secure.h"

/* --- exchange_steps.c --- */
/* Runs the step the exchange is at, and says so at debug. */
enum step_rc exchange_step(struct exchange *);

/* --- exchange.c --- */
/* The handler is to let go, now or later; once. */
void exchange_cut(struct exchange *, enum fail);
/* Why it failed, for the record; nothing once that is written. */
void exchange_note(struct exchange *, enum fail, struct str cause);
/* Begins to send x->reply. */
void exchange_send_reply(struct exchange *);

/* --- exchange_end.c --- */
/*
 * The end hooks: counters, access record, flight row, filters.  Before
 * the last bytes go to the kernel, or when the stream died; once.
 */
void exchange_end(struct exchange *);
/* The request's part of the access record, and the flight row; once. */
void exchange_begin(struct exchange *);
/* Gives the generation back, unless filters go on needing it. */
void exchange_drop_gen(struct exchange *);

/* --- exchange_debug.c --- */
/* A line that tells the request, at debug. */
void exchange_debug(struct exchange *);

/* --- exchange_limit.c --- */
/* A source before the stream's that counts up to max_body. */
struct source *exchange_limit(struct exchange *);
/* The stream is gone. */
void exchange_limit_end(struct exchange *);

/* --- error.c --- */
/* Makes the built-in error of x->fail the response. */
void error_page(struct exchange *);
/* "GET, HEAD, more" of METHOD_BITs and others, of arena. */
struct str error_allow(struct arena *, uint32_t bits, struct str more);

/* --- greet.c --- */
/* what a connection is before its codec; of serve.codecs */
struct greet {
	struct conn		*c;		/* ref */
	struct timer		 timer;
	struct secure_wait	 wait;		/* its task goes on */
	struct tls_hand		 hand;		/* while shaking */
	uint8_t			 tls;		/* enum greet_tls */
	uint32_t		 dropped;	/* bytes, of who was told */
};
_Static_assert(sizeof(struct greet) <= CODEC_CONN_MAX, "a greeting");

/* Gives its memory back; the connection goes on without it. */
void greet_drop(struct greet *);
/* Counts a failure, and says it unless it was said often lately. */
void greet_count(struct greet *, enum fail why, const char *more);
/*
 * Ends the connection: nobody can be answered, for it is not known in
 * which language.  more: what the log says besides, or "".
 */
void greet_refuse(struct greet *, enum fail why, const char *more);

/* --- greet_tls.c --- */
enum greet_tls {
	GREET_PLAIN,	/* nothing of TLS yet */
	GREET_HELLO,	/* no byte has come, or it waits for its turn */
	GREET_SHAKE,
	GREET_TOLD	/* answered in clear; what comes is dropped */
};
/* Begins: who the client is is known.  Then the codec. */
void greet_tls_start(struct greet *);
/* Its turn and its policy go back. */
void greet_tls_end(struct greet *);

#endif
