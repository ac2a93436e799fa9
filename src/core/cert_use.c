/*
 * Rows of certificates on the board: open addressing over what rows there
 * are.  When there come to be more, a name may have one row by the old
 * count and one by the new; readers add up all that have its tag.
 */
#include "core/cert_use.h"

#define MIN_ROWS	64
#define TRIES		32	/* then it is not counted */

const struct shm_region board_cert_uses = {
	"cert_uses", SHM_LIVE, 1, sizeof(struct board_cert_use), MIN_ROWS,
	"how often certificates were shown"
};

static uint32_t
rows_for(const struct conf *c)
{
	return (uint32_t)(2 * tls_certs(c)->n);
}

int
cert_use_grow(struct shm *shm, const struct conf *c, struct err *e)
{
	uint32_t	n = rows_for(c);

	return n == 0 ? 0 : shm_grow(shm, &board_cert_uses, n, e);
}

uint64_t
cert_use_cost(const struct conf *c)
{
	return rows_for(c) == 0 ? 0 : shm_cost(&board_cert_uses,
	    rows_for(c));
}

static uint64_t
tag_of(const struct tls_cert *c)
{
	return str_hash(c->file, STR_HASH0) | 1;
}

static struct board_cert_use *
nth(const struct shm *shm, uint64_t tag, uint32_t i)
{
	uint32_t	n = shm_rows(shm, &board_cert_uses);

	/* the low bit is set in all of them */
	return shm_row(shm, &board_cert_uses,
	    (uint32_t)(((tag >> 1) + i) % n));
}

/* Its row, or a free one that becomes its own; NULL: there is none near. */
static struct board_cert_use *
claim(struct shm *shm, uint64_t tag)
{
	struct board_cert_use	*u;
	uint64_t		 was;

	for (uint32_t i = 0; i < TRIES; i++) {
		u = nth(shm, tag, i);
		was = atomic_load_explicit(&u->tag, memory_order_relaxed);
		if (was == tag || (was == 0 &&
		    (atomic_compare_exchange_strong(&u->tag, &was, tag) ||
		    was == tag)))
			return u;
	}
	return NULL;
}

void
cert_use_add(struct shm *shm, const struct tls_cert *c, uint64_t now_ms)
{
	struct board_cert_use	*u;

	if (shm == NULL || shm_rows(shm, &board_cert_uses) == 0)
		return;
	u = claim(shm, tag_of(c));
	if (u == NULL)
		return;
	atomic_fetch_add_explicit(&u->shown, 1, memory_order_relaxed);
	atomic_store_explicit(&u->last_ms, now_ms, memory_order_relaxed);
}

/* Whether it is a row with the tag that was not met yet. */
static bool
is_next(const struct board_cert_use *u, uint64_t tag,
    const struct board_cert_use **met, unsigned n)
{
	if (atomic_load(&u->tag) != tag)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (met[i] == u)
			return false;
	return true;
}

/* The row by a count of rows that there is or was; NULL: none, or met. */
static const struct board_cert_use *
find(const struct shm *shm, uint64_t tag, uint32_t cap,
    const struct board_cert_use **met, unsigned n)
{
	const struct board_cert_use	*u;

	for (uint32_t i = 0; i < TRIES; i++) {
		u = shm_row(shm, &board_cert_uses,
		    (uint32_t)(((tag >> 1) + i) % cap));
		if (is_next(u, tag, met, n))
			return u;
	}
	return NULL;
}

void
cert_use_sum(const struct shm *shm, const struct tls_cert *c,
    uint64_t *shown, uint64_t *last_ms)
{
	const struct board_cert_use	*u, *met[SHM_CHUNKS];
	uint32_t			 cap, rows;
	uint64_t			 last;
	unsigned			 n = 0;

	*shown = *last_ms = 0;
	rows = shm_rows(shm, &board_cert_uses);
	for (unsigned k = 1; k <= SHM_CHUNKS; k++) {
		cap = shm_rows_of(MIN_ROWS, k);
		if (cap > rows)
			break;
		u = find(shm, tag_of(c), cap, met, n);
		if (u == NULL)
			continue;
		met[n++] = u;
		*shown += atomic_load(&u->shown);
		last = atomic_load(&u->last_ms);
		*last_ms = last > *last_ms ? last : *last_ms;
	}
}
