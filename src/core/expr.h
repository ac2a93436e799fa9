/*
 * Filter expressions over the fields of the access record, for the log's
 * filter and for those who look at it:
 *
 *	status >= 500 and not (path ~ "^/health" or client = 10.0.0.0/8)
 *
 *	expr  = and { "or" and }
 *	and   = not { "and" not }
 *	not   = "not" not | "(" expr ")" | FIELD OP VALUE
 *	OP    = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"
 *
 * A value is a word or stands in double quotes, in which \" and \\ are a
 * quote and a backslash.  Numbers take the unit of their field: "20ms",
 * "1s" for times, "64k", "10m" for bytes.  ~ is a regular expression
 * (PCRE2).  An address is compared with an address or a network.  Any
 * process; an expression belongs to the process that made it.
 */
#ifndef SL_CORE_EXPR_H
#define SL_CORE_EXPR_H

#include "base/err.h"
#include "core/access.h"

#define EXPR_MAX	4096	/* bytes of text */
#define EXPR_NODES	64	/* comparisons and their joints */

struct expr;

/*
 * Makes an expression of a text, which need not outlive the call.  NULL:
 * e says why, *at is the byte where.  An empty text matches everything.
 */
struct expr *expr_new(struct str text, size_t *at, struct err *e);
void expr_free(struct expr **);

/*
 * True if the record fits.  A regular expression that needs more than its
 * limits of work does not.
 */
bool expr_match(const struct expr *, const struct access *);

#endif
