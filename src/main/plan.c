/*
 * Plans: what a reload would change.  Master.
 *
 * The builder does all of it: it loads the files as for a reload,
 * compares what comes of them with the live generation, which it has
 * mapped, and writes the result to a memory file that goes on to control
 * unread.  Neither a number nor a slot of a generation is used up, so a
 * plan and a reload may run at the same time.
 */
#include "main/master.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"

#define PLAN_MS		60000

void
plan_enter(struct master *m)
{
	unsigned slot = 0;

	/* this process has mapped two generations at most */
	while ((m->gens.cur != NULL && m->gens.cur->slot == slot) ||
	    (m->gens.next != NULL && m->gens.next->slot == slot))
		slot++;
	m->plan.inside = true;
	m->pub.slot = slot;
	m->pub.number = m->numbers + 1;
}

/* Diagnostics belong to the plan under way. */
static void
report(struct master *m, uint64_t asker, int code, const char *why)
{
	struct report r = { .code = code,
	    .generation = m->gens.cur->number };
	struct frame_head h = { .op = CHAN_REPORT, .id = asker };
	struct child *c = child_find(m, child_row("control"), 0);
	bool own = asker == m->plan.asker;
	struct text t;

	r.why_n = (uint32_t)strlen(why);
	r.text_n = own ? (uint32_t)m->plan.diags.n : 0;
	r.json_n = own ? (uint32_t)m->plan.json.n : 0;
	if (sizeof(r) + r.why_n + r.text_n + r.json_n > CHAN_BYTES)
		r.json_n = 0;
	text_init(&t);
	text_add(&t, str_make((const char *)&r, sizeof(r)));
	text_add(&t, str_from(why));
	text_add(&t, str_make(m->plan.diags.p, r.text_n));
	text_add(&t, str_make(m->plan.json.p, r.json_n));
	h.len = (uint32_t)t.n;
	if (c != NULL)
		(void)chan_send(&c->chan, &h, t.p, &m->plan.fd,
		    own && m->plan.fd >= 0 ? 1 : 0);
	text_fini(&t);
}

/* The plan is over, well or not. */
static void
end(struct master *m, const char *why)
{
	ev_timer_off(m->proc.ev, &m->plan.deadline);
	chan_close(&m->plan.chan);
	report(m, m->plan.asker, m->plan.exit_code, why);
	text_fini(&m->plan.diags);
	text_fini(&m->plan.json);
	if (m->plan.fd >= 0)
		close(m->plan.fd);
	m->plan.fd = -1;
	m->plan.asker = 0;
}

static void
on_built(struct chan *ch, struct frame *f)
{
	struct master *m = ch->ctx;
	struct build_answer a;

	if (m->plan.answered || !build_read(f, &a))
		return;
	m->plan.answered = true;
	m->plan.exit_code = a.exit_code;
	text_add(&m->plan.diags, a.text);
	text_add(&m->plan.json, a.json);
	if (f->nfd == 1) {
		m->plan.fd = f->fds[0];
		f->fds[0] = -1;
	}
}

static void
on_deadline(struct timer *t)
{
	struct master *m = container_of(t, struct master, plan.deadline);

	log_err(&self->lc, "plan: the builder took longer than 60 s: killed");
	kill(m->plan.pid, SIGKILL);
}

void
plan_start(struct master *m, uint64_t asker)
{
	struct err e;
	int fd;

	if (m->gens.cur == NULL || m->state > MASTER_SERVING)
		return;
	if (m->plan.asker != 0) {
		report(m, asker, EXIT_ENV, "another plan is being made");
		return;
	}
	m->plan.answered = false;
	m->plan.fd = -1;
	m->plan.exit_code = EXIT_ENV;
	timer_init(&m->plan.deadline, on_deadline);
	m->plan.pid = build_fork(m, true, &fd, &e);
	if (m->plan.pid == 0) {
		report(m, asker, EXIT_ENV, e.text);
		return;
	}
	m->plan.asker = asker;
	text_init(&m->plan.diags);
	text_init(&m->plan.json);
	ev_timer(m->proc.ev, &m->plan.deadline, PLAN_MS);
	/* without a channel its death will tell */
	if (chan_open(&m->plan.chan, m->proc.ev, fd, on_built, m, &e) < 0)
		kill(m->plan.pid, SIGKILL);
}

void
plan_kill(struct master *m)
{
	if (m->plan.pid <= 0)
		return;
	kill(m->plan.pid, SIGKILL);
	while (waitpid(m->plan.pid, NULL, 0) < 0 && errno == EINTR)
		;
	m->plan.pid = 0;
	end(m, "the gateway is stopping");
}

void
plan_reaped(struct master *m, int status)
{
	struct frame f = { .nfd = 0 };
	char why[128] = "", *buf;

	(void)status;
	m->plan.pid = 0;
	/* its answer may still lie in the channel */
	if (!m->plan.answered && chan_is_open(&m->plan.chan)) {
		buf = must_alloc(CHAN_BYTES);
		if (chan_recv_wait(m->plan.chan.fd.fd, &f, buf, CHAN_BYTES,
		    0) == 0)
			on_built(&m->plan.chan, &f);
		free(buf);
	}
	if (!m->plan.answered)
		snprintf(why, sizeof(why), "the builder died before it "
		    "answered");
	else if (m->plan.exit_code != EXIT_OK)
		snprintf(why, sizeof(why), "the configuration has errors");
	end(m, why);
}
