/*
 * The component static: its directories and what was served from them.
 * Workers.
 */
#include <sys/stat.h>

#include <limits.h>

#include "core/health.h"
#include "handler/static.h"

#define ROOTS_MAX	64	/* that are looked at for one answer */

static bool
is_there(struct str root)
{
	char		path[PATH_MAX];
	struct stat	st;

	return str_to_c(root, path, sizeof(path)) == 0 &&
	    stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The next route that serves files, from *i on; NULL: no more. */
static const struct static_route *
next_root(struct exchange *x, size_t *i, struct str *name)
{
	struct conf_objs		 all = conf_all(x->gen->conf,
	    &route_section);
	const struct static_route	*r;

	while (*i < all.n) {
		*name = all.v[*i]->name;
		r = conf_part(all.v[(*i)++], &static_group);
		if (r->root.n > 0)
			return r;
	}
	return NULL;
}

static bool
is_well(struct exchange *x)
{
	const struct static_route	*r;
	struct str			 name;
	size_t				 i = 0;

	for (unsigned n = 0; n < ROOTS_MAX &&
	    (r = next_root(x, &i, &name)) != NULL; n++)
		if (!is_there(r->root))
			return false;
	return true;
}

static void
tell(struct exchange *x, struct text *t)
{
	const struct static_route	*r;
	struct str			 name;
	size_t				 i = 0;

	text_add(t, STR(",\"roots\":["));
	for (unsigned n = 0; n < ROOTS_MAX &&
	    (r = next_root(x, &i, &name)) != NULL; n++) {
		text_fmt(t, "%s{\"route\":\"%.*s\",\"root\":",
		    n == 0 ? "" : ",", STR_FMT(name));
		text_json(t, r->root);
		text_fmt(t, ",\"there\":%s}", is_there(r->root) ? "true" :
		    "false");
	}
	text_c(t, ']');
	for (i = 0; i < STAT_FAIL0; i++)
		if (str_starts(str_from(stat_rows[i].name), STR("static_")))
			health_num(t, stat_rows[i].name,
			    stat_sum(x->serve->shm, (enum stat_id)i));
}

const struct health_part health_static = {
	.name = "static", .is_well = is_well, .tell = tell
};
