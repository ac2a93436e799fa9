/*
 * GET /v1/explain: the question is the query.  Control process.  It is
 * answered from the live generation, which is mapped here as in workers.
 *
 * What only a worker knows is asked of one, over the master; with its
 * answer the question is run again.  One that does not answer in time is
 * not waited for: another one is asked, and at last it is not known.
 */
#include "control/explain.h"

#include <string.h>

#include "control/int.h"
#include "os/proc.h"

#define LOOKS		16	/* that wait at a time */
#define LOOK_MS		300
#define TRIES		3

/* an exchange that waits for a worker; its hctx */
struct waiting {
	struct list		 node;		/* of api.looks */
	struct exchange		*x;		/* ref */
	struct explain		 q;
	struct explain_looks	 looks;		/* of q */
	struct timer		 deadline;
	uint64_t		 id;
	unsigned		 tries;
};

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

static void
answer(struct exchange *x, const struct explain *q)
{
	struct err	 e;
	json_t		*j;

	j = explain_run(self->gens->cur->conf, q, self->shm, &e);
	if (j == NULL)
		api_error(x, 400, "bad_request", e.text);
	else
		api_answer(x, 200, j);
}

/* --- waiting --- */

/* False: nobody will answer. */
static bool
send_look(struct waiting *w)
{
	struct api		*a = api_of(w->x);
	struct frame_head	 h = { .op = CHAN_LOOK };

	if (self->draining || w->tries == TRIES)
		return false;
	w->tries++;
	h.id = w->id = ++a->id;
	h.len = (uint32_t)(w->looks.n * sizeof(w->looks.ask[0]));
	if (chan_send(&self->master, &h, w->looks.ask, NULL, 0) < 0)
		return false;
	ev_timer(a->serve.ev, &w->deadline, LOOK_MS);
	return true;
}

/* Takes it off; its exchange can be answered. */
static struct exchange *
take(struct waiting *w)
{
	struct api	*a = api_of(w->x);

	list_del(&w->node);
	ev_timer_off(a->serve.ev, &w->deadline);
	a->nlook--;
	w->x->hctx = NULL;
	return w->x;
}

static void
on_deadline(struct timer *t)
{
	struct waiting	*w = container_of(t, struct waiting, deadline);

	if (!send_look(w))
		answer(take(w), &w->q);
}

static void
wait_for_worker(struct waiting *w)
{
	struct api	*a = api_of(w->x);

	list_add_tail(&a->looks, &w->node);
	a->nlook++;
	w->x->hctx = w;
	if (!send_look(w))
		answer(take(w), &w->q);
}

void
api_explain_told(struct api *a, uint64_t id, struct str payload)
{
	struct waiting	*w;
	struct list	*l;

	list_each(l, &a->looks) {
		w = container_of(l, struct waiting, node);
		if (w->id != id || payload.n != w->looks.n *
		    sizeof(w->looks.told[0]))
			continue;
		memcpy(w->looks.told, payload.p, payload.n);
		w->looks.answered = true;
		answer(take(w), &w->q);
		return;
	}
}

void
api_explain_forget(struct exchange *x)
{
	if (x->hctx != NULL)
		take(x->hctx);
}

void
api_explain_give_up(struct api *a)
{
	struct waiting	*w;

	while (!list_is_empty(&a->looks)) {
		w = container_of(a->looks.next, struct waiting, node);
		answer(take(w), &w->q);
	}
}

/* --- the question --- */

void
api_explain(struct exchange *x)
{
	struct waiting	*w = arena_alloc(x->arena, sizeof(*w));
	struct str	 rest = x->uri.query, word;
	struct err	 e;
	json_t		*j;

	w->x = x;
	w->q.looks = &w->looks;
	timer_init(&w->deadline, on_deadline);
	while (str_word(&rest, "&", &word))
		if (read_word(x->arena, &w->q, word) == -1) {
			api_error(x, 400, "bad_query", "The query is url, "
			    "method, from and field, percent-encoded.");
			return;
		}
	if (w->q.url.n == 0) {
		api_error(x, 400, "bad_query", "There is no url.");
		return;
	}
	j = explain_run(self->gens->cur->conf, &w->q, self->shm, &e);
	if (j == NULL)
		api_error(x, 400, "bad_request", e.text);
	else if (w->looks.n == 0 || api_of(x)->nlook == LOOKS)
		api_answer(x, 200, j);
	else {
		json_decref(j);
		wait_for_worker(w);
	}
}
