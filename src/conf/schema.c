/*
 * The rows as JSON (--dump-schema) and as the reference part of
 * sluice.conf(5).  Tools and the build; no configuration is loaded.
 */
#include "base/must.h"
#include "conf/int.h"

static const char *const type_names[] = {
	[CONF_BOOL] = "bool", [CONF_INT] = "int", [CONF_SIZE] = "size",
	[CONF_TIME] = "time", [CONF_ENUM] = "enum", [CONF_STR] = "string",
	[CONF_PATH] = "path", [CONF_LIST] = "list", [CONF_LINES] = "lines",
	[CONF_PAIRS] = "pairs", [CONF_CUSTOM] = "custom"
};

static const char *const class_names[] = {
	[CONF_LIVE] = "live", [CONF_ROLL] = "roll",
	[CONF_UPGRADE] = "upgrade"
};

static void
add_field(struct text *t, const char *name, const char *val)
{
	text_fmt(t, ",\"%s\":", name);
	if (val == NULL)
		text_add(t, STR("null"));
	else
		text_json(t, str_from(val));
}

static void
add_flag(struct text *t, const char *name, bool on)
{
	text_fmt(t, ",\"%s\":%s", name, on ? "true" : "false");
}

static bool
has_range(const struct conf_row *r)
{
	return r->type == CONF_INT || r->type == CONF_SIZE ||
	    r->type == CONF_TIME || r->type == CONF_STR ||
	    r->type == CONF_PATH;
}

static void
add_range(struct text *t, const struct conf_row *r)
{
	if (has_range(r)) {
		text_add(t, STR(",\"min\":"));
		text_i64(t, r->min);
	} else
		text_add(t, STR(",\"min\":null"));
	if (has_range(r) && r->max != 0) {
		text_add(t, STR(",\"max\":"));
		text_i64(t, r->max);
	} else
		text_add(t, STR(",\"max\":null"));
}

static void
add_choices(struct text *t, const struct conf_row *r)
{
	struct str	w;
	size_t		i;

	text_add(t, STR(",\"choices\":["));
	for (i = 0; r->choices != NULL && value_choice(r->choices, i, &w);
	    i++) {
		if (i > 0)
			text_c(t, ',');
		text_json(t, w);
	}
	text_c(t, ']');
}

static void
add_aliases(struct text *t, const struct conf_row *r)
{
	const struct conf_alias	*a = r->aliases;

	text_add(t, STR(",\"aliases\":["));
	for (; a != NULL && a->key != NULL; a++) {
		if (a != r->aliases)
			text_c(t, ',');
		text_add(t, STR("{\"key\":"));
		text_json(t, str_from(a->key));
		add_field(t, "unit", value_unit(a->unit));
		add_field(t, "value", a->value);
		text_c(t, '}');
	}
	text_c(t, ']');
}

static void
add_row(struct text *t, const struct conf_group *g, const struct conf_row *r)
{
	text_add(t, STR("{\"key\":"));
	text_json(t, str_from(r->key));
	add_field(t, "group", g->name);
	add_field(t, "type", type_names[r->type]);
	add_field(t, "unit", value_unit(r->unit));
	add_field(t, "default", r->def);
	add_range(t, r);
	add_choices(t, r);
	add_field(t, "reload", class_names[r->reload]);
	add_flag(t, "secret", r->flags & CONF_F_SECRET);
	add_flag(t, "required", r->flags & CONF_F_REQUIRED);
	add_flag(t, "handler", r->flags & CONF_F_HANDLER);
	add_flag(t, "condition", r->flags & CONF_F_COND);
	add_aliases(t, r);
	add_field(t, "example", r->example);
	add_field(t, "text", r->text);
	text_c(t, '}');
}

static void
add_section(struct text *t, const struct conf_section *s)
{
	const struct conf_row	*r;
	size_t			 i;
	bool			 first = true;

	text_add(t, STR("{\"type\":"));
	text_json(t, str_from(s->type));
	add_flag(t, "named", s->named);
	add_field(t, "text", s->text);
	text_add(t, STR(",\"keys\":["));
	for (i = 0; s->groups[i] != NULL; i++) {
		r = s->groups[i]->rows;
		for (; r != NULL && r->key != NULL; r++) {
			if (!first)
				text_add(t, STR(",\n"));
			first = false;
			add_row(t, s->groups[i], r);
		}
	}
	text_add(t, STR("]}"));
}

void
schema_json(const struct conf_section *const *table, FILE *out)
{
	struct text	t;
	size_t		i;

	text_init(&t);
	text_add(&t, STR("{\"v\":1,\"sections\":["));
	for (i = 0; table[i] != NULL; i++) {
		text_add(&t, i > 0 ? STR(",\n") : STR("\n"));
		add_section(&t, table[i]);
	}
	text_add(&t, STR("\n]}\n"));
	fwrite(t.p, 1, t.n, out);
	text_fini(&t);
}

/* Text that roff takes as it stands, also as arguments of a macro. */
static void
put_roff(FILE *out, struct str s)
{
	size_t	i;

	fputs("\\&", out);
	for (i = 0; i < s.n; i++)
		switch (s.p[i]) {
		case '\\':
			fputs("\\e", out);
			break;
		case '"':
			fputs("\\(dq", out);
			break;
		case '-':
			fputs("\\-", out);
			break;
		default:
			fputc(s.p[i], out);
		}
}

/* A line of a macro with one argument, blanks and all. */
static void
put_macro(FILE *out, const char *macro, struct str arg)
{
	fprintf(out, ".%s \"", macro);
	put_roff(out, arg);
	fputs("\"\n", out);
}

/* What is written behind the key. */
static const char *
pick_arg(const struct conf_row *r)
{
	static const char *const	args[] = {
		[CONF_BOOL] = "on | off", [CONF_INT] = "number",
		[CONF_SIZE] = "size", [CONF_TIME] = "time",
		[CONF_ENUM] = "word", [CONF_STR] = "text",
		[CONF_PATH] = "path", [CONF_LIST] = "word ...",
		[CONF_LINES] = "text", [CONF_PAIRS] = "text",
		[CONF_CUSTOM] = "value"
	};

	return args[r->type];
}

static void
put_choices(FILE *out, const struct conf_row *r)
{
	struct str	w;
	size_t		i;

	if (r->choices == NULL)
		return;
	fputs("One of\n", out);
	for (i = 0; value_choice(r->choices, i, &w); i++) {
		fputs(".Ql ", out);
		put_roff(out, w);
		fputs(value_choice(r->choices, i + 1, &w) ? " ,\n" : " .\n",
		    out);
	}
}

static void
add_number(struct text *t, const struct conf_row *r, int64_t v)
{
	if (r->type == CONF_TIME)
		text_time(t, (uint64_t)v);
	else if (r->type == CONF_SIZE)
		text_size(t, (uint64_t)v);
	else
		text_i64(t, v);
}

static void
put_range(FILE *out, const struct conf_row *r)
{
	struct text	t;

	if (!has_range(r) || (r->min == 0 && r->max == 0))
		return;
	text_init(&t);
	add_number(&t, r, r->min);
	if (r->max != 0) {
		text_add(&t, STR(" to "));
		add_number(&t, r, r->max);
	} else
		text_add(&t, STR(" or more"));
	fprintf(out, "%s %.*s.\n", r->type == CONF_STR ||
	    r->type == CONF_PATH ? "Length in bytes:" : "Range:",
	    STR_FMT(text_str(&t)));
	text_fini(&t);
}

/* NULL: a value of that row is no such number. */
static const char *
unit_name(const struct conf_row *r, enum conf_unit unit)
{
	static const char *const	names[] = {
		[CONF_COUNT] = "bytes", [CONF_BYTES] = "bytes",
		[CONF_MS] = "milliseconds", [CONF_SECONDS] = "seconds",
		[CONF_MEGABYTES] = "megabytes", [CONF_DAYS] = "days",
		[CONF_PERCENT] = "percent"
	};

	if (r->type != CONF_TIME && r->type != CONF_SIZE)
		return NULL;
	return r->type == CONF_TIME && unit == CONF_COUNT ? "" : names[unit];
}

/* What a bare number means. */
static void
put_unit(FILE *out, const struct conf_row *r)
{
	const char	*name = unit_name(r, r->unit);

	if (name != NULL && *name == '\0')
		fputs("A number other than 0 needs a unit.\n", out);
	else if (name != NULL)
		fprintf(out, "A number without a unit is %s.\n", name);
}

/* What a bare number means under another word, where it is another thing. */
static void
put_alias_unit(FILE *out, const struct conf_row *r,
    const struct conf_alias *a)
{
	const char	*name = unit_name(r, a->unit);

	if (name == NULL || *name == '\0' ||
	    strcmp(name, unit_name(r, r->unit)) == 0)
		return;
	fprintf(out, "A number without a unit is %s with\n.Ic ", name);
	put_roff(out, str_from(a->key));
	fputs(" .\n", out);
}

static void
put_aliases(FILE *out, const struct conf_row *r)
{
	const struct conf_alias	*a = r->aliases;

	if (a == NULL || a->key == NULL)
		return;
	fputs("Also read as\n", out);
	for (; a->key != NULL; a++) {
		fputs(".Ic ", out);
		put_roff(out, str_from(a->key));
		fputs(a[1].key != NULL ? " ,\n" : " .\n", out);
	}
	for (a = r->aliases; a->key != NULL; a++)
		put_alias_unit(out, r, a);
}

static void
put_notes(FILE *out, const struct conf_row *r)
{
	if (r->def != NULL) {
		fputs("The default is\n.Ql ", out);
		put_roff(out, str_from(*r->def != '\0' ? r->def : "(empty)"));
		fputs(" .\n", out);
	}
	if (r->flags & CONF_F_REQUIRED)
		fputs("This key is required.\n", out);
	if (r->flags & CONF_F_SECRET)
		fputs("The value is never shown.\n", out);
	if (r->reload == CONF_ROLL)
		fputs("A change replaces the workers one by one.\n", out);
	else if (r->reload == CONF_UPGRADE)
		fputs("A change needs a stop and a start; a reload "
		    "warns of it.\n", out);
	put_aliases(out, r);
}

static void
put_row(FILE *out, const struct conf_row *r)
{
	fputs(".It Ic ", out);
	put_roff(out, str_from(r->key));
	fprintf(out, " No = Ar %s\n", pick_arg(r));
	if (r->text != NULL)
		fprintf(out, "%s\n", r->text);
	put_choices(out, r);
	put_unit(out, r);
	put_range(out, r);
	put_notes(out, r);
	if (r->example != NULL) {
		fputs("Example:\n", out);
		put_macro(out, "Dl", str_from(r->example));
	}
}

static void
put_section(FILE *out, const struct conf_section *s)
{
	const struct conf_row	*r;
	size_t			 i;

	fprintf(out, ".Ss [%s%s]\n", s->type, s->named ? " NAME" : "");
	if (s->text != NULL)
		fprintf(out, "%s\n", s->text);
	fputs(".Bl -tag -width Ds\n", out);
	for (i = 0; s->groups[i] != NULL; i++) {
		r = s->groups[i]->rows;
		for (; r != NULL && r->key != NULL; r++)
			put_row(out, r);
	}
	fputs(".El\n", out);
}

void
schema_mdoc(const struct conf_section *const *table, FILE *out)
{
	size_t	i;

	for (i = 0; table[i] != NULL; i++)
		put_section(out, table[i]);
}

void
conf_dump_schema(FILE *out)
{
	schema_json(conf_sections, out);
}

void
conf_dump_mdoc(FILE *out)
{
	schema_mdoc(conf_sections, out);
}

static void
put_words(FILE *out, const struct conf_section *s, const struct conf_row *r)
{
	struct str	w;

	fprintf(out, "key\t%s\t%s\t%s\t", s->type,
	    s->named ? "named" : "one", r->key);
	if (r->type == CONF_BOOL)
		fputs("on off", out);
	for (size_t i = 0; r->choices != NULL &&
	    value_choice(r->choices, i, &w); i++)
		fprintf(out, "%s%.*s", i > 0 ? " " : "", STR_FMT(w));
	fputc('\n', out);
}

void
conf_dump_words(FILE *out)
{
	const struct conf_section	*s;
	const struct conf_row		*r;

	for (size_t i = 0; (s = conf_sections[i]) != NULL; i++)
		for (size_t j = 0; s->groups[j] != NULL; j++)
			for (r = s->groups[j]->rows; r != NULL &&
			    r->key != NULL; r++)
				put_words(out, s, r);
}
