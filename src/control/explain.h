/*
 * What would happen to a request, without sending it.  Control process;
 * sluicectl, offline.
 */
#ifndef SL_CONTROL_EXPLAIN_H
#define SL_CONTROL_EXPLAIN_H

#include <jansson.h>

#include "base/err.h"
#include "conf/conf.h"

struct shm;

#define EXPLAIN_FIELDS	64

struct explain {
	struct str	url;		/* http://host:port/path?query */
	struct str	method;		/* "": GET */
	struct str	from;		/* "": 127.0.0.1 */
	struct str	field[EXPLAIN_FIELDS];	/* "Name: value" */
	unsigned	nfield;
};

/*
 * One object: request, listener, candidates, others, and then route,
 * filters, handler, upstream, or answer.  shm NULL: nothing runs.  NULL
 * if the question is no request; why.
 */
json_t *explain_run(const struct conf *, const struct explain *,
    const struct shm *, struct err *);

#endif
