/*
 * Orders: reload, roll and plan, which the master carries out.  Control
 * process.
 * An order is a frame to the master with an id; its exchange waits until
 * the master's report comes back with that id, for ORDER_MS at most.  The
 * master lets one reload run and merges those that come meanwhile into
 * the next; each asker is told what became of the one that began after it
 * had asked.
 */
#include "control/int.h"

#include <unistd.h>

#include "os/proc.h"

#define PLAN_MAX	(64UL << 20)
#define ORDER_MS	90000	/* the builder has 60 s, prepare 10 s */

/* an exchange that waits; its hctx */
struct order {
	struct list	 node;		/* of api.orders */
	struct exchange	*x;		/* ref */
	struct timer	 deadline;
	uint64_t	 id;
	enum frame_op	 op;
};

/* Takes the order off; its exchange can be answered. */
static struct exchange *
take(struct order *o)
{
	struct exchange *x = o->x;

	list_del(&o->node);
	ev_timer_off(x->serve->ev, &o->deadline);
	api_of(x)->norder--;
	x->hctx = NULL;
	return x;
}

static void
on_deadline(struct timer *t)
{
	struct order *o = container_of(t, struct order, deadline);

	api_error(take(o), 504, "timeout", "The master did not say in time "
	    "what became of it; it may still happen.");
}

static bool
is_ordered(const struct api *a, enum frame_op op)
{
	struct list *l;

	list_each(l, &a->orders)
		if (container_of(l, struct order, node)->op == op)
			return true;
	return false;
}

static void
give(struct exchange *x, enum frame_op op)
{
	struct api *a = api_of(x);
	struct frame_head h = { .op = (uint16_t)op };
	struct order *o;

	if (self->draining) {
		api_refuse(x);
		return;
	}
	if (a->norder == API_ORDERS) {
		api_error(x, 503, "busy", "Too many wait for an outcome.");
		return;
	}
	h.id = ++a->id;
	if (chan_send(&self->master, &h, NULL, NULL, 0) < 0) {
		api_error(x, 503, "no_master", "The master takes no orders.");
		return;
	}
	o = arena_alloc(x->arena, sizeof(*o));
	o->x = x;
	o->id = h.id;
	o->op = op;
	timer_init(&o->deadline, on_deadline);
	ev_timer(a->serve.ev, &o->deadline, ORDER_MS);
	list_add_tail(&a->orders, &o->node);
	a->norder++;
	x->hctx = o;
}

void
api_order_reload(struct exchange *x)
{
	give(x, CHAN_RELOAD);
}

void
api_order_roll(struct exchange *x)
{
	/* a second one would find the workers that the first one made */
	if (is_ordered(api_of(x), CHAN_ASK_ROLL))
		api_error(x, 409, "rolling", "A roll is under way already.");
	else
		give(x, CHAN_ASK_ROLL);
}

void
api_order_plan(struct exchange *x)
{
	if (is_ordered(api_of(x), CHAN_ASK_PLAN))
		api_error(x, 409, "planning", "A plan is being made already.");
	else
		give(x, CHAN_ASK_PLAN);
}

void
api_order_forget(struct exchange *x)
{
	if (x->hctx != NULL)
		take(x->hctx);
}

/*
 * The diagnostics that the builder wrote as JSON go into the answer as
 * they are; where there are none (too long, or the master's own error)
 * the text has them.
 */
static void
add_diagnostics(json_t *answer, const struct api_outcome *r)
{
	json_t *all = json_loadb(r->json.p, r->json.n, 0, NULL);
	json_t *v = json_object_get(all, "diagnostics");

	json_object_set_new(answer, "diagnostics",
	    json_is_array(v) ? json_incref(v) : json_array());
	json_object_set_new(answer, "text", api_text(r->text));
	json_decref(all);
}

/* The builder's file, as it is; the answer if it is none. */
static json_t *
read_plan(int fd)
{
	struct text t;
	json_t *j;
	char buf[16384];
	ssize_t n;

	text_init(&t);
	while (fd >= 0 && t.n < PLAN_MAX && (n = pread(fd, buf, sizeof(buf),
	    (off_t)t.n)) > 0)
		text_add(&t, str_make(buf, (size_t)n));
	j = json_loadb(t.p == NULL ? "" : t.p, t.n, 0, NULL);
	text_fini(&t);
	return j;
}

/* Whom it would touch: those of workers that end. */
static void
add_conns(json_t *j)
{
	const json_t *w = json_object_get(j, "workers");
	json_int_t n = json_integer_value(json_object_get(w, "new"));
	uint64_t all, ends;

	api_state_conns(n < 0 || n > UINT16_MAX ? UINT16_MAX : (unsigned)n,
	    &all, &ends);
	json_object_set_new(j, "connections", json_pack("{s:o, s:o}",
	    "open", api_num(all), "drained", api_num(ends)));
}

static void
answer_plan(struct order *o, const struct api_outcome *r)
{
	struct exchange *x = take(o);
	json_t *j = r->code == 0 ? read_plan(r->fd) : NULL;

	if (json_is_object(j)) {
		add_conns(j);
	} else {
		json_decref(j);
		j = json_pack("{s:i, s:o, s:s, s:o, s:i}", "v", 1,
		    "generation", api_num(r->generation), "error",
		    "plan_failed", "why", api_text(r->why), "code",
		    r->code == 0 ? 4 : r->code);
	}
	add_diagnostics(j, r);
	api_answer(x, json_object_get(j, "error") == NULL ? 200 : 409, j);
}

static void
answer(struct order *o, const struct api_outcome *r)
{
	const char *name = o->op == CHAN_RELOAD ? "reload_failed" :
	    "roll_failed";
	bool reload = o->op == CHAN_RELOAD;
	struct exchange *x = take(o);
	json_t *j = json_pack("{s:i, s:o}", "v", 1, "generation",
	    api_num(r->generation));

	if (r->code != 0) {
		json_object_set_new(j, "error", json_string(name));
		json_object_set_new(j, "why", api_text(r->why));
		json_object_set_new(j, "code", json_integer(r->code));
	}
	if (reload)
		add_diagnostics(j, r);
	api_answer(x, r->code == 0 ? 200 : 409, j);
}

void
api_report(struct api *a, const struct api_outcome *r)
{
	struct order *o;
	struct list *l;

	list_each(l, &a->orders) {
		if (container_of(l, struct order, node)->id != r->id)
			continue;
		o = container_of(l, struct order, node);
		if (o->op == CHAN_ASK_PLAN)
			answer_plan(o, r);
		else
			answer(o, r);
		return;
	}
}

void
api_give_up(struct api *a)
{
	api_log_give_up(a);
	api_explain_give_up(a);
	while (!list_is_empty(&a->orders))
		api_refuse(take(container_of(a->orders.next, struct order,
		    node)));
}
