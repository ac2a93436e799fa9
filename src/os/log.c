/*
 * Error and event log.  Every process.
 *
 * A line is put together on the stack, so that logging never allocates,
 * and handed to the sink.  A code is a format string, or a word that the
 * caller names, such as a row of the fail table.  Of each code a hundred
 * lines pass in a second, what is held is counted and told when a later
 * second comes, by the next line or by the tick.  Codes that fall on the
 * same place of the table share their hundred while both are about.  A
 * sink that logs itself is not entered twice.
 */
#include "os/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define PROBES	8	/* places that a code may have */

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

/* --- modules --- */

struct str
log_module_of(const char *file)
{
	struct str	s = str_from(file);
	ptrdiff_t	at;

	while ((at = str_find(s, '/', 0)) >= 0)
		s = str_sub(s, (size_t)at + 1, s.n);
	at = str_find(s, '_', 0);
	if (at < 0)
		at = str_find(s, '.', 0);
	return at < 0 ? s : str_sub(s, 0, (size_t)at);
}

void
log_forget_modules(struct log *log)
{
	log->nmodule = 0;
}

int
log_set_module(struct log *log, struct str name, enum log_level level)
{
	struct log_module	*m = log->module;

	while (m < log->module + log->nmodule && !str_eq(m->name, name))
		m++;
	if (m == log->module + LOG_MODULES || name.n > sizeof(m->text))
		return -1;
	if (name.n > 0)
		memcpy(m->text, name.p, name.n);
	m->name = str_make(m->text, name.n);
	m->level = level;
	if (m == log->module + log->nmodule)
		log->nmodule++;
	return 0;
}

static bool
is_wanted(const struct log *log, enum log_level level, struct str module)
{
	for (unsigned i = 0; i < log->nmodule; i++)
		if (str_eq(log->module[i].name, module))
			return level <= log->module[i].level;
	return level <= log->level;
}

/* --- floods --- */

static void
tell_held(struct log *log, struct log_flood *f)
{
	struct log_ids	ids = { .module = "log" };
	struct text	t;
	char		buf[256];

	if (f->held == 0)
		return;
	text_init_fixed(&t, buf, sizeof(buf));
	text_fmt(&t, "log: suppressed %u lines like \"%s\"", f->held,
	    f->code);
	f->held = 0;
	put(log, f->level, &ids, text_str(&t));
}

/*
 * Where the code is counted: its own place, or one nearby that was not used
 * in this second.  Only when all of these are taken, two share one.
 */
static struct log_flood *
find_flood(struct log *log, const char *code, uint64_t second)
{
	uint64_t	 h = (uint64_t)(uintptr_t)code *
	    0x9e3779b97f4a7c15ULL >> 32;
	struct log_flood *f, *found = NULL;

	for (unsigned i = 0; i < PROBES; i++) {
		f = &log->flood[(h + i) % LOG_CODES];
		if (f->code == code)
			return f;
		if (found == NULL && f->second != second)
			found = f;
	}
	return found != NULL ? found : &log->flood[h % LOG_CODES];
}

/* True if one more line of this code may pass now. */
static bool
passes(struct log *log, enum log_level level, const char *code)
{
	uint64_t		 second = now();
	struct log_flood	*f = find_flood(log, code, second);

	if (f->second != second) {
		tell_held(log, f);
		*f = (struct log_flood){ code, second, 0, 0, level };
	}
	if (f->lines >= LOG_FLOOD) {
		f->held++;
		return false;
	}
	f->lines++;
	return true;
}

/* --- lines --- */

void
log_line(const struct logctx *lc, enum log_level level, const char *file,
    const char *fmt, ...)
{
	struct log	*log = lc->log;
	struct log_ids	 ids = lc->ids;
	struct str	 module;
	char		 name[LOG_MODULE_MAX + 1], buf[LOG_TEXT_MAX];
	va_list		 ap;
	int		 n;

	if (log == NULL || log->put == NULL || log->inside ||
	    (log->nmodule == 0 && level > log->level))
		return;
	module = ids.module != NULL && ids.module[0] != '\0' ?
	    str_from(ids.module) : log_module_of(file);
	if (!is_wanted(log, level, module) ||
	    !passes(log, level, ids.code != NULL ? ids.code : fmt))
		return;
	if (str_to_c(str_sub(module, 0, LOG_MODULE_MAX), name,
	    sizeof(name)) == -1)
		name[0] = '\0';
	ids.module = name;
	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(buf))
		n = sizeof(buf) - 1;
	put(log, level, &ids, str_make(buf, (size_t)n));
}

void
log_tick(struct log *log)
{
	uint64_t	second = now();

	if (log->put == NULL || log->inside)
		return;
	for (unsigned i = 0; i < LOG_CODES; i++)
		if (log->flood[i].second != second)
			tell_held(log, &log->flood[i]);
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
