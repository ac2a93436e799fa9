/*
 * [log] level and level.MODULE.  The builder checks them; every process
 * takes them over with each generation.
 */
#include "conf/load.h"
#include "core/settings.h"

/* What log_module_of makes of the files that log; a test keeps it so. */
#define MODULES	"child control exchange health helper listener log logger " \
    "master plan proxy publish reap roll serve skeleton upgrade worker"

#define LEVELS	"error,err|warning,warn|info|debug"

static bool
is_module(struct str name)
{
	struct str	rest = STR(MODULES), word;

	while (str_word(&rest, " ", &word))
		if (str_eq(word, name))
			return true;
	return false;
}

static int
read_level(struct diags *ds, const struct conf_item *it,
    struct settings_level *l)
{
	const struct conf_span	*sp = &it->kspan;
	struct err		 e;

	if (!is_module(l->module)) {
		diag_at(ds, DIAG_KEY_UNKNOWN, sp, NULL, "level.*",
		    "no module that logs is called \"%.*s\"",
		    STR_FMT(str_sub(l->module, 0, 60)));
		diag_hint(ds, "one of %s", MODULES);
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
