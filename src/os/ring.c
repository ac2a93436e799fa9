/*
 * Log rings.  Written by every process that logs, read by the logger.
 *
 * A record is a header of eight bytes and its bytes, padded to eight, in
 * one piece; where the end of the data is too near a mark sends the reader
 * to its beginning.  Positions count bytes for ever; the low bits of what
 * they are ahead of the base are the place.  A writer who finds the ring
 * empty sets the base to his position: a ring whose reader keeps up
 * remains in its front, in pages that are there.  The record and its
 * header are written first, then the head is stored with release: that
 * store is the commit.
 *
 * What a SIGKILL leaves.  It cuts a process between two instructions: the
 * stores before it are done, those after it are not, and whoever saw the
 * process reaped sees them.  So it is enough that the compiler keeps the
 * order, which a release store does for all that stands before it.
 *
 *   Writer: killed before the store of the head, the reader and the next
 *   writer find the head where it was, and what was half written lies in
 *   room that is free.  Killed after it, the record is whole.
 *
 *   Reader: (1) the intent's words, (2) w_state = 1, (3) write(2),
 *   (4) tail, (5) w_state = 0.  Killed before 2: no intent, nothing
 *   written, the records are read again.  Between 2 and 4: the file tells;
 *   the kernel ends a write to a file before it ends the process, so the
 *   size is final: off + len if it was done, off if it was not begun, in
 *   between if the disk was full or the signal cut it.  Between 4 and 5:
 *   the tail already is w_tail, the same as done.  The words of the next
 *   intent are kept behind 5 by a fence, so they are never taken for this
 *   one's.
 *
 * Both ends mistrust the other's words: sizes and positions are compared
 * with what is possible, and offsets are cut to the size that this
 * process has checked, so no value in the ring leads outside of it.
 */
#include "os/ring.h"

#include <sys/mman.h>

#include "base/must.h"

#define HEAD_BYTES	sizeof(struct rec)
#define PAGE		((uintptr_t)4096)
#define SKIP		UINT32_MAX	/* go on at the beginning */
#define SEG		65536	/* pages come and go in pieces of this */
#define SEAL		0x736c6f67U
#define TURN(size)	((size) / 128)	/* from there back to the front, */
#define FRONT(size)	((size) / 32)	/* which keeps its pages */

/* before each record */
struct rec {
	uint32_t	len;	/* of what follows, or SKIP */
	uint32_t	seal;	/* of position and length */
};

static uint64_t
load(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

static void
store(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_release);
}

/* Bytes that a record of n takes. */
static uint64_t
space(uint64_t n)
{
	return HEAD_BYTES + ((n + 7) & ~7ULL);
}

static uint32_t
seal(uint64_t pos, uint32_t len)
{
	return (uint32_t)pos ^ (uint32_t)(pos >> 32) ^ len ^ SEAL;
}

static uint64_t
place(const struct ring *r, uint64_t pos)
{
	return (pos - r->base) & (r->size - 1);
}

static char *
at(const struct ring *r, uint64_t pos)
{
	return r->data + place(r, pos);
}

/* Bytes from pos to the end of the data. */
static uint64_t
rest(const struct ring *r, uint64_t pos)
{
	return r->size - place(r, pos);
}

static bool
is_size(const struct ring *r, uint64_t size)
{
	return size >= RING_SIZE_MIN && size <= r->max &&
	    (size & (size - 1)) == 0;
}

static bool
is_whole(uint64_t head, uint64_t tail, uint64_t size)
{
	return head % 8 == 0 && tail % 8 == 0 && head - tail <= size;
}

static void
drop(struct ring *r)
{
	atomic_fetch_add_explicit(&r->h->dropped, 1, memory_order_relaxed);
}

static void
init(struct ring *r, void *mem, size_t bytes)
{
	must(bytes > sizeof(struct ring_head));
	*r = (struct ring){ .h = mem };
	r->data = (char *)mem + sizeof(struct ring_head);
	r->max = bytes - sizeof(struct ring_head);
}

static void
load_base(struct ring *r)
{
	r->base = load(&r->h->base) & ~7ULL;
}

/*
 * Size and base change only while the ring is empty and before the head
 * moves on, so a reader that sees a record sees those it was written with.
 */
void
ring_attach(struct ring *r, void *mem, size_t bytes, size_t size)
{
	uint64_t	head, tail;

	init(r, mem, bytes);
	must(is_size(r, size));
	head = load(&r->h->head);
	tail = load(&r->h->tail);
	r->size = load(&r->h->size);
	if (!is_size(r, r->size) || !is_whole(head, tail, r->size)) {
		if (r->size != 0)
			drop(r);
		head = (tail + 7) & ~7ULL;
		r->size = size;
	} else if (head == tail)
		r->size = size;
	store(&r->h->size, r->size);
	store(&r->h->head, head);
	load_base(r);
	r->pos = head;
	r->clean = tail;
	r->ahead = head + SEG;
	r->far = true;
}

bool
ring_open(struct ring *r, void *mem, size_t bytes)
{
	uint64_t	size;

	init(r, mem, bytes);
	size = load(&r->h->size);
	if (is_size(r, size))
		r->size = size;
	load_base(r);
	return r->size != 0;
}

static void
put_head(struct ring *r, uint64_t pos, uint32_t len)
{
	struct rec	rec = { .len = len, .seal = seal(pos, len) };

	memcpy(at(r, pos), &rec, sizeof(rec));
}

/* Gives the whole pages from one place to another back to the system. */
static void
punch(const struct ring *r, uint64_t from, uint64_t to)
{
	uintptr_t	p, q;

	if (from < FRONT(r->size))
		from = FRONT(r->size);
	p = ((uintptr_t)r->data + from + PAGE - 1) & ~(PAGE - 1);
	q = ((uintptr_t)r->data + to) & ~(PAGE - 1);
	if (p < q)
		(void)madvise((void *)p, q - p, MADV_REMOVE);
}

/*
 * Gives pages that were read back to the system, so that a ring holds what
 * waits in it and not its whole size.  The writer does it, for the space
 * between its end and the tail is nobody else's; it costs one call per
 * SEG bytes written behind the front.  Memory that knows no holes just
 * stays.
 */
static void
give_back(struct ring *r, uint64_t end)
{
	uint64_t	to = load(&r->h->tail);
	uint64_t	from = r->clean, n;

	/* whole pages only: the rest of one is given back the next time */
	to -= (uintptr_t)at(r, to) & (PAGE - 1);
	if (to < from + SEG || to > end)
		return;
	r->clean = to;
	/* what was written since lies where older bytes did */
	if (end > r->size && from < end - r->size)
		from = end - r->size;
	while (from < to) {
		n = to - from < rest(r, from) ? to - from : rest(r, from);
		punch(r, place(r, from), place(r, from) + n);
		from += n;
	}
}

/* In an empty ring; all behind the front goes back. */
static void
turn_back(struct ring *r)
{
	if (r->far)
		punch(r, FRONT(r->size), r->size);
	r->far = false;
	r->base = r->pos;
	store(&r->h->base, r->base);
	r->clean = r->pos;
	r->ahead = r->pos + FRONT(r->size);
}

/*
 * Asks for the pages of the next SEG bytes at once: a fault for each costs
 * more than all else that a record does.  Not for the first ones of a
 * process, since few write so much.
 */
static void
fetch(struct ring *r, uint64_t end)
{
#ifdef MADV_POPULATE_WRITE
	uint64_t	n = rest(r, r->at) < SEG ? rest(r, r->at) : SEG;
	uintptr_t	p = ((uintptr_t)at(r, r->at) + PAGE - 1) & ~(PAGE - 1);
	uintptr_t	q = ((uintptr_t)at(r, r->at) + n) & ~(PAGE - 1);

	if (end <= r->ahead)
		return;
	/* where it is not known pages come one by one */
	if (p < q && madvise((void *)p, q - p, MADV_POPULATE_WRITE) == -1)
		n = UINT64_MAX / 2;
	r->ahead = r->at + n;
#else
	(void)r;
	(void)end;
#endif
}

/*
 * Records of more than half of the data have no room at some positions
 * even in an empty ring, so they never have.
 */
char *
ring_reserve(struct ring *r, size_t n)
{
	uint64_t	need = space(n), skip;
	uint64_t	used = r->pos - load(&r->h->tail);

	must(n <= RING_RECORD_MAX);
	r->open = false;
	if (used == 0 && place(r, r->pos) >= TURN(r->size))
		turn_back(r);
	skip = rest(r, r->pos);
	if (skip >= need)
		skip = 0;
	if (need > r->size / 2 || used > r->size ||
	    skip + need > r->size - used) {
		drop(r);
		return NULL;
	}
	if (skip != 0)
		put_head(r, r->pos, SKIP);
	r->at = r->pos + skip;
	r->room = n;
	r->open = true;
	r->far |= place(r, r->at) + need > FRONT(r->size);
	give_back(r, r->at + need);
	fetch(r, r->at + need);
	return at(r, r->at) + HEAD_BYTES;
}

uint64_t
ring_commit(struct ring *r, size_t n)
{
	must(r->open && n <= r->room);
	put_head(r, r->at, (uint32_t)n);
	r->pos = r->at + space(n);
	r->open = false;
	store(&r->h->head, r->pos);
	return r->at;
}

uint64_t
ring_pos(const struct ring *r)
{
	return r->open ? r->at : r->pos;
}

bool
ring_is_committed(const struct ring *r, uint64_t pos)
{
	return (int64_t)(load(&r->h->head) - pos) > 0 ||
	    (int64_t)(load(&r->h->tail) - pos) > 0;
}

uint64_t
ring_used(const struct ring *r)
{
	uint64_t	used = load(&r->h->head) - load(&r->h->tail);

	return used > r->size ? r->size : used;
}

uint64_t
ring_tail(const struct ring *r)
{
	return load(&r->h->tail);
}

/* The record at *pos, which moves behind it; false if there can be none. */
static bool
take(struct ring *r, uint64_t *pos, uint64_t head, struct str *record)
{
	struct rec	rec;

	memcpy(&rec, at(r, *pos), sizeof(rec));
	if (rec.seal != seal(*pos, rec.len))
		return false;
	if (rec.len == SKIP) {
		*pos += rest(r, *pos);
		*record = STR_NONE;
		return head - *pos <= r->size;
	}
	if (rec.len > RING_RECORD_MAX || space(rec.len) > rest(r, *pos) ||
	    space(rec.len) > head - *pos)
		return false;
	*record = str_make(at(r, *pos) + HEAD_BYTES, rec.len);
	*pos += space(rec.len);
	return true;
}

/* The size may have changed since, while the ring was empty. */
static bool
is_sound(struct ring *r, uint64_t pos, uint64_t head)
{
	uint64_t	size = load(&r->h->size);
	uint64_t	tail = load(&r->h->tail);

	if (!is_size(r, size))
		return false;
	r->size = size;
	load_base(r);
	return is_whole(head, tail, size) && pos % 8 == 0 &&
	    head - pos <= head - tail;
}

bool
ring_next(struct ring *r, uint64_t *pos, struct str *record)
{
	uint64_t	head = load(&r->h->head);
	bool		ok;

	if (*pos == head)
		return false;
	ok = is_sound(r, *pos, head) && take(r, pos, head, record);
	if (ok && record->p == NULL) {
		if (*pos == head)
			return false;
		ok = take(r, pos, head, record) && record->p != NULL;
	}
	if (ok)
		return true;
	drop(r);
	*pos = head;
	store(&r->h->tail, head);
	return false;
}

void
ring_release(struct ring *r, uint64_t pos)
{
	store(&r->h->tail, pos);
}

void
ring_intent_set(struct ring *r, const struct ring_intent *i)
{
	atomic_thread_fence(memory_order_release);
	r->h->w_dev = i->dev;
	r->h->w_ino = i->ino;
	r->h->w_off = i->off;
	r->h->w_len = i->len;
	r->h->w_tail = i->tail;
	store(&r->h->w_state, 1);
}

void
ring_intent_clear(struct ring *r)
{
	store(&r->h->w_state, 0);
}

bool
ring_intent_get(const struct ring *r, struct ring_intent *i)
{
	const struct ring_head	*h = r->h;

	if (load(&h->w_state) != 1)
		return false;
	*i = (struct ring_intent){ h->w_dev, h->w_ino, h->w_off, h->w_len,
	    h->w_tail };
	return true;
}
