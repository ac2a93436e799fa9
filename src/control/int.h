/*
 * The control API: what its files share.  Control process.
 */
#ifndef SL_CONTROL_INT_H
#define SL_CONTROL_INT_H

#include <jansson.h>

#include "control/api.h"

/* --- api.c --- */

/* The control process's state, which the exchange's serve is part of. */
struct api *api_of(const struct exchange *);

/* Answers with an object, which is taken. */
void api_answer(struct exchange *, unsigned status, json_t *);

/* The same with an error: a name for programs, a sentence for people. */
void api_error(struct exchange *, unsigned status, const char *name,
    const char *why);

/*
 * One NAME=VALUE of a query, the value decoded (into the arena if it has
 * to be).  -1: it is no such thing.
 */
int api_read_word(struct arena *, struct str word, struct str *name,
    struct str *val);

/* Answers that this process ends, and why. */
void api_refuse(struct exchange *);

/* Sets the name of ?name=, if there is one; -1: it was answered with 400. */
int api_query_name(struct exchange *, struct str *name);

/* As JSON has it: what lies above its integers is cut to the largest. */
json_t *api_num(uint64_t);
/* What may be no UTF-8 (paths): escaped where it is not. */
json_t *api_text(struct str);

/* --- api_state.c: what is read from the board --- */

/* "serving" of an enum slot_state, "unknown" of any other number. */
const char *api_state_name(unsigned);

/* Each answers the request whose path is named so. */
void api_state_version(struct exchange *);
void api_state_status(struct exchange *);
void api_state_gens(struct exchange *);
void api_state_metrics(struct exchange *);

/* Open connections: all, and of workers from the nth on. */
void api_state_conns(unsigned nth, uint64_t *all, uint64_t *of_nth);

/* --- api_probes.c --- */

/* Adds probes and ejections of a row to what is said of its server. */
void api_add_probe(json_t *, uint32_t row, uint64_t tag);

/* --- api_balance.c --- */

struct census;
/*
 * Adds to what is said of server i, of that view (counted in usable) or
 * removed; and to what is said of the upstream of a row.
 */
void api_add_balance(json_t *, uint32_t i, struct census *);
void api_add_view(json_t *, uint32_t row, const struct census *);

/* --- api_servers.c, api_upstreams.c, api_failures.c --- */
void api_servers(struct exchange *);
void api_upstreams(struct exchange *);
void api_failures(struct exchange *);

/* --- api_explain.c --- */
/* Answers; a worker may have to be asked first. */
void api_explain(struct exchange *);
/* The client has gone. */
void api_explain_forget(struct exchange *);
/* No worker will answer any more: what is known has to do. */
void api_explain_give_up(struct api *);

/* --- api_names.c --- */
void api_names(struct exchange *);

/* --- api_log.c: records as they come --- */

/* Answers GET /v1/log. */
void api_log(struct exchange *);
/* The head is sent. */
void api_log_body(struct exchange *);
/* The client has gone. */
void api_log_forget(struct exchange *);
/* The answers end. */
void api_log_give_up(struct api *);

/* --- api_order.c: what the master does --- */

/* Tells the master; the exchange waits for its report. */
void api_order_reload(struct exchange *);
void api_order_roll(struct exchange *);
void api_order_plan(struct exchange *);
/* The client has gone: nobody waits any more. */
void api_order_forget(struct exchange *);

#endif
