/*
 * Error and event log of a process: formats a line and gives it to a sink
 * that main/ set (the process's ring; stderr before there is one).
 * Text: "object: what failed: why", lower case, no full stop.
 */
#ifndef SL_OS_LOG_H
#define SL_OS_LOG_H

#include "base/str.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DBG, LOG_NLEVEL };

/* whom a line is about; all but log may be empty */
struct log_ids {
	const char	*module;	/* "proxy"; "" */
	struct str	 request;	/* request id */
	uint64_t	 conn;		/* connection number, 0: none */
};

#define LOG_TEXT_MAX	2048	/* bytes of a line, cut */
#define LOG_FLOOD	100	/* lines of a level in a second */

/* flood guard of a level */
struct log_flood {
	uint64_t	second;		/* monotonic */
	unsigned	lines;		/* let through in it */
	unsigned	held;		/* and not */
};

/* where lines of a process go and what is let through */
struct log {
	enum log_level	level;
	void		(*put)(struct log *, enum log_level,
			    const struct log_ids *, struct str text);
	void		*ctx;
	/* zeroed by whoever sets it up */
	struct log_flood flood[LOG_NLEVEL];
	bool		 inside:1;	/* put runs; what it logs is lost */
};

struct logctx {
	struct log		*log;	/* ref */
	struct log_ids	 ids;
};

/* One line of that level, cut at LOG_TEXT_MAX. */
void log_err(const struct logctx *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_warn(const struct logctx *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_info(const struct logctx *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_dbg(const struct logctx *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Each second: says how many lines the flood guard held, if it did. */
void log_tick(struct log *);

/* A sink that writes "level: text" lines to stderr with one write(2). */
void log_init_stderr(struct log *, enum log_level);
const char *log_level_name(enum log_level);

#endif
