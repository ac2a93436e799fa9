/*
 * The members of twins that have names.  Workers.
 *
 * Before each pick, and each second, the versions of the twin's names are
 * compared; when one has moved on, the vector of members is made anew.  A
 * server that stays a member keeps its struct and its pool; one that left
 * closes what is idle, and ends with the requests that it still answers.
 */
#include "up/names.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/pool.h"
#include "up/server_tls.h"

#define LOOK_MS	1000	/* so long an idle worker keeps what has left */

static void on_look(struct timer *);

void
members_add(struct upstream *up, uint32_t row, struct str text, bool srv)
{
	struct member_name	*m;
	char			*p;

	up->names = must_realloc(up->names,
	    (up->nname + 1) * sizeof(*up->names));
	m = &up->names[up->nname++];
	m->row = shm_row(up->serve->shm, &board_names, row);
	m->tag = atomic_load(&m->row->tag);
	m->version = 1;
	m->host = STR("");
	m->peer = NULL;
	m->h2 = false;
	if (up->nname == 1) {
		timer_init(&up->look, on_look);
		ev_timer(up->serve->ev, &up->look, LOOK_MS);
	}
	if (srv)
		return;
	p = must_alloc(text.n);
	memcpy(p, text.p, text.n);
	m->host = str_make(p, text.n);
}

void
members_bind(struct upstream *up, size_t i, uint32_t row)
{
	struct member_name	*m = &up->names[i];
	const struct board_name	*b = shm_row(up->serve->shm, &board_names,
	    row);

	if (m->row == b && m->tag == atomic_load(&b->tag))
		return;
	m->row = shm_row(up->serve->shm, &board_names, row);
	m->tag = atomic_load(&b->tag);
	m->version = 1;
}

void
members_free(struct upstream *up)
{
	if (up->nname > 0)
		ev_timer_off(up->serve->ev, &up->look);
	for (size_t i = 0; i < up->nname; i++)
		if (up->names[i].host.n > 0)
			free((void *)(uintptr_t)up->names[i].host.p);
	free(up->names);
}

/* A row that went on to another life is another name. */
static bool
is_old(const struct member_name *m)
{
	return atomic_load_explicit(&m->row->version, memory_order_acquire)
	    != m->version && atomic_load(&m->row->tag) == m->tag;
}

/* The member before that has this row, taken out of the old vector. */
static struct server *
take_old(struct upstream *up, size_t nold, uint32_t row)
{
	const struct board_server	*b;
	struct server			*s;

	b = shm_row(up->serve->shm, &board_servers, row);
	for (size_t i = up->nfixed; i < nold; i++) {
		s = up->servers[i];
		if (s == NULL || s->board != b || s->tag !=
		    atomic_load(&b->tag))
			continue;
		up->servers[i] = NULL;
		return s;
	}
	return NULL;
}

static struct server *
make_member(struct upstream *up, uint32_t row)
{
	char			 buf[NAMES_ADDR];
	struct sock_addr	 a;

	if (names_addr(shm_row(up->serve->shm, &board_servers, row), &a,
	    buf) == -1)
		return NULL;
	return server_new(up, row, str_from(buf));
}

/* A server that stays may have come under another name of its twin. */
static void
set_name(struct server *s, const struct member_name *m)
{
	s->name = m->host.n > 0 ? m : NULL;
	server_tls_set(s, m->peer);
	s->h2 = m->h2;
}

struct server *
members_other(const struct server *s, const struct tried *tried)
{
	const struct upstream	*up = s->upstream;
	struct server		*o;

	for (size_t i = up->nfixed; s->name != NULL && i < up->nserver; i++) {
		o = up->servers[i];
		if (o->name == s->name && o->addr.family != s->addr.family &&
		    (tried == NULL || !tried_has(tried, o)))
			return o;
	}
	return NULL;
}

static bool
has(struct server *const *v, size_t n, const struct board_server *b)
{
	for (size_t i = 0; i < n; i++)
		if (v[i]->board == b)
			return true;
	return false;
}

/* a name's list as it was read */
struct list_read {
	uint32_t	row[NAME_MEMBERS];
	int		n;
	uint64_t	version;
};

/* False if one of them is never whole: then all stays as it is. */
static bool
read_lists(struct upstream *up, struct list_read *v)
{
	for (size_t i = 0; i < up->nname; i++) {
		v[i].n = 0;
		v[i].version = up->names[i].version;
		if (atomic_load(&up->names[i].row->tag) != up->names[i].tag)
			continue;
		v[i].n = names_read(up->names[i].row, v[i].row,
		    &v[i].version);
		if (v[i].n == -1)
			return false;
	}
	return true;
}

/* Adds the servers of a name to the new vector; its new length. */
static size_t
add_name(struct upstream *up, const struct member_name *m,
    const struct list_read *l, struct server **v, size_t n)
{
	const struct shm	*shm = up->serve->shm;
	struct server		*s;

	for (int i = 0; i < l->n; i++) {
		if (l->row[i] >= shm_rows(shm, &board_servers) ||
		    has(v, n, shm_row(shm, &board_servers, l->row[i])))
			continue;
		s = take_old(up, up->nserver, l->row[i]);
		if (s == NULL)
			s = make_member(up, l->row[i]);
		if (s == NULL)
			continue;
		set_name(s, m);
		v[n++] = s;
	}
	return n;
}

/* Who is no member any more: its idle connections close. */
static void
drop_old(struct upstream *up)
{
	for (size_t i = up->nfixed; i < up->nserver; i++) {
		if (up->servers[i] == NULL)
			continue;
		up->servers[i]->left = true;
		pool_close_idle(up->servers[i]);
		server_unref(&up->servers[i]);
	}
}

static void
rebuild(struct upstream *up)
{
	struct list_read	 *l;
	struct server		**v;
	size_t			  n = up->nfixed;

	l = must_calloc(up->nname, sizeof(*l));
	if (!read_lists(up, l)) {
		free(l);
		return;
	}
	v = must_calloc(n + up->nname * NAME_MEMBERS + 1, sizeof(*v));
	memcpy(v, up->servers, n * sizeof(*v));
	for (size_t i = 0; i < up->nname; i++) {
		up->names[i].version = l[i].version;
		n = add_name(up, &up->names[i], &l[i], v, n);
	}
	drop_old(up);
	free(l);
	free(up->servers);
	up->servers = must_realloc(v, (n + 1) * sizeof(*v));
	up->nserver = n;
	up->view.stale = true;
	serve_moved(up->serve);
}

static void
on_look(struct timer *t)
{
	struct upstream	*up = container_of(t, struct upstream, look);

	ev_timer(up->serve->ev, t, LOOK_MS);
	members_refresh(up);
}

void
members_refresh(struct upstream *up)
{
	for (size_t i = 0; i < up->nname; i++)
		if (is_old(&up->names[i])) {
			rebuild(up);
			return;
		}
}
