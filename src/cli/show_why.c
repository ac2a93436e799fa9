/*
 * Failures as text: what one means and what to do about it, or all of
 * them with how often they were seen.  sluicectl.
 */
#include "cli/int.h"
#include "cli/table.h"

static void
add_line(struct show *s, const char *name)
{
	text_fmt(&s->out, "  %-8s ", name);
}

static bool
is_true(const json_t *j, const char *name)
{
	return json_is_true(json_object_get(j, name));
}

static void
add_answer(struct show *s, const json_t *j)
{
	struct str proxy = show_str(j, "proxy_status");

	add_line(s, "answer");
	if (is_true(j, "answer_cut")) {
		text_add(&s->out, STR("its head was sent, so the client gets "
		    "it cut\n"));
		return;
	}
	if (is_true(j, "of_attempts")) {
		text_add(&s->out, STR("a server's: this ends an attempt, and "
		    "no request\n"));
		return;
	}
	if (show_num(j, "status") == 0)
		text_add(&s->out, STR("none, the connection closes"));
	else
		text_fmt(&s->out, "status %llu%s", show_num(j, "status"),
		    is_true(j, "closes_connection") ?
		    ", then the connection closes" : "");
	if (proxy.n > 0) {
		text_add(&s->out, STR("; Proxy-Status: error="));
		text_safe(&s->out, proxy);
	}
	text_c(&s->out, '\n');
}

static void
add_retry(struct show *s, const json_t *j)
{
	struct str how = show_str(j, "retry");

	if (show_str(j, "proxy_status").n == 0)
		return;
	add_line(s, "retry");
	if (str_eq(how, STR("always")))
		text_add(&s->out, STR("at another server, for nothing was "
		    "sent"));
	else if (str_eq(how, STR("idempotent")))
		text_add(&s->out, STR("if the request may be sent twice"));
	else
		text_add(&s->out, STR("never"));
	text_fmt(&s->out, "; it %s against the server\n",
	    is_true(j, "counts_against_server") ? "counts" :
	    "does not count");
}

static void
add_last(struct show *s, const json_t *j, unsigned long long now)
{
	unsigned long long ms = show_num(j, "ms");
	char buf[SHOW_AGE];

	if (!json_is_object(j))
		return;
	show_age(buf, now > ms ? now - ms : 0);
	add_line(s, "last");
	text_fmt(&s->out, "%s ago", buf);
	if (show_str(j, "id").n > 0) {
		text_add(&s->out, STR(", request "));
		show_safe(s, j, "id");
	}
	if (show_str(j, "server").n > 0) {
		text_add(&s->out, STR(", server "));
		show_safe(s, j, "server");
	}
	if (show_str(j, "upstream").n > 0) {
		text_add(&s->out, STR(" of upstream "));
		show_safe(s, j, "upstream");
	}
	if (show_str(j, "client").n > 0) {
		text_add(&s->out, STR(", client "));
		show_safe(s, j, "client");
	}
	text_c(&s->out, '\n');
}

static void
add_count(struct show *s, unsigned long long n, const char *what)
{
	text_fmt(&s->out, "%llu %s%s", n, what, n == 1 ? "" : "s");
}

static void
add_seen(struct show *s, const json_t *j, unsigned long long now)
{
	/* of a sluiced that does not run, nothing is known */
	if (json_object_get(j, "requests") == NULL)
		return;
	add_line(s, "seen");
	add_count(s, show_num(j, "requests"), "request");
	if (show_str(j, "proxy_status").n > 0) {
		text_add(&s->out, STR(", "));
		add_count(s, show_num(j, "attempts"), "attempt");
	}
	text_add(&s->out, STR(" ended with it"));
	text_c(&s->out, '\n');
	add_last(s, json_object_get(j, "last"), now);
}

static void
add_one(struct show *s, const json_t *j, unsigned long long now)
{
	show_paint(s, SHOW_BAD, show_str(j, "name"));
	text_add(&s->out, STR(": "));
	show_safe(s, j, "text");
	text_c(&s->out, '\n');
	add_line(s, "do");
	show_safe(s, j, "advice");
	text_c(&s->out, '\n');
	add_answer(s, j);
	add_retry(s, j);
	add_seen(s, j, now);
}

static void
add_row(struct table *t, const json_t *j, unsigned long long now)
{
	const json_t *last = json_object_get(j, "last");
	unsigned long long ms = show_num(last, "ms");
	char buf[SHOW_AGE] = "-";

	if (json_is_object(last))
		show_age(buf, now > ms ? now - ms : 0);
	table_str(t, show_str(j, "name"));
	table_fmt(t, "%llu", show_num(j, "status"));
	table_fmt(t, "%llu", show_num(j, "requests"));
	table_fmt(t, "%llu", show_num(j, "attempts"));
	table_str(t, str_from(buf));
	table_str(t, show_str(j, "text"));
}

void
show_why(struct show *s, const json_t *j)
{
	static const char *const head[] = { "FAILURE", ">STATUS",
	    ">REQUESTS", ">ATTEMPTS", ">LAST", "WHAT IT IS", NULL };
	const json_t *all = json_object_get(j, "failures");
	unsigned long long now = show_num(j, "now_ms");
	struct table t;
	size_t i;

	if (json_array_size(all) == 1) {
		add_one(s, json_array_get(all, 0), now);
		return;
	}
	table_init(&t, head);
	for (i = 0; i < json_array_size(all); i++)
		add_row(&t, json_array_get(all, i), now);
	table_print(&t, 0, &s->out);
	table_fini(&t);
}
