/*
 * Which directories and files the certificates of a generation are of, for
 * whoever watches them.  Master.
 */
#include "tls/cert_conf.h"

#include "base/map.h"

bool
tls_certs_watch(const struct conf *c)
{
	return *(const int *)conf_value(c, "sluice", "watch") ==
	    CERT_WATCH_CERTS;
}

struct str
cert_folder(struct str path)
{
	size_t	n = path.n;

	while (n > 1 && path.p[n - 1] != '/')
		n--;
	return str_sub(path, 0, n > 1 ? n - 1 : n);
}

struct str
cert_file_name(struct str path)
{
	size_t	n = path.n;

	while (n > 0 && path.p[n - 1] != '/')
		n--;
	return str_sub(path, n, path.n);
}

/* A directory without slashes behind its name. */
static struct str
bare(struct str path)
{
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	return path;
}

static void
give(struct map *met, struct str dir, void (*fn)(void *, struct str),
    void *ctx)
{
	if (dir.n == 0 || map_find(met, dir) != NULL)
		return;
	map_add(met, dir, met);
	fn(ctx, dir);
}

void
tls_certs_dirs(const struct conf *c, void (*fn)(void *, struct str),
    void *ctx)
{
	struct conf_objs	 all = conf_all(c, &cert_section);
	const struct cert_conf	*cc;
	struct map		 met;

	map_init(&met, 0);
	for (size_t i = 0; i < all.n; i++) {
		cc = all.v[i]->part[0];
		give(&met, cc->directory, fn, ctx);
		/* another may be put in its place */
		if (cc->directory.n > 0)
			give(&met, cert_folder(bare(cc->directory)), fn, ctx);
		if (cc->cert.n > 0)
			give(&met, cert_folder(cc->cert), fn, ctx);
		if (cc->key.n > 0)
			give(&met, cert_folder(cc->key), fn, ctx);
	}
	map_fini(&met);
}

static bool
is_of_directory(struct str name)
{
	return str_ends(name, STR(".crt")) || str_ends(name, STR(".key")) ||
	    str_ends(name, STR(".pem"));
}

bool
tls_certs_watched(const struct conf *c, struct str name)
{
	struct conf_objs	 all = conf_all(c, &cert_section);
	const struct cert_conf	*cc;

	/* Kubernetes puts a link of that name in another's place */
	if (str_eq(name, STR("..data")))
		return true;
	for (size_t i = 0; i < all.n; i++) {
		cc = all.v[i]->part[0];
		if (cc->directory.n > 0 ? is_of_directory(name) ||
		    str_eq(cert_file_name(bare(cc->directory)), name) :
		    str_eq(cert_file_name(cc->cert), name) ||
		    str_eq(cert_file_name(cc->key), name))
			return true;
	}
	return false;
}
