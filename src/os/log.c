/*
 * Error and event log.  Every process.
 *
 * A line is put together on the stack, so that logging never allocates,
 * and handed to the sink.  Of each level a hundred lines pass in a
 * second; what is held is counted and told when a later second comes, by
 * the next line or by the tick.  A sink that logs itself is not entered
 * twice.
 */
#include "os/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static const char *const level_names[LOG_NLEVEL] = {
	[LOG_ERR] = "error",
	[LOG_WARN] = "warning",
	[LOG_INFO] = "info",
	[LOG_DBG] = "debug",
};

const char *
log_level_name(enum log_level level)
{
	return (unsigned)level < LOG_NLEVEL ? level_names[level] : "";
}

static uint64_t
now(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

static void
put(struct log *log, enum log_level level, const struct log_ids *ids,
    struct str text)
{
	log->inside = true;
	log->put(log, level, ids, text);
	log->inside = false;
}

static void
tell_held(struct log *log, enum log_level level)
{
	struct log_flood	*f = &log->flood[level];
	struct log_ids		 ids = { .module = "" };
	struct text		 t;
	char			 buf[80];

	if (f->held == 0)
		return;
	text_init_fixed(&t, buf, sizeof(buf));
	text_fmt(&t, "log: suppressed %u lines of level %s", f->held,
	    log_level_name(level));
	f->held = 0;
	put(log, level, &ids, text_str(&t));
}

/* True if one more line of this level may pass now. */
static bool
passes(struct log *log, enum log_level level)
{
	struct log_flood	*f = &log->flood[level];
	uint64_t		 second = now();

	if (f->second != second) {
		tell_held(log, level);
		f->second = second;
		f->lines = 0;
	}
	if (f->lines >= LOG_FLOOD) {
		f->held++;
		return false;
	}
	f->lines++;
	return true;
}

static void __attribute__((format(printf, 3, 0)))
line(const struct logctx *lc, enum log_level level, const char *fmt,
    va_list ap)
{
	struct log	*log = lc->log;
	char		 buf[LOG_TEXT_MAX];
	int		 n;

	if (log == NULL || log->put == NULL || log->inside ||
	    level > log->level || !passes(log, level))
		return;
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(buf))
		n = sizeof(buf) - 1;
	put(log, level, &lc->ids, str_make(buf, (size_t)n));
}

void
log_err(const struct logctx *lc, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	line(lc, LOG_ERR, fmt, ap);
	va_end(ap);
}

void
log_warn(const struct logctx *lc, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	line(lc, LOG_WARN, fmt, ap);
	va_end(ap);
}

void
log_info(const struct logctx *lc, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	line(lc, LOG_INFO, fmt, ap);
	va_end(ap);
}

void
log_dbg(const struct logctx *lc, const char *fmt, ...)
{
	va_list	ap;

	/* asked ten times a request, nearly always in vain */
	if (lc->log == NULL || lc->log->level < LOG_DBG)
		return;
	va_start(ap, fmt);
	line(lc, LOG_DBG, fmt, ap);
	va_end(ap);
}

void
log_tick(struct log *log)
{
	uint64_t	second = now();

	if (log->put == NULL || log->inside)
		return;
	for (unsigned i = 0; i < LOG_NLEVEL; i++)
		if (log->flood[i].second != second)
			tell_held(log, (enum log_level)i);
}

/*
 * Stderr may be a terminal: what could command it is escaped.  Nobody
 * could be told of a failure.
 */
static void
put_stderr(struct log *log, enum log_level level, const struct log_ids *ids,
    struct str text)
{
	struct text	t;
	char		buf[LOG_TEXT_MAX + 64];
	ssize_t		ignored;

	(void)log;
	(void)ids;
	text_init_fixed(&t, buf, sizeof(buf) - 1);
	text_add(&t, str_from(log_level_name(level)));
	text_add(&t, STR(": "));
	text_safe(&t, text);
	buf[t.n++] = '\n';
	ignored = write(STDERR_FILENO, buf, t.n);
	(void)ignored;
}

void
log_init_stderr(struct log *log, enum log_level level)
{
	*log = (struct log){ .level = level, .put = put_stderr };
}
