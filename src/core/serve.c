/*
 * What serving needs in one process: pools, time, generations, drain.
 * Workers and control.
 */
#include "core/serve.h"

#include <sys/resource.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "core/ask.h"
#include "core/board.h"
#include "core/exchange.h"
#include "core/lease.h"
#include "core/listener.h"
#include "core/settings.h"

/*
 * What a request of a dozen fields to a server takes, in one.  An odd number
 * of cache lines, with malloc's word: what lies at the same place of hundreds
 * of chunks would else share a few sets of the caches.
 */
#define ARENA_CHUNK	6712
#define KEEP_PAGES	256	/* of 16 KiB */
#define LEAST_PAGES	64	/* of them, when a burst is over */
#define KEEP_ARENAS	1024	/* two for a stream of HTTP/2 */
#define KEEP_SIZES	1024	/* of each */
#define KEEP_LEAST	256	/* of these two, when a burst is over */
#define KEEP_CONNS	1024
#define SECOND_MS	1000
#define EARLY_MS	50
#define FULL_MS		10000	/* between two words of that */
#define TRIM_MIN	(8 << 20)	/* a burst, in bytes */
#define LAST_TURNS	64	/* for what is freed at the end of a turn */

/* --- time --- */

static void
set_stat(enum stat_id id, uint64_t v)
{
	struct board	*b = board_self();

	if (b != NULL)
		atomic_store_explicit(&b->stat[id], v, memory_order_relaxed);
}

/* Behind each second of the clock, so that the date is right. */
static void
arm_second(struct serve *s)
{
	ev_timer(s->ev, &s->second,
	    SECOND_MS - ev_wall_ms(s->ev) % SECOND_MS);
}

/*
 * What a burst took lies free in the allocator's heap and stays there
 * until it is told: after ten thousand answers 200 MB.
 */
static void
trim(struct serve *s)
{
	struct slab	*all[] = { &s->pages.small, &s->arenas, &s->codecs,
			    &s->conns };
	size_t		 now = 0, high = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		now += all[i]->nlive * all[i]->size;
		high += all[i]->most * all[i]->size;
	}
	if (high < TRIM_MIN || now > high / 2)
		return;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		all[i]->most = all[i]->nlive;
	slab_trim(&s->pages.small, LEAST_PAGES);
	slab_trim(&s->arenas, KEEP_LEAST);
	sizes_trim(&s->sizes, KEEP_LEAST);
	must_trim();
}

static void
on_second(struct timer *t)
{
	struct serve	*s = container_of(t, struct serve, second);

	/* The two clocks differ: the second is not over by this one. */
	if (ev_wall_ms(s->ev) % SECOND_MS > SECOND_MS - EARLY_MS) {
		arm_second(s);
		return;
	}
	date_format((int64_t)(ev_wall_ms(s->ev) / 1000), s->date);
	listener_second(s);
	trim(s);
	set_stat(STAT_PAGES, s->pages.live);
	set_stat(STAT_SPLICED, s->pipes.moved);
	set_stat(STAT_PIPES, s->pipes.nbusy);
	set_stat(STAT_GENERATIONS, gen_count(s->gens));
	set_stat(STAT_TURNS, ev_counts(s->ev)->turns);
	arm_second(s);
}

/* --- parts --- */

bool
serve_is_full(struct serve *s, int error, const char *what)
{
	struct rlimit	r = { .rlim_cur = 0 };
	uint64_t	now = ev_ms(s->ev);

	if (error != EMFILE && error != ENFILE && error != ENOBUFS &&
	    error != ENOMEM && error != ENOSPC)
		return false;
	stat_add(STAT_FD_EXHAUSTED, 1);
	if (s->full_ms != 0 && now - s->full_ms < FULL_MS)
		return true;
	s->full_ms = now;
	(void)getrlimit(RLIMIT_NOFILE, &r);
	if (error == EMFILE)
		log_err(&self->lc, "descriptors: none left for %s: this "
		    "process may have %llu: raise LimitNOFILE (systemd) or "
		    "ulimit -n, then restart", what,
		    (unsigned long long)r.rlim_cur);
	else if (error == ENFILE)
		log_err(&self->lc, "descriptors: none left for %s in the "
		    "whole system: raise sysctl fs.file-max", what);
	else if (error == ENOSPC)
		log_err(&self->lc, "watches: none left for %s: raise sysctl "
		    "fs.epoll.max_user_watches", what);
	else
		log_err(&self->lc, "kernel memory: none left for %s: %s: "
		    "raise the memory limit of the service", what,
		    strerror(error));
	return true;
}

void **
serve_state(struct serve *s, const struct serve_part *p)
{
	size_t	i;

	for (i = 0; serve_parts[i] != p; i++)
		must(serve_parts[i] != NULL && i + 1 < SERVE_PARTS);
	return &s->part[i];
}

void
serve_moved(struct serve *s)
{
	const struct serve_part	*p;

	for (size_t i = 0; (p = serve_parts[i]) != NULL; i++)
		if (p->moved != NULL)
			p->moved(s);
}

int
serve_prepare(struct serve *s, struct gen *g, struct err *e)
{
	const struct serve_part	*p;

	for (size_t i = 0; (p = serve_parts[i]) != NULL; i++)
		if (p->prepare != NULL && p->prepare(s, g->conf, e) == -1) {
			serve_cancel(s, g);
			return -1;
		}
	return 0;
}

void
serve_commit(struct serve *s, struct gen *g)
{
	const struct serve_part	*p;

	for (size_t i = 0; (p = serve_parts[i]) != NULL; i++)
		if (p->commit != NULL)
			p->commit(s, g->conf);
	listener_commit(s, g->conf);
	s->pages.soft = settings_limits(g->conf)->buffers;
}

void
serve_cancel(struct serve *s, struct gen *g)
{
	const struct serve_part	*p;

	(void)g;
	for (size_t i = 0; (p = serve_parts[i]) != NULL; i++)
		if (p->cancel != NULL)
			p->cancel(s);
}

/* --- drain --- */

static void
on_drain_done(struct ev_task *t)
{
	struct serve	*s = container_of(t, struct serve, drain_done);
	void		(*drained)(struct serve *) = s->drained;

	ev_timer_off(s->ev, &s->drain_end);
	s->drained = NULL;
	if (drained != NULL)
		drained(s);
}

/* Those who are told why by an answer have made its head by now. */
static void
on_drain_close(struct ev_task *t)
{
	struct serve	*s = container_of(t, struct serve, drain_close);
	uint64_t	 left = s->drain_left;
	bool		 all = left == 0 || s->nstream == 0;

	s->drain_left = 0;
	conn_close_all(s, FAIL_DRAINING, all);
	if (all)
		ev_post(s->ev, EV_WAKE, &s->drain_done);
	else
		ev_timer(s->ev, &s->drain_end, left);
}

/*
 * Time is up, for streams too at the second time; what does not let go at
 * once is not waited for.
 */
static void
on_drain_end(struct timer *t)
{
	struct serve	*s = container_of(t, struct serve, drain_end);

	exchange_abort_all(s, FAIL_DRAINING, s->drain_left == 0 ||
	    s->nstream == 0);
	ev_post(s->ev, EV_WAKE, &s->drain_close);
}

void
serve_check_drained(struct serve *s)
{
	if (s->draining && s->nconn == 0 && s->nexchange == 0)
		ev_post(s->ev, EV_WAKE, &s->drain_done);
}

static void
each_listener(struct serve *s, void (*fn)(struct listener *))
{
	struct list	*pos, *tmp;

	list_each_safe(pos, tmp, &s->listeners)
		fn(container_of(pos, struct listener, node));
}

void
serve_drain(struct serve *s, uint64_t ms, uint64_t streams_ms)
{
	each_listener(s, listener_finish);
	s->draining = true;
	conn_drain_all(s, NULL);
	s->drain_left = streams_ms > ms ? streams_ms - ms : 0;
	ev_timer(s->ev, &s->drain_end, ms);
	serve_check_drained(s);
}

/* --- life --- */

int
serve_init(struct serve *s, struct ev *ev, struct shm *shm,
    struct gens *gens, struct log *log, struct err *e)
{
	(void)e;
	memset(s, 0, sizeof(*s));
	s->ev = ev;
	s->shm = shm;
	s->gens = gens;
	s->log = log;
	s->lease = lease_open(shm, self->slot);
	rand_seed(&s->rand);
	page_pool_init(&s->pages, KEEP_PAGES);
	pipe_pool_init(&s->pipes, ev);
	slab_init(&s->arenas, ARENA_CHUNK, KEEP_ARENAS);
	sizes_init(&s->sizes, KEEP_SIZES);
	slab_init(&s->conns, sizeof(struct conn), KEEP_CONNS);
	slab_init(&s->codecs, CODEC_CONN_MAX, KEEP_CONNS);
	list_init(&s->listeners);
	list_init(&s->conns_open);
	list_init(&s->conns_idle);
	list_init(&s->exchanges);
	map_init(&s->upstreams, rand_next(&s->rand));
	timer_init(&s->drain_end, on_drain_end);
	ev_task_init(&s->drain_close, on_drain_close);
	ev_task_init(&s->drain_done, on_drain_done);
	timer_init(&s->second, on_second);
	date_format((int64_t)(ev_wall_ms(ev) / 1000), s->date);
	arm_second(s);
	return 0;
}

void
serve_fini(struct serve *s)
{
	const struct serve_part	*p;

	s->drained = NULL;
	ev_timer_off(s->ev, &s->second);
	ev_timer_off(s->ev, &s->drain_end);
	ev_cancel(&s->drain_close);
	/* in the turns below nobody may come, nor look for peers once more */
	each_listener(s, listener_stop);
	free(s->peers);
	s->peers = NULL;
	s->npeer = 0;
	exchange_abort_all(s, FAIL_DRAINING, true);
	conn_close_all(s, FAIL_DRAINING, true);
	for (size_t i = 0; (p = serve_parts[i]) != NULL; i++)
		if (p->fini != NULL)
			p->fini(s);
	for (int i = 0; i < LAST_TURNS && (i < 2 || s->nconn > 0 ||
	    s->nexchange > 0); i++)
		ev_turn(s->ev, 0);
	each_listener(s, listener_retire);
	ask_free(&s->ask);
	ev_cancel(&s->drain_done);
	map_fini(&s->upstreams);
	lease_free(&s->lease);
	slab_fini(&s->codecs);
	slab_fini(&s->conns);
	slab_fini(&s->arenas);
	sizes_fini(&s->sizes);
	pipe_pool_fini(&s->pipes);
	page_pool_fini(&s->pages);
}

/* malloc hands out 16 n - 8 bytes */
_Static_assert(sizeof(struct conn) <= 136, "an idle connection");
