/*
 * Publishing a generation.  Master.  Build, check and seal, make room on
 * the board, bind; then two phases: every process maps and vets it
 * (prepare), and only when all agree they swap (commit).  Whatever goes
 * wrong before the commit changes nothing anywhere.
 */
#include "main/publish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "core/cert_use.h"
#include "core/listener_limit.h"
#include "core/settings.h"
#include "main/certwatch.h"
#include "main/master.h"
#include "os/fault.h"
#include "os/notify.h"
#include "up/queue.h"

#define PREPARE_MS	10000
/* sockets in one publish: less than a channel queues, so all else has room */
#define FRESH_MAX	240

static void finish(struct master *);

static void
add_asker(struct publish_askers *a, uint64_t id)
{
	if (id != 0 && a->n < sizeof(a->id) / sizeof(a->id[0]))
		a->id[a->n++] = id;
}

/* Bits of the slots that some process still uses. */
static uint64_t
slots_held(struct master *m)
{
	uint64_t held = 0;
	struct list *l;

	list_each(l, &m->children)
		held |= container_of(l, struct child, node)->holds;
	if (m->gens.cur != NULL)
		held |= 1ULL << m->gens.cur->slot;
	return held;
}

/* Lowest number of a generation that some process may still use. */
static uint64_t
oldest_held(struct master *m)
{
	uint64_t held = slots_held(m), min = m->pub.number;
	unsigned i;

	/* what processes of the program before hold is not known */
	if (!m->old_board && upgrade_has_old(m, NULL))
		return 0;
	for (i = 0; i < GEN_SLOTS; i++)
		if ((held & 1ULL << i) != 0 && m->slot_number[i] < min)
			min = m->slot_number[i];
	return min;
}

/* Too many are in use: whoever holds the oldest is told to end. */
static void
expire_oldest(struct master *m, uint64_t held)
{
	struct frame_head h = { .op = CHAN_EXPIRE };
	struct list *l;
	struct child *c;
	unsigned i, oldest = GEN_SLOTS;

	if (__builtin_popcountll(held) < GEN_LIVE)
		return;
	for (i = 0; i < GEN_SLOTS; i++)
		if ((held & 1ULL << i) != 0 && (oldest == GEN_SLOTS ||
		    m->slot_number[i] < m->slot_number[oldest]))
			oldest = i;
	h.id = m->slot_number[oldest];
	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if ((c->holds & 1ULL << oldest) == 0 || c->old)
			continue;
		log_warn(&self->lc, "%s: still uses generation %llu, the "
		    "oldest of %d: told to end what does", c->name,
		    (unsigned long long)h.id, GEN_LIVE);
		(void)chan_send(&c->chan, &h, NULL, NULL, 0);
	}
}

/* The next slot that nobody uses. */
static int
choose_slot(struct master *m, struct err *e)
{
	uint64_t held = slots_held(m);
	unsigned i, slot;

	expire_oldest(m, held);
	for (i = 0; i < GEN_SLOTS; i++) {
		slot = (m->next_slot + i) % GEN_SLOTS;
		if ((held & 1ULL << slot) != 0)
			continue;
		m->pub.slot = slot;
		m->slot_number[slot] = m->pub.number;
		m->next_slot = (slot + 1) % GEN_SLOTS;
		return 0;
	}
	return err_set(e, "all %d places for generations are in use",
	    GEN_SLOTS);
}

static void
on_deadline(struct timer *t)
{
	struct master *m = container_of(t, struct master, pub.deadline);
	struct list *l;
	struct child *c;

	if (m->pub.step == PUBLISH_BUILD) {
		log_err(&self->lc, "builder: took longer than 60 s: killed");
		kill(m->pub.pid, SIGKILL);
		return;
	}
	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (!c->asked)
			continue;
		c->asked = false;
		snprintf(m->pub.why, sizeof(m->pub.why), "%s did not "
		    "answer within %d s", c->name,
		    PREPARE_MS / 1000);
		m->pub.refused = true;
	}
	m->pub.pending = 0;
	finish(m);
}

void
publish_no_files(struct master *m)
{
	m->pub.fd = -1;
	for (unsigned i = 0; i < GEN_NKEYS; i++)
		m->pub.keys_fd[i] = -1;
}

static void
close_files(struct master *m)
{
	if (m->pub.fd >= 0)
		close(m->pub.fd);
	for (unsigned i = 0; i < GEN_NKEYS; i++)
		if (m->pub.keys_fd[i] >= 0)
			close(m->pub.keys_fd[i]);
	publish_no_files(m);
}

/* Processes that start later map the keys from here. */
static void
keep_keys(struct master *m)
{
	for (unsigned i = 0; i < GEN_NKEYS; i++) {
		if (m->keys_fd[i] >= 0)
			close(m->keys_fd[i]);
		m->keys_fd[i] = m->pub.keys_fd[i];
		m->pub.keys_fd[i] = -1;
	}
}

void
publish_start(struct master *m, uint64_t asker)
{
	struct err e;

	if (m->state > MASTER_SERVING)
		return;
	if (m->pub.step != PUBLISH_IDLE) {
		m->pub.again = true;
		add_asker(&m->pub.later, asker);
		return;
	}
	add_asker(&m->pub.now, asker);
	if (m->state == MASTER_SERVING)
		notify_reloading();
	m->pub.step = PUBLISH_BUILD;
	m->pub.refused = false;
	m->pub.gen = NULL;
	publish_no_files(m);
	m->pub.exit_code = EXIT_ENV;
	m->pub.unpaired = false;
	m->pub.why[0] = '\0';
	m->pub.begun_ms = ev_ms(m->proc.ev);
	m->pub.number = ++m->numbers;
	text_init(&m->pub.diags);
	text_init(&m->pub.json);
	timer_init(&m->pub.deadline, on_deadline);
	if (choose_slot(m, &e) < 0 || build_start(m, &e) < 0)
		publish_fail(m, "%s", e.text);
}

static void
refuse(struct master *m, const struct child *c, const char *why)
{
	snprintf(m->pub.why, sizeof(m->pub.why), "%s %s", c->name, why);
	m->pub.refused = true;
}

/* Who cannot be told what holds would go on with what does not. */
static void
out_of_step(struct child *c)
{
	log_warn(&self->lc, "%s: takes no frames any more: killed, pid %d",
	    c->name, (int)c->pid);
	kill(c->pid, SIGKILL);
}

/* The first phase: asks everybody; counts the answers to come. */
static void
ask_all(struct master *m)
{
	struct prepare p = { .number = m->pub.number, .slot = m->pub.slot };
	struct frame_head h = { .op = CHAN_PREPARE, .id = m->pub.number,
	    .len = sizeof(p) };
	int files[2] = { m->pub.fd };
	struct list *l;
	struct child *c;
	unsigned n;
	int kind;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->old || c->draining)
			continue;
		kind = child_keys(c->row);
		n = kind < 0 ? 1 : 2;
		if (kind >= 0)
			files[1] = m->pub.keys_fd[kind];
		if (chan_send(&c->chan, &h, &p, files, n) < 0) {
			/* who cannot be asked has not agreed */
			refuse(m, c, "could not be asked");
			continue;
		}
		c->holds |= 1ULL << m->pub.slot;
		c->asked = true;
		m->pub.pending++;
	}
}

/* The second: CHAN_COMMIT, which is answered, or CHAN_CANCEL. */
static void
tell_all(struct master *m, enum frame_op op)
{
	struct frame_head h = { .id = m->pub.number };
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->old)
			continue;
		/* who began to drain meanwhile needs no new generation */
		h.op = (uint16_t)(c->draining ? CHAN_CANCEL : op);
		if (chan_send(&c->chan, &h, NULL, NULL, 0) < 0) {
			out_of_step(c);
			continue;
		}
		c->asked = h.op == CHAN_COMMIT;
		m->pub.pending += c->asked;
	}
}

/* New sockets go to the workers ahead of the generation that names them. */
static int
send_sockets(struct master *m, struct child *c)
{
	struct frame_head h = { .op = CHAN_LISTEN,
	    .len = sizeof(struct sock_addr) };
	struct list *l;
	struct bound *b;

	list_each(l, &m->bound) {
		b = container_of(l, struct bound, node);
		if (b->fresh && (FAULT("listen_refuse") ||
		    chan_send(&c->chan, &h, &b->addr, &b->fd, 1) < 0))
			return -1;
	}
	return 0;
}

static bool
takes_sockets(const struct child *c)
{
	return c->row->count == 0 && !c->old && !c->draining;
}

/* To every worker; refuses the generation when one does not get them. */
static void
send_all_sockets(struct master *m)
{
	struct list *l;
	struct child *c;
	unsigned fresh = 0;

	list_each(l, &m->bound)
		fresh += container_of(l, struct bound, node)->fresh;
	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (m->pub.refused || !takes_sockets(c))
			continue;
		if (fresh > FRESH_MAX) {
			snprintf(m->pub.why, sizeof(m->pub.why), "%u new "
			    "addresses: a reload may add %d; add the others "
			    "by another", fresh, FRESH_MAX);
			m->pub.refused = true;
		} else if (send_sockets(m, c) < 0) {
			refuse(m, c, "could not be sent the sockets of new "
			    "addresses");
		}
	}
}

static void
begin_prepare(struct master *m)
{
	m->pub.step = PUBLISH_PREPARE;
	send_all_sockets(m);
	ev_timer(m->proc.ev, &m->pub.deadline, PREPARE_MS);
	if (!m->pub.refused)
		ask_all(m);
	if (m->pub.pending == 0)
		finish(m);
}

void
publish_say(struct master *m, enum diag_id id, const char *why)
{
	struct diags *d = diag_new();

	diag_at(d, id, NULL, NULL, "", "%s", why);
	diag_set_color(d, m->state == MASTER_STARTING &&
	    diag_wants_color(STDERR_FILENO));
	text_fini(&m->pub.json);
	text_init(&m->pub.json);
	diag_json(d, &m->pub.json);
	diag_print(d, &m->pub.diags, diag_errors(d) > 0 ?
	    "configuration NOT loaded" : "");
	m->pub.warnings++;
	diag_free(&d);
}

void
publish_built(struct master *m)
{
	enum diag_id id;
	struct err e;

	m->pub.exit_code = EXIT_ENV;
	if (gen_check(&m->gens, m->pub.fd, m->pub.slot, m->pub.number,
	    &e) < 0 || gen_check_keys(m->pub.keys_fd[GEN_KEYS], &e) < 0 ||
	    gen_check_keys(m->pub.keys_fd[GEN_PROBE], &e) < 0 ||
	    (m->pub.gen = gen_map(&m->gens, m->pub.fd, m->pub.slot,
	    &e)) == NULL) {
		publish_fail(m, "generation %llu: %s",
		    (unsigned long long)m->pub.number, e.text);
		return;
	}
	gen_ref(m->pub.gen);
	id = DIAG_BOARD_MAX;
	if (master_first(m, m->pub.gen->conf, &id, &e) < 0 ||
	    upstream_link_rows(m->proc.shm, m->pub.gen->conf,
	    oldest_held(m), &e) < 0 ||
	    listener_link_rows(m->proc.shm, m->pub.gen->conf,
	    oldest_held(m), &e) < 0 ||
	    cert_use_grow(m->proc.shm, m->pub.gen->conf, &e) < 0 ||
	    bind_all(m, m->pub.gen->conf, &id, &e) < 0) {
		publish_say(m, id, e.text);
		publish_fail(m, "%s", e.text);
		return;
	}
	/* tables of rows, which every child would begin with */
	must_trim();
	begin_prepare(m);
}

void
publish_fail(struct master *m, const char *fmt, ...)
{
	va_list ap;

	if (m->pub.why[0] == '\0') {
		va_start(ap, fmt);
		vsnprintf(m->pub.why, sizeof(m->pub.why), fmt, ap);
		va_end(ap);
	}
	m->pub.refused = true;
	m->pub.pending = 0;
	finish(m);
}

/* The words of a child: what goes to a log or a service manager is a line. */
static void
refuse_with(struct master *m, const struct child *c, struct str why)
{
	struct text t;

	text_init_fixed(&t, m->pub.why, sizeof(m->pub.why) - 1);
	text_fmt(&t, "%s refused: ", c->name);
	text_safe(&t, why);
	m->pub.why[t.n] = '\0';
	m->pub.refused = true;
}

void
publish_stop(struct master *m)
{
	if (m->pub.step != PUBLISH_BUILD && m->pub.step != PUBLISH_PREPARE)
		return;
	/* who asked is told now; the builder is reaped when it has gone */
	if (m->pub.pid > 0)
		kill(m->pub.pid, SIGKILL);
	chan_close(&m->pub.chan);
	publish_fail(m, "the gateway is stopping");
}

void
publish_answer(struct child *c, struct frame *f)
{
	struct master *m = c->m;
	struct prepare p;
	bool prepare = m->pub.step == PUBLISH_PREPARE;

	if (f->head.id != m->pub.number || !c->asked ||
	    (f->head.op == CHAN_PREPARED) != prepare)
		return;
	c->asked = false;
	if (prepare && f->head.len >= sizeof(p)) {
		memcpy(&p, f->data, sizeof(p));
		if (p.refused != 0)
			refuse_with(m, c, str_make(f->data + sizeof(p),
			    f->head.len - sizeof(p)));
	}
	if (--m->pub.pending == 0)
		finish(m);
}

void
publish_lost(struct master *m, struct child *c)
{
	/* whoever asked through it has been told by the end of the socket */
	if (c->row == child_row("control") && !c->old)
		m->pub.now.n = m->pub.later.n = 0;
	if (!c->asked || m->pub.step < PUBLISH_PREPARE)
		return;
	c->asked = false;
	if (--m->pub.pending == 0)
		finish(m);
}

void
publish_released(struct child *c, uint64_t number, unsigned slot)
{
	if (c->m->slot_number[slot] == number)
		c->holds &= ~(1ULL << slot);
}

/* Tells control what became of the reloads that it asked for. */
static void
report(struct master *m, const char *why)
{
	struct report r = { .code = m->pub.refused ? m->pub.exit_code :
	    EXIT_OK };
	struct frame_head h = { .op = CHAN_REPORT };
	struct child *c = child_find(m, child_row("control"), 0);
	struct text t;
	unsigned i;

	r.generation = m->gens.cur != NULL ? m->gens.cur->number : 0;
	r.why_n = (uint32_t)strlen(why);
	r.text_n = (uint32_t)m->pub.diags.n;
	r.json_n = (uint32_t)m->pub.json.n;
	if (sizeof(r) + r.why_n + r.text_n + r.json_n > CHAN_BYTES)
		r.json_n = 0;
	text_init(&t);
	text_add(&t, str_make((const char *)&r, sizeof(r)));
	text_add(&t, str_from(why));
	text_add(&t, str_make(m->pub.diags.p, r.text_n));
	text_add(&t, str_make(m->pub.json.p, r.json_n));
	h.len = (uint32_t)t.n;
	for (i = 0; c != NULL && i < m->pub.now.n; i++) {
		h.id = m->pub.now.id[i];
		(void)chan_send(&c->chan, &h, t.p, NULL, 0);
	}
	m->pub.now.n = 0;
	text_fini(&t);
}

void
publish_again(struct master *m)
{
	if (!m->pub.again || m->state != MASTER_SERVING ||
	    m->pub.step != PUBLISH_IDLE)
		return;
	m->pub.again = false;
	m->pub.now = m->pub.later;
	m->pub.later.n = 0;
	publish_start(m, 0);
}

/* Says and counts how it went. */
static void
tell_end(struct master *m, bool failed)
{
	struct board_global *g = shm_row(m->proc.shm, &board_globals, 0);
	unsigned long long live =
	    m->gens.cur != NULL ? m->gens.cur->number : 0;

	if (failed || m->pub.warnings > 0)
		publish_log_diags(m, failed);
	if (failed && live == 0) {
		log_err(&self->lc, "start: failed: %s", m->pub.why);
	} else if (failed) {
		g->reloads_failed++;
		g->failed_ms = ev_wall_ms(m->proc.ev);
		log_err(&self->lc, "reload: failed: %s; generation %llu stays "
		    "live", m->pub.why, live);
	} else {
		g->reloads++;
		g->generation = live;
		log_info(&self->lc, "%s: generation %llu is live after "
		    "%llu ms", m->state == MASTER_STARTING ? "start" :
		    "reload", live, (unsigned long long)
		    (ev_ms(m->proc.ev) - m->pub.begun_ms));
	}
}

/* The publish is over, well or not. */
static void
end(struct master *m, bool failed)
{
	bool waits = failed && m->pub.patient && m->pub.unpaired;

	ev_timer_off(m->proc.ev, &m->pub.deadline);
	m->pub.patient = false;
	/* who writes the key a moment later has done nothing wrong */
	if (waits)
		certwatch_wait(m);
	else
		tell_end(m, failed);
	/* who is told that it is live may change its files at once */
	if (!failed)
		certwatch_update(m);
	report(m, m->pub.why);
	text_fini(&m->pub.diags);
	text_fini(&m->pub.json);
	close_files(m);
	m->pub.step = PUBLISH_IDLE;
	master_published(m, failed);
	if (!failed)
		publish_log_live(m->gens.cur->conf);
	roll_resume(m);
	publish_again(m);
}

static void
cancel(struct master *m)
{
	if (m->pub.step == PUBLISH_PREPARE)
		tell_all(m, CHAN_CANCEL);
	if (m->gens.cur != NULL || m->pub.gen != NULL)
		bind_settle(m, false);
	if (m->pub.gen != NULL)
		gen_unref(&m->gens, &m->pub.gen);
	end(m, true);
}

/* All that were asked have answered, or will not. */
static void
finish(struct master *m)
{
	struct board_global *g = shm_row(m->proc.shm, &board_globals, 0);

	if (m->pub.step == PUBLISH_COMMIT) {
		/* who missed its commit is hung: the heartbeat deals with it */
		m->pub.refused = false;
		bind_settle(m, true);
		upstream_settle_rows(m->proc.shm, m->gens.cur->conf);
		queue_sweep(m->proc.shm);
		must_trim();
		end(m, false);
		return;
	}
	if (m->pub.refused) {
		cancel(m);
		return;
	}
	gen_commit(&m->gens, m->pub.gen);
	g->nworker = settings_workers(m->gens.cur->conf);
	settings_set_levels(m->gens.cur->conf, &m->proc.log);
	gen_unref(&m->gens, &m->pub.gen);
	keep_keys(m);
	m->pub.step = PUBLISH_COMMIT;
	ev_timer(m->proc.ev, &m->pub.deadline, PREPARE_MS);
	tell_all(m, CHAN_COMMIT);
	if (m->pub.pending == 0)
		finish(m);
}
