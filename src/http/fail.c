/*
 * The table of failures.  All processes; pure.
 *
 * The enum of fail.h and the rows come from one list, so an index is
 * always in step.  Lookup by name is for operators and tests, not for
 * the request path: a walk does.
 */
#include "http/fail.h"

#include "base/must.h"

#define R	FAIL_F_R
#define S	FAIL_F_S
#define B	FAIL_F_B
#define Q	FAIL_F_Q
#define C	FAIL_F_C

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

enum fail
fail_find(struct str name)
{
	unsigned	i;

	for (i = FAIL_NONE + 1; i < FAIL_N; i++)
		if (str_eq(name, str_from(rows[i].name)))
			return (enum fail)i;
	return FAIL_NONE;
}
