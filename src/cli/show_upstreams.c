/*
 * Upstreams and their servers as text.  sluicectl.  The verdict first:
 * whether all servers take requests; then a table for each upstream.
 */
#include "cli/int.h"
#include "cli/table.h"

/* "640us", "12.5ms", "3.2s"; "-" if nothing was timed. */
static void
cell_time(struct table *t, const json_t *j, const char *name)
{
	unsigned long long us = show_num(j, name);

	if (show_num(j, "count") == 0)
		table_str(t, STR("-"));
	else if (us < 1000)
		table_fmt(t, "%lluus", us);
	else if (us < 1000000)
		table_fmt(t, "%llu.%llums", us / 1000, us % 1000 / 100);
	else
		table_fmt(t, "%llu.%llus", us / 1000000,
		    us % 1000000 / 100000);
}

static void
cell_num(struct table *t, const json_t *j, const char *name)
{
	table_fmt(t, "%llu", show_num(j, name));
}

static void
cell_limit(struct table *t, const json_t *j, const char *name)
{
	if (show_num(j, name) == 0)
		table_str(t, STR("-"));
	else
		cell_num(t, j, name);
}

static void
cell_age(struct table *t, unsigned long long now, unsigned long long then)
{
	char buf[SHOW_AGE];

	show_age(buf, now > then ? now - then : 0);
	table_str(t, str_from(buf));
}

static void
cell_last(struct table *t, const json_t *j, unsigned long long now)
{
	unsigned long long ms = show_num(j, "ms");
	char buf[SHOW_AGE];

	if (!json_is_object(j)) {
		table_str(t, STR("-"));
		return;
	}
	show_age(buf, now > ms ? now - ms : 0);
	table_fmt(t, "%.*s %s ago", STR_FMT(show_str(j, "fail")), buf);
}

/* Spoken last; those of 2 have many requests on a connection. */
static void
cell_http(struct table *t, const json_t *j)
{
	unsigned long long n = show_num(j, "http");

	table_str(t, n == 2 ? STR("2") : n == 1 ? STR("1.1") : STR("-"));
}

static void
add_server(struct table *t, const json_t *j, unsigned long long now)
{
	const json_t *c = json_object_get(j, "connections");
	const json_t *f = json_object_get(j, "first_byte");
	struct str why = show_str(j, "why");

	table_str(t, show_str(j, "address"));
	table_str(t, show_str(j, "state"));
	table_str(t, why.n > 0 ? why : STR("-"));
	cell_age(t, now, show_num(j, "since_ms"));
	cell_http(t, j);
	cell_num(t, j, "attempts");
	cell_num(t, j, "failures");
	cell_last(t, json_object_get(j, "last_failure"), now);
	cell_num(t, c, "active");
	cell_num(t, c, "idle");
	cell_num(t, c, "open");
	cell_limit(t, j, "max_conns");
	cell_time(t, f, "lately_us");
	cell_time(t, f, "p50_us");
	cell_time(t, f, "p99_us");
}

/* Said of an upstream where requests ever had to wait. */
static void
add_queue(struct show *s, const json_t *q)
{
	if (show_num(q, "waited") + show_num(q, "refused") == 0)
		return;
	text_fmt(&s->out, ", queue: %llu wait, %llu have, %llu in vain, "
	    "%llu found it full",
	    (unsigned long long)show_num(q, "waiting"),
	    (unsigned long long)show_num(q, "waited"),
	    (unsigned long long)show_num(q, "timed_out"),
	    (unsigned long long)show_num(q, "refused"));
}

/* Servers of an upstream, and how many of them are up. */
static void
count(const json_t *up, size_t *servers, size_t *good)
{
	const json_t *all = json_object_get(up, "servers");
	struct str state;
	size_t i;

	for (i = 0; i < json_array_size(all); i++) {
		state = show_str(json_array_get(all, i), "state");
		/* what is not configured any more is missed by nobody */
		if (str_eq(state, STR("removed")))
			continue;
		++*servers;
		*good += str_eq(state, STR("up")) ||
		    str_eq(state, STR("slow_start"));
	}
}

/* Which servers are asked, where it is not simply all. */
static void
add_view(struct show *s, const json_t *j)
{
	struct str tier = show_str(j, "tier");
	unsigned long long n = show_num(j, "usable");
	size_t all = 0, good = 0;

	count(j, &all, &good);
	if (tier.n == 0 || (str_eq(tier, STR("main")) && n == all))
		return;
	text_fmt(&s->out, ", %llu of %zu usable", n, all);
	if (!str_eq(tier, STR("main"))) {
		text_add(&s->out, STR(" ("));
		show_paint(s, SHOW_BAD, tier);
		text_c(&s->out, ')');
	}
}

/* "failures: dial_refused 12, server_error 3" */
static void
add_failures(struct show *s, const json_t *all)
{
	const char *name;
	json_t *n;
	bool any = false;

	/* the iterator of jansson takes no const */
	json_object_foreach((json_t *)(uintptr_t)all, name, n) {
		text_add(&s->out, any ? STR(", ") : STR("  failures: "));
		text_safe(&s->out, str_from(name));
		text_fmt(&s->out, " %llu", (unsigned long long)
		    json_integer_value(n));
		any = true;
	}
	if (any)
		text_c(&s->out, '\n');
}

/* "retries: 12 for 300 requests, 3 refused, 1 cut, 29 left" */
static void
add_retries(struct show *s, const json_t *j)
{
	if (show_num(j, "made") + show_num(j, "refused") == 0)
		return;
	text_fmt(&s->out, "  retries: %llu for %llu requests, %llu refused, "
	    "%llu cut, %llu left\n",
	    (unsigned long long)show_num(j, "made"),
	    (unsigned long long)show_num(j, "requests"),
	    (unsigned long long)show_num(j, "refused"),
	    (unsigned long long)show_num(j, "cut"),
	    (unsigned long long)show_num(j, "left"));
}

static void
add_upstream(struct show *s, const json_t *j, unsigned long long now)
{
	static const char *const head[] = { "SERVER", "STATE", "WHY",
	    ">SINCE", ">HTTP", ">ATTEMPTS", ">FAILED", "LAST FAILURE",
	    ">ACTIVE", ">IDLE", ">OPEN", ">MAX", ">LATELY",
	    ">P50", ">P99", NULL };
	const json_t *all = json_object_get(j, "servers");
	struct str balance = show_str(j, "balance");
	struct table t;
	size_t i;

	text_c(&s->out, '\n');
	show_safe(s, j, "name");
	if (balance.n > 0) {
		text_add(&s->out, STR(", "));
		text_safe(&s->out, balance);
	}
	add_view(s, j);
	add_queue(s, json_object_get(j, "queue"));
	text_c(&s->out, '\n');
	table_init(&t, head);
	for (i = 0; i < json_array_size(all); i++)
		add_server(&t, json_array_get(all, i), now);
	table_print(&t, 2, &s->out);
	table_fini(&t);
	show_probes(s, all, now);
	show_balance(s, all);
	add_failures(s, json_object_get(j, "failures"));
	add_retries(s, json_object_get(j, "retries"));
}

void
show_upstreams(struct show *s, const json_t *j)
{
	const json_t *all = json_object_get(j, "upstreams");
	size_t i, n = json_array_size(all), servers = 0, good = 0;
	char buf[64];

	for (i = 0; i < n; i++)
		count(json_array_get(all, i), &servers, &good);
	snprintf(buf, sizeof(buf), "%zu of %zu servers up", good, servers);
	show_paint(s, good == servers ? SHOW_GOOD : SHOW_BAD,
	    str_from(buf));
	text_fmt(&s->out, " in %zu upstream%s\n", n, n == 1 ? "" : "s");
	for (i = 0; i < n; i++)
		add_upstream(s, json_array_get(all, i),
		    show_num(j, "now_ms"));
}
