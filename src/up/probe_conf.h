/*
 * How servers are probed: keys health.* of [upstream].  The builder fills
 * it in, health obeys.
 */
#ifndef SL_UP_PROBE_CONF_H
#define SL_UP_PROBE_CONF_H

#include "conf/load.h"

struct upstream_conf;

enum probe_type { PROBE_OFF, PROBE_TCP, PROBE_HTTP, PROBE_WEBSOCKET,
    PROBE_TLS, PROBE_GRPC };
extern const char *const probe_types[];	/* their words */

/* statuses that are well */
struct probe_range {
	uint16_t	low;
	uint16_t	high;
};

struct probe_ranges {
	const struct probe_range *v;		/* of conf */
	size_t			 n;
};

struct probe_conf {
	/* as written */
	int			 type;		/* enum probe_type */
	int			 method;	/* the choice's number */
	struct str		 path;
	struct str		 host;		/* "": the server's own */
	struct conf_pairs	 fields;
	struct probe_ranges	 expect;
	struct str		 body;
	struct str		 service;	/* of type grpc; "": all */
	uint64_t		 interval;	/* ms */
	uint64_t		 timeout;	/* ms, of a whole probe */
	int64_t			 fall;
	int64_t			 rise;
	/* made of that */
	int			 meth;		/* enum http_method */
	struct str		 target;
	struct str		 text;		/* of the body; "": any */
	bool			 is_regex;	/* text is one */
	uint64_t		 digest;	/* of all that; never 0 */
};

extern const struct conf_group probe_group;

/* What the upstream has; of one without groups: no probes. */
const struct probe_conf *probe_conf_of(const struct upstream_conf *);

#endif
