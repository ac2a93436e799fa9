/*
 * [sluice] trusted_proxies.  Builder and workers.
 */
#include "core/trust.h"

#include "conf/load.h"

static size_t
count_words(const struct conf_item *items, size_t n)
{
	struct str	rest, word;
	size_t		sum = 0;

	for (size_t i = 0; i < n; i++)
		for (rest = items[i].val; str_word(&rest, " \t,", &word);)
			sum++;
	return sum;
}

/* With everybody trusted everybody says himself who he is. */
static void
warn_all(struct conf_load *load, const struct conf_row *row,
    const struct conf_span *at, struct str word, const struct net *net)
{
	bool	all4 = net_is_mapped(net->ip) && net->bits <= 96;

	if (net->unix_peers || (net->bits > 0 && !all4) ||
	    strcmp(row->key, "trusted_proxies") != 0)
		return;
	diag_at(conf_load_diags(load), DIAG_TRUST_ALL, at, NULL, row->key,
	    "\"%.*s\" is every client there is: each may say that he is "
	    "another one", STR_FMT(str_sub(word, 0, 80)));
}

int
trust_parse(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct net		*v = arena_alloc(conf_load_arena(load),
	    (count_words(items, n) + 1) * sizeof(*v));
	struct trust		*t = dst;
	struct str		 rest, word;
	struct conf_span	 sp;
	const char		*why;
	int			 rc = 0;

	*t = (struct trust){ v, 0 };
	for (size_t i = 0; i < n; i++)
		for (rest = items[i].val; str_word(&rest, " \t,", &word);) {
			why = net_parse(word, &v[t->n++]);
			sp = conf_word_span(&items[i], word);
			if (why == NULL) {
				warn_all(load, row, &sp, word,
				    &v[t->n - 1]);
				continue;
			}
			diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN,
			    &sp, NULL, row->key, "\"%.*s\": %s",
			    STR_FMT(str_sub(word, 0, 80)), why);
			diag_hint(conf_load_diags(load), "write addresses, "
			    "networks as 10.0.0.0/8, or unix");
			rc = -1;
		}
	return rc;
}

bool
trust_has(const struct trust *t, const struct sock_peer *p)
{
	for (size_t i = 0; i < t->n; i++)
		if (net_has(&t->v[i], p))
			return true;
	return false;
}
