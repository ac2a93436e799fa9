/*
 * The one vocabulary of failures; the rows are in http/fail.tbl.
 */
#ifndef SL_HTTP_FAIL_H
#define SL_HTTP_FAIL_H

#include "base/text.h"

#define FAIL_F_R	0x01	/* retryable when the method allows it */
#define FAIL_F_S	0x02	/* nothing was sent: retryable always */
#define FAIL_F_B	0x04	/* counts against breaker and outlier */
#define FAIL_F_Q	0x08	/* the client connection closes after it */
#define FAIL_F_C	0x10	/* the answer's head was sent: it is cut */
#define FAIL_F_N	0x20	/* of a connection, counted when it ends */

enum fail {
	FAIL_NONE,
#define FAIL(id, ...)	FAIL_##id,
#include "http/fail.tbl"
#undef FAIL
	FAIL_N
};

struct fail_row {
	const char	*name;
	uint16_t	 status;
	uint16_t	 flags;
	const char	*proxy;		/* RFC 9209 error type, or "" */
	const char	*text;		/* what went wrong */
	const char	*advice;	/* what to do about it */
};

/* The row; FAIL_NONE has the name "" and status 0. */
const struct fail_row *fail_row(enum fail);

/* By name; FAIL_NONE if there is none such. */
enum fail fail_find(struct str name);

/* Does a word of an operator mean the row: its name in any case, or "502"? */
bool fail_is(enum fail, struct str word);
/* Writes the names that are like the word, some at most: "a, b". */
void fail_near(struct str word, struct text *);

#endif
