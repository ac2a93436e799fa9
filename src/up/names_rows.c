/*
 * Rows of names on the board, and the lists of their addresses.  The
 * master writes; control and workers read.
 *
 * A list is written between two steps of its version, so a reader knows
 * when it has read two halves.  A row of a server that left every list
 * stays for a minute: by then nobody who read the old list still picks
 * from it, and what is older than that is told by the row's tag.
 */
#include "up/names.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/int.h"

#define TRIES	1000	/* of reading a list while it is written */

const struct shm_region board_names = {
	"names", SHM_DIR, 2, sizeof(struct board_name), 16,
	"names of servers and the rows of their addresses"
};

static uint64_t
now_ms(void)
{
	return ev_clock_ns() / 1000000;
}

/* --- readers --- */

/* False if the master wrote meanwhile. */
static bool
copy_list(const struct board_name *b, uint32_t *row, uint32_t *n)
{
	uint64_t	v = atomic_load_explicit(&b->version,
	    memory_order_acquire);

	*n = atomic_load_explicit(&b->n, memory_order_relaxed);
	if (v % 2 != 0 || *n > NAME_MEMBERS)
		return false;
	for (uint32_t i = 0; i < *n; i++)
		row[i] = atomic_load_explicit(&b->member[i],
		    memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&b->version, memory_order_relaxed) == v;
}

int
names_read(const struct board_name *b, uint32_t *row, uint64_t *version)
{
	uint32_t	n;

	for (unsigned i = 0; i < TRIES; i++) {
		*version = atomic_load_explicit(&b->version,
		    memory_order_acquire);
		if (copy_list(b, row, &n) && *version == atomic_load_explicit(
		    &b->version, memory_order_relaxed))
			return (int)n;
	}
	return -1;
}

int
names_addr(const struct board_server *s, struct sock_addr *a,
    char buf[NAMES_ADDR])
{
	uint64_t	tag = atomic_load_explicit(&s->tag,
	    memory_order_acquire);
	uint8_t		n = s->addr_len;

	if (tag == 0 || n >= NAMES_ADDR)
		return -1;
	memcpy(buf, s->addr, n);
	buf[n] = '\0';
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&s->tag, memory_order_relaxed) != tag)
		return -1;
	return sock_parse(str_make(buf, n), -1, a, NULL);
}

/* --- the master --- */

static void
write_list(struct board_name *b, const uint32_t *row, uint32_t n)
{
	uint64_t	v = atomic_load(&b->version);

	atomic_store_explicit(&b->version, v + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (uint32_t i = 0; i < n; i++)
		atomic_store_explicit(&b->member[i], row[i],
		    memory_order_relaxed);
	atomic_store_explicit(&b->n, n, memory_order_relaxed);
	atomic_store_explicit(&b->version, v + 2, memory_order_release);
}

/*
 * The next server of a list, from *i on; NULL at its end.  Control may
 * write the segment, and control reads from the network.
 */
static struct board_server *
next_server(struct shm *shm, const struct board_name *b, uint32_t *i)
{
	uint32_t	row;

	while (*i < atomic_load(&b->n) && *i < NAME_MEMBERS) {
		row = atomic_load(&b->member[(*i)++]);
		if (row < shm_rows(shm, &board_servers))
			return shm_row(shm, &board_servers, row);
	}
	return NULL;
}

/* Its rows of servers are given up by this name, from now on. */
static void
leave_list(struct shm *shm, const struct board_name *b)
{
	struct board_server	*s;
	uint32_t		 i = 0;

	while ((s = next_server(shm, b, &i)) != NULL)
		atomic_store(&s->left_ms, now_ms());
}

bool
names_holds(const struct board_server *s)
{
	uint64_t	left = atomic_load(&s->left_ms);
	uint64_t	now = now_ms();

	return left != 0 && left <= now && now - left < NAME_KEEP_MS;
}

static void
mark(const struct board_name *b, uint64_t *bits, uint32_t nrow)
{
	uint32_t	row;

	for (uint32_t i = 0; i < atomic_load(&b->n) && i < NAME_MEMBERS;
	    i++) {
		row = atomic_load(&b->member[i]);
		if (row < nrow)
			bits[row / 64] |= 1ULL << row % 64;
	}
}

uint64_t *
names_sweep(struct shm *shm, uint64_t oldest)
{
	uint32_t		 nrow = shm_rows(shm, &board_servers);
	uint64_t		*bits = must_calloc(nrow / 64 + 1,
	    sizeof(*bits));
	struct board_name	*b;

	for (uint32_t i = 0; i < shm_rows(shm, &board_names); i++) {
		b = shm_row(shm, &board_names, i);
		if (atomic_load(&b->tag) == 0)
			continue;
		if (atomic_load(&b->generation) < oldest) {
			leave_list(shm, b);
			write_list(b, NULL, 0);
			atomic_store(&b->tag, 0);
		} else
			mark(b, bits, nrow);
	}
	return bits;
}

/* A new row; the tag is set last. */
static struct board_name *
new_name(struct linker *l, struct str upstream, const struct server_conf *c,
    struct err *e)
{
	struct board_name	*b;

	b = rows_take(l, &board_names, &l->free_name, e);
	if (b == NULL)
		return NULL;
	must(upstream.n <= sizeof(b->upstream) &&
	    c->text.n <= sizeof(b->text));
	memcpy(b->upstream, upstream.p, upstream.n);
	memcpy(b->text, c->text.p, c->text.n);
	b->upstream_len = (uint16_t)upstream.n;
	b->text_len = (uint16_t)c->text.n;
	atomic_store(&b->state, NAME_ASKING);
	atomic_store(&b->limit, (uint32_t)c->max_conns);
	atomic_store(&b->weight, c->weight);
	atomic_store(&b->backup, c->backup);
	/* One that was freed is not as old as the generation at hand. */
	atomic_store(&b->tag, l->number << 32 | l->free_name);
	rows_note_name(&l->rows, b, l->free_name - 1);
	return b;
}

int
names_link(struct linker *l, struct str upstream,
    const struct server_conf *c, struct err *e)
{
	int64_t			 at;
	struct board_name	*b;
	struct board_server	*s;
	uint32_t		 i = 0;

	at = upstream_rows_name(&l->rows, upstream, c->text);
	if (at >= 0)
		b = shm_row(l->shm, &board_names, (uint32_t)at);
	else
		b = new_name(l, upstream, c, e);
	if (b == NULL)
		return -1;
	atomic_store(&b->generation, l->number);
	while ((s = next_server(l->shm, b, &i)) != NULL)
		if (rows_link_word(l, s, c->max_conns, false, e) == -1)
			return -1;
	return 0;
}

bool
names_settle(struct shm *shm, uint32_t row, const struct row_want *want)
{
	struct board_name	*b = shm_row(shm, &board_names, row);
	struct row_want		 one = *want;
	uint32_t		 i = 0;
	struct board_server	*s;
	bool			 over = false;

	atomic_store(&b->limit, (uint32_t)want->limit);
	atomic_store(&b->weight, want->weight);
	atomic_store(&b->backup, want->backup);
	while ((s = next_server(shm, b, &i)) != NULL) {
		one.weight = (uint32_t)s->part * want->weight;
		over |= rows_settle(shm, s, &one);
	}
	return over;
}

/* --- sets from control --- */

static int
check_head(struct shm *shm, const char *p, size_t n, struct name_set *h,
    struct err *e)
{
	const struct board_name	*b;

	if (n < sizeof(*h))
		return err_set(e, "a set of addresses is cut");
	memcpy(h, p, sizeof(*h));
	if (h->n > NAME_MEMBERS || n != sizeof(*h) +
	    h->n * sizeof(struct name_member))
		return err_set(e, "a set of addresses is malformed");
	if (h->row >= shm_rows(shm, &board_names))
		return err_set(e, "there is no such name");
	b = shm_row(shm, &board_names, h->row);
	if (h->tag == 0 || atomic_load(&b->tag) != h->tag)
		return err_set(e, "the name is another one by now");
	return 0;
}

/* The address of a member; -1: nobody can be dialled there. */
static int
member_addr(const struct name_member *m, struct sock_addr *a)
{
	static const uint8_t	none[16];

	memset(a, 0, sizeof(*a));
	if (m->port == 0 || m->weight > 65535 ||
	    memcmp(m->ip, none, m->family == AF_INET ? 4 : 16) == 0)
		return -1;
	if (m->family == AF_INET) {
		a->len = sizeof(a->u.in4);
		a->u.in4.sin_family = AF_INET;
		a->u.in4.sin_port = htons(m->port);
		memcpy(&a->u.in4.sin_addr, m->ip, 4);
		return 0;
	}
	if (m->family != AF_INET6)
		return -1;
	a->len = sizeof(a->u.in6);
	a->u.in6.sin6_family = AF_INET6;
	a->u.in6.sin6_port = htons(m->port);
	memcpy(&a->u.in6.sin6_addr, m->ip, 16);
	return 0;
}

/* Rows for all members of a set, each once. */
static int
link_members(struct linker *l, const struct board_name *b,
    const struct name_set *h, const char *p, uint32_t *row)
{
	struct str		 upstream = rows_text(b->upstream,
	    sizeof(b->upstream), b->upstream_len);
	struct name_member	 m;
	struct sock_addr	 a;
	char			 buf[NAMES_ADDR];
	struct text		 addr;
	struct board_server	*s;
	struct row_want		 want;
	int64_t			 at;
	int			 n = 0;
	int			 k;

	want = (struct row_want){ atomic_load(&b->limit), 1,
	    atomic_load(&b->backup) != 0 };
	for (uint32_t i = 0; i < h->n; i++) {
		memcpy(&m, p + i * sizeof(m), sizeof(m));
		if (member_addr(&m, &a) == -1)
			return -1;
		want.weight = m.weight * atomic_load(&b->weight);
		text_init_fixed(&addr, buf, sizeof(buf));
		sock_text(&addr, &a);
		at = rows_link(l, upstream, text_str(&addr), &want, NULL);
		if (at < 0)
			return -1;
		s = shm_row(l->shm, &board_servers, (uint32_t)at);
		s->part = m.weight;
		(void)rows_settle(l->shm, s, &want);
		for (k = 0; k < n && row[k] != (uint32_t)at; k++)
			continue;
		row[n] = (uint32_t)at;
		n += k == n;
	}
	return n;
}

static bool
is_list(const struct board_name *b, const uint32_t *row, uint32_t n)
{
	if (atomic_load(&b->n) != n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (atomic_load(&b->member[i]) != row[i])
			return false;
	return true;
}

/* The rows are read once for all sets of a pass. */
struct names_pass {
	struct linker	 l;
};

struct names_pass *
names_begin(struct shm *shm, uint64_t number)
{
	struct names_pass	*p = must_calloc(1, sizeof(*p));

	p->l.shm = shm;
	p->l.number = number;
	rows_free(shm, 0);
	upstream_rows_open(&p->l.rows, shm);
	return p;
}

void
names_end(struct names_pass **pp)
{
	upstream_rows_close(&(*pp)->l.rows);
	free(*pp);
	*pp = NULL;
}

int
names_apply(struct names_pass *p, const void *set, size_t size,
    struct err *e)
{
	struct shm		*shm = p->l.shm;
	uint32_t		 row[NAME_MEMBERS];
	struct name_set		 h;
	struct board_name	*b;
	int			 n;

	if (check_head(shm, set, size, &h, e) == -1)
		return -1;
	b = shm_row(shm, &board_names, h.row);
	n = link_members(&p->l, b, &h, (const char *)set + sizeof(h), row);
	if (n == -1)
		return err_set(e, "an address of a set cannot be a server");
	if (is_list(b, row, (uint32_t)n))
		return 0;
	leave_list(shm, b);
	write_list(b, row, (uint32_t)n);
	return 1;
}
