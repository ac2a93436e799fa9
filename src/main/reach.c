/*
 * Who the processes run as, and what is closed to that user.  Master,
 * builder and sluiced -t.
 *
 * Root may look everywhere, so the looking is done with the rights of
 * the user.  What is not there at all is told of elsewhere.
 */
#include "main/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "handler/static.h"

#define DEFAULT_USER	"sluice"

/* what is looked at */
struct reach {
	struct conf_load	*load;
	const struct conf	*conf;
	struct priv_user	 user;
	struct str		 last;	/* of conf: of the route before */
};

int
reach_user(const struct settings *s, struct priv_user *u, struct err *e)
{
	char	name[64];

	if (!priv_is_root()) {
		u->uid = getuid();
		u->gid = getgid();
		snprintf(u->name, sizeof(u->name), "uid %u",
		    (unsigned)u->uid);
		return 0;
	}
	if (str_to_c(s->user, name, sizeof(name)) < 0)
		return err_set(e, "the name of the user is too long");
	if (priv_find_user(name, u, e) == 0)
		return 0;
	/* only the default may be absent */
	if (!str_eq(s->user, STR(DEFAULT_USER)) ||
	    priv_find_user(REACH_FALLBACK, u, NULL) < 0)
		return -1;
	return 1;
}

/* What stands in the way, or 0: what may come and what else is odd. */
static int
try_dir(const char *path, int how)
{
	if (faccessat(AT_FDCWD, path, how, AT_EACCESS) == 0)
		return 0;
	return errno == EACCES || errno == EROFS ? errno : 0;
}

/* Cuts the path behind the first directory that cannot be entered. */
static void
cut_closed(char *path)
{
	char	was;

	for (size_t i = 1; path[i] != '\0'; i++) {
		if (path[i] != '/')
			continue;
		was = path[i];
		path[i] = '\0';
		if (try_dir(path, X_OK) != 0)
			return;
		path[i] = was;
	}
}

static void
look_root(struct reach *r, const struct conf_obj *obj,
    const struct static_route *s)
{
	const struct conf_item	*it = conf_item(r->load, obj, "static");
	const char		*so = "what is below it is answered 403";
	char			 path[PATH_MAX];
	int			 error;

	if (str_eq(s->root, r->last) ||
	    str_to_c(s->root, path, sizeof(path)) == -1)
		return;
	r->last = s->root;
	error = try_dir(path, X_OK);
	if (error != 0)
		cut_closed(path);
	else if (s->listing) {
		error = try_dir(path, R_OK);
		so = "its list is answered 403";
	}
	if (error == 0)
		return;
	diag_at(conf_load_diags(r->load), DIAG_STATIC_CLOSED,
	    it != NULL ? &it->vspan : NULL, obj, "static",
	    "\"%s\" is closed to user \"%s\": %s: %s", path,
	    r->user.name, strerror(error), so);
}

static void
look_log(struct reach *r)
{
	const struct settings_log	*l = settings_log(r->conf);
	const struct conf_item		*it = conf_item(r->load, &l->obj,
	    "directory");
	char				 path[PATH_MAX];
	int				 error;

	if (settings_log_dir(r->conf, path, sizeof(path), NULL) == -1)
		return;
	error = try_dir(path, W_OK | X_OK);
	if (error == 0)
		return;
	diag_at(conf_load_diags(r->load), DIAG_LOG_CLOSED,
	    it != NULL ? &it->vspan : NULL, &l->obj, "directory",
	    "user \"%s\" cannot write to the log's directory \"%s\": %s: "
	    "records wait in memory", r->user.name, path, strerror(error));
	if (error != EACCES)
		return;
	cut_closed(path);
	diag_hint(conf_load_diags(r->load), "chown %s %s, or name another "
	    "directory", r->user.name, path);
}

static void
look(void *ctx)
{
	struct reach		*r = ctx;
	struct conf_objs	 all = conf_all(r->conf, &route_section);
	const struct route	*route;

	for (size_t i = 0; i < all.n; i++) {
		route = all.v[i]->part[0];
		if (route->handler == &handler_static)
			look_root(r, all.v[i], conf_part(all.v[i],
			    &static_group));
	}
	if (settings_log(r->conf)->output_mode != LOG_TO_CONSOLE)
		look_log(r);
}

void
reach_check(struct conf_load *load, const struct conf *conf)
{
	struct reach	r = { .load = load, .conf = conf };

	/* nobody to be: the start says so */
	if (reach_user(settings_get(conf), &r.user, NULL) == -1)
		return;
	(void)priv_as_user(&r.user, look, &r, NULL);
}
