/*
 * Rows of servers and upstreams on the board.  The master links them in
 * before a generation is prepared; workers find them by what they stand
 * for.
 *
 * A row is free when its tag is 0.  Both sides read all rows once into
 * hash tables: a generation of thousands of servers costs no more than
 * its rows.  A row whose last generation is not in use any more is freed;
 * if it has a lease word, only when nothing is taken of that: connections
 * may outlive their generation.  Tags grow with the number of the
 * generation and from life to life, so a row never has the tag of an
 * earlier one.  Rows of a name's addresses: up/names_rows.c.
 */
#include "up/upstream_rows.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/breaker.h"
#include "up/fail_count.h"
#include "up/state.h"
#include "up/int.h"
#include "up/names.h"
#include "up/outlier.h"
#include "up/probes.h"
#include "up/queue.h"
#include "up/retry.h"
#include "up/server_use.h"

const struct shm_region board_servers = {
	"servers", SHM_DIR, 5, sizeof(struct board_server), 64,
	"servers of upstreams"
};
const struct shm_region board_servers_live = {
	"server_live", SHM_LIVE, 3, sizeof(struct board_server_live), 64,
	"states of servers, attempts at them and failures"
};
const struct shm_region board_upstreams = {
	"upstream_live", SHM_LIVE, 2, sizeof(struct board_upstream), 64,
	"shared words of upstreams"
};

const struct shm_region board_outliers = {
	"outliers", SHM_LIVE, 1, sizeof(struct board_outlier), 64,
	"who ejects servers of upstreams"
};
const struct shm_region board_probes = {
	"probes", SHM_LIVE, 1, sizeof(struct board_probe), 64,
	"probes of servers and what they said"
};

#define KEY_MAX	(64 + 1 + NAME_TEXT)

/* index of a row; map values point to it */
struct row_no {
	uint32_t	i;
};

/* The address as rows have it: a unix path without "unix:". */
static struct str
row_addr(struct str s)
{
	if (str_starts(s, STR("unix:")))
		s = str_sub(s, sizeof("unix:") - 1, s.n);
	return str_sub(s, 0, ROW_PATH);
}

static struct str
make_key(char *buf, struct str upstream, struct str addr)
{
	struct text	t;

	text_init_fixed(&t, buf, KEY_MAX);
	text_add(&t, upstream);
	text_c(&t, ' ');
	text_add(&t, addr);
	must(!t.cut);
	return text_str(&t);
}

/* 0 is the tag of what is free. */
static uint64_t
name_tag(struct str name)
{
	uint64_t	h = str_hash(name, STR_HASH0);

	return h == 0 ? 1 : h;
}

static struct str
tag_key(const uint64_t *tag)
{
	return str_make((const char *)(const void *)tag, sizeof(*tag));
}

struct str
rows_text(const char *p, size_t size, size_t n)
{
	return str_make(p, n < size ? n : size);
}

/* The lease word that a row names; NULL: there is no such word. */
static struct lease_word *
word_of(struct shm *shm, uint32_t lease)
{
	if (lease == 0 || lease > shm_rows(shm, &lease_words))
		return NULL;
	return shm_row(shm, &lease_words, lease - 1);
}

static void
note_server(struct upstream_rows *r, struct str key, uint32_t i)
{
	struct row_no	*no = arena_alloc(&r->arena, sizeof(*no));

	no->i = i;
	map_add(&r->servers, arena_dup(&r->arena, key), no);
}

static void
note_upstream(struct upstream_rows *r, uint64_t tag, uint32_t i)
{
	struct row_no	*no = arena_alloc(&r->arena, sizeof(*no));
	uint64_t	*t = arena_alloc(&r->arena, sizeof(*t));

	no->i = i;
	*t = tag;
	map_add(&r->upstreams, tag_key(t), no);
}

void
rows_note_name(struct upstream_rows *r, const struct board_name *b,
    uint32_t i)
{
	struct row_no	*no = arena_alloc(&r->arena, sizeof(*no));
	char		 key[KEY_MAX];

	no->i = i;
	map_add(&r->names, arena_dup(&r->arena, make_key(key,
	    rows_text(b->upstream, sizeof(b->upstream), b->upstream_len),
	    rows_text(b->text, sizeof(b->text), b->text_len))), no);
}

/* They are used in order, and their last tag stays. */
uint32_t
upstream_rows_used(const struct shm *shm)
{
	uint32_t			 n = shm_rows(shm, &board_servers), i;
	const struct board_server	*s;

	for (i = 0; i < n; i++) {
		s = shm_row(shm, &board_servers, i);
		if (s->last == 0 && atomic_load(&s->tag) == 0)
			break;
	}
	return i;
}

void
upstream_rows_open(struct upstream_rows *r, const struct shm *shm)
{
	const struct board_server	*s;
	const struct board_upstream	*u;
	const struct board_name		*b;
	char				 key[KEY_MAX];
	uint32_t			 n = upstream_rows_used(shm), i;

	map_init(&r->servers, 0);
	map_init(&r->upstreams, 0);
	map_init(&r->names, 0);
	arena_init(&r->arena, NULL);
	for (i = 0; i < n; i++) {
		s = shm_row(shm, &board_servers, i);
		if (atomic_load(&s->tag) == 0)
			continue;
		note_server(r, make_key(key, row_text_upstream(shm, i),
		    row_text_addr(shm, i)), i);
	}
	for (i = 0; i < shm_rows(shm, &board_upstreams); i++) {
		u = shm_row(shm, &board_upstreams, i);
		if (atomic_load(&u->tag) != 0)
			note_upstream(r, atomic_load(&u->tag), i);
	}
	for (i = 0; i < shm_rows(shm, &board_names); i++) {
		b = shm_row(shm, &board_names, i);
		if (atomic_load(&b->tag) != 0)
			rows_note_name(r, b, i);
	}
}

void
upstream_rows_close(struct upstream_rows *r)
{
	map_fini(&r->servers);
	map_fini(&r->upstreams);
	map_fini(&r->names);
	arena_fini(&r->arena);
}

int64_t
upstream_rows_server(const struct upstream_rows *r, struct str upstream,
    struct str addr)
{
	char			 key[KEY_MAX];
	const struct row_no	*no;

	no = map_find(&r->servers, make_key(key, upstream,
	    row_addr(addr)));
	return no == NULL ? -1 : (int64_t)no->i;
}

int64_t
upstream_rows_find(const struct upstream_rows *r, struct str upstream)
{
	uint64_t		 tag = name_tag(upstream);
	const struct row_no	*no = map_find(&r->upstreams, tag_key(&tag));

	return no == NULL ? -1 : (int64_t)no->i;
}

int64_t
upstream_rows_name(const struct upstream_rows *r, struct str upstream,
    struct str text)
{
	char			 key[KEY_MAX];
	const struct row_no	*no;

	no = map_find(&r->names, make_key(key, upstream, text));
	return no == NULL ? -1 : (int64_t)no->i;
}

/* --- the master's side --- */

/*
 * Gives the lease word of a row with that tag back; false while it is
 * held of.  One that is another's is left to that.
 */
static bool
free_word(struct shm *shm, _Atomic uint32_t *of, uint64_t tag)
{
	struct lease_word	*w = word_of(shm, atomic_load(of));

	if (w == NULL || atomic_load(&w->tag) != tag) {
		atomic_store(of, 0);
		return true;
	}
	if (lease_count(&w->taken) != 0)
		return false;
	atomic_store(of, 0);
	atomic_store(&w->limit, 0);
	atomic_store(&w->tag, 0);
	return true;
}

void
rows_free(struct shm *shm, uint64_t oldest)
{
	uint64_t		*named = names_sweep(shm, oldest);
	struct board_server	*s;
	uint64_t		 last;
	uint32_t		 n = upstream_rows_used(shm), i;

	for (i = 0; i < n; i++) {
		s = shm_row(shm, &board_servers, i);
		last = atomic_load(&s->generation);
		if (atomic_load(&s->tag) != 0 && (last == 0 || last < oldest)
		    && (named[i / 64] >> i % 64 & 1) == 0 &&
		    !names_holds(s) && free_word(shm, &s->lease,
		    atomic_load(&s->tag)))
			atomic_store(&s->tag, 0);
	}
	free(named);
}

/* By row, those of which there still is a server, which has their name. */
static bool *
mark_upstreams(const struct shm *shm)
{
	uint32_t			 n = shm_rows(shm, &board_upstreams);
	uint32_t			 used = upstream_rows_used(shm);
	bool				*held = must_calloc(n + 1, 1);
	const struct board_server	*s;
	uint32_t			 at;

	for (uint32_t i = 0; i < used; i++) {
		s = shm_row(shm, &board_servers, i);
		at = atomic_load(&s->upstream_row);
		if (atomic_load(&s->tag) != 0 && at < n)
			held[at] = true;
	}
	return held;
}

/* Frees what no generation from oldest on has named. */
static void
free_rows(struct shm *shm, uint64_t oldest)
{
	struct board_upstream	*u;
	bool			*held;
	uint32_t		 i;

	rows_free(shm, oldest);
	held = mark_upstreams(shm);
	for (i = 0; i < shm_rows(shm, &board_upstreams); i++) {
		u = shm_row(shm, &board_upstreams, i);
		if (atomic_load(&u->tag) != 0 &&
		    atomic_load(&u->generation) < oldest && !held[i] &&
		    free_word(shm, &u->queue, atomic_load(&u->tag)))
			atomic_store(&u->tag, 0);
	}
	free(held);
}

void *
rows_take(struct linker *l, const struct shm_region *r, uint32_t *from,
    struct err *e)
{
	const _Atomic uint64_t	*tag;
	void			*row;

	for (; *from < shm_rows(l->shm, r); ++*from) {
		row = shm_row(l->shm, r, *from);
		tag = row;
		if (atomic_load(tag) == 0) {
			++*from;
			return row;
		}
	}
	if (shm_grow(l->shm, r, *from + 1, e) == -1)
		return NULL;
	return shm_row(l->shm, r, (*from)++);
}

/*
 * A server has a lease word with or without a limit, so that one that it
 * gets later counts what is open; old ones keep their limit yet.
 */
int
rows_link_word(struct linker *l, struct board_server *s, uint64_t limit,
    bool fresh, struct err *e)
{
	struct lease_word	*w;

	if (word_of(l->shm, atomic_load(&s->lease)) != NULL)
		return 0;
	w = rows_take(l, &lease_words, &l->free_word, e);
	if (w == NULL)
		return -1;
	atomic_store(&w->taken, 0);
	atomic_store(&w->refused, 0);
	atomic_store(&w->limit, fresh ? (uint32_t)limit : 0);
	atomic_store(&w->tag, atomic_load(&s->tag));
	atomic_store(&s->lease, l->free_word);
	return 0;
}

uint64_t
rows_tag(uint64_t number, uint64_t last, uint32_t i)
{
	uint64_t	life = (last >> 32) + 1;

	return (life > number ? life : number) << 32 | (i + 1);
}

/* A new row; the tag is set last, what is counted starts at nothing. */
static struct board_server *
new_server(struct linker *l, struct str upstream, struct str addr,
    const struct row_want *want, struct err *e)
{
	struct board_server	*s;
	struct board_server_live *live;
	int64_t			 row = upstream_rows_find(&l->rows, upstream);
	uint64_t		 tag;
	uint32_t		 i;

	s = rows_take(l, &board_servers, &l->free_server, e);
	i = l->free_server - 1;
	if (s == NULL || row < 0 ||
	    shm_grow(l->shm, &board_servers_live, i + 1, e) == -1 ||
	    shm_grow(l->shm, &board_probes, i + 1, e) == -1 ||
	    use_grow(l->shm, i + 1, e) == -1 ||
	    breaker_grow(l->shm, i + 1, e) == -1 ||
	    row_text_set_addr(l->shm, i, addr, e) == -1)
		return NULL;
	atomic_store(&s->lease, 0);
	atomic_store(&s->weight, want->weight);
	atomic_store(&s->backup, want->backup);
	atomic_store(&s->override, 0);
	atomic_store(&s->upstream_row, (uint32_t)row);
	atomic_store(&s->since_ms, state_wall_ms());
	atomic_store(&s->generation, 0);
	atomic_store(&s->left_ms, 0);
	tag = rows_tag(l->number, s->last, i);
	s->last = tag;
	live = shm_row(l->shm, &board_servers_live, i);
	/* its tag goes with all else: who has an old one counts nowhere */
	memset((void *)live, 0, sizeof(*live));
	atomic_store(&live->tag, tag);
	breaker_begin(l->shm, i, tag);
	atomic_store(&s->tag, tag);
	return s;
}

int64_t
rows_link(struct linker *l, struct str upstream, struct str addr,
    const struct row_want *want, struct err *e)
{
	char			 key[KEY_MAX];
	int64_t			 at;
	bool			 fresh;
	struct board_server	*s;

	at = upstream_rows_server(&l->rows, upstream, addr);
	fresh = at < 0;
	if (!fresh)
		s = shm_row(l->shm, &board_servers, (uint32_t)at);
	else {
		addr = row_addr(addr);
		s = new_server(l, upstream, addr, want, e);
		if (s == NULL)
			return -1;
		at = l->free_server - 1;
		note_server(&l->rows, make_key(key, upstream, addr),
		    l->free_server - 1);
	}
	return rows_link_word(l, s, want->limit, fresh, e) == -1 ? -1 : at;
}

static struct row_want
wanted(const struct server_conf *c)
{
	return (struct row_want){ c->max_conns, c->weight, c->backup };
}

static int
link_server(struct linker *l, struct str upstream,
    const struct server_conf *c, struct err *e)
{
	struct row_want		 want = wanted(c);
	struct board_server	*s;
	int64_t			 at;

	if (c->name.n > 0)
		return names_link(l, upstream, c, e);
	at = rows_link(l, upstream, c->text, &want, e);
	if (at < 0)
		return -1;
	s = shm_row(l->shm, &board_servers, (uint32_t)at);
	atomic_store(&s->generation, l->number);
	return 0;
}

/* Who waits is counted in a word; how many may is the configuration's. */
static int
link_queue(struct linker *l, struct board_upstream *u, uint32_t row,
    struct err *e)
{
	struct lease_word	*w;

	if (shm_grow(l->shm, &board_queues, row + 1, e) == -1 ||
	    shm_grow(l->shm, &board_outliers, row + 1, e) == -1)
		return -1;
	if (word_of(l->shm, atomic_load(&u->queue)) != NULL)
		return 0;
	w = rows_take(l, &lease_words, &l->free_word, e);
	if (w == NULL)
		return -1;
	atomic_store(&w->taken, 0);
	atomic_store(&w->refused, 0);
	atomic_store(&w->limit, 0);
	atomic_store(&w->tag, atomic_load(&u->tag));
	atomic_store(&u->queue, l->free_word);
	return 0;
}

static int
link_upstream(struct linker *l, const struct upstream_conf *c, struct err *e)
{
	int64_t			 at = upstream_rows_find(&l->rows, c->obj.name);
	struct board_upstream	*u;
	bool			 fresh = at < 0;

	if (!fresh)
		u = shm_row(l->shm, &board_upstreams, (uint32_t)at);
	else {
		u = rows_take(l, &board_upstreams, &l->free_upstream, e);
		if (u == NULL || row_text_set_name(l->shm,
		    l->free_upstream - 1, c->obj.name, e) == -1)
			return -1;
		atomic_store(&u->cursor, 0);
		atomic_store(&u->queued, 0);
		atomic_store(&u->timed_out, 0);
		atomic_store(&u->refused, 0);
		atomic_store(&u->tag, name_tag(c->obj.name));
		at = l->free_upstream - 1;
		note_upstream(&l->rows, name_tag(c->obj.name), (uint32_t)at);
	}
	atomic_store(&u->generation, l->number);
	if (link_queue(l, u, (uint32_t)at, e) == -1 ||
	    retry_link(l->shm, (uint32_t)at, fresh, retry_of(&c->obj), e) ==
	    -1 || breaker_link(l->shm, (uint32_t)at, c, fresh, e) == -1 ||
	    fail_count_link(l->shm, (uint32_t)at, fresh, e) == -1)
		return -1;
	for (size_t i = 0; i < c->servers.n; i++)
		if (link_server(l, c->obj.name, &c->servers.v[i], e) == -1)
			return -1;
	return 0;
}

int
upstream_link_rows(struct shm *shm, const struct conf *conf, uint64_t oldest,
    struct err *e)
{
	struct conf_objs	all = conf_all(conf, &upstream_section);
	struct linker		l = { .shm = shm, .number = conf->number };
	int			rc = 0;

	free_rows(shm, oldest);
	upstream_rows_open(&l.rows, shm);
	for (size_t i = 0; i < all.n && rc == 0; i++)
		rc = link_upstream(&l,
		    (const struct upstream_conf *)all.v[i], e);
	upstream_rows_close(&l.rows);
	return rc;
}

bool
rows_settle(struct shm *shm, struct board_server *s,
    const struct row_want *want)
{
	struct lease_word	*w = word_of(shm, atomic_load(&s->lease));

	if (atomic_load(&s->weight) != want->weight ||
	    atomic_load(&s->backup) != want->backup) {
		atomic_store(&s->weight, want->weight);
		atomic_store(&s->backup, want->backup);
		state_touch_row(shm, atomic_load(&s->upstream_row));
	}
	if (w == NULL)
		return false;
	atomic_store(&w->limit, (uint32_t)want->limit);
	return want->limit != 0 && lease_count(&w->taken) > want->limit;
}

static bool
settle(struct shm *shm, const struct upstream_rows *rows,
    struct str upstream, const struct server_conf *c)
{
	struct row_want	want = wanted(c);
	bool		named = c->name.n > 0;
	int64_t		at;

	at = named ? upstream_rows_name(rows, upstream, c->text) :
	    upstream_rows_server(rows, upstream, c->text);
	if (at >= 0 && named)
		return names_settle(shm, (uint32_t)at, &want);
	return at >= 0 && rows_settle(shm, shm_row(shm, &board_servers,
	    (uint32_t)at), &want);
}

void
upstream_settle_rows(struct shm *shm, const struct conf *conf)
{
	struct conf_objs		 all;
	struct upstream_rows		 rows;
	const struct upstream_conf	*c;
	int64_t				 at;
	bool				 over;

	all = conf_all(conf, &upstream_section);
	upstream_rows_open(&rows, shm);
	for (size_t i = 0; i < all.n; i++) {
		c = (const struct upstream_conf *)all.v[i];
		over = false;
		for (size_t k = 0; k < c->servers.n; k++)
			over |= settle(shm, &rows, c->obj.name,
			    &c->servers.v[k]);
		at = upstream_rows_find(&rows, c->obj.name);
		if (at >= 0) {
			retry_settle(shm, (uint32_t)at, retry_of(&c->obj));
			breaker_settle(shm, (uint32_t)at, c);
		}
		/* idle connections beyond a lowered limit are closed */
		if (over && at >= 0)
			queue_trim(shm, (uint32_t)at);
	}
	upstream_rows_close(&rows);
}

uint64_t
upstream_cost(const struct conf *conf, unsigned processes)
{
	struct conf_objs	 all = conf_all(conf, &upstream_section);
	uint32_t		 servers = 0;
	uint32_t		 words = 0;
	uint32_t		 names = 0;
	uint32_t		 paths = 0;
	const struct upstream_conf *c;

	for (size_t i = 0; i < all.n; i++) {
		c = (const struct upstream_conf *)all.v[i];
		servers += (uint32_t)c->servers.n;
		words += (uint32_t)c->servers.n + 1;
		for (size_t k = 0; k < c->servers.n; k++)
			names += c->servers.v[k].name.n > 0;
		for (size_t k = 0; k < c->servers.n; k++)
			if (row_addr(c->servers.v[k].text).n > ROW_ADDR)
				paths = servers;
	}
	return shm_cost(&board_servers, servers) +
	    shm_cost(&board_upstream_names, (uint32_t)all.n) +
	    shm_cost(&board_paths, paths) +
	    shm_cost(&board_servers_live, servers) +
	    shm_cost(&board_probes, servers) +
	    use_cost(servers, processes) +
	    retry_cost((uint32_t)all.n, processes) +
	    shm_cost(&board_breakers, servers) +
	    shm_cost(&board_breaker_probes, servers) +
	    shm_cost(&board_breaker_confs, (uint32_t)all.n) +
	    shm_cost(&board_fail_counts, (uint32_t)all.n) +
	    shm_cost(&board_upstreams, (uint32_t)all.n) +
	    shm_cost(&board_queues, (uint32_t)all.n) +
	    shm_cost(&board_outliers, (uint32_t)all.n) +
	    shm_cost(&lease_words, words) + shm_cost(&board_names, names);
}
