/*
 * TLS across generations, and the turns of handshakes.  Workers.
 */
#include "core/secure.h"

#include <openssl/crypto.h>

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/vec.h"
#include "core/board.h"
#include "core/cert_use.h"
#include "core/secure_host.h"
#include "core/settings.h"
#include "core/ticket.h"
#include "core/version.h"

#define LIFE_MAX_S	86400	/* of a session */

/* the policy that terms make at listeners with these protocols */
struct pair {
	const struct tls_terms	*terms;		/* of the generation */
	uint32_t		 http;		/* of the listener */
	struct tls_policy	*policy;	/* ref, of policies */
};

struct secure {
	struct tls_room		*room;		/* own */
	struct serve		*serve;		/* ref */
	struct tls_ask		 ask;		/* its store is own */
	struct tls_store	*next;		/* own: prepared */
	struct vec		 policies;	/* of tls_policy *, own */
	struct vec		 pairs;		/* of the generation of now */
	struct vec		 next_pairs;	/* prepared */
	struct tls_seeds	 seeds;		/* of tickets */
	bool			 from_file;	/* they, not of the board */
	uint64_t		 nseeds;	/* so often they were set */
	struct tls_clients	 clients;	/* refs */
};

static struct secure *
find(struct serve *s)
{
	return *serve_state(s, &secure_part);
}

static struct tls_policy	*choose(const struct tls_hand *, struct str);

static struct secure *
make(struct serve *s)
{
	void		**state = serve_state(s, &secure_part);
	struct secure	 *x = *state;

	if (x != NULL)
		return x;
	x = must_calloc(1, sizeof(*x));
	x->room = tls_room_new();
	x->serve = s;
	vec_init(&x->policies, sizeof(struct tls_policy *));
	vec_init(&x->pairs, sizeof(struct pair));
	vec_init(&x->next_pairs, sizeof(struct pair));
	x->ask.seeds = &x->seeds;
	x->ask.choose = choose;
	x->ask.ctx = x;
	tls_clients_init(&x->clients);
	*state = x;
	return x;
}

/* --- policies --- */

static struct str
alpn_of(const struct listener_conf *l, char buf[TLS_ALPN_MAX])
{
	struct text	t;

	text_init_fixed(&t, buf, TLS_ALPN_MAX);
	version_alpn(&t, l->http);
	must(!t.cut);
	return text_str(&t);
}

void
secure_digest(const struct listener_conf *l, const struct tls_terms *t,
    struct tls_digest *out)
{
	char	buf[TLS_ALPN_MAX];

	tls_policy_digest(t, alpn_of(l, buf), out);
}

bool
secure_has(const struct listener_conf *l)
{
	const struct tls_policy_conf	*c;

	/* a listener that no file has made has no groups */
	if (l->obj.part == NULL)
		return false;
	c = conf_part(&l->obj, &tls_policy_group);
	return c->mode != TLS_OFF;
}

static struct tls_policy **
nth(const struct secure *x, size_t i)
{
	return &((struct tls_policy **)x->policies.p)[i];
}

static struct tls_policy *
find_policy(const struct secure *x, const struct tls_digest *d)
{
	for (size_t i = 0; i < x->policies.n; i++)
		if (tls_policy_is(*nth(x, i), d))
			return *nth(x, i);
	return NULL;
}

static struct tls_policy *
find_pair(const struct vec *pairs, const struct tls_terms *t, uint32_t http)
{
	const struct pair	*p = pairs->p;

	for (size_t i = 0; i < pairs->n; i++)
		if (p[i].terms == t && p[i].http == http)
			return p[i].policy;
	return NULL;
}

/* whom add_pair adds for */
struct adding {
	struct secure			*x;
	const struct listener_conf	*l;
	struct err			*e;
	bool				 failed;
};

static void
add_pair(void *ctx, const struct tls_terms *t)
{
	struct adding		*a = ctx;
	struct secure		*x = a->x;
	struct tls_policy	*p;
	struct tls_digest	 d;
	char			 buf[TLS_ALPN_MAX];

	if (a->failed || find_pair(&x->next_pairs, t, a->l->http) != NULL)
		return;
	secure_digest(a->l, t, &d);
	p = find_policy(x, &d);
	if (p == NULL) {
		p = tls_policy_new(t, alpn_of(a->l, buf), a->e);
		if (p == NULL) {
			a->failed = true;
			return;
		}
		*(struct tls_policy **)vec_push(&x->policies) = p;
	}
	*(struct pair *)vec_push(&x->next_pairs) =
	    (struct pair){ t, a->l->http, p };
}

static bool
is_used(const struct vec *pairs, const struct tls_policy *p)
{
	const struct pair	*v = pairs->p;

	for (size_t i = 0; i < pairs->n; i++)
		if (v[i].policy == p)
			return true;
	return false;
}

/* Policies that no pair has. */
static void
drop_unused(struct secure *x)
{
	size_t	n = 0;

	for (size_t i = 0; i < x->policies.n; i++)
		if (is_used(&x->pairs, *nth(x, i)))
			*nth(x, n++) = *nth(x, i);
		else
			tls_policy_unref(nth(x, i));
	x->policies.n = n;
}

struct tls_policy *
secure_policy(struct serve *s, const struct listener_conf *l)
{
	struct secure	*x = find(s);

	if (!secure_has(l) || x == NULL || x->ask.conf == NULL)
		return NULL;
	return find_pair(&x->pairs, tls_policy_terms(x->ask.conf, &l->obj),
	    l->http);
}

struct sum {
	const struct listener_conf	*l;
	uint64_t			 h;
};

static void
add_sum(void *ctx, const struct tls_terms *t)
{
	struct sum		*sum = ctx;
	struct tls_digest	 d;

	secure_digest(sum->l, t, &d);
	/* in whatever order they come, and however often */
	sum->h |= UINT64_C(1) << 63;
	sum->h += str_hash(str_make((const char *)d.v, sizeof(d.v)),
	    STR_HASH0) >> 1;
}

uint64_t
secure_sum_of(const struct conf *c, const struct listener_conf *l)
{
	struct sum	sum = { l, 0 };

	if (!secure_has(l))
		return 0;
	secure_host_each(c, l, add_sum, &sum);
	return sum.h;
}

uint64_t
secure_sum(struct serve *s, const struct listener_conf *l)
{
	struct secure	*x = find(s);

	return x == NULL || x->ask.conf == NULL ? 0 :
	    secure_sum_of(x->ask.conf, l);
}

static bool
made_by(const struct secure *x, const SSL *ssl,
    const struct listener_conf *l)
{
	char			buf[TLS_NAME_MAX];
	struct tls_digest	now;

	secure_digest(l, secure_host_terms(x->ask.conf, l,
	    tls_hello_fold(tls_sni(ssl), buf)), &now);
	return tls_policy_made(ssl, &now);
}

bool
secure_is_current(const struct conn *c, const struct listener_conf *l)
{
	SSL	*ssl = c->io.open ? conn_tls(c) : NULL;

	if (c->raw)
		return true;
	return ssl != NULL && !c->greeting &&
	    made_by(find(c->listener->serve), ssl, l);
}

bool
secure_is_asked(const struct conn *c)
{
	SSL	*ssl = c->io.open && !c->raw ? conn_tls(c) : NULL;

	return ssl != NULL && !c->greeting &&
	    SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
}

bool
secure_is_late(const struct conn *c)
{
	const struct secure		*x = find(c->listener->serve);
	const struct listener_conf	*l;

	if (!c->draining || x->ask.conf == NULL ||
	    SSL_get_verify_mode(conn_tls(c)) == SSL_VERIFY_NONE)
		return false;
	l = conf_find(x->ask.conf, &listener_section, c->listener->name);
	return l != NULL && !(secure_has(l) && made_by(x, conn_tls(c), l));
}

/* By the name of a handshake; NULL: that of its listener. */
static struct tls_policy *
choose(const struct tls_hand *h, struct str name)
{
	const struct secure		*x = h->ask->ctx;
	const struct listener		*l = h->where;
	const struct listener_conf	*c;

	if (!secure_host_any(x->ask.conf))
		return NULL;
	c = conf_find(x->ask.conf, &listener_section, l->name);
	if (c == NULL || !secure_has(c))
		return NULL;
	return find_pair(&x->pairs, secure_host_terms(x->ask.conf, c, name),
	    c->http);
}

/* --- generations --- */

static int
prepare_policies(struct serve *s, const struct conf *c, struct err *e)
{
	struct conf_objs	 all = conf_all(c, &listener_section);
	struct adding		 a = { .e = e };

	for (size_t i = 0; i < all.n && !a.failed; i++) {
		a.l = all.v[i]->part[0];
		if (!secure_has(a.l))
			continue;
		a.x = make(s);
		secure_host_each(c, a.l, add_pair, &a);
	}
	return a.failed ? -1 : 0;
}

static int
prepare(struct serve *s, const struct conf *c, struct err *e)
{
	struct secure	*x = find(s);

	if (x != NULL)
		x->next_pairs.n = 0;
	if (prepare_policies(s, c, e) == -1)
		return -1;
	x = find(s);
	if (x == NULL || x->next_pairs.n == 0)
		return 0;
	tls_store_free(&x->next);
	x->next = tls_store_new(c, e);
	if (x->next == NULL)
		return -1;
	tls_store_follow(x->next, x->ask.store);
	return 0;
}

/* Those of files are the generation's, all others the board's. */
static void
set_seeds(struct secure *x, const struct ticket_conf *t)
{
	uint64_t	life = 2 * t->rotate_ms / 1000;

	x->seeds.life_s = (uint32_t)(life < LIFE_MAX_S ? life : LIFE_MAX_S);
	x->from_file = t->nkey > 0;
	x->seeds.n = (uint32_t)t->nkey;
	/* no number of the board's, and none that was before */
	x->seeds.version = UINT64_C(1) << 63 | ++x->nseeds;
	for (size_t i = 0; i < t->nkey; i++) {
		memcpy(x->seeds.v[i], t->keys[i].p, t->keys[i].n);
		x->seeds.len[i] = t->keys[i].n;
	}
}

static void
commit(struct serve *s, const struct conf *c)
{
	struct secure	*x = find(s);
	struct vec	 old;

	if (x == NULL)
		return;
	tls_store_free(&x->ask.store);
	x->ask.store = x->next;
	x->next = NULL;
	if (x->ask.store != NULL)
		tls_store_begin(x->ask.store);
	x->ask.conf = c;
	old = x->pairs;
	x->pairs = x->next_pairs;
	x->next_pairs = old;
	x->next_pairs.n = 0;
	set_seeds(x, ticket_of(c));
	drop_unused(x);
}

static void
cancel(struct serve *s)
{
	struct secure	*x = find(s);

	if (x == NULL)
		return;
	tls_store_free(&x->next);
	x->next_pairs.n = 0;
	drop_unused(x);
}

static void
fini(struct serve *s)
{
	struct secure	*x = find(s);

	if (x == NULL)
		return;
	x->pairs.n = 0;
	drop_unused(x);
	tls_store_free(&x->next);
	tls_store_free(&x->ask.store);
	vec_fini(&x->policies);
	vec_fini(&x->pairs);
	vec_fini(&x->next_pairs);
	OPENSSL_cleanse(&x->seeds, sizeof(x->seeds));
	x->ask.conf = NULL;
}

const struct serve_part secure_part = {
	"secure", prepare, commit, cancel, fini, NULL
};

/* --- handshakes --- */

struct tls_room *
secure_room(struct serve *s)
{
	return make(s)->room;
}

struct tls_clients *
secure_clients(struct serve *s)
{
	return &make(s)->clients;
}

void
secure_ask(const struct listener *l, struct tls_hand *h)
{
	struct secure	*x = find(l->serve);

	if (!x->from_file)
		ticket_follow(x->serve->shm, &x->seeds);
	h->ask = &x->ask;
	h->where = l;
	h->dev = l->dev;
}

void
secure_shown(const struct listener *l, const SSL *ssl)
{
	struct serve		*s = l->serve;
	const struct tls_cert	*c = tls_cert_shown(find(s)->ask.store, ssl,
	    l->dev);

	if (c != NULL)
		cert_use_add(s->shm, c, ev_wall_ms(s->ev));
}

/*
 * The one that waits longest looks, if there is room.  Whenever there is,
 * it was posted: all that makes room or makes another one the first ends
 * here.
 */
void
secure_wake(struct listener *l)
{
	struct secure_wait	*w;

	if (l->shaking >= l->max_handshakes || list_is_empty(&l->turns))
		return;
	w = container_of(l->turns.next, struct secure_wait, node);
	ev_post(l->serve->ev, EV_READY, &w->task);
}

bool
secure_enter(struct listener *l, struct secure_wait *w)
{
	bool	first = list_is_empty(&l->turns) ||
	    l->turns.next == &w->node;

	if (first && l->shaking < l->max_handshakes) {
		l->shaking++;
		stat_add(STAT_TLS_SHAKING, 1);
		secure_forget(l, w);
		return true;
	}
	if (list_is_empty(&w->node)) {
		list_add_tail(&l->turns, &w->node);
		stat_add(STAT_TLS_WAITED, 1);
	}
	return false;
}

void
secure_leave(struct listener *l)
{
	must(l->shaking > 0);
	l->shaking--;
	stat_sub(STAT_TLS_SHAKING, 1);
	secure_wake(l);
}

void
secure_forget(struct listener *l, struct secure_wait *w)
{
	if (list_is_empty(&w->node))
		return;
	list_del(&w->node);
	secure_wake(l);
}
