/*
 * Text for people.  sluicectl.  First one line with the verdict, then what
 * explains it, then a table.  Strings are of another process: they are
 * escaped before a terminal sees them.
 */
#include "cli/show.h"

#include <string.h>
#include <time.h>

#include "cli/int.h"
#include "cli/table.h"

#define BEAT_LATE	3000	/* ms; the master acts at 10 s */

/* --- values --- */

struct str
show_str(const json_t *j, const char *name)
{
	const json_t *v = json_object_get(j, name);

	if (!json_is_string(v))
		return STR("");
	return str_make(json_string_value(v), json_string_length(v));
}

unsigned long long
show_num(const json_t *j, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(j, name));

	return v < 0 ? 0 : (unsigned long long)v;
}

static bool
is_true(const json_t *j, const char *name)
{
	return json_is_true(json_object_get(j, name));
}

void
show_safe(struct show *s, const json_t *j, const char *name)
{
	text_safe(&s->out, show_str(j, name));
}

void
show_paint(struct show *s, enum show_color p, struct str word)
{
	if (s->color && p != SHOW_PLAIN)
		text_add(&s->out, p == SHOW_GOOD ? STR("\033[1;32m") :
		    STR("\033[1;31m"));
	text_safe(&s->out, word);
	if (s->color && p != SHOW_PLAIN)
		text_add(&s->out, STR("\033[0m"));
}

/* "2026-11-21 01:45:36" of the clock on the wall here. */
static void
add_time(struct text *t, unsigned long long ms)
{
	time_t sec = (time_t)(ms / 1000);
	char buf[32];
	struct tm tm;

	if (localtime_r(&sec, &tm) == NULL ||
	    strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		buf[0] = '\0';
	text_add(t, str_from(buf));
}

void
show_age(char out[SHOW_AGE], unsigned long long ms)
{
	static const struct {
		unsigned long long	sec;
		unsigned long long	part;
		char			unit, small;
	} steps[] = {
		{ 86400, 3600, 'd', 'h' }, { 3600, 60, 'h', 'm' },
		{ 60, 1, 'm', 's' },
	};
	unsigned long long s = ms / 1000;
	size_t i = 0;

	while (i < sizeof(steps) / sizeof(steps[0]) && s < steps[i].sec)
		i++;
	if (s == 0)
		snprintf(out, SHOW_AGE, "%llums", ms);
	else if (i == sizeof(steps) / sizeof(steps[0]))
		snprintf(out, SHOW_AGE, "%llus", s);
	else
		snprintf(out, SHOW_AGE, "%llu%c %llu%c", s / steps[i].sec,
		    steps[i].unit, s % steps[i].sec / steps[i].part,
		    steps[i].small);
}

static void
cell_age(struct table *t, unsigned long long ms)
{
	char buf[SHOW_AGE];

	show_age(buf, ms);
	table_str(t, str_from(buf));
}

static void
cell_num(struct table *t, const json_t *j, const char *name)
{
	table_fmt(t, "%llu", show_num(j, name));
}

static void
cell_percent(struct table *t, unsigned long long permille)
{
	table_fmt(t, "%llu.%llu%%", permille / 10, permille % 10);
}

/* --- version --- */

void
show_version(struct show *s, const json_t *j)
{
	const json_t *libs = json_object_get(j, "libraries");
	json_t *each = (json_t *)(uintptr_t)libs;
	void *it;

	show_safe(s, j, "program");
	text_c(&s->out, ' ');
	show_safe(s, j, "version");
	for (it = json_object_iter(each); it != NULL;
	    it = json_object_iter_next(each, it)) {
		text_add(&s->out, STR(", "));
		text_safe(&s->out, str_from(json_object_iter_key(it)));
		text_c(&s->out, ' ');
		text_safe(&s->out, show_str(libs, json_object_iter_key(it)));
	}
	text_c(&s->out, '\n');
}

/* --- status --- */

/* At night this line is all that is read. */
static void
add_verdict(struct show *s, const json_t *j)
{
	const json_t *workers = json_object_get(j, "workers");
	bool ready = is_true(j, "ready");
	bool all = show_num(workers, "serving") >= show_num(workers, "wanted");
	char up[SHOW_AGE];

	show_age(up, show_num(j, "uptime_ms"));
	show_paint(s, ready && all ? SHOW_GOOD : SHOW_BAD,
	    ready ? STR("serving") : STR("NOT serving"));
	if (!ready) {
		text_add(&s->out, STR(" ("));
		show_safe(s, j, "state");
		text_c(&s->out, ')');
	}
	text_fmt(&s->out, ": generation %llu, up %s since ",
	    show_num(j, "generation"), up);
	add_time(&s->out, show_num(j, "started_ms"));
	text_fmt(&s->out, ", pid %llu, sluice ", show_num(j, "pid"));
	show_safe(s, j, "version");
	text_c(&s->out, '\n');
}

static void
add_config(struct show *s, const json_t *j)
{
	const json_t *r = json_object_get(j, "reloads");
	struct str file = show_str(j, "file");

	text_add(&s->out, STR("config    loaded "));
	add_time(&s->out, show_num(j, "generation_ms"));
	text_add(&s->out, STR(" from "));
	text_safe(&s->out, file.n > 0 ? file : STR("built-in defaults"));
	text_fmt(&s->out, "; %llu published, %llu failed\n",
	    show_num(r, "published"), show_num(r, "failed"));
}

/* Only when it is not as it should be. */
static void
add_log(struct show *s, const json_t *j)
{
	const json_t *l = json_object_get(j, "log");

	if (is_true(l, "failing")) {
		text_add(&s->out, STR("log       "));
		show_paint(s, SHOW_BAD, STR("the file takes nothing"));
		text_fmt(&s->out, "; %llu bytes of records wait in memory, "
		    "%llu records dropped\n", show_num(l, "waiting_bytes"),
		    show_num(l, "dropped"));
	} else if (show_num(l, "dropped") > 0)
		text_fmt(&s->out, "log       %llu records dropped\n",
		    show_num(l, "dropped"));
}

/* In flight is what began and neither ended nor was lost. */
static void
add_load(struct show *s, const json_t *j)
{
	const json_t *w = json_object_get(j, "workers");
	const json_t *sum = json_object_get(j, "sums");
	unsigned long long begun = show_num(sum, "requests_started_total");
	unsigned long long done = show_num(sum, "requests_total");
	unsigned long long lost = show_num(sum, "requests_worker_lost_total");

	text_fmt(&s->out, "workers   %llu of %llu serving; processes "
	    "restarted: %llu\n", show_num(w, "serving"), show_num(w, "wanted"),
	    show_num(j, "restarts"));
	text_fmt(&s->out, "load      %llu connections; %llu requests done, "
	    "%llu in flight, %llu lost\n", show_num(sum, "connections"),
	    done, begun > done + lost ? begun - done - lost : 0, lost);
}

/* What is not as it should be, in a word or two. */
static void
cell_note(struct table *t, const json_t *p)
{
	struct str state = show_str(p, "state");

	if (show_num(p, "beat_age_ms") > BEAT_LATE)
		table_str(t, STR("no heartbeat"));
	else if (!str_eq(state, STR("serving")))
		table_str(t, STR(""));
	else if (is_true(p, "stepped_back"))
		table_str(t, STR("steps back from accepting"));
	else if (show_num(p, "generations") > 1)
		table_fmt(t, "still uses %llu older",
		    show_num(p, "generations") - 1);
	else
		table_str(t, STR(""));
}

static void
add_processes(struct show *s, const json_t *all)
{
	static const char *const head[] = { "PROCESS", ">PID", "STATE",
	    ">GEN", ">UP", ">BEAT", ">BUSY", ">CONNS", ">REQUESTS",
	    ">IN FLIGHT", "NOTE", NULL };
	struct table t;
	const json_t *p;
	size_t i;

	table_init(&t, head);
	for (i = 0; i < json_array_size(all); i++) {
		p = json_array_get(all, i);
		table_str(&t, show_str(p, "name"));
		cell_num(&t, p, "pid");
		table_str(&t, show_str(p, "state"));
		cell_num(&t, p, "generation");
		cell_age(&t, show_num(p, "uptime_ms"));
		cell_age(&t, show_num(p, "beat_age_ms"));
		cell_percent(&t, show_num(p, "busy_permille"));
		cell_num(&t, p, "connections");
		cell_num(&t, p, "requests");
		cell_num(&t, p, "in_flight");
		cell_note(&t, p);
	}
	table_print(&t, 0, &s->out);
	table_fini(&t);
}

void
show_status(struct show *s, const json_t *j)
{
	add_verdict(s, j);
	add_config(s, j);
	add_load(s, j);
	add_log(s, j);
	text_c(&s->out, '\n');
	add_processes(s, json_object_get(j, "processes"));
}

/* --- generations --- */

void
show_generations(struct show *s, const json_t *j)
{
	static const char *const head[] = { "PROCESS", ">PID", ">GEN",
	    ">IN USE", NULL };
	const json_t *all = json_object_get(j, "processes"), *p;
	struct table t;
	size_t i;

	text_fmt(&s->out, "generation %llu is live since ",
	    show_num(j, "generation"));
	add_time(&s->out, show_num(j, "generation_ms"));
	text_fmt(&s->out, "; a process may use %llu at a time\n\n",
	    show_num(j, "max"));
	table_init(&t, head);
	for (i = 0; i < json_array_size(all); i++) {
		p = json_array_get(all, i);
		table_str(&t, show_str(p, "name"));
		cell_num(&t, p, "pid");
		cell_num(&t, p, "generation");
		cell_num(&t, p, "generations");
	}
	table_print(&t, 0, &s->out);
	table_fini(&t);
}

/* --- metrics --- */

void
show_metrics(struct show *s, const json_t *j)
{
	static const char *const head[] = { "NAME", ">SUM", "WHAT IT IS",
	    NULL };
	const json_t *all = json_object_get(j, "metrics"), *m;
	struct table t;
	size_t i;

	table_init(&t, head);
	for (i = 0; i < json_array_size(all); i++) {
		m = json_array_get(all, i);
		/* of what never failed there are too many */
		if (show_str(m, "fail").n > 0 && show_num(m, "sum") == 0)
			continue;
		if (show_str(m, "fail").n > 0)
			table_fmt(&t, "%.*s{fail=\"%.*s\"}",
			    STR_FMT(show_str(m, "name")),
			    STR_FMT(show_str(m, "fail")));
		else
			table_str(&t, show_str(m, "name"));
		/* of what is left there may be less than nothing */
		table_fmt(&t, "%lld", (long long)json_integer_value(
		    json_object_get(m, "sum")));
		table_str(&t, show_str(m, "help"));
	}
	table_print(&t, 0, &s->out);
	table_fini(&t);
}

/* --- reload, roll, errors --- */

void
show_lines(struct show *s, struct str text)
{
	struct str line;

	while (str_word(&text, "\n", &line)) {
		text_safe(&s->out, line);
		text_c(&s->out, '\n');
	}
}

void
show_reload(struct show *s, const json_t *j)
{
	/* without any there is but a line that says so */
	if (json_array_size(json_object_get(j, "diagnostics")) > 0)
		show_lines(s, show_str(j, "text"));
	show_paint(s, SHOW_GOOD, STR("reloaded"));
	text_fmt(&s->out, ": generation %llu is live\n",
	    show_num(j, "generation"));
}

void
show_roll(struct show *s, const json_t *j)
{
	(void)j;
	show_paint(s, SHOW_GOOD, STR("rolled"));
	text_add(&s->out, STR(": every worker was replaced\n"));
}

void
show_error(struct show *s, const json_t *j)
{
	show_lines(s, show_str(j, "text"));
	text_add(&s->out, STR("sluicectl: "));
	show_paint(s, SHOW_BAD, show_str(j, "error"));
	text_add(&s->out, STR(": "));
	show_safe(s, j, "why");
	if (show_num(j, "generation") > 0)
		text_fmt(&s->out, "; generation %llu stays live",
		    show_num(j, "generation"));
	text_c(&s->out, '\n');
}

/* --- board --- */

static void
add_slots(struct show *s, const json_t *all)
{
	static const char *const head[] = { ">SLOT", "PROCESS", ">PID",
	    "STATE", ">GEN", ">IN USE", ">BEAT", ">BUSY", ">ACCEPTS",
	    ">STARTED", ">FINISHED", NULL };
	struct table t;
	const json_t *p;
	size_t i;

	table_init(&t, head);
	for (i = 0; i < json_array_size(all); i++) {
		p = json_array_get(all, i);
		cell_num(&t, p, "slot");
		table_str(&t, show_str(p, "name"));
		cell_num(&t, p, "pid");
		table_str(&t, show_str(p, "state"));
		cell_num(&t, p, "generation");
		cell_num(&t, p, "generations");
		cell_age(&t, show_num(p, "beat_age_ms"));
		cell_percent(&t, show_num(p, "busy_permille"));
		cell_num(&t, p, "accepts");
		cell_num(&t, p, "started");
		cell_num(&t, p, "finished");
	}
	table_print(&t, 0, &s->out);
	table_fini(&t);
}

static void
add_regions(struct show *s, const json_t *all)
{
	static const char *const head[] = { "REGION", "SEGMENT", ">ROWS",
	    ">BYTES A ROW", "WHAT IT IS", NULL };
	struct table t;
	const json_t *r;
	size_t i;

	table_init(&t, head);
	for (i = 0; i < json_array_size(all); i++) {
		r = json_array_get(all, i);
		table_str(&t, show_str(r, "name"));
		table_str(&t, show_str(r, "segment"));
		cell_num(&t, r, "rows");
		cell_num(&t, r, "stride");
		table_str(&t, show_str(r, "text"));
	}
	text_c(&s->out, '\n');
	table_print(&t, 0, &s->out);
	table_fini(&t);
}

static void
add_stats(struct show *s, const json_t *all)
{
	static const char *const head[] = { "COUNTER", "PROCESS", ">VALUE",
	    NULL };
	struct table t;
	const json_t *r;
	size_t i;

	table_init(&t, head);
	for (i = 0; i < json_array_size(all); i++) {
		r = json_array_get(all, i);
		table_str(&t, show_str(r, "name"));
		table_str(&t, show_str(r, "process"));
		cell_num(&t, r, "value");
	}
	text_c(&s->out, '\n');
	table_print(&t, 0, &s->out);
	table_fini(&t);
}

void
show_board(struct show *s, const json_t *j)
{
	const json_t *g = json_object_get(j, "global");

	text_fmt(&s->out, "board: generation %llu, %llu published, %llu "
	    "failed; %llu workers wanted, %llu restarts\n\n",
	    show_num(g, "generation"), show_num(g, "reloads"),
	    show_num(g, "reloads_failed"), show_num(g, "nworker"),
	    show_num(g, "restarts"));
	add_slots(s, json_object_get(j, "slots"));
	if (json_object_get(j, "regions") == NULL)
		return;
	add_regions(s, json_object_get(j, "regions"));
	add_stats(s, json_object_get(j, "stats"));
}
