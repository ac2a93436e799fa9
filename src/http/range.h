/*
 * Range requests (RFC 9110 14).
 */
#ifndef SL_HTTP_RANGE_H
#define SL_HTTP_RANGE_H

#include "base/str.h"

#define RANGE_MAX	16	/* more are ignored: the whole is sent */

struct range {
	uint64_t	first;
	uint64_t	last;		/* inclusive */
};

enum range_rc {
	RANGE_NONE,		/* absent, another unit, malformed: ignore */
	RANGE_OK,
	RANGE_UNSATISFIABLE	/* 416 */
};

/*
 * Resolves "bytes=..." against a size; unsatisfiable specs among good
 * ones are left out, those that overlap or touch are made one at the
 * place of the first.  v has room for RANGE_MAX.
 */
enum range_rc range_parse(struct str, uint64_t size, struct range *v,
    unsigned *n);

#endif
