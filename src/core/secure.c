/*
 * TLS across generations, and the turns of handshakes.  Workers.
 */
#include "core/secure.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/vec.h"
#include "core/board.h"
#include "core/secret.h"
#include "core/settings.h"
#include "core/version.h"
#include "os/priv.h"

struct secure {
	struct tls_room		*room;		/* own */
	const struct conf	*conf;		/* of the generation of now */
	struct tls_store	*store;		/* own */
	struct tls_store	*next;		/* own: prepared */
	struct vec		 policies;	/* of tls_policy *, own */
	struct tls_clients	 clients;	/* refs */
	uint64_t		 under_way;
	struct list		 waiting;	/* the longest one first */
};

static struct secure *
find(struct serve *s)
{
	return *serve_state(s, &secure_part);
}

static struct secure *
make(struct serve *s)
{
	void		**state = serve_state(s, &secure_part);
	struct secure	 *x = *state;

	if (x != NULL)
		return x;
	x = must_calloc(1, sizeof(*x));
	x->room = tls_room_new();
	vec_init(&x->policies, sizeof(struct tls_policy *));
	list_init(&x->waiting);
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

static void
get_digest(const struct listener_conf *l, uint8_t digest[TLS_POLICY_DIGEST])
{
	char	buf[TLS_ALPN_MAX];

	tls_policy_digest(conf_part(&l->obj, &tls_policy_group),
	    alpn_of(l, buf), digest);
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
find_policy(const struct secure *x, const struct listener_conf *l)
{
	uint8_t	digest[TLS_POLICY_DIGEST];

	get_digest(l, digest);
	for (size_t i = 0; i < x->policies.n; i++)
		if (tls_policy_is(*nth(x, i), digest))
			return *nth(x, i);
	return NULL;
}

static int
add_policy(struct serve *s, struct secure *x, const struct listener_conf *l,
    struct err *e)
{
	struct tls_policy	*p;
	char			 buf[TLS_ALPN_MAX];
	uint8_t			 key[SECRET_BYTES];
	bool			 has;

	if (find_policy(x, l) != NULL)
		return 0;
	has = secret_get(s->shm, SECRET_TICKET, key) == 0;
	p = tls_policy_new(conf_part(&l->obj, &tls_policy_group),
	    alpn_of(l, buf), has ? key : NULL, e);
	OPENSSL_cleanse(key, sizeof(key));
	if (p == NULL)
		return -1;
	*(struct tls_policy **)vec_push(&x->policies) = p;
	return 0;
}

static bool
is_used(const struct conf *c, const struct tls_policy *p)
{
	struct conf_objs		 all = conf_all(c, &listener_section);
	const struct listener_conf	*l;
	uint8_t				 digest[TLS_POLICY_DIGEST];

	for (size_t i = 0; i < all.n; i++) {
		l = all.v[i]->part[0];
		if (!secure_has(l))
			continue;
		get_digest(l, digest);
		if (tls_policy_is(p, digest))
			return true;
	}
	return false;
}

static void
drop_unused(struct secure *x, const struct conf *c)
{
	size_t	n = 0;

	for (size_t i = 0; i < x->policies.n; i++)
		if (c != NULL && is_used(c, *nth(x, i)))
			*nth(x, n++) = *nth(x, i);
		else
			tls_policy_unref(nth(x, i));
	x->policies.n = n;
}

struct tls_policy *
secure_policy(struct serve *s, const struct listener_conf *l)
{
	if (!secure_has(l) || find(s) == NULL)
		return NULL;
	return find_policy(find(s), l);
}

/* --- generations --- */

static int
prepare(struct serve *s, const struct conf *c, struct err *e)
{
	struct conf_objs	 all = conf_all(c, &listener_section);
	struct secure		*x;
	bool			 any = false;

	for (size_t i = 0; i < all.n; i++) {
		if (!secure_has(all.v[i]->part[0]))
			continue;
		any = true;
		if (add_policy(s, make(s), all.v[i]->part[0], e) == -1)
			return -1;
	}
	if (!any)
		return 0;
	x = make(s);
	tls_store_free(&x->next);
	x->next = tls_store_new(c, e);
	if (x->next == NULL)
		return -1;
	tls_store_follow(x->next, x->store);
	return 0;
}

static void
commit(struct serve *s, const struct conf *c)
{
	struct secure	*x = find(s);

	if (x == NULL)
		return;
	tls_store_free(&x->store);
	x->store = x->next;
	x->next = NULL;
	x->conf = c;
	drop_unused(x, c);
	if (x->store != NULL)
		priv_allow_dumps(settings_get(c)->core_dumps);
}

static void
cancel(struct serve *s)
{
	struct secure	*x = find(s);

	if (x == NULL)
		return;
	tls_store_free(&x->next);
	drop_unused(x, x->conf);
}

static void
fini(struct serve *s)
{
	struct secure	*x = find(s);

	if (x == NULL)
		return;
	drop_unused(x, NULL);
	tls_store_free(&x->next);
	tls_store_free(&x->store);
	vec_fini(&x->policies);
	x->conf = NULL;
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
secure_ask(struct serve *s, struct tls_hand *h)
{
	h->conf = find(s)->conf;
	h->store = find(s)->store;
}

/* The one that waits longest looks whether there is room. */
static void
wake(struct serve *s, struct secure *x)
{
	struct secure_wait	*w;

	if (list_is_empty(&x->waiting))
		return;
	w = container_of(x->waiting.next, struct secure_wait, node);
	ev_post(s->ev, EV_READY, &w->task);
}

bool
secure_enter(struct serve *s, uint64_t max, struct secure_wait *w)
{
	struct secure	*x = find(s);

	if (x->under_way < max) {
		secure_forget(w);
		x->under_way++;
		stat_add(STAT_TLS_SHAKING, 1);
		if (x->under_way < max)
			wake(s, x);
		return true;
	}
	if (list_is_empty(&w->node)) {
		list_add_tail(&x->waiting, &w->node);
		stat_add(STAT_TLS_WAITED, 1);
	}
	return false;
}

void
secure_leave(struct serve *s)
{
	struct secure	*x = find(s);

	must(x->under_way > 0);
	x->under_way--;
	stat_sub(STAT_TLS_SHAKING, 1);
	wake(s, x);
}

void
secure_forget(struct secure_wait *w)
{
	list_del(&w->node);
}
