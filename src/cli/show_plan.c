/*
 * A plan as text: one line for each change, the verdict first.
 * sluicectl.
 */
#include "cli/int.h"

#define NAME_WIDTH	16

/* "1 204": a blank before each three digits. */
static void
add_grouped(struct text *t, unsigned long long n)
{
	char buf[32];
	int len = snprintf(buf, sizeof(buf), "%llu", n);

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			text_c(t, ' ');
		text_c(t, buf[i]);
	}
}

static void
add_count(struct text *t, unsigned long long n, const char *what)
{
	add_grouped(t, n);
	text_fmt(t, " %s%s", what, n == 1 ? "" : "s");
}

/* "all live", or how many of each class there are. */
static void
add_classes(struct text *t, const json_t *j, size_t n)
{
	static const char *const names[] = { "live", "roll", "upgrade" };
	const json_t *by = json_object_get(j, "classes");
	const char *sep = ": ";

	if (show_num(by, "live") == n) {
		text_add(t, STR(", all live"));
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (show_num(by, names[i]) == 0)
			continue;
		text_fmt(t, "%s%llu %s", sep, show_num(by, names[i]),
		    names[i]);
		sep = ", ";
	}
}

static void
add_conns(struct text *t, const json_t *j)
{
	const json_t *c = json_object_get(j, "connections");
	unsigned long long open = show_num(c, "open");
	unsigned long long ends = show_num(c, "drained");
	unsigned long long left = show_num(j, "listeners_drained") +
	    json_array_size(json_object_get(j, "retired"));

	add_count(t, open > ends ? open - ends : 0, "connection");
	text_add(t, STR(" untouched"));
	if (ends > 0) {
		text_add(t, STR(", "));
		add_grouped(t, ends);
		text_add(t, STR(" drained"));
	}
	if (left > 0) {
		text_add(t, STR(" but those of "));
		add_count(t, left, "listener");
	}
}

/* "1 worker ends", or that nothing is restarted. */
static void
add_workers(struct text *t, const json_t *w)
{
	unsigned long long old = show_num(w, "old"), new = show_num(w, "new");
	unsigned long long n = new > old ? new - old : old - new;

	if (n == 0) {
		text_add(t, STR("0 restarts"));
		return;
	}
	add_count(t, n, "worker");
	text_fmt(t, " %s%s", new > old ? "start" : "end", n == 1 ? "s" : "");
}

static void
add_head(struct show *s, const json_t *j, size_t n)
{
	struct text *t = &s->out;

	text_fmt(t, "generation %llu -> %llu   (", show_num(j, "generation"),
	    show_num(j, "next"));
	add_count(t, n, "change");
	add_classes(t, j, n);
	text_add(t, STR("; "));
	add_workers(t, json_object_get(j, "workers"));
	text_add(t, STR("; "));
	add_conns(t, j);
	text_add(t, STR(")\n"));
}

/* A text that may be missing: nothing was set, and there is no default. */
static void
add_value(struct show *s, const json_t *c, const char *name)
{
	if (json_is_string(json_object_get(c, name)))
		show_safe(s, c, name);
	else
		text_add(&s->out, STR("(unset)"));
}

/* "cert /x/a.crt: a.test, until 2026-12-01 -> a.test, until 2027-03-01" */
static void
add_file(struct show *s, const json_t *c)
{
	struct str	old = show_str(c, "old"), new = show_str(c, "new");

	text_c(&s->out, ' ');
	show_safe(s, c, "file");
	if (str_eq(show_str(c, "op"), STR("~")) && str_eq(old, new)) {
		text_add(&s->out, STR(" has changed"));
		return;
	}
	text_add(&s->out, STR(": "));
	show_safe(s, c, "old");
	text_add(&s->out, old.n > 0 && new.n > 0 ? STR(" -> ") : STR(""));
	show_safe(s, c, "new");
}

/* "server 10.0.0.7:8080", "timeout.connect 3s -> 1s" */
static void
add_change(struct show *s, const json_t *c)
{
	show_safe(s, c, "key");
	if (json_object_get(c, "file") != NULL)
		add_file(s, c);
	else if (json_is_true(json_object_get(c, "secret"))) {
		text_add(&s->out, STR(" changed"));
	} else if (str_eq(show_str(c, "op"), STR("~"))) {
		text_c(&s->out, ' ');
		add_value(s, c, "old");
		text_add(&s->out, STR(" -> "));
		add_value(s, c, "new");
	} else {
		text_c(&s->out, ' ');
		show_safe(s, c, str_eq(show_str(c, "op"), STR("+")) ? "new" :
		    "old");
	}
}

/* "path = /a, upstream = users" */
static void
add_settings(struct show *s, const json_t *all)
{
	for (size_t i = 0; i < json_array_size(all); i++) {
		if (i > 0)
			text_add(&s->out, STR(", "));
		show_safe(s, json_array_get(all, i), "key");
		text_add(&s->out, STR(" = "));
		show_safe(s, json_array_get(all, i), "value");
	}
}

static void
add_line(struct show *s, const json_t *c)
{
	struct str op = show_str(c, "op");
	const json_t *all = json_object_get(c, "settings");
	size_t at;

	text_add(&s->out, STR("  "));
	show_paint(s, str_eq(op, STR("-")) ? SHOW_BAD :
	    str_eq(op, STR("+")) ? SHOW_GOOD : SHOW_PLAIN, op);
	text_c(&s->out, ' ');
	at = s->out.n;
	show_safe(s, c, "section");
	while (s->out.n < at + NAME_WIDTH)
		text_c(&s->out, ' ');
	text_add(&s->out, STR("  "));
	at = s->out.n;
	if (!json_is_array(all))
		add_change(s, c);
	else if (str_eq(op, STR("+")))
		add_settings(s, all);
	if (!str_eq(show_str(c, "class"), STR("live"))) {
		text_add(&s->out, s->out.n > at ? STR("  [") : STR("["));
		show_safe(s, c, "class");
		text_c(&s->out, ']');
	}
	if (show_str(c, "note").n > 0) {
		text_add(&s->out, s->out.n > at ? STR("  (") : STR("("));
		show_safe(s, c, "note");
		text_c(&s->out, ')');
	}
	while (s->out.n > 0 && s->out.p[s->out.n - 1] == ' ')
		s->out.n--;
	text_c(&s->out, '\n');
}

static struct str
came_by(struct str why)
{
	if (str_eq(why, STR("proxy")))
		return STR(" that came by another proxy_protocol");
	if (str_eq(why, STR("http")))
		return STR(" that speak a version taken out of http");
	return STR(" that came by other terms of TLS");
}

/* Whose clients came by rules that hold no more. */
static void
add_retired(struct show *s, const json_t *all)
{
	const json_t	*c;

	for (size_t i = 0; i < json_array_size(all); i++) {
		c = json_array_get(all, i);
		text_add(&s->out, STR("  connections of listener "));
		show_safe(s, c, "listener");
		text_add(&s->out, came_by(show_str(c, "why")));
		text_add(&s->out, str_eq(show_str(c, "how"), STR("cut")) ?
		    STR(" are cut\n") :
		    STR(" end with the request under way\n"));
	}
}

void
show_plan(struct show *s, const json_t *j)
{
	const json_t *all = json_object_get(j, "changes");
	size_t n = json_array_size(all);

	if (json_array_size(json_object_get(j, "diagnostics")) > 0)
		show_lines(s, show_str(j, "text"));
	if (n == 0) {
		text_fmt(&s->out, "generation %llu: nothing changes\n",
		    show_num(j, "generation"));
		return;
	}
	add_head(s, j, n);
	for (size_t i = 0; i < n; i++)
		add_line(s, json_array_get(all, i));
	add_retired(s, json_object_get(j, "retired"));
}
