/*
 * Weights and breakers of an upstream's servers as a table.  sluicectl.
 */
#include "cli/int.h"
#include "cli/table.h"

/* Is there more to say than that it is one of equals? */
static bool
is_worth(const json_t *j)
{
	return json_is_object(json_object_get(j, "breaker")) ||
	    json_is_integer(json_object_get(j, "override")) ||
	    json_is_true(json_object_get(j, "backup")) ||
	    show_num(j, "weight") != 1;
}

static void
cell_weight(struct table *t, const json_t *j)
{
	double	now = json_real_value(json_object_get(j, "weight_now"));
	double	want = (double)show_num(j, "weight");

	/* tenths are exact enough to be compared */
	if (now > want + 0.05 || now < want - 0.05)
		table_fmt(t, "%g of %g", now, want);
	else
		table_fmt(t, "%g", want);
}

static void
cell_turn(struct table *t, const json_t *b)
{
	struct str	state = show_str(b, "state");
	char		buf[SHOW_AGE];

	if (str_eq(state, STR("open"))) {
		show_age(buf, show_num(b, "turn_in_ms"));
		table_fmt(t, "open, %s left", buf);
	} else if (str_eq(state, STR("half_open")))
		table_fmt(t, "half_open, %llu let through, %llu good",
		    show_num(b, "let_through"),
		    show_num(b, "answered_well"));
	else
		table_str(t, state.n > 0 ? state : STR("-"));
}

static void
add_server(struct table *t, const json_t *j)
{
	const json_t	*b = json_object_get(j, "breaker");
	struct str	 why = show_str(j, "passed_over");

	table_str(t, show_str(j, "address"));
	cell_weight(t, j);
	table_str(t, json_is_true(json_object_get(j, "backup")) ?
	    STR("backup") : STR("-"));
	table_str(t, why.n > 0 ? why : STR("-"));
	cell_turn(t, b);
	if (!json_is_object(b)) {
		for (int i = 0; i < 4; i++)
			table_str(t, STR("-"));
		return;
	}
	table_fmt(t, "%llu", show_num(b, "failures_in_a_row"));
	table_fmt(t, "%llu", show_num(b, "opened"));
	table_fmt(t, "%llu", show_num(b, "probes"));
	table_fmt(t, "%llu", show_num(b, "probes_lost"));
}

void
show_balance(struct show *s, const json_t *servers)
{
	static const char *const head[] = { "SERVER", ">WEIGHT", "ROLE",
	    "PASSED OVER", "BREAKER", ">IN A ROW", ">OPENED", ">PROBES",
	    ">LOST", NULL };
	struct table	 t;
	bool		 any = false;
	size_t		 i;

	for (i = 0; i < json_array_size(servers); i++)
		any |= is_worth(json_array_get(servers, i));
	if (!any)
		return;
	table_init(&t, head);
	for (i = 0; i < json_array_size(servers); i++)
		add_server(&t, json_array_get(servers, i));
	table_print(&t, 2, &s->out);
	table_fini(&t);
}
