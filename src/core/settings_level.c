/*
 * [log] level and level.MODULE.  The builder checks them; every process
 * takes them over with each generation.
 */
#include "conf/load.h"
#include "core/settings.h"

/* what log_module_of makes of the files that may log */
static const char *const	modules[] = {
#define MODULE(name)	name,
#include "core/module.tbl"
#undef MODULE
};
#define NMODULE	(sizeof(modules) / sizeof(modules[0]))

#define LEVELS	"error,err|warning,warn|info|debug"

/* The module that the name is, or nearly is; *off: by how much. */
static const char *
find_module(struct str name, unsigned *off)
{
	const char	*best = NULL;
	unsigned	 d;

	*off = 3;
	for (size_t i = 0; i < NMODULE; i++) {
		d = str_distance(str_sub(name, 0, 64), str_from(modules[i]),
		    2);
		if (d >= *off)
			continue;
		*off = d;
		best = modules[i];
	}
	return best;
}

static int
read_level(struct diags *ds, const struct conf_item *it,
    struct settings_level *l)
{
	const struct conf_span	*sp = &it->kspan;
	unsigned		 off;
	const char		*near = find_module(l->module, &off);
	struct err		 e;

	if (off > 0) {
		diag_at(ds, DIAG_KEY_UNKNOWN, sp, NULL, "level.*",
		    "no module is called \"%.*s\"",
		    STR_FMT(str_sub(l->module, 0, 60)));
		if (near != NULL)
			diag_hint(ds, "did you mean level.%s?", near);
		else
			diag_hint(ds, "lines of the log name theirs in the "
			    "field module");
		return -1;
	}
	if (conf_val_enum(it->val, LEVELS, &l->level, &e) == -1) {
		diag_at(ds, DIAG_VALUE_CHOICE, &it->vspan, NULL, "level.*",
		    "%s", e.text);
		diag_hint(ds, "one of error, warning, info, debug");
		return -1;
	}
	return 0;
}

int
settings_parse_levels(struct conf_load *load, const struct conf_row *row,
    void *dst, const struct conf_item *items, size_t n)
{
	struct arena		*a = conf_load_arena(load);
	struct settings_level	*v = arena_alloc(a, n * sizeof(*v));
	struct settings_levels	*all = dst;
	size_t			 prefix = str_from(row->key).n - 1;
	int			 rc = 0;

	for (size_t i = 0; i < n; i++) {
		v[i].module = arena_dup(a, str_sub(items[i].key, prefix,
		    items[i].key.n));
		if (read_level(conf_load_diags(load), &items[i], &v[i]) == -1)
			rc = -1;
	}
	*all = (struct settings_levels){ v, n };
	return rc;
}

void
settings_set_levels(const struct conf *c, struct log *log)
{
	const struct settings_log	*l = settings_log(c);

	log->level = (enum log_level)l->level;
	log_forget_modules(log);
	for (size_t i = 0; i < l->levels.n; i++)
		(void)log_set_module(log, l->levels.v[i].module,
		    (enum log_level)l->levels.v[i].level);
}
