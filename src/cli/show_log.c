/*
 * A record of the log as a line for people, as the console of sluiced -f
 * has it.  sluicectl.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/int.h"

/* The clock on the wall here; what is no time stands as it is. */
static void
add_clock(struct show *s, struct str iso)
{
	struct tm	tm = { .tm_isdst = 0 }, local;
	unsigned	ms;
	char		buf[32];
	time_t		at;

	if (str_to_c(iso, buf, sizeof(buf)) == -1 || sscanf(buf,
	    "%4d-%2d-%2dT%2d:%2d:%2d.%3uZ", &tm.tm_year, &tm.tm_mon,
	    &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) != 7) {
		text_safe(&s->out, iso);
		return;
	}
	tm.tm_year -= 1900;
	tm.tm_mon--;
	at = timegm(&tm);
	if (localtime_r(&at, &local) == NULL)
		local = tm;
	text_fmt(&s->out, "%02d:%02d:%02d.%03u", local.tm_hour, local.tm_min,
	    local.tm_sec, ms % 1000);
}

static void
add_pair(struct show *s, const json_t *j, const char *name)
{
	struct str	val = show_str(j, name);
	const char	*quote = str_find(val, ' ', 0) >= 0 ? "\"" : "";

	if (val.n == 0)
		return;
	text_fmt(&s->out, " %s=%s", name, quote);
	text_safe(&s->out, val);
	text_add(&s->out, str_from(quote));
}

static void
add_status(struct show *s, unsigned long long status)
{
	char	buf[24];

	snprintf(buf, sizeof(buf), "%llu", status);
	show_paint(s, status == 0 || status >= 500 ? SHOW_BAD : SHOW_PLAIN,
	    str_from(buf));
}

static void
show_access(struct show *s, const json_t *j)
{
	unsigned long long	us = show_num(j, "duration_us");

	show_safe(s, j, "client");
	text_c(&s->out, ' ');
	show_safe(s, j, "method");
	text_c(&s->out, ' ');
	/* that of a CONNECT is the host already */
	if (!str_eq(show_str(j, "method"), STR("CONNECT")))
		show_safe(s, j, "host");
	show_safe(s, j, "target");
	text_c(&s->out, ' ');
	add_status(s, show_num(j, "status"));
	text_fmt(&s->out, " %lluB %llu.%llums", show_num(j, "bytes_out"),
	    us / 1000, us % 1000 / 100);
	add_pair(s, j, "route");
	add_pair(s, j, "server");
	add_pair(s, j, "grpc_status");
	add_pair(s, j, "fail");
	add_pair(s, j, "cause");
}

static void
show_line(struct show *s, const json_t *j)
{
	struct str	level = show_str(j, "level");

	show_paint(s, str_eq(level, STR("error")) ? SHOW_BAD : SHOW_PLAIN,
	    level);
	text_c(&s->out, ' ');
	show_safe(s, j, "process");
	text_add(&s->out, STR(": "));
	show_safe(s, j, "msg");
}

void
show_log(struct show *s, const json_t *j)
{
	if (json_object_get(j, "dropped") != NULL)
		text_fmt(&s->out, "(%llu records came too fast to be shown)",
		    show_num(j, "dropped"));
	else {
		add_clock(s, show_str(j, "time"));
		text_c(&s->out, ' ');
		if (json_object_get(j, "status") != NULL)
			show_access(s, j);
		else
			show_line(s, j);
	}
	text_c(&s->out, '\n');
}
