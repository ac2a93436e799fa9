/*
 * The table of failures.  All processes; pure.
 *
 * The enum of fail.h and the rows come from one list, so an index is
 * always in step.  Lookup by name is for operators and tests, not for
 * the request path: a walk does.
 */
#include "http/fail.h"

#include "base/must.h"

#define NEAR_BYTES	64	/* of a word */
#define NEAR_MAX	5	/* names that are told */

#define R	FAIL_F_R
#define S	FAIL_F_S
#define B	FAIL_F_B
#define Q	FAIL_F_Q
#define C	FAIL_F_C
#define N	FAIL_F_N

static const struct fail_row rows[FAIL_N] = {
	[FAIL_NONE] = { "", 0, 0, "", "", "" },
#define FAIL(id, ...)	[FAIL_##id] = { __VA_ARGS__ },
#include "http/fail.tbl"
#undef FAIL
};

const struct fail_row *
fail_row(enum fail why)
{
	must((unsigned)why < FAIL_N);
	return &rows[why];
}

bool
fail_is(enum fail why, struct str word)
{
	const struct fail_row	*r = fail_row(why);
	uint64_t		 status;

	if (str_to_u64(word, UINT16_MAX, &status) == 0)
		return status > 0 && status == r->status;
	return str_eq_fold(word, str_from(r->name));
}

static bool
has_part(struct str s, struct str part)
{
	for (size_t i = 0; i + part.n <= s.n; i++)
		if (str_starts(str_sub(s, i, s.n), part))
			return true;
	return false;
}

/* Misspelt, or a part of it. */
static bool
is_near(struct str name, struct str word)
{
	unsigned	max = word.n > 6 ? 3 : word.n > 3 ? 2 : 1;

	return word.n > 1 && (str_distance(name, word, max) <= max ||
	    has_part(name, word));
}

void
fail_near(struct str word, struct text *t)
{
	char		low[NEAR_BYTES];
	struct str	name;
	unsigned	n = 0;

	word = str_sub(word, 0, sizeof(low));
	for (size_t i = 0; i < word.n; i++)
		low[i] = word.p[i] >= 'A' && word.p[i] <= 'Z' ?
		    (char)(word.p[i] | 0x20) : word.p[i] == '-' ? '_' :
		    word.p[i];
	for (unsigned i = FAIL_NONE + 1; i < FAIL_N && n < NEAR_MAX; i++) {
		name = str_from(rows[i].name);
		if (!is_near(name, str_make(low, word.n)))
			continue;
		if (n++ > 0)
			text_add(t, STR(", "));
		text_add(t, name);
	}
}

enum fail
fail_find(struct str name)
{
	unsigned	i;

	for (i = FAIL_NONE + 1; i < FAIL_N; i++)
		if (str_eq(name, str_from(rows[i].name)))
			return (enum fail)i;
	return FAIL_NONE;
}
