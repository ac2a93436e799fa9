/*
 * The helper: does what may block, one question at a time, so that no
 * worker ever waits for a disk.  Questions come as frames from workers,
 * which hold its other ends; answers go back with the same id.  It keeps
 * nothing but its channels, so its death costs an asker one retry.
 *
 * A worker that sends what is no question is cut off: its channel is
 * closed, which it takes like this helper's death.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "main/helper_open.h"
#include "main/roles.h"
#include "main/skel.h"
#include "os/fault.h"

#define NS_PER_MS	1000000
#define STALL_S		3
#define WARM_STEP	65536
#define WARM_MAX	(16UL << 20)	/* by one question */

struct helper {
	struct list	peers;		/* own */
	struct timer	limit;		/* of the drain */
	bool		draining:1;
};

/* the end of a channel to a worker */
struct peer {
	struct list	 node;
	struct chan	 chan;
	struct ev_task	 free;
	struct helper	*h;		/* ref */
};

static void
on_free(struct ev_task *t)
{
	struct peer	*p = container_of(t, struct peer, free);

	free(p);
}

static void
drop(struct peer *p)
{
	struct helper	*h = p->h;

	chan_close(&p->chan);
	list_del(&p->node);
	ev_post(self->ev, EV_FREE, &p->free);
	if (h->draining && list_is_empty(&h->peers))
		skel_exit(0);
}

/* --- answers --- */

/* An asker that takes none has gone or will have a timeout. */
static void
answer(struct peer *p, const struct frame *f, unsigned flags,
    struct str payload, const int *fd)
{
	struct frame_head	h = { .op = f->head.op, .id = f->head.id,
	    .flags = (uint16_t)(CHAN_F_REPLY | flags),
	    .len = (uint32_t)payload.n };

	if (FAULT("helper_stall"))
		nanosleep(&(struct timespec){ .tv_sec = STALL_S }, NULL);
	(void)chan_send(&p->chan, &h, payload.p, fd, fd != NULL);
}

static int
open_root(const char *root)
{
	return open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int
answer_open(struct peer *p, const struct frame *f)
{
	struct ask_open	q;
	struct str	root, path;
	uint32_t	why;
	int		fd;

	if (helper_open_parse(str_make(f->data, f->head.len), &q, &root,
	    &path) == -1)
		return -1;
	if (f->head.op == CHAN_LIST)
		fd = helper_list(&q, root, path);
	else if (path.n == 0)
		fd = open_root(root.p);
	else
		fd = helper_open(root.p, path.p, (enum ask_links)q.flags);
	if (fd == -1) {
		why = (uint32_t)errno;
		answer(p, f, CHAN_F_ERROR, str_make((const char *)&why,
		    sizeof(why)), NULL);
		return 0;
	}
	answer(p, f, 0, STR_NONE, &fd);
	close(fd);
	return 0;
}

/* Reads what is asked for, so that it is in the kernel's memory. */
static int
answer_warm(struct peer *p, const struct frame *f)
{
	struct ask_warm	w;
	char		buf[WARM_STEP];
	uint64_t	end;
	ssize_t		n = 1;

	if (f->head.len != sizeof(w) || f->nfd != 1)
		return -1;
	memcpy(&w, f->data, sizeof(w));
	if (w.off > INT64_MAX || w.n > WARM_MAX)
		return -1;
	for (end = w.off + w.n; n > 0 && w.off < end; w.off += (uint64_t)n)
		n = pread(f->fds[0], buf, end - w.off < sizeof(buf) ?
		    (size_t)(end - w.off) : sizeof(buf), (off_t)w.off);
	answer(p, f, 0, STR_NONE, NULL);
	return 0;
}

static bool
is_late(const struct frame *f)
{
	return f->head.deadline != 0 &&
	    f->head.deadline < ev_clock_ns() / NS_PER_MS;
}

static void
on_question(struct chan *c, struct frame *f)
{
	struct peer	*p = container_of(c, struct peer, chan);
	int		 rc = -1;

	if (f == NULL) {
		drop(p);
		return;
	}
	if (f->head.flags == 0 && is_late(f)) {
		answer(p, f, CHAN_F_ERROR, STR_NONE, NULL);
		return;
	}
	if (f->head.flags == 0 && (f->head.op == CHAN_OPEN ||
	    f->head.op == CHAN_LIST)) {
		rc = answer_open(p, f);
	} else if (f->head.flags == 0 && f->head.op == CHAN_WARM) {
		rc = answer_warm(p, f);
	} else if (f->head.flags == 0 && f->head.op == CHAN_ECHO) {
		answer(p, f, 0, str_make(f->data, f->head.len), NULL);
		rc = 0;
	}
	if (rc == -1) {
		log_warn(&self->lc, "channel: cut off: a worker sent no "
		    "question: frame %u of %u bytes", f->head.op,
		    f->head.len);
		drop(p);
	}
}

/* --- peers --- */

static void
add_peer(struct helper *h, int fd)
{
	struct peer	*p = must_calloc(1, sizeof(*p));
	struct err	 e;

	p->h = h;
	ev_task_init(&p->free, on_free);
	if (chan_open(&p->chan, self->ev, fd, on_question, p, &e) == -1) {
		log_err(&self->lc, "channel: lost: %s", e.text);
		free(p);
		return;
	}
	list_add_tail(&h->peers, &p->node);
}

static void
on_frame(void *ctx, struct frame *f)
{
	if (f->head.op != CHAN_PEER || f->nfd != 1)
		return;
	add_peer(ctx, f->fds[0]);
	f->fds[0] = -1;
}

/* --- the end --- */

static void
on_limit(struct timer *t)
{
	(void)t;
	skel_exit(0);
}

/* Workers that still drain go on asking: the last of them ends it. */
static void
drain(void *ctx, const struct drain *d)
{
	struct helper	*h = ctx;

	h->draining = true;
	if (list_is_empty(&h->peers))
		skel_exit(0);
	else
		ev_timer(self->ev, &h->limit, d->delay + d->limit);
}

int
helper_run(void)
{
	struct helper		*h = must_calloc(1, sizeof(*h));
	struct skel_hooks	 hooks = { .ctx = h, .drain = drain,
	    .frame = on_frame };
	unsigned		 index;

	list_init(&h->peers);
	timer_init(&h->limit, on_limit);
	for (int i = 0; i < skel_npeer(); i++)
		add_peer(h, skel_peer(i, &index));
	/* what is left of the peers goes with the process */
	return skel_run(&hooks);
}
