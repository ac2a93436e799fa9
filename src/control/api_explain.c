/*
 * GET /v1/explain: the question is the query.  Control process.  It is
 * answered from the live generation, which is mapped here as in workers.
 */
#include "control/explain.h"
#include "control/int.h"
#include "os/proc.h"

/* One NAME=VALUE of the query, decoded. */
static int
read_word(struct arena *a, struct explain *q, struct str word)
{
	struct str	name, val;

	if (api_read_word(a, word, &name, &val) == -1)
		return -1;
	if (str_eq(name, STR("url")))
		q->url = val;
	else if (str_eq(name, STR("method")))
		q->method = val;
	else if (str_eq(name, STR("from")))
		q->from = val;
	else if (str_eq(name, STR("field")) && q->nfield < EXPLAIN_FIELDS)
		q->field[q->nfield++] = val;
	else
		return -1;
	return 0;
}

void
api_explain(struct exchange *x)
{
	struct explain	 q = { .nfield = 0 };
	struct str	 rest = x->uri.query, word;
	struct err	 e;
	json_t		*j;

	while (str_word(&rest, "&", &word))
		if (read_word(x->arena, &q, word) == -1) {
			api_error(x, 400, "bad_query", "The query is url, "
			    "method, from and field, percent-encoded.");
			return;
		}
	if (q.url.n == 0) {
		api_error(x, 400, "bad_query", "There is no url.");
		return;
	}
	j = explain_run(self->gens->cur->conf, &q, self->shm, &e);
	if (j == NULL)
		api_error(x, 400, "bad_request", e.text);
	else
		api_answer(x, 200, j);
}
