/*
 * Records as lines that people read on a terminal.  Logger.
 *
 *	08:49:37.123 info worker 2: listener "web": accepts again
 *	08:49:37.123 127.0.0.1 GET example.com/x 200 1234B 0.8ms route=www
 *
 * What a client sent (target, host) or a process found in a header may
 * hold anything: every text goes through text_safe.  Long ones are cut,
 * the file has them in full.
 */
#include "core/record.h"

#include <stdio.h>
#include <time.h>

#define RED	"\033[31m"
#define YELLOW	"\033[33m"
#define DIM	"\033[2m"
#define PLAIN	"\033[0m"

/* bytes shown; escaped they are four times as many */
#define METHOD_MAX	32
#define HOST_MAX	255
#define TARGET_MAX	400
#define VALUE_MAX	255
#define TEXT_MAX	900

static void
add_clock(struct text *t, uint64_t ms)
{
	time_t		s = (time_t)(ms / 1000);
	struct tm	tm;

	if (localtime_r(&s, &tm) == NULL)
		tm = (struct tm){ .tm_sec = 0 };
	text_fmt(t, "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min, tm.tm_sec,
	    (unsigned)(ms % 1000));
}

/* " name=value", quoted where it holds blanks. */
static void
add_pair(struct text *t, const char *name, struct str value)
{
	bool	quoted = str_find(value, ' ', 0) >= 0;

	if (value.n == 0)
		return;
	text_fmt(t, " %s=", name);
	if (quoted)
		text_c(t, '"');
	text_safe(t, str_sub(value, 0, VALUE_MAX));
	if (quoted)
		text_c(t, '"');
}

static const char *
status_colour(uint64_t status)
{
	if (status == 0 || status >= 500)
		return RED;
	return status >= 400 ? YELLOW : "";
}

static void
add_request(struct text *t, const struct rec_access *r,
    const struct str str[ACCESS_N])
{
	text_c(t, ' ');
	sock_peer_text(t, &r->peer);
	text_c(t, ' ');
	text_safe(t, str_sub(str[ACCESS_METHOD], 0, METHOD_MAX));
	text_c(t, ' ');
	/* that of a CONNECT is the host already */
	if (!str_eq(str[ACCESS_METHOD], STR("CONNECT")))
		text_safe(t, str_sub(str[ACCESS_HOST], 0, HOST_MAX));
	text_safe(t, str_sub(str[ACCESS_TARGET], 0, TARGET_MAX));
}

static int
access_text(struct text *t, struct str record, bool colour)
{
	struct rec_access	r;
	struct str		str[ACCESS_N];
	const char		*paint;

	if (record_read_access(record, &r, str) == -1)
		return -1;
	paint = colour ? status_colour(r.num[ACCESS_STATUS]) : "";
	add_clock(t, r.num[ACCESS_TIME]);
	add_request(t, &r, str);
	text_fmt(t, " %s%u%s %lluB %llu.%llums", paint,
	    (unsigned)r.num[ACCESS_STATUS], paint[0] != '\0' ? PLAIN : "",
	    (unsigned long long)r.num[ACCESS_BYTES_OUT],
	    (unsigned long long)r.num[ACCESS_DURATION] / 1000,
	    (unsigned long long)r.num[ACCESS_DURATION] % 1000 / 100);
	add_pair(t, "route", str[ACCESS_ROUTE]);
	add_pair(t, "server", str[ACCESS_SERVER]);
	add_pair(t, "grpc_status", str[ACCESS_GRPC_STATUS]);
	add_pair(t, "fail", str[ACCESS_FAIL]);
	add_pair(t, "cause", str[ACCESS_CAUSE]);
	return 0;
}

static int
line_text(struct text *t, struct str record, bool colour)
{
	static const char *const	paints[LOG_NLEVEL] = {
		[LOG_ERR] = RED, [LOG_WARN] = YELLOW, [LOG_INFO] = "",
		[LOG_DBG] = DIM,
	};
	struct rec_line		r;
	struct rec_words	w;
	const char		*paint;

	if (record_read_line(record, &r, &w) == -1)
		return -1;
	paint = colour ? paints[r.level] : "";
	add_clock(t, r.wall_ms);
	text_fmt(t, " %s%s%s ", paint,
	    log_level_name((enum log_level)r.level),
	    paint[0] != '\0' ? PLAIN : "");
	text_safe(t, w.role);
	if (r.index != 0)
		text_fmt(t, " %u", r.index);
	text_add(t, STR(": "));
	text_safe(t, str_sub(w.text, 0, TEXT_MAX));
	return 0;
}

int
record_text(struct text *t, struct str record, bool colour)
{
	char		copy[RECORD_MAX];
	struct str	own;

	if (record.n == 0 || record.n > sizeof(copy))
		return -1;
	memcpy(copy, record.p, record.n);
	own = str_make(copy, record.n);
	switch (record_kind(own)) {
	case RECORD_ACCESS:
		return access_text(t, own, colour);
	case RECORD_LINE:
		return line_text(t, own, colour);
	case RECORD_NONE:
		break;
	}
	return -1;
}
