/*
 * The expression of health.body (PCRE2).  Builder, health.
 */
#include "up/probe_regex.h"

#define PCRE2_CODE_UNIT_WIDTH	8
#include <pcre2.h>
#include <stdlib.h>

#include "base/must.h"

/* what one look at a body may cost: some milliseconds, little memory */
#define MATCH_STEPS	100000
#define MATCH_DEPTH	1000
#define MATCH_KB	512

struct probe_regex {
	pcre2_code	*code;		/* own */
};

struct probe_regex *
probe_regex_new(struct str text, size_t *off, struct err *e)
{
	struct probe_regex	*r;
	pcre2_code		*code;
	PCRE2_SIZE		 at = 0;
	char			 why[200] = "";
	int			 no = 0;

	code = pcre2_compile((PCRE2_SPTR)text.p, text.n,
	    PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &no, &at, NULL);
	if (code == NULL) {
		pcre2_get_error_message(no, (PCRE2_UCHAR *)why,
		    sizeof(why));
		*off = at;
		err_set(e, "%s", why);
		return NULL;
	}
	r = must_alloc(sizeof(*r));
	r->code = code;
	return r;
}

void
probe_regex_free(struct probe_regex **rp)
{
	if (*rp == NULL)
		return;
	pcre2_code_free((*rp)->code);
	free(*rp);
	*rp = NULL;
}

bool
probe_regex_fits(const struct probe_regex *r, struct str s)
{
	pcre2_match_context	*limits = pcre2_match_context_create(NULL);
	pcre2_match_data	*data = pcre2_match_data_create(1, NULL);
	int			 rc = -1;

	if (limits != NULL && data != NULL) {
		pcre2_set_match_limit(limits, MATCH_STEPS);
		pcre2_set_depth_limit(limits, MATCH_DEPTH);
		pcre2_set_heap_limit(limits, MATCH_KB);
		rc = pcre2_match(r->code, (PCRE2_SPTR)s.p, s.n, 0, 0, data,
		    limits);
	}
	pcre2_match_data_free(data);
	pcre2_match_context_free(limits);
	return rc >= 0;
}
