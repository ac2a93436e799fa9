/*
 * What of [log] says how requests are recorded: the form of a line, which
 * requests get one, and what of them nobody is to read.  The builder
 * checks it, workers choose and redact, the logger renders.
 */
#ifndef SL_CORE_LOG_CONF_H
#define SL_CORE_LOG_CONF_H

#include "core/exchange.h"
#include "core/record.h"

/* keys of [log], beside struct settings_log */
struct log_conf {
	struct str		format;
	bool			structured;
	bool			metrics;
	struct str		filter;
	int64_t			sample;		/* one of so many */
	struct conf_list	redact;		/* query parameters */
	/* by link */
	enum record_form	form;
};
extern const struct conf_group log_conf_group;

struct settings_log;

/* Those keys beside the others of [log]. */
const struct log_conf *log_conf_of(const struct settings_log *);
/* Those keys of a generation. */
const struct log_conf *log_conf(const struct conf *);

/* The style of a generation; it refers to the configuration. */
void log_style(const struct conf *, struct record_style *);

/* The filters of a process; a row of serve_parts[]. */
extern const struct serve_part log_part;

/* True if the exchange, which is over, gets an access record. */
bool log_wants(struct exchange *);

/*
 * The same text, or a copy in the arena in which the values of the query
 * parameters to be redacted are "***".
 */
struct str log_redact(const struct log_conf *, struct arena *, struct str);

#endif
