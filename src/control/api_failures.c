/*
 * GET /v1/failures, ?name=: the one vocabulary of failures, what to do
 * about each, how often and when it was seen.  Control process.
 */
#include "control/int.h"

#include "os/proc.h"

json_t *
api_failure_row(enum fail why)
{
	const struct fail_row	*r = fail_row(why);
	bool			 safe = (r->flags & FAIL_F_S) != 0;
	bool			 attempt = why == FAIL_SERVER_ERROR ||
				    why == FAIL_GRPC_ERROR ||
				    why == FAIL_ATTEMPT_CUT;

	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:b, s:b, "
	    "s:b}",
	    "name", r->name, "status", (int)r->status, "text", r->text,
	    "advice", r->advice, "proxy_status", r->proxy, "retry",
	    safe ? "always" : r->flags & FAIL_F_R ? "idempotent" : "never",
	    "counts_against_server", (r->flags & FAIL_F_B) != 0,
	    "closes_connection", (r->flags & FAIL_F_Q) != 0,
	    "answer_cut", (r->flags & FAIL_F_C) != 0,
	    "of_attempts", attempt);
}

static json_t *
describe_last(enum fail why)
{
	struct last_seen	s;

	if (!last_find(self->shm, why, &s))
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "ms", api_num(s.ms),
	    "id", api_text(s.who.id), "upstream", api_text(s.who.upstream),
	    "server", api_text(s.who.server), "client",
	    api_text(s.who.client));
}

static json_t *
describe(enum fail why, const uint64_t v[STAT_N])
{
	json_t	*j = api_failure_row(why);

	json_object_set_new(j, "requests", api_num(v[STAT_FAIL(why)]));
	json_object_set_new(j, "attempts", api_num(v[STAT_TRY(why)]));
	json_object_set_new(j, "last", describe_last(why));
	return j;
}

static void
refuse(struct exchange *x, struct str name)
{
	struct text	near, t;

	text_init(&near);
	text_init(&t);
	fail_near(name, &near);
	text_add(&t, STR("There is no failure of that name or status"));
	if (near.n > 0)
		text_fmt(&t, "; near it: %.*s", STR_FMT(text_str(&near)));
	text_add(&t, STR("."));
	text_c(&t, '\0');
	api_error(x, 404, "no_failure", t.p);
	text_fini(&t);
	text_fini(&near);
}

void
api_failures(struct exchange *x)
{
	struct str	 name = STR("");
	uint64_t	 v[STAT_N];
	json_t		*all;

	if (api_query_name(x, &name) == -1)
		return;
	stat_sums(self->shm, v);
	all = json_array();
	for (unsigned i = FAIL_NONE + 1; i < FAIL_N; i++)
		if (name.n == 0 || fail_is((enum fail)i, name))
			json_array_append_new(all,
			    describe((enum fail)i, v));
	if (json_array_size(all) == 0) {
		json_decref(all);
		refuse(x, name);
		return;
	}
	api_answer(x, 200, json_pack("{s:i, s:o, s:o}", "v", 1, "now_ms",
	    api_num(ev_wall_ms(self->ev)), "failures", all));
}
