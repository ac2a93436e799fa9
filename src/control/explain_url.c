/*
 * The URL that explain is asked about.  Control process; sluicectl.
 */
#include "control/explain_url.h"

#include "http/uri.h"

int
explain_url(struct str *url, struct explain_origin *o, struct err *e)
{
	struct str	host;
	ptrdiff_t	at;
	size_t		end = 0;
	int		given;

	*o = (struct explain_origin){ .authority = STR_NONE };
	at = str_find(*url, '#', 0);
	if (at >= 0)
		url->n = (size_t)at;
	if (str_starts(*url, STR("/")) || str_eq(*url, STR("*")))
		return 0;
	o->scheme = str_starts(*url, STR("https://")) ? SCHEME_HTTPS :
	    SCHEME_HTTP;
	o->port = o->scheme == SCHEME_HTTPS ? 443 : 80;
	if (str_starts(*url, STR("http://")))
		*url = str_sub(*url, 7, url->n);
	else if (str_starts(*url, STR("https://")))
		*url = str_sub(*url, 8, url->n);
	while (end < url->n && url->p[end] != '/' && url->p[end] != '?')
		end++;
	o->authority = str_sub(*url, 0, end);
	*url = str_sub(*url, end, url->n);
	if (o->authority.n == 0 || uri_parse_host(o->authority, &host,
	    &given) != FAIL_NONE)
		return err_set(e, "\"%.*s\" is no URL: http://HOST/PATH or "
		    "/PATH", STR_FMT(str_sub(o->authority, 0, 200)));
	if (given >= 0)
		o->port = (unsigned)given;
	return 0;
}

int
explain_url_connect(struct arena *a, struct str *url,
    struct explain_origin *o, struct err *e)
{
	struct str	host;
	int		given = -1;
	unsigned	port;

	*o = (struct explain_origin){ .authority = *url };
	if (str_find(*url, '/', 0) < 0)
		return 0;
	if (explain_url(url, o, e) == -1)
		return -1;
	port = o->port;
	*url = o->authority;
	if (port == 0)
		return err_set(e, "CONNECT is for HOST:PORT, not for a path");
	uri_parse_host(*url, &host, &given);
	if (given < 0)
		*url = arena_fmt(a, "%.*s:%u", STR_FMT(*url), port);
	*o = (struct explain_origin){ .authority = *url };
	return 0;
}
