/*
 * sluicectl names, as text.
 */
#include "cli/int.h"
#include "cli/table.h"

/* "10.0.0.5:80 10.0.0.6:80 weight=2" */
static void
cell_addresses(struct table *t, const json_t *all)
{
	const json_t		*a;
	struct text		 out;
	unsigned long long	 weight;

	text_init(&out);
	for (size_t i = 0; i < json_array_size(all); i++) {
		a = json_array_get(all, i);
		text_add(&out, i > 0 ? STR(" ") : STR(""));
		text_add(&out, show_str(a, "address"));
		weight = show_num(a, "weight");
		if (weight != 1)
			text_fmt(&out, " weight=%llu", weight);
	}
	table_str(t, out.n > 0 ? text_str(&out) : STR("none"));
	text_fini(&out);
}

void
show_names(struct show *s, const json_t *j)
{
	static const char *const head[] = { "UPSTREAM", "SERVER", "STATE",
	    ">AGAIN IN", "ADDRESSES", "WHY", NULL };
	const json_t	*all = json_object_get(j, "names");
	const json_t	*n;
	struct table	 t;

	text_fmt(&s->out, "%llu names, asked of ",
	    (unsigned long long)json_array_size(all));
	show_safe(s, j, "resolver");
	text_add(&s->out, STR("\n\n"));
	table_init(&t, head);
	for (size_t i = 0; i < json_array_size(all); i++) {
		n = json_array_get(all, i);
		table_str(&t, show_str(n, "upstream"));
		table_str(&t, show_str(n, "server"));
		table_str(&t, show_str(n, "state"));
		table_fmt(&t, "%llu ms", show_num(n, "again_ms"));
		cell_addresses(&t, json_object_get(n, "addresses"));
		table_str(&t, show_str(n, "why"));
	}
	table_print(&t, 0, &s->out);
	table_fini(&t);
}
