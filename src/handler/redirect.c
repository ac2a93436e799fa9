/*
 * Handler redirect: another place.  Workers; the builder reads its key.
 */
#include "base/scan.h"
#include "conf/load.h"
#include "core/handler.h"
#include "core/route.h"
#include "core/template.h"

struct redirect {
	uint64_t	status;
	struct template	target;
	bool		other_host;	/* it begins with "//" itself */
};

static int
fail_value(struct conf_load *load, enum diag_id id,
    const struct conf_item *it, struct str word, const char *why)
{
	struct conf_span	sp = conf_word_span(it, word);

	diag_at(conf_load_diags(load), id, &sp, NULL, "redirect",
	    "\"%.*s\": %s", STR_FMT(str_sub(word, 0, 80)), why);
	return -1;
}

/* The statuses that mean another place (RFC 9110 15.4). */
static bool
is_redirect(uint64_t status)
{
	return (status >= 301 && status <= 303) || status == 307 ||
	    status == 308;
}

/* What a client would take as relative, or as no page at all, is not. */
static bool
is_place(struct str s)
{
	return s.p[0] == '/' || s.p[0] == '$' ||
	    str_eq_fold(str_sub(s, 0, 7), STR("http://")) ||
	    str_eq_fold(str_sub(s, 0, 8), STR("https://"));
}

static int
parse_redirect(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct redirect		*r = dst;
	struct str		 rest = it->val, word = STR("");

	if (!str_word(&rest, " \t", &word) ||
	    str_to_u64(word, 999, &r->status) == -1)
		return fail_value(load, DIAG_VALUE_STATUS, it, word,
		    "the value begins with a status");
	if (!is_redirect(r->status))
		return fail_value(load, DIAG_VALUE_STATUS, it, word,
		    "the status is 301, 302, 303, 307 or 308");
	rest = str_trim(rest);
	if (rest.n == 0)
		return fail_value(load, DIAG_VALUE_STATUS, it, it->val,
		    "the place is missing");
	if (scan_target(rest) != rest.n)
		return fail_value(load, DIAG_VALUE_TEXT, it, rest,
		    "a place has no blanks and no letters beyond ASCII");
	if (!is_place(rest))
		return fail_value(load, DIAG_VALUE_PATTERN, it, rest,
		    "a place begins with a slash, http://, https:// or a "
		    "variable");
	r->other_host = str_starts(rest, STR("//"));
	return template_parse(load, row, it, rest, 0, &r->target);
}

static int
link_redirect(struct conf_load *load, struct conf_obj *obj, void *part)
{
	return template_check(load, obj, "redirect",
	    &((struct redirect *)part)->target);
}

/* "//x" would be another host: no path of a request may lead there. */
static struct str
make_place(struct exchange *x, const struct redirect *r)
{
	struct str	place = template_expand(&r->target, x, NULL, 0);

	if (!r->target.fixed && !r->other_host)
		while (place.n > 1 && place.p[0] == '/' &&
		    place.p[1] == '/')
			place = str_sub(place, 1, place.n);
	return place;
}

static void
start(struct exchange *x)
{
	const struct redirect	*r = handler_part(x);

	exchange_skip_request(x);
	exchange_redirect(x, (unsigned)r->status, make_place(x, r));
	exchange_handler_done(x);
}

static const struct conf_row rows[] = {
	{
		.key = "redirect", .type = CONF_CUSTOM,
		.off = offsetof(struct redirect, status),
		.flags = CONF_F_HANDLER, .parse = parse_redirect,
		.example = "301 https://www.example.com${path}",
		.text = "Sends the client to another place: a status (301, "
		    "302, 303, 307 or 308) and a path or an URL, in which "
		    "variables stand for what the request has."
	},
	{ .key = NULL }
};

const struct conf_group redirect_group = {
	"redirect", rows, sizeof(struct redirect), link_redirect
};

const struct handler handler_redirect = {
	.name = "redirect", .group = &redirect_group, .start = start
};
