/*
 * What the probes of an upstream have in common, with the expression of
 * health.body, compiled.  Health process.
 */
#define PCRE2_CODE_UNIT_WIDTH	8
#include <pcre2.h>

#include "up/probe.h"
#include "up/upstream.h"

/* what one look at a body may cost: some milliseconds, little memory */
#define MATCH_STEPS	100000
#define MATCH_DEPTH	1000
#define MATCH_KB	512

void
probe_set_open(struct probe_set *s, const struct upstream_conf *c)
{
	const struct probe_conf	*p = probe_conf_of(c);
	PCRE2_SIZE		 at;
	int			 no;

	*s = (struct probe_set){ .conf = p,
	    .send_proxy = c->told.send_proxy };
	if (p->type == PROBE_OFF || !p->is_regex)
		return;
	/* the builder has seen that it compiles */
	s->regex = pcre2_compile((PCRE2_SPTR)p->text.p, p->text.n,
	    PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &no, &at, NULL);
}

void
probe_set_close(struct probe_set *s)
{
	pcre2_code_free(s->regex);
	s->regex = NULL;
}

/* What takes too many steps does not fit. */
static bool
fits(const pcre2_code *code, struct str body)
{
	pcre2_match_context	*limits = pcre2_match_context_create(NULL);
	pcre2_match_data	*data = pcre2_match_data_create(1, NULL);
	int			 rc = -1;

	if (limits != NULL && data != NULL) {
		pcre2_set_match_limit(limits, MATCH_STEPS);
		pcre2_set_depth_limit(limits, MATCH_DEPTH);
		pcre2_set_heap_limit(limits, MATCH_KB);
		rc = pcre2_match(code, (PCRE2_SPTR)body.p, body.n, 0, 0,
		    data, limits);
	}
	pcre2_match_data_free(data);
	pcre2_match_context_free(limits);
	return rc >= 0;
}

bool
probe_set_likes(const struct probe_set *s, struct str body)
{
	const struct probe_conf	*p = s->conf;

	if (p->is_regex)
		return s->regex != NULL && fits(s->regex, body);
	return memmem(body.p, body.n, p->text.p, p->text.n) != NULL;
}
