/*
 * Handler redirect: another place.  Workers; the builder reads its key.
 */
#include "base/scan.h"
#include "conf/load.h"
#include "core/handler.h"
#include "core/route.h"

struct redirect {
	uint64_t	status;
	struct str	target;
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

static int
parse_redirect(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct redirect		*r = dst;
	struct str		 rest = it->val, word = STR("");
	ptrdiff_t		 at;

	(void)row;
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
	for (at = str_find(rest, '$', 0); at >= 0;
	    at = str_find(rest, '$', (size_t)at + 1))
		if (str_starts(str_sub(rest, (size_t)at, rest.n), STR("${")))
			return fail_value(load, DIAG_VALUE_TEMPLATE, it,
			    str_sub(rest, (size_t)at, rest.n),
			    "there is no such variable here");
	if (scan_target(rest) != rest.n)
		return fail_value(load, DIAG_VALUE_TEXT, it, rest,
		    "a place has no blanks and no letters beyond ASCII");
	r->target = arena_dup(conf_load_arena(load), rest);
	return 0;
}

static void
start(struct exchange *x)
{
	const struct redirect	*r = handler_part(x);
	struct msg		*m;

	exchange_skip_request(x);
	m = exchange_new_head(x, (unsigned)r->status);
	hdr_add(x->arena, &m->hdrs, HDR_LOCATION,
	    arena_dup(x->arena, r->target));
	exchange_respond(x, m, WAIST_END);
	exchange_handler_done(x);
}

static const struct conf_row rows[] = {
	{
		.key = "redirect", .type = CONF_CUSTOM,
		.off = offsetof(struct redirect, status),
		.flags = CONF_F_HANDLER, .parse = parse_redirect,
		.example = "301 https://www.example.com/",
		.text = "Sends the client to another place: a status (301, "
		    "302, 303, 307 or 308) and a path or an URL."
	},
	{ .key = NULL }
};

const struct conf_group redirect_group = {
	"redirect", rows, sizeof(struct redirect), NULL
};

const struct handler handler_redirect = {
	.name = "redirect", .group = &redirect_group, .start = start
};
