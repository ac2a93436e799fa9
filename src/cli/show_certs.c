/*
 * sluicectl certs, as text.
 */
#include "cli/int.h"
#include "cli/table.h"

#include <time.h>

#define NAMES_SHOWN	4

/* "a.example b.example +3" */
static void
cell_words(struct table *t, const json_t *all)
{
	size_t		n = json_array_size(all);
	struct text	out;
	const char	*s;

	text_init(&out);
	for (size_t i = 0; i < n && i < NAMES_SHOWN; i++) {
		s = json_string_value(json_array_get(all, i));
		text_fmt(&out, "%s%s", i > 0 ? " " : "", s == NULL ? "" : s);
	}
	if (n > NAMES_SHOWN)
		text_fmt(&out, " +%zu", n - NAMES_SHOWN);
	table_str(t, out.n > 0 ? text_str(&out) : STR("-"));
	text_fini(&out);
}

/* With the time of day if it is near. */
static void
cell_day(struct table *t, const json_t *c, const char *key)
{
	time_t		at = (time_t)json_integer_value(
	    json_object_get(c, key));
	json_int_t	days = json_integer_value(json_object_get(c, "days"));
	struct tm	tm;
	char		buf[32] = "-";

	if (gmtime_r(&at, &tm) != NULL)
		strftime(buf, sizeof(buf), days >= -2 && days < 2 ?
		    "%Y-%m-%d %H:%M:%S" : "%Y-%m-%d", &tm);
	table_str(t, str_from(buf));
}

static void
row(struct table *t, const json_t *c)
{
	bool	dev = json_is_true(json_object_get(c, "dev"));

	table_str(t, dev ? STR("(dev)") : show_str(c, "cert"));
	table_str(t, show_str(c, "kind"));
	table_fmt(t, "%lld", (long long)json_integer_value(
	    json_object_get(c, "days")));
	cell_day(t, c, "until");
	table_fmt(t, "%llu", show_num(c, "shown"));
	table_str(t, json_is_true(json_object_get(c, "default")) ?
	    STR("yes") : STR(""));
	cell_words(t, json_object_get(c, "names"));
	cell_words(t, json_object_get(c, "routes"));
	table_str(t, show_str(c, "file"));
}

/* "client_ca" to what people say. */
static struct str
kind_of(const json_t *f)
{
	static const char *const	words[][2] = {
		{ "client_ca", "authority of clients" },
		{ "client_crl", "revoked certificates" },
		{ "server_ca", "authority of servers" },
		{ "shown", "shown to servers" }
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq(show_str(f, "kind"), str_from(words[i][0])))
			return str_from(words[i][1]);
	return show_str(f, "kind");
}

static void
add_files(struct show *s, const json_t *all)
{
	static const char *const head[] = { "ALSO", ">DAYS", "UNTIL", "OF",
	    "FILE", NULL };
	const json_t	*f;
	struct table	 t;

	if (json_array_size(all) == 0)
		return;
	text_c(&s->out, '\n');
	table_init(&t, head);
	for (size_t i = 0; i < json_array_size(all); i++) {
		f = json_array_get(all, i);
		table_str(&t, kind_of(f));
		table_fmt(&t, "%lld", (long long)json_integer_value(
		    json_object_get(f, "days")));
		cell_day(&t, f, "until");
		table_fmt(&t, "%.*s %.*s", STR_FMT(show_str(f, "section")),
		    STR_FMT(show_str(f, "name")));
		table_str(&t, show_str(f, "file"));
	}
	table_print(&t, 0, &s->out);
	table_fini(&t);
}

/* What becomes of a name that was asked for. */
static void
add_name(struct show *s, const json_t *j)
{
	bool	refused = str_eq(show_str(j, "unknown"), STR("refuse"));

	if (json_object_get(j, "covered") == NULL)
		return;
	show_safe(s, j, "name");
	if (show_str(j, "passed").n > 0) {
		text_add(&s->out, STR(": its connections are passed on by "
		    "route "));
		show_safe(s, j, "passed");
	} else if (json_is_true(json_object_get(j, "covered"))) {
		text_add(&s->out, STR(": clients get"));
	} else {
		text_fmt(&s->out, ": no certificate has this name; clients "
		    "%s", refused ? "are refused" : "get the default");
	}
	text_add(&s->out, STR("\n"));
}

static void
add_table(struct show *s, const json_t *all)
{
	static const char *const head[] = { "CERT", "KEY", ">DAYS", "UNTIL",
	    ">SHOWN", "DEFAULT", "NAMES", "ROUTES", "FILE", NULL };
	struct table	t;

	table_init(&t, head);
	for (size_t i = 0; i < json_array_size(all); i++)
		row(&t, json_array_get(all, i));
	table_print(&t, 0, &s->out);
	table_fini(&t);
}

void
show_certs(struct show *s, const json_t *j)
{
	const json_t	*all = json_object_get(j, "certs");

	text_fmt(&s->out, "%zu certificate%s; unknown names: ",
	    json_array_size(all), json_array_size(all) == 1 ? "" : "s");
	show_safe(s, j, "unknown");
	if (show_str(j, "dev_ca").n > 0) {
		text_add(&s->out, STR("\ndevelopment CA: "));
		show_safe(s, j, "dev_ca");
	}
	text_add(&s->out, STR("\n"));
	if (json_object_get(j, "covered") != NULL || json_array_size(all) > 0)
		text_c(&s->out, '\n');
	add_name(s, j);
	if (json_array_size(all) > 0)
		add_table(s, all);
	add_files(s, json_object_get(j, "files"));
}
