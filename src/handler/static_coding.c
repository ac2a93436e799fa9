/*
 * Which precompressed sibling a client gets (RFC 9110 12.5.3).  Workers;
 * pure.
 */
#include "handler/static.h"

#define Q_ONE	1000
#define Q_UNSET	(-1)

const struct static_coding_row static_codings[CODING_N] = {
	[CODING_NONE] = { STR_INIT("identity"), STR_INIT("") },
	[CODING_BR] = { STR_INIT("br"), STR_INIT("br") },
	[CODING_ZSTD] = { STR_INIT("zstd"), STR_INIT("zst") },
	[CODING_GZIP] = { STR_INIT("gzip"), STR_INIT("gz") }
};

/* "0.5" as 500; what is no weight is none: 0. */
static int
parse_weight(struct str s)
{
	int	q, unit = 100;

	if (s.n == 0 || s.n > 5 || s.p[0] < '0' || s.p[0] > '1')
		return 0;
	q = s.p[0] == '1' ? Q_ONE : 0;
	if (s.n > 1 && s.p[1] != '.')
		return 0;
	for (size_t i = 2; i < s.n; i++, unit /= 10) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		q += unit * (s.p[i] - '0');
	}
	return q <= Q_ONE ? q : 0;
}

/* Cuts ";q=0.5" off an element. */
static int
cut_weight(struct str *word)
{
	ptrdiff_t	at = str_find(*word, ';', 0);
	struct str	par;

	if (at < 0)
		return Q_ONE;
	par = str_trim(str_sub(*word, (size_t)at + 1, word->n));
	*word = str_trim(str_sub(*word, 0, (size_t)at));
	if (par.n < 2 || (par.p[0] | 0x20) != 'q' || par.p[1] != '=')
		return 0;
	return parse_weight(str_sub(par, 2, par.n));
}

static void
note(struct str name, int q, int v[CODING_N], int *any)
{
	if (str_eq(name, STR("*")))
		*any = q;
	if (str_eq_fold(name, STR("x-gzip")))
		name = static_codings[CODING_GZIP].name;
	for (unsigned i = 0; i < CODING_N; i++)
		if (str_eq_fold(name, static_codings[i].name))
			v[i] = q;
}

enum static_coding
static_choose(const struct hdrs *hs, unsigned have,
    const uint64_t size[CODING_N])
{
	const struct hdr	*h = hdr_get(hs, HDR_ACCEPT_ENCODING);
	struct str		 rest, word;
	int			 v[CODING_N], any = 0, q;
	unsigned		 best = CODING_NONE;

	for (unsigned i = 0; i < CODING_N; i++)
		v[i] = Q_UNSET;
	for (; h != NULL; h = hdr_next(hs, HDR_ACCEPT_ENCODING, h)) {
		rest = h->val;
		while (hdr_cut_element(&rest, &word)) {
			q = cut_weight(&word);
			note(word, q, v, &any);
		}
	}
	/* itself is the last resort, unless it is named */
	q = v[CODING_NONE] != Q_UNSET ? v[CODING_NONE] : 0;
	for (unsigned i = CODING_NONE + 1; i < CODING_N; i++) {
		if (v[i] == Q_UNSET)
			v[i] = any;
		if ((have & 1u << i) == 0 || v[i] <= 0 || v[i] < q ||
		    (v[i] == q && best != CODING_NONE &&
		    size[i] >= size[best]))
			continue;
		best = i;
		q = v[i];
	}
	return (enum static_coding)best;
}
