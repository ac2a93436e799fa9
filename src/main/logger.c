/*
 * The logger process.  It moves what all processes put into their rings
 * into the log's file, one JSON line a record, and with -f to stderr as
 * lines for people.  Forms that strangers read have a second file, for
 * lines of processes.  It looks at the rings at least every 50 ms, and so
 * much more often as they fill faster: a ring with little in it stays in
 * the processors' caches and takes few pages.  Writers never wait for it
 * and never wake it.  Between two writes the file is rotated.
 *
 * When the file takes nothing (disk full) serving goes on: records stay
 * in the rings, it tries once a second, and what found a full ring
 * meanwhile is told as a number.  The rings of the dead are read like all
 * others, so it ends last: when the master says so, or, without a master,
 * when nobody else of the board is alive.
 */
#include "main/logger.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "core/log_conf.h"
#include "core/settings.h"
#include "main/logger_feed.h"
#include "main/logger_rotate.h"
#include "main/roles.h"
#include "main/skel.h"
#include "os/fault.h"

#define PAUSE_MAX	50	/* ms between two looks */
#define PAUSE_MIN	2
#define RING_FILL	(32U << 10) /* bytes that a ring should come to */
#define SECOND_MS	1000
#define RETRY_MS	10000	/* after a rotation that failed */
#define SMALL		16384	/* bytes; fault point log_small */
#define ORPHAN_MS	5000	/* over the limit, for those who die last */

/* as rotation_strategy has them */
enum { ROTATE_BOTH, ROTATE_SIZE, ROTATE_TIME, ROTATE_NONE };

/* what an operator wants to know when the disk is full */
#define NGAUGE	3
static const enum stat_id	gauges[NGAUGE] = {
	STAT_LOG_FAILING, STAT_LOG_WAITING, STAT_LOG_UNTOLD
};

struct logging {
	struct logger		 l;
	struct logger_file	 fresh[LOGGER_NFILE]; /* to come */
	struct logger_rotate	 rotate[LOGGER_NFILE];
	struct logger_feed	 feed;
	struct timer		 tick;
	struct ev_task		 more;
	uint64_t		 pause;		/* ms to the next look */
	uint64_t		 second;	/* ms: each_second is due */
	uint64_t		 bad;		/* of l.text, told */
	uint64_t		 gauge[NGAUGE];	/* as the board has them */
	bool			 said:1;	/* the file takes nothing */
	bool			 said_kept:1;	/* nor can it be rotated */
	/* the end */
	bool			 draining:1;
	bool			 orphan:1;
	uint64_t		 deadline;
};

/* --- where to --- */

static bool
wants_file(const struct conf *conf)
{
	return settings_log(conf)->output_mode != LOG_TO_CONSOLE ||
	    !self->start->m->opts->foreground;
}

static bool
wants_console(const struct conf *conf)
{
	return settings_log(conf)->output_mode != LOG_TO_FILE &&
	    self->start->m->opts->foreground;
}

/* Files that a generation writes. */
static int
count_files(const struct conf *conf)
{
	struct record_style	s;

	if (!wants_file(conf))
		return 0;
	log_style(conf, &s);
	return record_form_has_lines(s.form) ? 1 : LOGGER_NFILE;
}

/* How files of one kind are named and rotated in a generation. */
static void
set_rotation(struct logger_rotate *r, const struct conf *conf, int which)
{
	const struct settings_log	*s = settings_log(conf);

	logger_rotate_set_name(r, s->pattern, count_files(conf) > 1,
	    (enum logger_which)which);
	r->by_size = s->rotation == ROTATE_BOTH ||
	    s->rotation == ROTATE_SIZE;
	r->by_time = s->rotation == ROTATE_BOTH ||
	    s->rotation == ROTATE_TIME;
	r->compresses = s->compress;
	r->size = FAULT("log_small") ? SMALL :
	    (uint64_t)s->file_size << 20;
	r->age = s->retention / SECOND_MS;
	r->keep = (uint64_t)s->max_rotated;
	r->look_ms = r->retry_ms = 0;
}

/* Opens a file of a generation, in a folder that is made if need be. */
static int
open_file(struct logging *lg, struct logger_file *f, int which,
    const struct conf *conf, struct err *e)
{
	struct logger_rotate	r = lg->rotate[which];
	char			dir[sizeof(f->dir)], name[sizeof(f->name)];

	set_rotation(&r, conf, which);
	if (settings_log_dir(conf, dir, sizeof(dir), e) == -1 ||
	    logger_rotate_name(&r, name, sizeof(name), e) == -1)
		return -1;
	if (faccessat(AT_FDCWD, dir, F_OK, 0) == -1 &&
	    priv_make_dir(dir, &self->start->m->user, 0750, e) == -1)
		return -1;
	return logger_file_open(f, dir, name, e);
}

/* True if a file that is open is that of the generation, too. */
static bool
is_kept(const struct logging *lg, int which, const char *dir,
    const struct conf *conf)
{
	const struct logger_file	*f = &lg->l.file[which];
	const struct logger_rotate	*now = &lg->rotate[which];
	struct logger_rotate		 r = *now;

	set_rotation(&r, conf, which);
	return f->fd != -1 && strcmp(dir, f->dir) == 0 &&
	    strcmp(r.pattern, now->pattern) == 0 &&
	    strcmp(r.name, now->name) == 0;
}

static void
close_fresh(struct logging *lg)
{
	for (int i = 0; i < LOGGER_NFILE; i++)
		logger_file_close(&lg->fresh[i]);
}

static void
set_modes(struct logger *l, const struct conf *conf)
{
	l->nfile = count_files(conf);
	l->to_file = l->nfile > 0;
	log_style(conf, &l->text.style);
	l->to_console = wants_console(conf);
	l->text.colour = l->to_console &&
	    logger_console_colours(l->console.fd);
}

/* --- generations --- */

static int
prepare(void *ctx, struct gen *g, struct err *e)
{
	struct logging	*lg = ctx;
	int		 nfile = count_files(g->conf);
	char		 dir[sizeof(lg->fresh[0].dir)];

	if (nfile > 0 &&
	    settings_log_dir(g->conf, dir, sizeof(dir), e) == -1)
		return -1;
	for (int i = 0; i < nfile; i++) {
		if (is_kept(lg, i, dir, g->conf) ||
		    open_file(lg, &lg->fresh[i], i, g->conf, e) == 0)
			continue;
		close_fresh(lg);
		return -1;
	}
	return 0;
}

static void
cancel(void *ctx, struct gen *g)
{
	struct logging	*lg = ctx;

	(void)g;
	close_fresh(lg);
}

/* Folder and name may be others: new files are open before the old go. */
static void
commit(void *ctx, struct gen *g)
{
	struct logging	*lg = ctx;

	set_modes(&lg->l, g->conf);
	for (int i = 0; i < LOGGER_NFILE; i++) {
		set_rotation(&lg->rotate[i], g->conf, i);
		if (i < lg->l.nfile && lg->fresh[i].fd == -1)
			continue;
		logger_file_close(&lg->l.file[i]);
		lg->l.file[i] = lg->fresh[i];
		logger_file_init(&lg->fresh[i]);
	}
}

static void
reopen(struct logging *lg, int which)
{
	struct err	e;

	if (open_file(lg, &lg->l.file[which], which, self->gens->cur->conf,
	    &e) == -1)
		log_err(&self->lc, "log: not reopened: %s", e.text);
}

static void
on_frame(void *ctx, struct frame *f)
{
	struct logging	*lg = ctx;

	for (int i = 0; i < lg->l.nfile && f->head.op == CHAN_REOPEN; i++)
		reopen(lg, i);
	if (f->head.op == CHAN_PEER && f->nfd == 1) {
		logger_feed_join(&lg->feed, f->fds[0]);
		f->fds[0] = -1;
	}
}

/* --- draining the rings --- */

/* Once until it goes better: on stderr now, in the file when it can. */
static void
say_failed(struct logging *lg, const struct err *e)
{
	struct text	t;
	char		buf[sizeof(e->text) + 64];

	stat_add(STAT_LOG_ERRORS, 1);
	if (lg->said)
		return;
	lg->said = true;
	log_err(&self->lc, "log: %s", e->text);
	text_init_fixed(&t, buf, sizeof(buf));
	text_fmt(&t, "error: log: %s: records wait in memory\n", e->text);
	(void)logger_console_put(&lg->l.console, text_str(&t));
}

/* What waits while the file takes nothing; each second is enough. */
static void
set_gauges(struct logging *lg)
{
	uint64_t	now[NGAUGE] = { lg->said, logger_waiting(&lg->l),
	    logger_lost(&lg->l) };

	for (int i = 0; i < NGAUGE; i++) {
		stat_sub(gauges[i], lg->gauge[i]);
		stat_add(gauges[i], now[i]);
		lg->gauge[i] = now[i];
	}
}

static void
say_lost(struct logging *lg)
{
	_Atomic uint64_t	*dropped = &self->board->ring.h->dropped;
	uint64_t		 was = atomic_load(dropped);
	uint64_t		 n = logger_lost(&lg->l);

	if (n == 0)
		return;
	log_warn(&self->lc, "log: %llu records dropped",
	    (unsigned long long)n);
	/* else it found no room itself and is tried again */
	if (atomic_load(dropped) != was)
		return;
	logger_told(&lg->l);
	stat_add(STAT_LOG_DROPPED, n);
}

static int
rotate_file(struct logging *lg, int which)
{
	struct logger_rotate	*r = &lg->rotate[which];
	struct logger_file	*f = &lg->l.file[which];
	uint64_t		 now = ev_ms(self->ev);
	struct err		 e;

	if (now < r->retry_ms)
		return -1;
	if (!logger_rotate_is_due(r, f) || logger_rotate_run(r, f, &e) == 0)
		return 0;
	r->retry_ms = now + RETRY_MS;
	if (!lg->said_kept)
		log_err(&self->lc, "log: not rotated: %s", e.text);
	lg->said_kept = true;
	return -1;
}

/* Only when no ring has a note. */
static void
rotate(struct logging *lg)
{
	bool	ok = true;

	lg->l.file_max = 0;
	if (!lg->l.to_file || lg->l.unsettled)
		return;
	for (int i = 0; i < lg->l.nfile; i++)
		ok &= rotate_file(lg, i) == 0;
	if (!ok)
		return;
	lg->said_kept = false;
	lg->l.file_max = lg->rotate[0].by_size ? lg->rotate[0].size : 0;
}

/* What was taken away is made again, what is old is compressed or goes. */
static void
look_after(struct logging *lg, int which)
{
	struct logger_file	*f = &lg->l.file[which];
	struct err		 e;

	if (!logger_file_is_linked(f))
		reopen(lg, which);
	if (!lg->l.unsettled && !lg->draining &&
	    logger_rotate_look(&lg->rotate[which], f, ev_ms(self->ev),
	    &e) == -1)
		log_warn(&self->lc, "log: %s", e.text);
}

static void
each_second(struct logging *lg)
{
	struct logger	*l = &lg->l;

	if (ev_ms(self->ev) < lg->second)
		return;
	lg->second = ev_ms(self->ev) + SECOND_MS;
	logger_feed_age(&lg->feed);
	say_lost(lg);
	set_gauges(lg);
	if (l->text.bad != lg->bad)
		log_warn(&self->lc, "log: %llu records cannot be read",
		    (unsigned long long)(l->text.bad - lg->bad));
	lg->bad = l->text.bad;
	for (int i = 0; i < l->nfile; i++)
		look_after(lg, i);
}

/* Those that are not open yet. */
static int
open_files(struct logging *lg, struct err *e)
{
	const struct conf	*conf = self->gens->cur->conf;

	for (int i = 0; i < lg->l.nfile; i++)
		if (lg->l.file[i].fd == -1 &&
		    open_file(lg, &lg->l.file[i], i, conf, e) == -1)
			return -1;
	return 0;
}

static enum logger_rc
drain_rings(struct logging *lg)
{
	struct logger	*l = &lg->l;
	struct err	 e = { "no file" };
	enum logger_rc	 rc = LOGGER_FAILED;

	if (open_files(lg, &e) == 0)
		rc = logger_drain(l, &e);
	if (rc == LOGGER_FAILED) {
		say_failed(lg, &e);
		set_gauges(lg);
		return rc;
	}
	if (lg->said)
		log_warn(&self->lc, "log: the file takes records again");
	lg->said = false;
	rotate(lg);
	each_second(lg);
	return rc;
}

/*
 * True when the logger may go.  Who lives was asked before the rings were
 * read: the last words of one that died since are still to be fetched.
 */
static bool
is_done(struct logging *lg, bool alone)
{
	if (!lg->draining)
		return false;
	if (ev_ms(self->ev) >= lg->deadline)
		return true;
	return lg->orphan ? alone && logger_is_empty(&lg->l) :
	    logger_is_past_mark(&lg->l);
}

/* What the last pause let come together says how long the next one is. */
static void
set_pause(struct logging *lg)
{
	uint64_t	most = lg->pause * 2;

	if (lg->l.waited > 0)
		lg->pause = lg->pause * RING_FILL / lg->l.waited;
	if (lg->l.waited == 0 || lg->pause > most)
		lg->pause = most;
	if (lg->pause > PAUSE_MAX)
		lg->pause = PAUSE_MAX;
	if (lg->pause < PAUSE_MIN)
		lg->pause = PAUSE_MIN;
}

static void
work(struct logging *lg)
{
	bool		alone = lg->orphan && !logger_has_company(self->shm);
	enum logger_rc	rc = drain_rings(lg);

	if (is_done(lg, alone)) {
		skel_exit(0);
		return;
	}
	switch (rc) {
	case LOGGER_MORE:
		ev_post(self->ev, EV_READY, &lg->more);
		break;
	case LOGGER_IDLE:
		set_pause(lg);
		ev_timer(self->ev, &lg->tick, lg->pause);
		break;
	case LOGGER_FAILED:
		ev_timer(self->ev, &lg->tick, SECOND_MS);
		break;
	}
}

static void
on_tick(struct timer *t)
{
	work(container_of(t, struct logging, tick));
}

static void
on_more(struct ev_task *t)
{
	work(container_of(t, struct logging, more));
}

/* --- the end --- */

/*
 * All that stands in the rings now is written, and no more than that is
 * promised: the logger of the next program may be waiting for its turn.
 * Without a master nobody else comes, so the last process is waited for.
 */
static void
drain(void *ctx, const struct drain *d)
{
	struct logging	*lg = ctx;

	lg->draining = true;
	lg->orphan = d->orphan;
	lg->deadline = ev_ms(self->ev) + d->limit +
	    (d->orphan ? ORPHAN_MS : 0);
	logger_set_mark(&lg->l);
	ev_timer(self->ev, &lg->tick, 0);
}

static void
start_feed(struct logging *lg)
{
	unsigned	index;

	logger_feed_init(&lg->feed, self->ev);
	lg->l.feed = &lg->feed;
	for (int i = 0; i < skel_npeer(); i++)
		logger_feed_join(&lg->feed, skel_peer(i, &index));
}

int
logger_run(void)
{
	struct logging		*lg = must_calloc(1, sizeof(*lg));
	struct skel_hooks	 hooks = { .ctx = lg, .prepare = prepare,
	    .commit = commit, .cancel = cancel, .drain = drain,
	    .frame = on_frame };
	int			 status;

	/* a file at its limit is a write that fails, not a death */
	signal(SIGXFSZ, SIG_IGN);
	logger_init(&lg->l, self->shm);
	start_feed(lg);
	for (int i = 0; i < LOGGER_NFILE; i++) {
		logger_rotate_init(&lg->rotate[i], getppid());
		set_rotation(&lg->rotate[i], self->gens->cur->conf, i);
		logger_file_init(&lg->fresh[i]);
	}
	lg->pause = PAUSE_MAX;
	timer_init(&lg->tick, on_tick);
	ev_task_init(&lg->more, on_more);
	set_modes(&lg->l, self->gens->cur->conf);
	ev_timer(self->ev, &lg->tick, 0);
	status = skel_run(&hooks);
	for (int i = 0; i < LOGGER_NFILE; i++)
		logger_rotate_end(&lg->rotate[i]);
	logger_feed_fini(&lg->feed);
	logger_fini(&lg->l);
	close_fresh(lg);
	free(lg);
	return status;
}
