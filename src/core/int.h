/*
 * Between the files of core/ only.  Workers and control.
 */
#ifndef SL_CORE_INT_H
#define SL_CORE_INT_H

#include "core/exchange.h"

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
/* The request's part of the access record, and the flight row. */
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

#endif
