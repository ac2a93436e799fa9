/*
 * Probes of an upstream's servers as a table.  sluicectl.
 */
#include "cli/int.h"
#include "cli/table.h"

static void
cell_num(struct table *t, const json_t *j, const char *name)
{
	table_fmt(t, "%llu", show_num(j, name));
}

static void
cell_last(struct table *t, const json_t *j, unsigned long long now)
{
	unsigned long long ms = show_num(j, "ms");
	struct str fail = show_str(j, "fail");
	char buf[SHOW_AGE];

	if (!json_is_object(j)) {
		table_str(t, STR("-"));
		return;
	}
	show_age(buf, now > ms ? now - ms : 0);
	table_fmt(t, "%.*s %s ago", STR_FMT(fail.n > 0 ? fail : STR("ok")),
	    buf);
}

static void
add_server(struct table *t, const json_t *j, unsigned long long now)
{
	const json_t *p = json_object_get(j, "probe");
	unsigned long long us = show_num(p, "lately_us");

	table_str(t, show_str(j, "address"));
	table_str(t, show_str(p, "type"));
	cell_num(t, p, "probes");
	cell_num(t, p, "failures");
	cell_num(t, p, "late");
	cell_num(t, p, "changes");
	cell_last(t, json_object_get(p, "last"), now);
	if (us == 0)
		table_str(t, STR("-"));
	else
		table_fmt(t, "%llu.%llums", us / 1000, us % 1000 / 100);
	cell_num(t, j, "ejections");
}

void
show_probes(struct show *s, const json_t *servers, unsigned long long now)
{
	static const char *const head[] = { "SERVER", "PROBE", ">PROBES",
	    ">FAILED", ">LATE", ">CHANGES", "LAST PROBE", ">LATELY",
	    ">EJECTIONS", NULL };
	struct table t;
	bool any = false;
	const json_t *j;
	size_t i;

	table_init(&t, head);
	for (i = 0; i < json_array_size(servers); i++) {
		j = json_array_get(servers, i);
		if (!json_is_object(json_object_get(j, "probe")))
			continue;
		add_server(&t, j, now);
		any = true;
	}
	if (any)
		table_print(&t, 2, &s->out);
	table_fini(&t);
}
