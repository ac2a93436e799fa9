/*
 * Requests that wait for a connection: a worker's own side.
 *
 * A new request goes ahead of nobody who waits for the same: while there
 * are waiters it joins them, unless there is more room than they need.
 * A connection that comes back serves this worker's first waiter, which
 * costs no dial; but when another worker's first has waited longer by more
 * than SLACK_US and a quarter, the connection is closed and its place goes
 * there.  (With SLACK_US alone one request in seven had to dial when 500
 * clients shared ten connections of four workers.)
 *
 * No wake is lost between a waiter that looks for room and a process that
 * gives some back: the waiter counts itself and notes its cell before it
 * looks, the giver gives before it looks who waits.  The same holds for
 * idle connections: their bit is set before the count is read.
 *
 * Twins of an upstream share its queue.  While those of an old one wait
 * for its servers, those of the new one must not wait behind them for
 * servers that the old one does not have: what is looked at in vain is
 * counted by twin.
 *
 * Waiters that have asked a server before, or know another twin, may have
 * no use for the room that is there.  A process that has only such ones
 * passes the wake on to the one that is next by age, so that it goes round
 * once at most.  Those that are for one server (sticky sessions) are
 * passed over while it is full: they hold up nobody who wants another.
 */
#include "up/queue.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/names.h"
#include "up/pool.h"

#define SLACK_US	20000
#define SLACK_PART	4
#define SCAN_MAX	8	/* of a twin in vain: the rest waits on */
#define LOOK_MAX	256	/* of a twin that have asked who has room */

/* the waiters of an upstream in this process, whichever twin they know */
struct queue {
	struct serve		*serve;		/* ref */
	uint32_t		 row;
	struct board_upstream	*live;		/* of the board */
	struct board_queue	*board;		/* of the board */
	const _Atomic uint64_t	*taken;		/* of the board: who waits */
	uint32_t		 word;		/* live->queue, taken's word */
	struct list		 waits;		/* queue_wait, oldest first */
	uint32_t		 nwait;
	uint64_t		 pass;		/* of serve_some, by number */
	int			 cell;		/* of board, or -1 */
	bool			 noted:1;	/* the bit of idle is set */
	bool			 chosen:1;	/* here, not by a letter */
	struct ev_task		 serve_task;
	struct ev_task		 idle_task;
};

/* all of a process, by row */
struct queues {
	struct queue	**v;		/* own; NULL: not yet */
	uint32_t	  n;
};

static struct queue *queue_of(struct upstream *);

static unsigned
slot_of(const struct queue *q)
{
	return lease_slot(q->serve->lease);
}

/* Asked for each request: where the word is is known. */
static uint32_t
waiting(struct queue *q)
{
	uint32_t		 word;
	struct lease_word	*w;

	word = atomic_load_explicit(&q->live->queue, memory_order_relaxed);
	if (word == 0)
		return 0;
	if (word != q->word) {
		w = shm_row(q->serve->shm, &lease_words, word - 1);
		q->word = word;
		q->taken = &w->taken;
	}
	return (uint32_t)atomic_load(q->taken);
}

/* The same for an upstream that may have had no use for its queue yet. */
static uint32_t
waiting_for(const struct upstream *up)
{
	return up->queue != NULL ? waiting(up->queue) :
	    queue_waiting(up->serve->shm, up->live);
}

/* When the first here came; UINT64_MAX: nobody waits here. */
static uint64_t
own_since(const struct queue *q)
{
	if (list_is_empty(&q->waits))
		return UINT64_MAX;
	return container_of(q->waits.next, struct queue_wait, node)->since_us;
}

/* Those of other processes that wait. */
static uint32_t
waiting_elsewhere(struct queue *q)
{
	uint32_t	n = waiting(q);

	return n > q->nwait ? n - q->nwait : 0;
}

/* Places at a server that nobody holds; UINT32_MAX: it has no limit. */
static uint32_t
free_places(const struct server *s)
{
	uint32_t	word = server_lease(s);

	return word == 0 ? UINT32_MAX :
	    lease_room(s->upstream->serve->lease, word - 1);
}

/* --- the cell --- */

/* What stands in the cell of a process whose first waits since then. */
static uint64_t
cell_of(const struct queue *q, uint64_t us)
{
	return us << 16 | (slot_of(q) + 1);
}

static void
take_cell(struct queue *q, uint64_t v)
{
	uint64_t	was;
	unsigned	at;

	for (unsigned i = 0; i < QUEUE_CELLS; i++) {
		at = (slot_of(q) + i) % QUEUE_CELLS;
		was = 0;
		if (atomic_compare_exchange_strong(&q->board->cell[at], &was,
		    v)) {
			q->cell = (int)at;
			return;
		}
	}
	/* More processes wait than have cells: it is served by its own. */
}

/* Notes since when the first one waits. */
static void
note_first(struct queue *q)
{
	uint64_t	us = own_since(q);

	if (us == UINT64_MAX) {
		if (q->cell >= 0)
			atomic_store(&q->board->cell[q->cell], 0);
		q->cell = -1;
		return;
	}
	us = cell_of(q, us);
	if (q->cell < 0)
		take_cell(q, us);
	else
		atomic_store(&q->board->cell[q->cell], us);
}

/* --- waking --- */

/* True if somebody elsewhere has waited clearly longer than all here. */
static bool
is_others_turn(const struct queue *q, unsigned *slot)
{
	uint64_t	own = own_since(q), now = ev_clock_ns() / 1000, since;

	*slot = queue_oldest(q->serve->shm, q->row, slot_of(q), &since);
	if (since == UINT64_MAX || own == UINT64_MAX)
		return since != UINT64_MAX;
	return since + SLACK_US + (now - own) / SLACK_PART < own;
}

/* There is room: whose turn is it? */
static void
wake_oldest(struct queue *q)
{
	unsigned	slot;

	if (is_others_turn(q, &slot)) {
		mail_post(self->mail, slot, MAIL_ROOM, q->row);
	} else if (!list_is_empty(&q->waits)) {
		q->chosen = true;
		ev_post(q->serve->ev, EV_WAKE, &q->serve_task);
	}
}

/* The next twin of the queue's upstream in this process, or NULL. */
static struct upstream *
next_twin(const struct queue *q, size_t *at)
{
	struct upstream	*up;
	struct str	 key;
	void		*val;

	while (map_next(&q->serve->upstreams, at, &key, &val)) {
		up = val;
		if (up->row == q->row)
			return up;
	}
	return NULL;
}

/* What the twin has for that server, or NULL. */
static const struct server *
find_server(const struct upstream *up, const struct server *s)
{
	for (size_t i = 0; i < up->nserver; i++)
		if (up->servers[i]->board == s->board &&
		    up->servers[i]->tag == s->tag)
			return up->servers[i];
	return NULL;
}

/* Those here whose twin does not have the server, or who want another. */
static uint32_t
waiting_for_others(const struct server *s)
{
	struct upstream		*up = s->upstream, *twin;
	const struct queue	*q = queue_of(up);
	const struct server	*same;
	size_t			 at = 0;
	uint32_t		 n = up->nwant - s->nwant;

	if (q == NULL || q->nwait == up->nwait)
		return n;
	while ((twin = next_twin(q, &at)) != NULL) {
		if (twin->nwait == 0 || twin == up)
			continue;
		same = find_server(twin, s);
		n += same == NULL ? twin->nwait : twin->nwant - same->nwant;
	}
	return n;
}

/* More room than those of n need that could use it. */
static bool
has_plenty(const struct server *s, uint32_t n)
{
	uint32_t	not = waiting_for_others(s);

	return pool_room(s) > (not < n ? n - not : 0);
}

bool
queue_is_due(struct upstream *up, const struct tried *tried,
    const struct server *want)
{
	const struct pick	 p = { .tried = tried };
	uint32_t		 n = waiting_for(up);

	if (n == 0)
		return false;
	if (want != NULL)
		return !has_plenty(want, n);
	view_refresh(up);
	/* nobody that is waited for is left to it */
	if (upstream_spare(up, tried) != NULL)
		return false;
	for (size_t i = 0; i < up->view.n; i++)
		if (view_takes(up, up->view.v[i], &p) &&
		    has_plenty(up->view.v[i], n))
			return false;
	return true;
}

/* Has a server that has a limit a place that nobody holds? */
static bool
has_place(const struct upstream *up)
{
	uint32_t	n;

	for (size_t i = 0; i < up->nserver; i++) {
		n = free_places(up->servers[i]);
		if (n > 0 && n < UINT32_MAX)
			return true;
	}
	return false;
}

/* The same of all twins, for others may wait for another one. */
static bool
has_any_place(const struct queue *q)
{
	struct upstream	*up;
	size_t		 at = 0;

	while ((up = next_twin(q, &at)) != NULL)
		if (has_place(up))
			return true;
	return false;
}

/*
 * There is a place that nobody here has a use for: somebody elsewhere may
 * have, the next by age behind that cell.
 */
static void
pass_on(struct queue *q, uint64_t after)
{
	unsigned	slot;

	slot = queue_next(q->serve->shm, q->row, slot_of(q), after);
	if (slot != 0)
		mail_post(self->mail, slot, MAIL_ROOM, q->row);
}

/* A new pass has not looked at anybody of the twin. */
static void
begin_pass(const struct queue *q, struct upstream *up)
{
	if (up->pass == q->pass)
		return;
	up->pass = q->pass;
	up->vain = up->looks = 0;
}

/* Nobody else of the twin is to be looked at in this pass. */
static bool
is_passed_over(const struct upstream *up)
{
	return up->vain >= SCAN_MAX || up->looks >= LOOK_MAX;
}

/* True if the waiter is served; else its twin is told why not. */
static bool
serve_one(struct queue *q, struct queue_wait *w)
{
	static const struct tried	 none;
	struct upstream			*up = w->upstream;

	queue_look_for(w);
	if (w->want == NULL && !queue_has_room(up, &none)) {
		up->vain = SCAN_MAX;
		return false;
	}
	if (!queue_has_room_for(w)) {
		up->looks += w->want == NULL;
		return false;
	}
	w->on(w, FAIL_NONE);
	if (w->in != q)
		return true;
	up->vain++;
	return false;
}

/*
 * The oldest first, at most so many, as long as there is room.  One that
 * has asked a server before may wait for another one than those behind
 * it, and so may one of another twin.
 */
static void
serve_some(struct queue *q, unsigned most)
{
	struct queue_wait	*w;
	struct upstream		*up;
	struct list		*pos, *tmp;
	uint32_t		 over = 0;	/* of twins passed over */

	q->pass++;
	list_each_safe(pos, tmp, &q->waits) {
		if (most == 0 || over >= q->nwait)
			break;
		w = container_of(pos, struct queue_wait, node);
		up = w->upstream;
		/* states have changed: nobody is left to wait for */
		if (!upstream_any_left(up, w->tried)) {
			w->on(w, FAIL_NONE);
			continue;
		}
		begin_pass(q, up);
		if (is_passed_over(up))
			continue;
		if (serve_one(q, w))
			most--;
		else if (is_passed_over(up))
			over += up->nwait;
	}
	note_first(q);
}

/*
 * There may be room: those here, then those elsewhere.  A letter goes on
 * behind the one that it was for; who was chosen here, where others may
 * be older, begins with the oldest.
 */
static void
serve_all(struct queue *q)
{
	uint64_t	after;

	after = q->chosen ? 0 : cell_of(q, own_since(q));

	q->chosen = false;
	serve_some(q, UINT32_MAX);
	if (list_is_empty(&q->waits)) {
		/* Of two wakes for one waiter the other one is passed on. */
		if (waiting(q) > 0)
			wake_oldest(q);
		return;
	}
	if (has_any_place(q))
		pass_on(q, after);
}

static void
on_serve(struct ev_task *t)
{
	serve_all(container_of(t, struct queue, serve_task));
}

/* --- idle connections --- */

/*
 * Closes those over a limit, and n more of servers that have one; how
 * many of these it found.
 */
static unsigned
give_up_idle(struct queue *q, unsigned n)
{
	struct upstream	*up;
	struct server	*s;
	size_t		 at = 0;
	unsigned	 had, found = 0;

	while ((up = next_twin(q, &at)) != NULL) {
		for (size_t i = 0; i < up->nserver; i++) {
			s = up->servers[i];
			had = s->nidle;
			pool_give_up(s, free_places(s) == UINT32_MAX ? 0 :
			    n - found);
			found += had - s->nidle;
			found = found < n ? found : n;
		}
	}
	return found;
}

/* Idle ones whose place another process could have. */
static unsigned
count_idle(const struct queue *q)
{
	struct upstream	*up;
	size_t		 at = 0;
	unsigned	 n = 0;

	while ((up = next_twin(q, &at)) != NULL) {
		for (size_t i = 0; i < up->nserver; i++)
			if (up->servers[i]->nidle > 0 &&
			    free_places(up->servers[i]) != UINT32_MAX)
				n += up->servers[i]->nidle;
	}
	return n;
}

/* The bit says that here may be idle ones. */
static void
note_idle(struct queue *q, bool idle)
{
	_Atomic uint64_t	*word = &q->board->idle[slot_of(q) / 64];
	uint64_t		 bit = 1ULL << slot_of(q) % 64;

	if (q->noted == idle)
		return;
	q->noted = idle;
	if (idle)
		atomic_fetch_or(word, bit);
	else
		atomic_fetch_and(word, ~bit);
}

/* Those that wait here take idle ones: all, or what others leave them. */
static void
use_idle_here(struct queue *q)
{
	unsigned	slot, n = count_idle(q), others;

	if (list_is_empty(&q->waits))
		return;
	if (!is_others_turn(q, &slot)) {
		serve_all(q);
		return;
	}
	others = waiting_elsewhere(q);
	if (n > others)
		serve_some(q, n - others);
}

/*
 * Somebody waits: this process's own take its idle connections, then as
 * many are given up as there are others.  Who has too few passes it on,
 * and is not asked again until it has some.
 */
static void
share_idle(struct queue *q)
{
	unsigned	n, found = 0;

	(void)give_up_idle(q, 0);
	use_idle_here(q);
	note_idle(q, count_idle(q) > 0);
	/* Who comes later than this sees the bit, and asks. */
	n = waiting_elsewhere(q);
	if (n > 0) {
		found = give_up_idle(q, n);
		note_idle(q, found == n && count_idle(q) > 0);
	}
	if (found < n || !list_is_empty(&q->waits))
		queue_ask_idle(q->serve->shm, q->row, slot_of(q));
}

static void
on_idle(struct ev_task *t)
{
	share_idle(container_of(t, struct queue, idle_task));
}

/* --- queues of this process --- */

static struct queue *
new_queue(struct serve *serve, uint32_t row)
{
	struct queue	*q = must_calloc(1, sizeof(*q));

	q->serve = serve;
	q->row = row;
	q->live = shm_row(serve->shm, &board_upstreams, row);
	q->board = shm_row(serve->shm, &board_queues, row);
	list_init(&q->waits);
	q->cell = -1;
	ev_task_init(&q->serve_task, on_serve);
	ev_task_init(&q->idle_task, on_idle);
	atomic_store(&q->live->touched, 1);
	return q;
}

/* NULL if the board has no queue for it. */
static struct queue *
queue_of(struct upstream *up)
{
	void		**state;
	struct queues	 *qs;

	if (up->queue != NULL)
		return up->queue;
	if (up->row >= shm_rows(up->serve->shm, &board_queues))
		return NULL;
	state = serve_state(up->serve, &queue_part);
	if (*state == NULL)
		*state = must_calloc(1, sizeof(*qs));
	qs = *state;
	if (up->row >= qs->n) {
		qs->v = must_realloc(qs->v, (up->row + 64) * sizeof(*qs->v));
		memset(qs->v + qs->n, 0,
		    (up->row + 64 - qs->n) * sizeof(*qs->v));
		qs->n = up->row + 64;
	}
	if (qs->v[up->row] == NULL)
		qs->v[up->row] = new_queue(up->serve, up->row);
	up->queue = qs->v[up->row];
	return up->queue;
}

static void
fini(struct serve *serve)
{
	struct queues	*qs = *serve_state(serve, &queue_part);
	struct str	 key;
	void		*val;
	size_t		 at = 0;

	if (qs == NULL)
		return;
	/* what still closes has no queue any more */
	while (map_next(&serve->upstreams, &at, &key, &val)) {
		((struct upstream *)val)->queue = NULL;
		((struct upstream *)val)->row = UINT32_MAX;
	}
	for (uint32_t i = 0; i < qs->n; i++) {
		if (qs->v[i] == NULL)
			continue;
		must(list_is_empty(&qs->v[i]->waits));
		ev_cancel(&qs->v[i]->serve_task);
		ev_cancel(&qs->v[i]->idle_task);
		free(qs->v[i]);
	}
	free(qs->v);
	free(qs);
	*serve_state(serve, &queue_part) = NULL;
}

const struct serve_part queue_part = {
	"queue", NULL, NULL, NULL, fini, NULL
};

void
queue_on_mail(void *ctx, enum mail_topic topic, uint32_t key)
{
	struct serve	*serve = ctx;
	struct queues	*qs = *serve_state(serve, &queue_part);
	struct queue	*q;

	for (uint32_t i = key; qs != NULL && i < qs->n; i += MAIL_KEYS) {
		q = qs->v[i];
		if (q != NULL)
			ev_post(serve->ev, EV_WAKE, topic == MAIL_ROOM ?
			    &q->serve_task : &q->idle_task);
	}
}

/* --- waiting --- */

/* Of those that came at once each keeps its place. */
static void
insert(struct queue *q, struct queue_wait *w)
{
	struct list	*pos = q->waits.prev;

	while (pos != &q->waits &&
	    container_of(pos, struct queue_wait, node)->since_us > w->since_us)
		pos = pos->prev;
	list_add(pos, &w->node);
	q->nwait++;
	w->upstream->nwait++;
}

static void
remove_wait(struct queue_wait *w)
{
	struct queue	*q = w->in;
	bool		 first = q->waits.next == &w->node;

	w->in = NULL;
	list_del(&w->node);
	queue_want(w, NULL);
	q->nwait--;
	w->upstream->nwait--;
	ev_timer_off(q->serve->ev, &w->deadline);
	stat_sub(STAT_UP_QUEUE, 1);
	if (first)
		note_first(q);
	lease_give(q->serve->lease, atomic_load(&q->live->queue) - 1);
}

static void
on_deadline(struct timer *t)
{
	struct queue_wait	*w;

	w = container_of(t, struct queue_wait, deadline);
	atomic_fetch_add(&w->in->live->timed_out, 1);
	stat_add(STAT_UP_QUEUE_TIMEOUTS, 1);
	remove_wait(w);
	w->on(w, FAIL_QUEUE_TIMEOUT);
}

/* It is counted and its cell is noted: is there room after all? */
static void
look_around(struct queue *q, const struct queue_wait *w)
{
	bool	room = queue_has_room_for(w);

	if (room)
		wake_oldest(q);
	if (count_idle(q) > 0)
		ev_post(q->serve->ev, EV_WAKE, &q->idle_task);
	else if (!room)
		queue_ask_idle(q->serve->shm, q->row, slot_of(q));
}

enum fail
queue_join(struct queue_wait *w, const struct queue_limits *l)
{
	struct upstream	*up = w->upstream;
	struct queue	*q = queue_of(up);
	uint32_t	 word = atomic_load(&up->live->queue);

	must(w->in == NULL);
	if (q == NULL || word == 0 || l->length == 0)
		return FAIL_DIAL_LIMIT;
	if (!lease_take_max(up->serve->lease, word - 1,
	    (uint32_t)l->length)) {
		atomic_fetch_add(&up->live->refused, 1);
		stat_add(STAT_UP_QUEUE_FULL, 1);
		return FAIL_QUEUE_FULL;
	}
	w->in = q;
	w->want = NULL;
	queue_look_for(w);
	w->since_us = ev_clock_ns() / 1000;
	timer_init(&w->deadline, on_deadline);
	ev_timer(q->serve->ev, &w->deadline, l->timeout);
	insert(q, w);
	if (q->waits.next == &w->node)
		note_first(q);
	atomic_fetch_add(&up->live->queued, 1);
	stat_add(STAT_UP_QUEUE, 1);
	stat_add(STAT_UP_QUEUED, 1);
	look_around(q, w);
	return FAIL_NONE;
}

void
queue_leave(struct queue_wait *w)
{
	if (w->in != NULL)
		remove_wait(w);
}

uint64_t
queue_time(const struct queue_wait *w)
{
	return ev_clock_ns() / 1000 - w->since_us;
}

/* --- for the pool --- */

/* With places for all that wait a connection that is kept takes none. */
static bool
is_roomy(const struct server *s, uint32_t nwait)
{
	return free_places(s) >= nwait;
}

bool
queue_lets_idle(const struct server *s)
{
	struct upstream	*up = s->upstream;
	uint32_t	 n = waiting_for(up);
	unsigned	 slot;

	if (n == 0 || is_roomy(s, n))
		return true;
	return queue_of(up) == NULL || !is_others_turn(up->queue, &slot);
}

bool
queue_has_spare(const struct server *s)
{
	return free_places(s) > waiting_for(s->upstream);
}

/*
 * One that this worker's waiters take at once need not be told of to the
 * others.
 */
void
queue_note_idle(const struct server *s)
{
	struct queue	*q = queue_of(s->upstream);
	bool		 roomy;

	if (q == NULL)
		return;
	roomy = is_roomy(s, waiting(q));
	if (roomy || list_is_empty(&q->waits))
		note_idle(q, true);
	if (!list_is_empty(&q->waits))
		ev_post(q->serve->ev, EV_WAKE, roomy ? &q->serve_task :
		    &q->idle_task);
	else if (!is_roomy(s, waiting(q)))
		ev_post(q->serve->ev, EV_WAKE, &q->idle_task);
}

void
queue_note_room(const struct upstream *up)
{
	struct queue	*q = up->queue;

	if (q == NULL || list_is_empty(&q->waits))
		return;
	q->chosen = true;
	ev_post(q->serve->ev, EV_WAKE, &q->serve_task);
}

void
queue_note_place(struct upstream *up)
{
	if (waiting_for(up) > 0 && queue_of(up) != NULL)
		wake_oldest(up->queue);
}
