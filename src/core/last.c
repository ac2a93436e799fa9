/*
 * The last time each failure happened.  All processes note; control reads.
 *
 * A row has one writer and a sequence number that is odd while it writes.
 * Who died meanwhile leaves it odd: readers pass over it, and the slot's
 * next process makes it good with its first note.
 */
#include "core/last.h"

#include "core/board.h"

/* Changes when a row of the table comes or moves. */
enum {
	LAST_LAYOUT = 2
#define FAIL(id, name, ...)	+ ((int)FAIL_##id + 7) * (int)sizeof(name)
#include "http/fail.tbl"
#undef FAIL
};

const struct shm_region board_lasts = {
	"last", SHM_LIVE, LAST_LAYOUT, sizeof(struct board_last), 16,
	"when each failure was seen last"
};

#define TRIES	8	/* of a reader, at a row that is written */

/* As much as fits; how many bytes. */
static uint8_t
put(struct last_row *r, size_t *at, struct str s, size_t most)
{
	if (s.n > most)
		s.n = most;
	if (s.n > sizeof(r->text) - *at)
		s.n = sizeof(r->text) - *at;
	if (s.n > 0)
		memcpy(r->text + *at, s.p, s.n);
	*at += s.n;
	return (uint8_t)s.n;
}

void
last_note(enum fail why, const struct last_who *who, uint64_t wall_ms)
{
	struct board	*b = board_self();
	struct last_row	*r;
	uint32_t	 seq;
	size_t		 at = 0;

	if (b == NULL || why == FAIL_NONE)
		return;
	r = &b->last->row[why];
	seq = atomic_load_explicit(&r->seq, memory_order_relaxed) | 1;
	atomic_store_explicit(&r->seq, seq, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	r->id_n = put(r, &at, who->id, 64);
	r->upstream_n = put(r, &at, who->upstream, 63);
	r->server_n = put(r, &at, who->server, LAST_TEXT);
	r->client_n = put(r, &at, who->client, SOCK_PEER_MAX);
	atomic_store_explicit(&r->ms, wall_ms, memory_order_relaxed);
	atomic_store_explicit(&r->seq, seq + 1, memory_order_release);
}

void
last_note_client(enum fail why, const struct sock_peer *p, uint64_t wall_ms)
{
	struct last_who	who = { .id = STR_INIT("") };
	struct text	t;
	char		buf[64];

	text_init_fixed(&t, buf, sizeof(buf));
	sock_peer_text(&t, p);
	who.client = text_str(&t);
	last_note(why, &who, wall_ms);
}

/* A whole row, checked: its writer may have gone wild. */
static bool
copy_row(const struct last_row *from, struct last_row *to)
{
	uint32_t	seq;

	for (unsigned i = 0; i < TRIES; i++) {
		seq = atomic_load_explicit(&from->seq, memory_order_acquire);
		memcpy((void *)to, (const void *)from, sizeof(*to));
		atomic_thread_fence(memory_order_acquire);
		if (seq % 2 == 0 && atomic_load_explicit(&from->seq,
		    memory_order_relaxed) == seq)
			return (size_t)to->id_n + to->upstream_n +
			    to->server_n + to->client_n <= sizeof(to->text);
	}
	return false;
}

bool
last_find(const struct shm *shm, enum fail why, struct last_seen *seen)
{
	uint32_t			 n = shm_rows(shm, &board_lasts);
	const struct board_last		*b;
	struct last_row			 best = { .ms = 0 }, r;
	struct str			 s;

	for (uint32_t i = 0; i < n; i++) {
		b = shm_row(shm, &board_lasts, i);
		if (copy_row(&b->row[why], &r) && r.ms > best.ms)
			memcpy((void *)&best, (void *)&r, sizeof(best));
	}
	if (best.ms == 0)
		return false;
	seen->ms = best.ms;
	memcpy(seen->text, best.text, sizeof(seen->text));
	s = str_make(seen->text, sizeof(seen->text));
	seen->who.id = str_sub(s, 0, best.id_n);
	s = str_sub(s, best.id_n, s.n);
	seen->who.upstream = str_sub(s, 0, best.upstream_n);
	s = str_sub(s, best.upstream_n, s.n);
	seen->who.server = str_sub(s, 0, best.server_n);
	s = str_sub(s, best.server_n, s.n);
	seen->who.client = str_sub(s, 0, best.client_n);
	return true;
}
