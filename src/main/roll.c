/*
 * Workers: as many as the generation says, and a roll, which replaces
 * them one by one.  Master.  The new one serves before the old one is
 * told to drain; both accept from the same sockets, so nobody waits.
 */
#include "main/master.h"

#include <string.h>

#include "core/settings.h"

static void begin(struct master *);

static unsigned
wanted(const struct master *m)
{
	return settings_workers(m->gens.cur->conf);
}

static void
drain_worker(struct master *m, struct child *c)
{
	const struct settings *s = master_settings(m);

	child_drain(c, 0, s->drain_timeout, s->drain_streams);
}

void
roll_fit(struct master *m)
{
	const struct proc_row *row = child_row("worker");
	struct list *l, *tmp;
	struct child *c;
	struct err e;
	unsigned i;

	if (m->gens.cur == NULL || m->state > MASTER_SERVING)
		return;
	for (i = 0; i < wanted(m); i++)
		if (child_find(m, row, i) == NULL &&
		    child_spawn(m, row, i, &e) == NULL) {
			log_err(&self->lc, "worker %u: not started: %s",
			    i + 1, e.text);
			reap_retry(m, row);
			break;
		}
	list_each_safe(l, tmp, &m->children) {
		c = container_of(l, struct child, node);
		if (c->row == row && !c->draining && !c->old &&
		    c->index >= wanted(m))
			drain_worker(m, c);
	}
}

/* Tells control what became of the roll; why NULL: it is done. */
static void
report(struct master *m, const char *why)
{
	struct report r = { .code = why == NULL ? EXIT_OK : EXIT_ENV,
	    .generation = m->gens.cur->number };
	struct frame_head h = { .op = CHAN_REPORT };
	struct child *c = child_find(m, child_row("control"), 0);
	struct text t;
	unsigned i;

	r.why_n = why == NULL ? 0 : (uint32_t)str_from(why).n;
	text_init(&t);
	text_add(&t, str_make((const char *)&r, sizeof(r)));
	text_add(&t, str_from(why));
	h.len = (uint32_t)t.n;
	for (i = 0; c != NULL && i < m->roll_now.n; i++) {
		h.id = m->roll_now.id[i];
		(void)chan_send(&c->chan, &h, t.p, NULL, 0);
	}
	m->roll_now.n = 0;
	text_fini(&t);
}

/* The roll is over; the next one begins if it was asked for meanwhile. */
static void
finish(struct master *m, const char *why)
{
	if (why == NULL)
		log_info(&self->lc, "roll: %u workers replaced", m->roll_at);
	else
		log_err(&self->lc, "roll: stopped at worker %u: %s",
		    m->roll_at + 1, why);
	m->rolling = false;
	m->roll_new = NULL;
	report(m, why);
	if (m->roll_later.n == 0)
		return;
	m->roll_now = m->roll_later;
	m->roll_later.n = 0;
	begin(m);
}

/* Starts the successor of the next worker, or ends the roll. */
static void
step(struct master *m)
{
	const struct proc_row *row = child_row("worker");
	struct err e;

	if (m->state > MASTER_SERVING) {
		finish(m, "the gateway is stopping");
		return;
	}
	if (m->roll_at >= wanted(m)) {
		finish(m, NULL);
		return;
	}
	/* a process forked now would miss the generation under way */
	if (m->pub.step > PUBLISH_BUILD) {
		m->roll_waits = true;
		return;
	}
	m->roll_new = child_spawn(m, row, m->roll_at, &e);
	if (m->roll_new == NULL)
		finish(m, e.text);
}

static void
begin(struct master *m)
{
	m->rolling = true;
	m->roll_at = 0;
	step(m);
}

static void
add_asker(struct publish_askers *a, uint64_t id)
{
	if (a->n < sizeof(a->id) / sizeof(a->id[0]))
		a->id[a->n++] = id;
}

void
roll_resume(struct master *m)
{
	if (!m->roll_waits)
		return;
	m->roll_waits = false;
	step(m);
}

void
roll_start(struct master *m, uint64_t asker)
{
	/* who asks now wants those replaced, too, that it has made so far */
	if (m->rolling) {
		log_info(&self->lc, "roll: asked for while one is under way: "
		    "another one follows");
		add_asker(&m->roll_later, asker);
		return;
	}
	add_asker(&m->roll_now, asker);
	if (m->state == MASTER_SERVING)
		begin(m);
	else
		report(m, "the gateway is starting or stopping");
}

void
roll_ready(struct child *c)
{
	struct master *m = c->m;
	struct list *l, *tmp;
	struct child *o;

	if (!m->rolling || c != m->roll_new)
		return;
	m->roll_new = NULL;
	list_each_safe(l, tmp, &m->children) {
		o = container_of(l, struct child, node);
		if (o != c && o->row == c->row && o->index == c->index &&
		    !o->draining)
			drain_worker(m, o);
	}
	m->roll_at++;
	step(m);
}

void
roll_lost(struct child *c)
{
	struct master *m = c->m;
	char why[64];

	if (!m->rolling || c != m->roll_new)
		return;
	m->roll_new = NULL;
	/* told to go, because there are to be fewer now */
	if (c->draining) {
		step(m);
		return;
	}
	/* the old one still serves: try no further */
	snprintf(why, sizeof(why), "the new %s died", c->name);
	finish(m, why);
}
