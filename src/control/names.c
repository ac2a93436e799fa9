/*
 * Names of servers.  Control process.
 *
 * A name of an upstream has a row on the board since before the
 * generation was committed.  What its lookup says goes to the master,
 * which makes it known to the workers; why there is nothing to say is
 * written into the row, for requests that find no server.
 */
#include "control/names.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/settings.h"
#include "os/proc.h"

#define AGAIN_MS	100	/* after the channel was full */
#define ANSWER_MS	5000	/* so long the master's is awaited */
#define REFUSED_MS	1000	/* after a refusal; twice as long each time */
#define REFUSED_MAX_MS	60000

static struct board_name *
row_of(const struct names *ns, const struct name_use *u)
{
	struct board_name	*b = shm_row(ns->shm, &board_names, u->row);

	return atomic_load(&b->tag) == u->tag ? b : NULL;
}

static void
set_state(const struct names *ns, const struct name_use *u,
    enum name_state state)
{
	struct board_name	*b = row_of(ns, u);

	if (b != NULL)
		atomic_store(&b->state, (uint32_t)state);
}

/* --- to the master --- */

/* Looks at it then, whatever happens. */
static void
look_later(struct names *ns, struct name_use *u, uint64_t ms)
{
	u->again_ms = ev_ms(ns->ev) + ms;
	if (!timer_is_armed(&ns->again) || ns->again.due > u->again_ms)
		ev_timer(ns->ev, &ns->again, ms);
}

static int
send_set(struct name_use *u, const struct name_member *v, unsigned n)
{
	struct name_set		 set = { u->tag, u->row, n };
	struct frame_head	 h = { .op = CHAN_NAMES, .id = u->tag };
	struct text		 t;
	int			 rc;

	text_init(&t);
	text_add(&t, str_make((const char *)&set, sizeof(set)));
	text_add(&t, str_make((const char *)v, n * sizeof(*v)));
	h.len = (uint32_t)t.n;
	rc = chan_send(&self->master, &h, t.p, NULL, 0);
	text_fini(&t);
	return rc;
}

static bool
is_sent(const struct name_use *u, const struct name_member *v, unsigned n)
{
	return u->was_sent && u->nsent == n &&
	    memcmp(u->sent, v, n * sizeof(*v)) == 0;
}

/*
 * The set of a name goes to the master if it is not what it has.  An
 * empty one never does, nor one of which a part is still to come.
 */
static void
look(struct names *ns, struct name_use *u)
{
	struct name_member	 v[NAME_MEMBERS];
	unsigned		 n = lookup_members(u->lookup, u->port, v);
	const char		*why;
	enum name_state		 state = lookup_state(u->lookup, &why);
	struct board_name	*b;

	if (n == 0 && state == NAME_HELD)
		state = NAME_ERROR;
	u->dirty = u->waits;
	if (u->waits || u->again_ms > ev_ms(ns->ev) ||
	    lookup_is_new(u->lookup)) {
		u->dirty |= u->again_ms != 0;
		return;
	}
	u->again_ms = 0;
	if (n == 0 || is_sent(u, v, n)) {
		set_state(ns, u, state);
		return;
	}
	b = row_of(ns, u);
	u->first = b == NULL || atomic_load(&b->n) == 0;
	if (send_set(u, v, n) == -1) {
		u->dirty = true;
		look_later(ns, u, AGAIN_MS);
		return;
	}
	look_later(ns, u, ANSWER_MS);
	u->waits = true;
	u->was_sent = true;
	free(u->sent);
	u->sent = must_alloc(n * sizeof(*v));
	memcpy(u->sent, v, n * sizeof(*v));
	u->nsent = n;
}

static void
on_again(struct timer *t)
{
	struct names	*ns = container_of(t, struct names, again);
	uint64_t	 now = ev_ms(ns->ev);
	struct list	*l;
	struct name_use	*u;

	list_each(l, &ns->uses) {
		u = container_of(l, struct name_use, node);
		if (u->again_ms == 0)
			continue;
		if (u->again_ms > now) {
			look_later(ns, u, u->again_ms - now);
			continue;
		}
		u->again_ms = 0;
		/* an answer that was lost */
		if (u->waits)
			u->was_sent = u->waits = false;
		look(ns, u);
	}
}

static bool
concerns(const struct name_use *u, const struct lookup *l)
{
	if (u->lookup == l)
		return true;
	for (unsigned i = 0; i < u->lookup->ntarget; i++)
		if (u->lookup->target[i].host == l)
			return true;
	return false;
}

static void
on_changed(void *ctx, struct lookup *lookup)
{
	struct names	*ns = ctx;
	struct list	*l;
	struct name_use	*u;

	list_each(l, &ns->uses) {
		u = container_of(l, struct name_use, node);
		if (concerns(u, lookup))
			look(ns, u);
	}
}

static void
member_text(struct text *t, const struct name_member *m)
{
	struct sock_addr	a;

	memset(&a, 0, sizeof(a));
	a.u.sa.sa_family = m->family;
	if (m->family == AF_INET) {
		memcpy(&a.u.in4.sin_addr, m->ip, 4);
		a.u.in4.sin_port = htons(m->port);
	} else {
		memcpy(&a.u.in6.sin6_addr, m->ip, 16);
		a.u.in6.sin6_port = htons(m->port);
	}
	sock_text(t, &a);
	if (m->weight != 1)
		text_fmt(t, " weight=%u", (unsigned)m->weight);
}

/* From now on nobody picks a server that is not in this list. */
static void
log_set(const struct name_use *u)
{
	struct text	t;

	text_init(&t);
	for (unsigned i = 0; i < u->nsent; i++) {
		text_add(&t, i == 0 ? STR("") : STR(", "));
		member_text(&t, &u->sent[i]);
	}
	log_info(&self->lc, "upstream \"%s\": server \"%s\": %s: %.*s",
	    u->upstream, u->text, u->first ? "resolved" : "changed",
	    STR_FMT(text_str(&t)));
	text_fini(&t);
}

/* Why it was refused may pass: rows that come free, another generation. */
static void
refused(struct names *ns, struct name_use *u, struct str why)
{
	uint64_t	ms = REFUSED_MAX_MS;

	log_err(&self->lc, "upstream \"%s\": server \"%s\": the master "
	    "refused its addresses: %.*s", u->upstream, u->text,
	    STR_FMT(why));
	u->was_sent = false;
	u->dirty = true;
	if (u->refusals < 6)
		ms = (uint64_t)REFUSED_MS << u->refusals++;
	look_later(ns, u, ms);
}

void
names_answer(struct names *ns, uint64_t id, bool changed, struct str why)
{
	struct list		*l;
	struct name_use		*u = NULL;

	list_each(l, &ns->uses) {
		u = container_of(l, struct name_use, node);
		if (u->tag == id && u->waits)
			break;
		u = NULL;
	}
	if (u == NULL)
		return;
	u->waits = false;
	u->again_ms = 0;
	if (why.n > 0) {
		refused(ns, u, why);
		return;
	}
	u->refusals = 0;
	set_state(ns, u, NAME_HELD);
	if (changed)
		log_set(u);
	if (u->dirty)
		look(ns, u);
}

/* --- generations --- */

void
names_init(struct names *ns, struct ev *ev, struct shm *shm)
{
	memset(ns, 0, sizeof(*ns));
	ns->ev = ev;
	ns->shm = shm;
	ns->lookups.changed = on_changed;
	ns->lookups.ctx = ns;
	list_init(&ns->uses);
	timer_init(&ns->again, on_again);
}

static void
drop_use(struct name_use *u)
{
	list_del(&u->node);
	lookup_put(&u->lookup);
	free(u->sent);
	free(u);
}

static enum lookup_kind
kind_of(const struct server_conf *c)
{
	return c->srv ? LOOKUP_SRV : LOOKUP_HOST;
}

static struct name_use *
find_use(struct names *ns, struct str upstream, struct str text)
{
	struct list	*l;
	struct name_use	*u;

	list_each(l, &ns->uses) {
		u = container_of(l, struct name_use, node);
		if (str_eq(str_from(u->text), text) &&
		    str_eq(str_from(u->upstream), upstream))
			return u;
	}
	return NULL;
}

/*
 * A name that goes on keeps its addresses; one whose row is another one,
 * or whose board has nothing, is told to the master again.
 */
static void
want(struct names *ns, const struct upstream_rows *rows, struct str upstream,
    const struct server_conf *c)
{
	struct name_use		*u = find_use(ns, upstream, c->text);
	int64_t			 at;
	struct board_name	*b;
	uint64_t		 tag;

	at = upstream_rows_name(rows, upstream, c->text);
	if (at < 0)
		return;
	b = shm_row(ns->shm, &board_names, (uint32_t)at);
	tag = atomic_load(&b->tag);
	if (u == NULL) {
		u = must_calloc(1, sizeof(*u));
		must(str_to_c(upstream, u->upstream, sizeof(u->upstream)) ==
		    0 && str_to_c(c->text, u->text, sizeof(u->text)) == 0);
		u->port = c->port;
		u->lookup = lookup_get(&ns->lookups, c->name,
		    kind_of(c));
		list_add_tail(&ns->uses, &u->node);
	}
	u->wanted = true;
	if (u->tag != tag) {
		u->row = (uint32_t)at;
		u->tag = tag;
		u->was_sent = u->waits = false;
		u->again_ms = 0;
	}
	look(ns, u);
}

/* "" of the configuration is resolv.conf. */
static void
choose_servers(struct names *ns, const struct conf *conf)
{
	struct str	 s = settings_get(conf)->resolver;
	char		*want = NULL;
	struct err	 e;
	int		 rc;

	if (s.n > 0) {
		want = must_alloc(s.n + 1);
		must(str_to_c(s, want, s.n + 1) == 0);
	}
	if (ns->open && (want == NULL) == (ns->servers == NULL) &&
	    (want == NULL || strcmp(want, ns->servers) == 0)) {
		free(want);
		return;
	}
	rc = ns->open ? lookups_reopen(&ns->lookups, want, &e) :
	    lookups_open(&ns->lookups, ns->ev, want, &e);
	if (rc == -1) {
		log_err(&self->lc, "%s", e.text);
		free(want);
		return;
	}
	free(ns->servers);
	ns->servers = want;
	ns->open = true;
}

static bool
has_names(const struct conf *conf)
{
	struct conf_objs	all = conf_all(conf, &upstream_section);
	const struct upstream_conf *c;

	for (size_t i = 0; i < all.n; i++) {
		c = (const struct upstream_conf *)all.v[i];
		for (size_t k = 0; k < c->servers.n; k++)
			if (c->servers.v[k].name.n > 0)
				return true;
	}
	return false;
}

static void
drop_unwanted(struct names *ns)
{
	struct list	*l;
	struct list	*next;
	struct name_use	*u;

	for (l = ns->uses.next; l != &ns->uses; l = next) {
		next = l->next;
		u = container_of(l, struct name_use, node);
		if (!u->wanted)
			drop_use(u);
		else
			u->wanted = false;
	}
}

void
names_commit(struct names *ns, const struct conf *conf)
{
	struct conf_objs		 all = conf_all(conf,
	    &upstream_section);
	struct upstream_rows		 rows;
	const struct upstream_conf	*c;

	/* who has no names needs no resolver */
	if (!ns->open && !has_names(conf))
		return;
	choose_servers(ns, conf);
	if (!ns->open)
		return;
	upstream_rows_open(&rows, ns->shm);
	for (size_t i = 0; i < all.n; i++) {
		c = (const struct upstream_conf *)all.v[i];
		for (size_t k = 0; k < c->servers.n; k++)
			if (c->servers.v[k].name.n > 0)
				want(ns, &rows, c->obj.name,
				    &c->servers.v[k]);
	}
	upstream_rows_close(&rows);
	drop_unwanted(ns);
}

/* --- tools --- */

static void
on_check(void *ctx, struct lookup *l)
{
	(void)ctx;
	(void)l;
}

/* Each name once; those that are new to it are asked. */
static void
check_all(struct lookups *all, const struct conf *conf,
    void (*each)(struct lookups *, const struct conf_obj *,
    const struct server_conf *, void *), void *ctx)
{
	struct conf_objs		 objs = conf_all(conf,
	    &upstream_section);
	const struct upstream_conf	*c;

	for (size_t i = 0; i < objs.n; i++) {
		c = (const struct upstream_conf *)objs.v[i];
		for (size_t k = 0; k < c->servers.n; k++)
			if (c->servers.v[k].name.n > 0)
				each(all, &c->obj, &c->servers.v[k], ctx);
	}
}

static void
check_ask(struct lookups *all, const struct conf_obj *obj,
    const struct server_conf *c, void *ctx)
{
	struct lookup	*l = lookup_get(all, c->name,
	    kind_of(c));

	(void)obj;
	(void)ctx;
	while (lookup_is_new(l))
		ev_turn(all->ev, 1000);
}

struct check {
	names_told_fn	 told;
	void		*ctx;
};

static void
check_tell(struct lookups *all, const struct conf_obj *obj,
    const struct server_conf *c, void *ctx)
{
	struct check		*k = ctx;
	struct lookup		*l = lookup_get(all, c->name,
		    kind_of(c));
	struct lookup		*first = l;
	struct name_member	 v[NAME_MEMBERS];
	const char		*why;
	enum name_state		 state = lookup_state(l, &why);

	if (lookup_members(l, c->port, v) == 0)
		k->told(k->ctx, obj, c, state == NAME_HELD ?
		    "no address of it can be asked" : why);
	lookup_put(&l);
	lookup_put(&first);
}

int
names_check(const struct conf *conf, names_told_fn told, void *ctx,
    struct err *e)
{
	struct lookups	 all = { .changed = on_check, .quiet = true };
	struct check	 k = { told, ctx };
	struct str	 s = settings_get(conf)->resolver;
	struct ev	*ev;
	char		*servers = NULL;
	int		 rc;

	if (!has_names(conf))
		return 0;
	ev = ev_new(NULL, e);
	if (ev == NULL)
		return -1;
	if (s.n > 0) {
		servers = must_alloc(s.n + 1);
		must(str_to_c(s, servers, s.n + 1) == 0);
	}
	rc = lookups_open(&all, ev, servers, e);
	if (rc == 0) {
		check_all(&all, conf, check_ask, NULL);
		check_all(&all, conf, check_tell, &k);
		lookups_close(&all);
	}
	free(servers);
	ev_free(&ev);
	return rc;
}

void
names_fini(struct names *ns)
{
	while (!list_is_empty(&ns->uses))
		drop_use(container_of(ns->uses.next, struct name_use, node));
	ev_timer_off(ns->ev, &ns->again);
	if (ns->open)
		lookups_close(&ns->lookups);
	free(ns->servers);
	ns->open = false;
}
