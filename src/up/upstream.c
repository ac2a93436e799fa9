/*
 * The run-time twins of upstreams in one process.  Workers.
 *
 * A twin is found by the digest of the content it was made from, so that
 * a reload keeps those, with their pools, that did not change.  Each use
 * is counted: one by the committed generation, one by the prepared one,
 * and one each by exchanges and open connections.  When a commit drops a
 * twin whose successor has the same server, the idle connections move
 * over to that; the rest close as their exchanges end.
 */
#include "up/upstream.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/breaker.h"
#include "up/census.h"
#include "up/names.h"
#include "up/pool.h"
#include "up/probes.h"
#include "up/retry.h"
#include "up/server_tls.h"
#include "up/server_use.h"
#include "up/sticky.h"

static struct str
key_of(const uint64_t *digest)
{
	return str_make((const char *)(const void *)digest, sizeof(*digest));
}

/* Where the one with that digest was put when it was found, if it was. */
static struct upstream **
found_at(struct serve *serve, uint64_t digest)
{
	return &serve->found[digest % SERVE_FOUND];
}

static struct str
keep_text(struct str s)
{
	char	*p = must_alloc(s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return str_make(p, s.n);
}

struct server *
server_new(struct upstream *up, uint32_t row, struct str text)
{
	const struct board_server	*b;
	uint64_t			 tag;
	struct server			*s;
	struct sock_addr		 a;

	b = shm_row(up->serve->shm, &board_servers, row);
	tag = atomic_load(&b->tag);
	if (tag == 0 || sock_parse(text, -1, &a, NULL) == -1)
		return NULL;
	s = must_calloc(1, sizeof(*s) + text.n);
	s->uses = 1;
	s->upstream = up;
	sock_peer(&s->addr, &a);
	memcpy(s + 1, text.p, text.n);
	s->text = str_make((const char *)(s + 1), text.n);
	s->board = b;
	s->live = shm_row(up->serve->shm, &board_servers_live, row);
	s->tag = tag;
	s->row = row;
	list_init(&s->attempts);
	use_bind(s, up->serve->shm, row);
	pool_init(s);
	return s;
}

static void
free_twin(struct upstream *up)
{
	for (size_t i = 0; i < up->nserver; i++)
		server_unref(&up->servers[i]);
	free(up->servers);
	members_free(up);
	server_tls_fini(up);
	view_fini(&up->view);
	sticky_free(&up->sticky);
	free((void *)(uintptr_t)up->name.p);
	free(up);
}

void
upstream_put(struct upstream **p)
{
	struct upstream	*up = *p;

	*p = NULL;
	if (up == NULL)
		return;
	must(up->uses > 0);
	if (--up->uses > 0)
		return;
	if (*found_at(up->serve, up->digest) == up)
		*found_at(up->serve, up->digest) = NULL;
	if (map_find(&up->serve->upstreams, key_of(&up->digest)) == up)
		map_del(&up->serve->upstreams, key_of(&up->digest));
	if (up->serve->upstreams.n == 0)
		map_fini(&up->serve->upstreams);
	free_twin(up);
}

static int
missing(const struct upstream *up, const struct server_conf *c,
    struct err *e)
{
	return err_set(e, "upstream \"%.*s\": server \"%.*s\" has no row on "
	    "the board", STR_FMT(up->name), STR_FMT(c->text));
}

static int
add_server(struct upstream *up, const struct upstream_conf *uc, size_t i,
    const struct upstream_rows *rows, struct err *e)
{
	const struct server_conf	*c = &uc->servers.v[i];
	struct server			*s = NULL;
	int64_t				 at;

	up->h2 |= server_http_of(up->http, c->h2, c->peer != NULL) !=
	    SERVER_H1;
	at = c->name.n > 0 ? upstream_rows_name(rows, up->name, c->text) :
	    upstream_rows_server(rows, up->name, c->text);
	if (at >= 0 && c->name.n > 0) {
		members_add(up, (uint32_t)at, c->text, c->srv);
		up->names[up->nname - 1].peer = server_tls_peer(up, i);
		up->names[up->nname - 1].h2 = c->h2;
		return 0;
	}
	if (at >= 0)
		s = server_new(up, (uint32_t)at, c->text);
	if (s == NULL)
		return missing(up, c, e);
	s->peer = server_tls_peer(up, i);
	s->h2 = c->h2;
	up->servers[up->nserver++] = s;
	up->nfixed++;
	return 0;
}

/* A twin without a use; NULL if the board does not know it. */
static struct upstream *
make_twin(struct serve *serve, const struct upstream_conf *c,
    const struct upstream_rows *rows, struct err *e)
{
	struct upstream	*up = must_calloc(1, sizeof(*up));
	int64_t		 at = upstream_rows_find(rows, c->obj.name);
	int		 rc = 0;

	up->serve = serve;
	up->name = keep_text(c->obj.name);
	up->digest = c->digest;
	up->balance = c->balance;
	up->panic = (unsigned)c->panic;
	up->http = c->http;
	up->hash_load = (unsigned)choice_conf(c)->load;
	up->sticky = sticky_new(c, serve);
	up->watch = *watch_conf_of(c);
	up->view.stale = true;
	up->pool = c->pool;
	up->servers = must_calloc(c->servers.n + 1, sizeof(*up->servers));
	if (at < 0)
		rc = err_set(e, "upstream \"%.*s\" has no row on the board",
		    STR_FMT(up->name));
	else
		up->live = shm_row(serve->shm, &board_upstreams,
		    up->row = (uint32_t)at);
	if (rc == 0)
		rc = server_tls_init(up, c, e);
	for (size_t i = 0; rc == 0 && i < c->servers.n; i++)
		rc = add_server(up, c, i, rows, e);
	if (rc == 0) {
		retry_bind(up);
		members_refresh(up);
		map_add(&serve->upstreams, key_of(&up->digest), up);
		return up;
	}
	free_twin(up);
	return NULL;
}

/*
 * A twin that only requests still hold may outlive its rows.  When its
 * content comes back, what has begun another life on the board is bound to
 * that; the servers of before end with their requests.
 */
static int
rebind(struct upstream *up, const struct upstream_conf *c,
    const struct upstream_rows *rows, struct err *e)
{
	const struct server_conf	*sc;
	struct server			**v = up->servers, *old;
	size_t				 fixed = 0, named = 0;
	int64_t				 at;

	at = upstream_rows_find(rows, up->name);
	if (at < 0)
		return err_set(e, "upstream \"%.*s\" has no row on the "
		    "board", STR_FMT(up->name));
	up->view.stale = true;
	if (up->row != (uint32_t)at) {
		/* who waits holds its generation, so the row: nobody does */
		up->live = shm_row(up->serve->shm, &board_upstreams,
		    up->row = (uint32_t)at);
		up->queue = NULL;
	}
	retry_bind(up);
	for (size_t i = 0; i < c->servers.n; i++) {
		sc = &c->servers.v[i];
		if (sc->name.n > 0) {
			at = upstream_rows_name(rows, up->name, sc->text);
			if (at < 0)
				return missing(up, sc, e);
			members_bind(up, named++, (uint32_t)at);
			continue;
		}
		old = v[fixed];
		at = upstream_rows_server(rows, up->name, sc->text);
		if (at < 0)
			return missing(up, sc, e);
		if (atomic_load(&old->board->tag) != old->tag) {
			v[fixed] = server_new(up, (uint32_t)at, sc->text);
			must(v[fixed] != NULL);
			v[fixed]->peer = old->peer;
			v[fixed]->h2 = old->h2;
			old->left = true;
			server_unref(&old);
		}
		fixed++;
	}
	members_refresh(up);
	return 0;
}

/* The twin of c, made or bound anew when nobody but requests has it. */
static struct upstream *
find_twin(struct serve *serve, const struct upstream_conf *c,
    const struct upstream_rows *rows, struct err *e)
{
	struct upstream	*up = map_find(&serve->upstreams, key_of(&c->digest));

	if (up == NULL)
		return make_twin(serve, c, rows, e);
	if (!up->cur && !up->next && rebind(up, c, rows, e) == -1)
		return NULL;
	return up;
}

struct upstream *
upstream_get(struct serve *serve, const struct upstream_conf *c)
{
	struct upstream		**last = found_at(serve, c->digest);
	struct upstream		*up = *last;
	struct upstream_rows	 rows;

	if (up != NULL && up->digest == c->digest) {
		up->uses++;
		return up;
	}
	up = map_find(&serve->upstreams, key_of(&c->digest));
	if (up == NULL) {
		upstream_rows_open(&rows, serve->shm);
		up = make_twin(serve, c, &rows, NULL);
		upstream_rows_close(&rows);
	}
	if (up != NULL)
		up->uses++;
	*last = up;
	return up;
}

static bool
is_view_asked(const struct upstream *up, const struct tried *tried)
{
	struct view_rule	 rule = view_rule_for(up, tried);
	const struct server	*s;

	for (size_t i = 0; i < up->view.n; i++) {
		s = up->view.v[i];
		if (!tried_has(tried, s) && census_admits(&rule, s->live))
			return false;
	}
	return true;
}

/* what is known against one that is held back: the first is asked first */
enum spare {
	SPARE_RISES,	/* down, but its last probe was good */
	SPARE_EJECTED,	/* a guess, which ends by its time alone */
	SPARE_DOWN,	/* in a panic, which asks such as well */
	SPARE_ABSENT,	/* ejected: nobody listened there */
	SPARE_NONE
};

static bool
is_rising(const struct upstream *up, const struct server *s)
{
	struct shm			*shm = up->serve->shm;
	const struct board_probe	*t;

	if (s->row >= shm_rows(shm, &board_probes))
		return false;
	t = shm_row(shm, &board_probes, s->row);
	return atomic_load(&t->tag) == s->tag &&
	    atomic_load(&t->streak) > 0;
}

static enum spare
spare_of(const struct upstream *up, const struct server *s)
{
	uint64_t	word = atomic_load(&s->live->state);
	uint64_t	away = word & STATE_AWAY;
	bool		absent = state_is_absent(s->live, word);

	if (away == 0 || (away & STATE_SHUT) != 0)
		return SPARE_NONE;
	if ((away & STATE_BIT(SERVER_DOWN)) == 0)
		return absent ? SPARE_ABSENT : SPARE_EJECTED;
	if (is_rising(up, s))
		return SPARE_RISES;
	return up->view.rule.tier == VIEW_PANIC && !absent ? SPARE_DOWN :
	    SPARE_NONE;
}

static bool
may_spare(const struct upstream *up, const struct server *s,
    const struct tried *tried)
{
	return atomic_load(&s->live->tag) == s->tag &&
	    (up->view.rule.backups || atomic_load(&s->board->backup) == 0) &&
	    view_weight(s) > 0 && !tried_has(tried, s) &&
	    (s->nidle > 0 || pool_room(s) > 0);
}

struct server *
upstream_spare(const struct upstream *up, const struct tried *tried)
{
	struct server	*best = NULL, *s;
	enum spare	 how;
	uint64_t	 cost, least = UINT64_MAX;

	if (tried->n == 0 || up->view.n == 0 || !is_view_asked(up, tried))
		return NULL;
	for (size_t i = 0; i < up->nserver; i++) {
		s = up->servers[i];
		how = spare_of(up, s);
		if (how == SPARE_NONE || !may_spare(up, s, tried))
			continue;
		cost = (uint64_t)how << 32 | view_active(s);
		if (cost >= least)
			continue;
		least = cost;
		best = s;
	}
	return best;
}

struct server *
upstream_pick(struct upstream *up, const struct pick *p)
{
	struct server	*s;

	view_refresh(up);
	s = breaker_pick(up, p);
	if (s != NULL || up->view.n == 0)
		return s;
	/*
	 * In a panic first attempts go to all, so that the few that are fit
	 * do not bear the load of all.  One that failed is tried on the sick
	 * only when no fit one is left: what retries add to the load is
	 * bounded by their budget.
	 */
	if (up->view.rule.tier == VIEW_PANIC && p->tried->n > 0)
		s = balancer_least_conn.pick(up, p);
	else
		s = up->balance->pick(up, p);
	return s != NULL ? s : upstream_spare(up, p->tried);
}

bool
upstream_any_left(struct upstream *up, const struct tried *tried)
{
	view_refresh(up);
	return !is_view_asked(up, tried) || breaker_any_left(up, tried) ||
	    upstream_spare(up, tried) != NULL;
}

enum fail
upstream_why(const struct upstream *up)
{
	enum fail	why = FAIL_NO_SERVER;
	uint32_t	state;

	if (up->nserver > 0)
		return up->view.n == 0 && up->view.nopen > 0 ?
		    FAIL_BREAKER_OPEN : why;
	for (size_t i = 0; i < up->nname; i++) {
		state = atomic_load(&up->names[i].row->state);
		if (state == NAME_ASKING)
			return FAIL_NONE;
		if (why == FAIL_NO_SERVER && state != NAME_HELD)
			why = state == NAME_TIMEOUT ? FAIL_NAME_TIMEOUT :
			    FAIL_NAME_ERROR;
	}
	return why;
}

/* --- generations --- */

/* All twins there are now, in memory of the caller's: the map may change. */
static struct upstream **
list_twins(struct serve *serve, size_t *n)
{
	struct upstream	**v;
	struct str	  key;
	void		 *val;
	size_t		  i = 0;

	*n = 0;
	v = must_calloc(serve->upstreams.n + 1, sizeof(*v));
	while (map_next(&serve->upstreams, &i, &key, &val))
		v[(*n)++] = val;
	return v;
}

static void
cancel(struct serve *serve)
{
	size_t		  n;
	struct upstream	**v = list_twins(serve, &n);

	for (size_t i = 0; i < n; i++) {
		if (!v[i]->next)
			continue;
		v[i]->next = false;
		upstream_put(&v[i]);
	}
	free(v);
}

static int
prepare(struct serve *serve, const struct conf *conf, struct err *e)
{
	struct conf_objs	 all = conf_all(conf, &upstream_section);
	struct upstream_rows	 rows;
	const struct upstream_conf *c;
	struct upstream		*up;
	int			 rc = 0;

	/* Control serves its own API and nothing of the configuration. */
	if (serve->only != NULL)
		return 0;
	cancel(serve);
	upstream_rows_open(&rows, serve->shm);
	for (size_t i = 0; i < all.n && rc == 0; i++) {
		c = (const struct upstream_conf *)all.v[i];
		up = find_twin(serve, c, &rows, e);
		if (up == NULL)
			rc = -1;
		else if (!up->next) {
			up->next = true;
			up->uses++;
		}
	}
	upstream_rows_close(&rows);
	/* at the start, when nobody waits, the rows' room is given back */
	if (serve->nconn == 0)
		must_trim();
	if (rc == -1)
		cancel(serve);
	return rc;
}

/* The server of conf that has the same row, if there is one. */
static struct server *
find_heir(struct serve *serve, const struct conf *conf,
    const struct server *old)
{
	const struct upstream_conf	*c;
	struct upstream			*up;

	c = conf_find(conf, &upstream_section, old->upstream->name);
	if (c == NULL)
		return NULL;
	up = map_find(&serve->upstreams, key_of(&c->digest));
	for (size_t i = 0; up != NULL && i < up->nserver; i++)
		if (up->servers[i]->board == old->board &&
		    up->servers[i]->tag == old->tag)
			return up->servers[i];
	return NULL;
}

bool
upstream_names(struct serve *serve, const struct server *s)
{
	const struct gen	*g = serve->gens->cur;
	const struct upstream	*up = s->upstream;

	for (size_t i = 0; up->cur && i < up->nserver; i++)
		if (up->servers[i] == s)
			return true;
	return g != NULL && find_heir(serve, g->conf, s) != NULL;
}

/* The generation's use goes; conf NULL: there is none after it. */
static void
leave(struct upstream *up, const struct conf *conf)
{
	struct serve	*serve = up->serve;
	struct server	*s;

	up->cur = false;
	for (size_t i = 0; i < up->nserver; i++) {
		s = up->servers[i];
		if (s->nidle > 0 && conf != NULL)
			pool_move_idle(s, find_heir(serve, conf, s));
		pool_close_idle(s);
	}
	upstream_put(&up);
}

static void
commit(struct serve *serve, const struct conf *conf)
{
	size_t		  n;
	struct upstream	**v = list_twins(serve, &n);

	for (size_t i = 0; i < n; i++) {
		if (v[i]->cur && !v[i]->next) {
			leave(v[i], conf);
			continue;
		}
		if (!v[i]->next)
			continue;
		/* One use stands for both marks from here on. */
		if (v[i]->cur)
			v[i]->uses--;
		v[i]->cur = true;
		v[i]->next = false;
	}
	free(v);
}

static void
fini(struct serve *serve)
{
	size_t		  n;
	struct upstream	**v;

	cancel(serve);
	v = list_twins(serve, &n);
	for (size_t i = 0; i < n; i++)
		if (v[i]->cur)
			leave(v[i], NULL);
	free(v);
}

const struct serve_part upstream_part = {
	"upstream", prepare, commit, cancel, fini, NULL
};
