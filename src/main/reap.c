/*
 * Deaths and hangs.  Master.  A child that died is settled on the board
 * (its requests in flight become worker_lost records, its leases go back,
 * its counters are folded into the totals) and started again: at once
 * the first time, then with a growing delay, at most ten times a minute,
 * after that one in ten seconds with an alert.  A heartbeat that stands
 * for ten seconds costs SIGABRT, two seconds later SIGKILL.
 */
#include "main/master.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/must.h"
#include "core/access.h"
#include "core/lease.h"
#include "core/ticket.h"
#include "up/retry.h"
#include "up/breaker.h"
#include "up/server_use.h"
#include "up/queue.h"

#define HANG_MS		10000
#define HANG_KILL_MS	2000
#define MINUTE_MS	60000
#define SLOW_MS		10000
#define RETRY_MS	1000

static const char *
how(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(buf, size, "exit status %d", WEXITSTATUS(status));
	return buf;
}

/* A text of the dead as one line; it may hold anything. */
static void
tell_panic(struct master *m, const struct child *c)
{
	struct board_panic *p = shm_row(m->proc.shm, &board_panics, c->slot);
	uint32_t len = p->len, n = len < SLOT_PANIC ? len : SLOT_PANIC;
	struct text t;
	struct str rest, line;

	if (n == 0)
		return;
	rest = str_make(p->text, n);
	while (str_word(&rest, "\n", &line)) {
		text_init(&t);
		text_safe(&t, line);
		log_err(&self->lc, "%s: panic: %.*s", c->name,
		    STR_FMT(text_str(&t)));
		text_fini(&t);
	}
	p->len = 0;
}

/* A request that died with its process becomes a record of its own. */
static void
on_lost(void *ctx, const struct board_flight *f)
{
	struct master *m = ctx;
	struct access a;
	struct last_who who = { .id = STR_INIT("") };
	const char *p = f->text;
	size_t n, left = sizeof(f->text);
	size_t len[4] = { f->id_n, f->method_n, f->host_n, f->target_n };
	enum access_id ids[4] = { ACCESS_ID, ACCESS_METHOD, ACCESS_HOST,
	    ACCESS_TARGET };
	int i;

	memset(&a, 0, sizeof(a));
	for (i = 0; i < 4; i++) {
		if (len[i] > left)
			break;
		a.str[ids[i]] = str_make(p, len[i]);
		p += len[i];
		left -= len[i];
	}
	a.num[ACCESS_TIME] = f->begun_ms;
	a.str[ACCESS_FAIL] = str_from(fail_row(FAIL_WORKER_LOST)->name);
	memcpy(a.peer.ip, f->ip, sizeof(a.peer.ip));
	a.peer.family = f->family;
	a.peer.port = f->port;
	a.num[ACCESS_CLIENT_PORT] = f->port;
	a.num[ACCESS_DURATION] =
	    (ev_wall_ms(m->proc.ev) - f->begun_ms) * 1000;
	who.id = a.str[ACCESS_ID];
	last_note(FAIL_WORKER_LOST, &who, ev_wall_ms(m->proc.ev));
	if (access_put(&m->board.ring, &a, &n))
		ring_commit(&m->board.ring, n);
}

/* Gives back what the dead held on the board. */
static void
settle(struct master *m, struct child *c)
{
	struct board_slot *s;

	lease_return(m->proc.shm, c->slot);
	use_fold(m->proc.shm, c->slot);
	retry_fold(m->proc.shm, c->slot);
	breaker_fold(m->proc.shm, c->slot);
	queue_forget(m->proc.shm, c->slot);
	board_fold(m->proc.shm, c->slot, on_lost, m);
	s = shm_row(m->proc.shm, &board_slots, c->slot);
	s->state = SLOT_FREE;
	s->pid = 0;
	s->tag = 0;
}

static void
spawn_again(struct master *m, const struct proc_row *row)
{
	struct err e;

	if (row->count == 0) {
		roll_fit(m);
		return;
	}
	if (child_spawn_roles(m, &e) < 0) {
		log_err(&self->lc, "%s: not restarted: %s", row->name,
		    e.text);
		reap_retry(m, row);
	}
}

void
reap_retry(struct master *m, const struct proc_row *row)
{
	struct back_off *b = &m->back[row - procs];

	b->missing++;
	ev_timer(m->proc.ev, &b->again, RETRY_MS);
}

static void
on_again(struct timer *t)
{
	struct back_off *b = container_of(t, struct back_off, again);
	struct master *m = container_of(self, struct master, proc);

	if (b->missing == 0 || m->state > MASTER_SERVING)
		return;
	/* a process forked now would miss the generation under way */
	if (m->pub.step > PUBLISH_BUILD) {
		ev_timer(m->proc.ev, &b->again, 20);
		return;
	}
	b->missing = 0;
	spawn_again(m, &procs[b - m->back]);
}

/* Milliseconds to wait before the next start of a role. */
static uint64_t
delay_of(struct back_off *b, uint64_t now)
{
	static const unsigned steps[] = { 0, 50, 200, 500, 1000 };
	const unsigned max = sizeof(b->at) / sizeof(b->at[0]);
	unsigned i, recent = 0;

	for (i = 0; i < b->n; i++)
		if (now - b->at[i] < MINUTE_MS)
			recent++;
	memmove(b->at + 1, b->at, sizeof(b->at) - sizeof(b->at[0]));
	b->at[0] = now;
	b->n = b->n < max ? b->n + 1 : max;
	if (recent >= max)
		return SLOW_MS;
	return recent < 5 ? steps[recent] : 2000;
}

static void
restart(struct master *m, const struct proc_row *row)
{
	struct back_off *b = &m->back[row - procs];
	struct board_global *g = shm_row(m->proc.shm, &board_globals, 0);
	uint64_t ms = delay_of(b, ev_ms(m->proc.ev));

	g->restarts++;
	if (row->count == 0)
		g->accept_kick++;
	if (ms == SLOW_MS && m->state == MASTER_STARTING && !m->adopted) {
		master_give_up(m, row->name);
		return;
	}
	if (ms == SLOW_MS && !b->alerted)
		log_err(&self->lc, "%s: died more than 10 times in a minute: "
		    "started once in %d s from now on", row->name,
		    SLOW_MS / 1000);
	b->alerted = ms == SLOW_MS;
	b->missing++;
	ev_timer(m->proc.ev, &b->again, ms);
}

/* One of the program before has gone: ours may have waited for that. */
static void
succeed(struct master *m, const struct proc_row *row)
{
	struct back_off *b = &m->back[row - procs];

	b->missing++;
	ev_timer(m->proc.ev, &b->again, 0);
}

static void
on_death(struct master *m, struct child *c, int status)
{
	const struct proc_row *row = c->row;
	bool wanted = c->draining || m->state > MASTER_SERVING;
	bool old = c->old;
	char buf[64];

	if (wanted && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		log_info(&self->lc, "%s: ended, pid %d", c->name,
		    (int)c->pid);
	else
		log_err(&self->lc, "%s: died: %s, pid %d", c->name,
		    how(status, buf, sizeof(buf)), (int)c->pid);
	tell_panic(m, c);
	/* slot 0 is ours: those of another board have none here */
	if (c->slot != 0)
		settle(m, c);
	publish_lost(m, c);
	roll_lost(c);
	child_free(&c);
	if (m->gens.cur != NULL && !wanted && !old)
		restart(m, row);
	else if (old && m->gens.cur != NULL && m->state <= MASTER_SERVING &&
	    row->count > 0)
		succeed(m, row);
	master_advance(m);
}

void
reap_all(struct master *m)
{
	struct child *c;
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->pub.pid) {
			build_reaped(m, status);
			continue;
		}
		if (pid == m->plan.pid) {
			plan_reaped(m, status);
			continue;
		}
		if (pid == m->check_pid) {
			upgrade_checked(m, status);
			continue;
		}
		c = child_by_pid(m, pid);
		/* as PID 1 strangers are reaped too */
		if (c != NULL)
			on_death(m, c, status);
	}
}

static void
check_beat(struct master *m, struct child *c, uint64_t now)
{
	struct board_slot *s;
	uint64_t beat;

	if (c->old && m->old_board)
		return;
	s = shm_row(m->proc.shm, &board_slots, c->slot);
	beat = s->beat_ms;
	if (beat < c->born_ms)
		beat = c->born_ms;
	if (beat >= now || now - beat < HANG_MS || c->hung)
		return;
	c->hung = true;
	log_err(&self->lc, "%s: no heartbeat for %llu ms: aborted, pid %d",
	    c->name, (unsigned long long)(now - beat),
	    (int)c->pid);
	/* a stopped process has to run to tell its backtrace */
	kill(c->pid, SIGABRT);
	kill(c->pid, SIGCONT);
	child_kill_in(c, HANG_KILL_MS);
}

/* Whether there are keys of files besides is all the same. */
static void
rotate_tickets(struct master *m)
{
	struct err e;
	int rc;

	if (m->gens.cur == NULL)
		return;
	rc = ticket_rotate(m->proc.shm, ev_wall_ms(m->proc.ev),
	    ticket_of(m->gens.cur->conf)->rotate_ms, &e);
	if (rc < 0)
		log_err(&self->lc, "tickets: no new key: %s", e.text);
	else if (rc > 0)
		log_info(&self->lc, "tickets: sealed by a new key");
}

static void
on_watch(struct timer *t)
{
	struct master *m = container_of(t, struct master, watch);
	struct list *l;

	list_each(l, &m->children)
		check_beat(m, container_of(l, struct child, node),
		    ev_ms(m->proc.ev));
	rotate_tickets(m);
	log_tick(&m->proc.log);
	reap_watch(m);
}

void
reap_watch(struct master *m)
{
	ev_timer(m->proc.ev, &m->watch, 1000);
}

void
reap_init(struct master *m)
{
	unsigned i, n = 0;

	while (procs[n].name != NULL)
		n++;
	m->back = must_calloc(n, sizeof(*m->back));
	for (i = 0; i < n; i++)
		timer_init(&m->back[i].again, on_again);
	timer_init(&m->watch, on_watch);
}
