/*
 * The route condition `upgrade`: another protocol is asked for on the
 * connection (RFC 9110 7.8).  Builder; workers match.
 *
 * A name without a version is right for all versions.
 */
#include "core/cond.h"

#define WORDS_MAX	8

struct cond_upgrade {
	struct str	word[WORDS_MAX];
	uint32_t	n;
};

/* "websocket" or "name/version" */
static bool
is_protocol(struct str word)
{
	ptrdiff_t	slash = str_find(word, '/', 0);

	if (slash < 0)
		return hdr_is_token(word);
	return hdr_is_token(str_sub(word, 0, (size_t)slash)) &&
	    hdr_is_token(str_sub(word, (size_t)slash + 1, word.n));
}

static const char *
add(struct arena *a, void *dst, struct str word)
{
	struct cond_upgrade	*c = dst;

	if (c->n == WORDS_MAX)
		return "there are more than 8 protocols";
	if (!is_protocol(word))
		return "no protocol has such a name";
	c->word[c->n++] = arena_dup(a, word);
	return NULL;
}

static int
parse(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	return cond_parse_words(load, row, dst, items, n, add);
}

static uint32_t
count(const void *part)
{
	return ((const struct cond_upgrade *)part)->n > 0;
}

static bool
fits(struct str want, struct str word)
{
	ptrdiff_t	slash = str_find(word, '/', 0);

	if (slash >= 0 && str_find(want, '/', 0) < 0)
		word.n = (size_t)slash;
	return str_eq(want, STR("*")) || str_eq_fold(want, word);
}

static bool
match(const void *part, const struct exchange *x)
{
	const struct cond_upgrade	*c = part;
	struct str			 rest = x->req->protocol, word;

	if (!x->req->upgrade)
		return false;
	while (hdr_cut_element(&rest, &word))
		for (uint32_t i = 0; i < c->n; i++)
			if (fits(c->word[i], word))
				return true;
	return false;
}

/* Words are protocols too: "*" and names without a version are wider. */
static bool
covers(const void *wide, const void *narrow)
{
	const struct cond_upgrade	*w = wide, *n = narrow;
	uint32_t			 i, k;

	for (i = 0; i < n->n; i++) {
		for (k = 0; k < w->n && !fits(w->word[k], n->word[i]);)
			k++;
		if (k == w->n)
			return false;
	}
	return true;
}

static const struct conf_alias aliases[] = {
	{ .key = "protocol" },
	{ .key = NULL }
};

static const struct conf_row rows[] = {
	{
		.key = "upgrade", .aliases = aliases, .type = CONF_CUSTOM,
		.off = 0, .flags = CONF_F_COND | CONF_F_MANY,
		.parse = parse, .example = "websocket",
		.text = "Protocols that a request asks to change to, one of "
		    "which it must name; * is any."
	},
	{ .key = NULL }
};

const struct conf_group cond_upgrade_group = {
	"upgrade", rows, sizeof(struct cond_upgrade), NULL
};

const struct route_cond cond_upgrade = {
	.name = "upgrade", .group = &cond_upgrade_group, .count = count,
	.match = match, .covers = covers, .fail = FAIL_NONE
};
