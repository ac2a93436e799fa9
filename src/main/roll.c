/*
 * Workers: as many as the generation says, and a roll, which replaces
 * them one by one.  Master.  The new one serves before the old one is
 * told to drain; both accept from the same sockets, so nobody waits.
 */
#include "main/master.h"

#include <string.h>

#include "core/settings.h"

static unsigned
wanted(const struct master *m)
{
	return settings_workers(m->gens.cur->conf);
}

static void
drain_worker(struct master *m, struct child *c)
{
	const struct settings *s = master_settings(m);

	child_drain(c, 0, s->drain_timeout);
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

static void
report(struct master *m)
{
	struct report r = { .code = EXIT_OK,
	    .generation = m->gens.cur->number };
	struct frame_head h = { .op = CHAN_REPORT, .len = sizeof(r),
	    .id = m->roll_asker };
	struct child *c = child_find(m, child_row("control"), 0);

	if (m->roll_asker != 0 && c != NULL)
		(void)chan_send(&c->chan, &h, &r, NULL, 0);
	m->roll_asker = 0;
}

/* Starts the successor of the next worker, or ends the roll. */
static void
step(struct master *m)
{
	const struct proc_row *row = child_row("worker");
	struct err e;

	if (m->roll_at >= wanted(m) || m->state > MASTER_SERVING) {
		m->rolling = false;
		log_info(&self->lc, "roll: %u workers replaced", m->roll_at);
		report(m);
		if (m->roll_again) {
			m->roll_again = false;
			roll_start(m, 0);
		}
		return;
	}
	/* a process forked now would miss the generation under way */
	if (m->pub.step > PUBLISH_BUILD) {
		m->roll_waits = true;
		return;
	}
	m->roll_new = child_spawn(m, row, m->roll_at, &e);
	if (m->roll_new == NULL) {
		log_err(&self->lc, "roll: stopped at worker %u: %s",
		    m->roll_at + 1, e.text);
		m->rolling = false;
		report(m);
	}
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
	if (m->state != MASTER_SERVING)
		return;
	if (m->rolling) {
		m->roll_again = true;
		return;
	}
	m->rolling = true;
	m->roll_at = 0;
	m->roll_asker = asker;
	step(m);
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

	if (!m->rolling || c != m->roll_new)
		return;
	/* the old one still serves: try no further */
	log_err(&self->lc, "roll: stopped: the new %s died", c->name);
	m->roll_new = NULL;
	m->rolling = false;
	report(m);
}
