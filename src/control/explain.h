/*
 * What would happen to a request, without sending it.  Control process;
 * sluicectl, offline.
 */
#ifndef SL_CONTROL_EXPLAIN_H
#define SL_CONTROL_EXPLAIN_H

#include <jansson.h>

#include "base/err.h"
#include "conf/conf.h"
#include "up/look.h"

struct shm;

#define EXPLAIN_FIELDS	64

/* what only a worker knows: filled in by the first run, told the second */
struct explain_looks {
	struct look_ask		ask[LOOK_MAX];
	struct look_told	told[LOOK_MAX];
	unsigned		n;
	bool			answered;	/* told is there */
};

struct explain {
	struct str	url;		/* http://host:port/path?query */
	struct str	method;		/* "": GET */
	struct str	from;		/* "": 127.0.0.1 */
	struct str	field[EXPLAIN_FIELDS];	/* "Name: value" */
	unsigned	nfield;
	struct explain_looks *looks;	/* ref; NULL: no worker is asked */
};

/*
 * One object: request, listener, candidates, others, and then route,
 * filters, handler, upstream, or answer.  shm NULL: nothing runs.  NULL
 * if the question is no request; why.
 */
json_t *explain_run(const struct conf *, const struct explain *,
    const struct shm *, struct err *);

#endif
