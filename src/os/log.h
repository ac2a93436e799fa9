/*
 * Error and event log of a process: formats a line and gives it to a sink
 * that main/ set (the process's ring; stderr before there is one).
 * Text: "object: what failed: why", lower case, no full stop.
 */
#ifndef SL_OS_LOG_H
#define SL_OS_LOG_H

#include "base/str.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DBG, LOG_NLEVEL };

/* something that a line says in a field of its own, too */
struct log_field {
	const char	*name;		/* at most LOG_NAME_MAX bytes */
	struct str	 value;		/* empty: there is none */
	bool		 number;	/* its value is digits */
};

#define LOG_FIELDS	8	/* of a line; more are left out */
#define LOG_NAME_MAX	23

/* whom a line is about; all may be empty */
struct log_ids {
	const char	*module;	/* "proxy"; "": that of the file */
	struct str	 request;	/* request id */
	uint64_t	 conn;		/* connection number, 0: none */
	const char	*code;		/* for the flood guard; NULL: fmt */
	uint64_t	 wall_ms;	/* of what is told; 0: of the turn */
	const struct log_field	*fields; /* nfield of them */
	unsigned	 nfield;
};

#define LOG_TEXT_MAX	2048	/* bytes of a line, cut */
#define LOG_FLOOD	100	/* lines of a code in a second */
#define LOG_CODES	64	/* codes that are counted at a time */
#define LOG_MODULES	32	/* with a level of their own */
#define LOG_MODULE_MAX	24	/* bytes of a module's name */

/* flood guard of a code: a format string, or what the ids say */
struct log_flood {
	const char	*code;
	uint64_t	 second;	/* monotonic */
	unsigned	 lines;		/* let through in it */
	unsigned	 held;		/* and not */
	enum log_level	 level;
};

struct log_module {
	struct str	name;
	char		text[LOG_MODULE_MAX];
	enum log_level	level;
};

/* where lines of a process go and what is let through */
struct log {
	enum log_level	level;		/* of modules without their own */
	void		(*put)(struct log *, enum log_level,
			    const struct log_ids *, struct str text);
	void		*ctx;
	/* zeroed by whoever sets it up */
	struct log_module module[LOG_MODULES];
	unsigned	nmodule;
	struct log_flood flood[LOG_CODES];
	bool		 inside:1;	/* put runs; what it logs is lost */
};

struct logctx {
	struct log		*log;	/* ref */
	struct log_ids	 ids;
};

/*
 * One line, cut at LOG_TEXT_MAX.  Its module is the stem of the file that
 * logs, up to the first underscore, unless the ids name another.
 */
void log_line(const struct logctx *, enum log_level, const char *file,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define log_err(lc, ...)	log_line(lc, LOG_ERR, __FILE__, __VA_ARGS__)
#define log_warn(lc, ...)	log_line(lc, LOG_WARN, __FILE__, __VA_ARGS__)
#define log_info(lc, ...)	log_line(lc, LOG_INFO, __FILE__, __VA_ARGS__)
/* asked ten times a request, nearly always in vain */
#define log_dbg(lc, ...)	(LOG_DEBUGS((lc)->log) ? \
	log_line(lc, LOG_DBG, __FILE__, __VA_ARGS__) : (void)0)

#define LOG_DEBUGS(l) \
	((l) != NULL && ((l)->level >= LOG_DBG || (l)->nmodule > 0))

/* "src/core/listener_conf.c": "listener" */
struct str log_module_of(const char *file);

/* A module's own level, the last one said; -1 if it does not fit. */
int log_set_module(struct log *, struct str name, enum log_level);
void log_forget_modules(struct log *);

/* Each second: says how many lines the flood guard held, if it did. */
void log_tick(struct log *);

/* A sink that writes "level: text" lines to stderr with one write(2). */
void log_init_stderr(struct log *, enum log_level);
const char *log_level_name(enum log_level);

#endif
