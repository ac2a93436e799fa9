/*
 * All rings, one turn at a time.  Logger.
 *
 * Each row of the board's rings has its turn and gives a batch; a turn of
 * the loop moves at most LOGGER_TURN bytes and the next one goes on with
 * the row after.  There is never more than one write under way: after one
 * that failed nothing is put before all notes of the rings are settled.
 */
#include "main/logger.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "main/logger_feed.h"

void
logger_init(struct logger *l, struct shm *shm)
{
	*l = (struct logger){ .shm = shm, .to_file = true,
	    .unsettled = true, .nfile = 1,
	    .console.fd = STDERR_FILENO };
	for (int i = 0; i < LOGGER_NFILE; i++)
		logger_file_init(&l->file[i]);
	logger_text_init(&l->text);
}

void
logger_fini(struct logger *l)
{
	for (int i = 0; i < LOGGER_NFILE; i++)
		logger_file_close(&l->file[i]);
	logger_text_fini(&l->text);
}

/* The ring of a row; false: it has nothing, nor ever had. */
static bool
open_ring(const struct logger *l, struct ring *r, uint32_t row)
{
	return row < SLOT_MAX && board_ring(r, l->shm, row);
}

/* What was written is shown to those who look on. */
static void
show(struct logger *l)
{
	if (l->feed != NULL && l->text.raw.n != 0)
		logger_feed_put(l->feed, text_str(&l->text.raw));
	if (l->to_console && l->text.human.n != 0)
		(void)logger_console_put(&l->console,
		    text_str(&l->text.human));
}

/* The file of the note in a ring, or the first if it is none of them. */
static struct logger_file *
find_noted(struct logger *l, const struct ring *r)
{
	struct ring_intent	i;

	if (ring_intent_get(r, &i))
		for (int k = 0; k < l->nfile; k++)
			if (l->file[k].dev == i.dev && l->file[k].ino == i.ino)
				return &l->file[k];
	return &l->file[0];
}

static int
settle_all(struct logger *l, struct err *e)
{
	uint32_t	nrow = shm_rows(l->shm, &board_rings);
	uint64_t	tail;
	struct ring	r;

	for (uint32_t i = 0; i < nrow; i++) {
		if (!open_ring(l, &r, i))
			continue;
		tail = ring_tail(&r);
		if (logger_file_settle(find_noted(l, &r), &r, &l->text,
		    e) == -1)
			return -1;
		if (ring_tail(&r) != tail)
			show(l);
	}
	l->unsettled = false;
	return 0;
}

/* A batch to the file that it is for. */
static int
put_batch(struct logger *l, struct ring *r, struct err *e)
{
	struct logger_text	*t = &l->text;

	logger_text_fill(t, r, UINT64_MAX, LOGGER_BATCH);
	if (t->json.n == 0) {
		ring_release(r, t->pos);
		return 0;
	}
	if (logger_file_put(&l->file[t->which], r, text_str(&t->json),
	    t->pos, e) == -1) {
		l->unsettled = true;
		l->failed++;
		return -1;
	}
	l->moved += t->json.n;
	show(l);
	return 0;
}

/* One batch, or where files take turns as many as come to its size. */
static int
to_file(struct logger *l, struct ring *r, struct err *e)
{
	uint64_t	end = l->moved + LOGGER_BATCH;

	do {
		if (put_batch(l, r, e) == -1)
			return -1;
	} while (l->text.splits && l->text.full && l->moved < end);
	return 0;
}

/* A line, a write: what is not shown stays in the ring. */
static bool
to_console(struct logger *l, struct ring *r)
{
	struct logger_text	*t = &l->text;
	size_t			 sum = 0;

	do {
		logger_text_fill(t, r, UINT64_MAX, 1);
		if (logger_console_put(&l->console, text_str(&t->human)) <
		    t->human.n)
			return false;
		ring_release(r, t->pos);
		if (l->feed != NULL && t->raw.n != 0)
			logger_feed_put(l->feed, text_str(&t->raw));
		sum += t->human.n;
		l->moved += t->json.n;
	} while (t->full && sum < LOGGER_BATCH);
	return true;
}

/* More urgent things have the larger value. */
static void
raise_to(enum logger_rc *rc, enum logger_rc to)
{
	if (*rc < to)
		*rc = to;
}

static int
drain_row(struct logger *l, uint32_t row, enum logger_rc *rc, struct err *e)
{
	struct ring	r;
	uint64_t	used;

	if (!open_ring(l, &r, row))
		return 0;
	used = ring_used(&r);
	if (used == 0)
		return 0;
	if (used > l->waited)
		l->waited = used;
	if (used > r.size / 4)
		raise_to(rc, LOGGER_MORE);
	if (l->to_file) {
		if (to_file(l, &r, e) == -1)
			return -1;
	} else if (!to_console(l, &r))
		return 0;
	if (l->text.full)
		raise_to(rc, LOGGER_MORE);
	return 0;
}

/* All are open. */
static bool
has_files(const struct logger *l)
{
	for (int i = 0; i < l->nfile; i++)
		if (l->file[i].fd == -1)
			return false;
	return true;
}

/* One has as much as it may. */
static bool
has_full_file(const struct logger *l)
{
	for (int i = 0; i < l->nfile && l->file_max != 0; i++)
		if (l->file[i].size >= l->file_max)
			return true;
	return false;
}

enum logger_rc
logger_drain(struct logger *l, struct err *e)
{
	uint32_t	nrow = shm_rows(l->shm, &board_rings);
	enum logger_rc	rc = LOGGER_IDLE;

	if (l->to_file && !has_files(l))
		return LOGGER_FAILED;
	l->text.wants_human = l->to_console;
	l->text.wants_raw = l->feed != NULL;
	l->text.splits = l->to_file && l->nfile > 1;
	l->console.keeps = !l->to_file;
	if (l->unsettled && settle_all(l, e) == -1)
		return LOGGER_FAILED;
	l->moved = l->waited = 0;
	for (uint32_t i = 0; i < nrow; i++) {
		if (l->moved > LOGGER_TURN)
			return LOGGER_MORE;
		if (drain_row(l, l->next++ % nrow, &rc, e) == -1)
			return LOGGER_FAILED;
		if (l->to_file && has_full_file(l))
			return LOGGER_MORE;
	}
	return rc;
}

bool
logger_is_empty(const struct logger *l)
{
	uint32_t	nrow = shm_rows(l->shm, &board_rings);
	struct ring	r;

	for (uint32_t i = 0; i < nrow; i++)
		if (open_ring(l, &r, i) && ring_used(&r) != 0)
			return false;
	return true;
}

uint64_t
logger_waiting(const struct logger *l)
{
	uint32_t	nrow = shm_rows(l->shm, &board_rings);
	uint64_t	sum = 0;
	struct ring	r;

	for (uint32_t i = 0; i < nrow; i++)
		if (open_ring(l, &r, i))
			sum += ring_used(&r);
	return sum;
}

void
logger_set_mark(struct logger *l)
{
	uint32_t	nrow = shm_rows(l->shm, &board_rings);
	struct ring	r;

	for (uint32_t i = 0; i < nrow && i < SLOT_MAX; i++)
		l->mark[i] = open_ring(l, &r, i) ?
		    ring_tail(&r) + ring_used(&r) : 0;
}

bool
logger_is_past_mark(const struct logger *l)
{
	uint32_t	nrow = shm_rows(l->shm, &board_rings);
	struct ring	r;

	for (uint32_t i = 0; i < nrow && i < SLOT_MAX; i++)
		if (l->mark[i] != 0 && open_ring(l, &r, i) &&
		    (int64_t)(ring_tail(&r) - l->mark[i]) < 0)
			return false;
	return true;
}

uint64_t
logger_lost(struct logger *l)
{
	uint32_t	nrow = shm_rows(l->shm, &board_rings);
	uint64_t	sum = 0, told;
	struct ring	r;

	for (uint32_t i = 0; i < nrow && i < SLOT_MAX; i++) {
		l->lost[i] = 0;
		if (!open_ring(l, &r, i))
			continue;
		l->lost[i] = atomic_load(&r.h->dropped);
		told = atomic_load(&r.h->told);
		sum += l->lost[i] > told ? l->lost[i] - told : 0;
	}
	return sum;
}

void
logger_told(struct logger *l)
{
	uint32_t	nrow = shm_rows(l->shm, &board_rings);
	struct ring	r;

	for (uint32_t i = 0; i < nrow && i < SLOT_MAX; i++)
		if (l->lost[i] != 0 && open_ring(l, &r, i))
			atomic_store(&r.h->told, l->lost[i]);
}

bool
logger_has_company(const struct shm *shm)
{
	uint32_t			 nrow = shm_rows(shm, &board_slots);
	const struct board_slot		*s;
	uint32_t			 pid;

	for (uint32_t i = 0; i < nrow; i++) {
		s = shm_row(shm, &board_slots, i);
		pid = atomic_load(&s->pid);
		if (pid == 0 || pid > INT32_MAX || (pid_t)pid == getpid())
			continue;
		if (kill((pid_t)pid, 0) == 0 || errno == EPERM)
			return true;
	}
	return false;
}
