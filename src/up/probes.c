/*
 * The schedule of probes, and their verdicts.  Health process.
 *
 * A probe begins an interval after the one before it began, however long
 * that took; one that takes longer delays the next.  Settings that stay
 * the same over a reload leave all as it is.
 */
#include "up/probes.h"

#include <sys/resource.h>

#include "base/mean.h"
#include "base/must.h"
#include "base/rand.h"
#include "core/stat.h"
#include "os/proc.h"
#include "up/names.h"
#include "up/outlier.h"
#include "up/slow_start.h"
#include "up/watch.h"

#define SPREAD_MS	1000	/* in which the first probes begin */
#define HASTE_MS	1000	/* the interval in transition, at most */
#define FULL_EACH_MS	10000
#define TRIM_MIN	4	/* probes at once that are a burst */
#define MEAN_SHIFT	3	/* an eighth of the new, the rest old */
#define JITTER		10	/* percent */

static void begin(struct watched *);

static struct watched *
of(struct prober *b)
{
	return container_of(b, struct watched, prober);
}

static struct board_probe *
stat_of(const struct watched *s)
{
	return shm_row(s->prober.all->shm, &board_probes, s->row);
}

static bool
is_down(const struct watched *s)
{
	return (atomic_load(&s->live->state) & STATE_BIT(SERVER_DOWN)) != 0;
}

/* --- the schedule --- */

static void
arm(struct watched *s, uint64_t ms)
{
	ev_timer(s->prober.all->env.ev, &s->prober.due, ms);
}

/* Healthy, in transition, down: three speeds. */
static uint64_t
interval(const struct watched *s)
{
	uint64_t	ms = s->up->probes.conf->interval;

	if (atomic_load(&stat_of(s)->streak) > 0)
		return ms < HASTE_MS ? ms : HASTE_MS;
	return is_down(s) ? 2 * ms : ms;
}

static void
arm_next(struct watched *s)
{
	struct prober	*b = &s->prober;
	uint64_t	 now = ev_ms(b->all->env.ev), gone, ms;

	ms = rand_jitter(b->all->env.rand, interval(s), JITTER);
	gone = now - b->begun_ms;
	arm(s, ms > gone ? ms - gone : 0);
}

static void
on_due(struct timer *t)
{
	struct prober	*b = container_of(t, struct prober, due);

	if (b->all->running < b->all->most)
		begin(of(b));
	else
		list_add_tail(&b->all->waiting, &b->wait);
}

static void
begin_waiting(struct probes *p)
{
	struct list	*l;

	while (p->running < p->most && !list_is_empty(&p->waiting)) {
		l = p->waiting.next;
		list_del(l);
		begin(of(container_of(l, struct prober, wait)));
	}
}

/* --- the verdict --- */

static void
put32(_Atomic uint32_t *p, uint32_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static void
note(struct watched *s, enum fail why, uint64_t us)
{
	struct board_probe	*t = stat_of(s);

	stat_add(STAT_PROBES, 1);
	atomic_store(&t->probes, t->probes + 1);
	if (why != FAIL_NONE) {
		stat_add(STAT_PROBES_FAILED, 1);
		atomic_store(&t->failed, t->failed + 1);
	} else
		put32(&t->lately_us, mean_next(atomic_load(&t->lately_us),
		    us, MEAN_SHIFT));
	atomic_store(&t->last, (uint64_t)why << 48 |
	    (ev_wall_ms(s->prober.all->env.ev) & 0xffffffffffffULL));
}

static void
change(struct watched *s, bool down, enum fail why)
{
	struct shm		*shm = s->prober.all->shm;
	struct board_probe	*t = stat_of(s);

	put32(&t->streak, 0);
	put32(&t->changes, t->changes + 1);
	if (!down)
		slow_start_begin(shm, s->row, s->tag,
		    s->up->watch->slow_start);
	state_change(shm, s->row, s->tag, SERVER_DOWN, down, why);
}

static void
tell(const struct watched *s, enum fail why, const char *detail,
    uint32_t streak)
{
	const struct shm	*shm = s->prober.all->shm;

	if (self == NULL)
		return;
	log_info(&self->lc, "server \"%.*s\" of \"%.*s\": probe failed: "
	    "%s%s%s (%u of %lld)", STR_FMT(row_text_addr(shm, s->row)),
	    STR_FMT(row_text_upstream(shm, s->row)), fail_row(why)->name,
	    detail[0] == '\0' ? "" : ": ", detail, streak,
	    (long long)s->up->probes.conf->fall);
}

static void
judge(struct watched *s, enum fail why, const char *detail)
{
	const struct probe_conf	*c = s->up->probes.conf;
	struct board_probe	*t = stat_of(s);
	bool			 down = is_down(s);
	uint32_t		 n = 0;

	if (down == (why == FAIL_NONE))
		n = atomic_load(&t->streak) + 1;
	put32(&t->streak, n);
	if (!down && n > 0)
		tell(s, why, detail, n);
	if (n >= (down ? c->rise : c->fall))
		change(s, !down, why);
	else if (down && why != FAIL_NONE)
		state_renew(s->prober.all->shm, s->row, s->tag, SERVER_DOWN,
		    why);
	if (why == FAIL_NONE && s->ejected)
		outlier_end(s->prober.all->shm, s->up->watch->slow_start,
		    s->row, s->tag);
}

/* Ours: it says nothing of the server. */
static void
tell_full(struct probes *p, const char *detail)
{
	uint64_t	now = ev_ms(p->env.ev);

	if (self == NULL || (p->full_ms != 0 &&
	    now - p->full_ms < FULL_EACH_MS))
		return;
	p->full_ms = now;
	log_warn(&self->lc, "probes: none can begin: %s", detail);
}

static void
on_result(void *ctx, enum fail why, const char *detail, uint64_t us)
{
	struct watched	*s = ctx;
	struct probes	*p = s->prober.all;

	s->prober.run = NULL;
	p->running--;
	if (why == FAIL_DIAL_EXHAUSTED)
		tell_full(p, detail);
	else {
		note(s, why, us);
		judge(s, why, detail);
	}
	arm_next(s);
	begin_waiting(p);
}

/* --- one probe --- */

static bool
find_addr(const struct watched *s, struct sock_addr *a, struct str *host,
    char buf[NAMES_ADDR])
{
	*host = s->conf->text;
	if (!s->named) {
		if (sock_parse(s->conf->text, -1, a, NULL) == -1)
			return false;
		if (a->u.sa.sa_family == AF_UNIX)
			*host = STR("localhost");
		return true;
	}
	if (names_addr(s->board, a, buf) == -1)
		return false;
	/* a service has no name that its servers know */
	if (s->conf->srv)
		*host = str_from(buf);
	return true;
}

static void
begin(struct watched *s)
{
	struct prober		*b = &s->prober;
	struct probes		*p = b->all;
	char			 buf[NAMES_ADDR];
	struct probe_of		 of = { .peer = s->conf->peer,
	    .h2 = s->conf->h2 };

	b->begun_ms = ev_ms(p->env.ev);
	if (!find_addr(s, &of.addr, &of.host, buf)) {
		arm_next(s);
		return;
	}
	if (b->begun_ms > b->due.due + PROBES_LATE_MS) {
		stat_add(STAT_PROBES_LATE, 1);
		put32(&stat_of(s)->late, stat_of(s)->late + 1);
	}
	s->ejected = (atomic_load(&s->live->state) &
	    STATE_BIT(SERVER_EJECTED)) != 0;
	p->running++;
	if (p->running > p->high)
		p->high = p->running;
	b->run = probe_start(&p->env, &s->up->probes, &of, on_result, s);
}

/* --- who is probed --- */

static void
stop(struct watched *s)
{
	struct prober	*b = &s->prober;

	ev_timer_off(b->all->env.ev, &b->due);
	list_del(&b->wait);
	if (b->run != NULL)
		b->all->running--;
	probe_cancel(&b->run);
}

void
probes_add(struct probes *p, struct watched *s)
{
	struct prober		*b = &s->prober;
	struct board_probe	*t;

	timer_init(&b->due, on_due);
	list_init(&b->wait);
	b->all = p;
	t = stat_of(s);
	if (atomic_load(&t->tag) == s->tag)
		return;
	memset((void *)t, 0, sizeof(*t));
	atomic_store(&t->tag, s->tag);
}

static void
settle_off(struct watched *s)
{
	stop(s);
	s->prober.digest = 0;
	put32(&stat_of(s)->type, PROBE_OFF);
	put32(&stat_of(s)->streak, 0);
	/* nobody would ever say that it is well again */
	if (is_down(s))
		state_change(s->prober.all->shm, s->row, s->tag,
		    SERVER_DOWN, false, FAIL_NONE);
}

void
probes_settle(struct probes *p, struct watched *s)
{
	const struct probe_conf	*c = s->up->probes.conf;
	struct prober		*b = &s->prober;
	struct board_probe	*t = stat_of(s);

	if (c->type == PROBE_OFF) {
		settle_off(s);
		return;
	}
	if (b->digest == c->digest) {
		if (b->run != NULL)
			probe_bind(b->run, &s->up->probes);
		return;
	}
	stop(s);
	if (b->digest != 0)
		put32(&t->streak, 0);
	b->digest = c->digest;
	put32(&t->type, (uint32_t)c->type);
	if (t->begun_ms == 0)
		atomic_store(&t->begun_ms, ev_wall_ms(p->env.ev));
	arm(s, rand_below(p->env.rand, c->interval < SPREAD_MS ?
	    c->interval : SPREAD_MS));
}

void
probes_drop(struct probes *p, struct watched *s)
{
	stop(s);
	begin_waiting(p);
}

void
probes_trim(struct probes *p)
{
	if (p->high < TRIM_MIN || p->running > p->high / 2)
		return;
	p->high = p->running;
	probe_env_trim(&p->env);
}

static unsigned
find_most(void)
{
	struct rlimit	r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1 ||
	    r.rlim_cur / 2 >= PROBES_MAX)
		return PROBES_MAX;
	return r.rlim_cur < 4 ? 1 : (unsigned)r.rlim_cur / 2;
}

void
probes_init(struct probes *p, struct ev *ev, struct shm *shm, struct rand *r)
{
	p->shm = shm;
	p->running = p->high = 0;
	p->most = find_most();
	p->full_ms = 0;
	list_init(&p->waiting);
	probe_env_init(&p->env, ev, r);
}

void
probes_fini(struct probes *p)
{
	must(p->running == 0);
	probe_env_fini(&p->env);
}
