/*
 * Names that are asked for again and again.  Control process.
 */
#include "control/lookup.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/board.h"

#define TTL_MIN_MS	1000
#define TTL_MAX_MS	60000
#define HOSTS_MS	5000	/* how long /etc/hosts is believed */
#define AGAIN_MS	1000	/* after a failure; twice as long each time */
#define AGAIN_MAX_MS	8000
#define ASKING_MAX	32	/* lookups under way */

static void ask(struct lookup *);

/* --- what came --- */

static const char *
word_of(const struct lookup *l)
{
	return l->kind == LOOKUP_SRV ? "service" : "name";
}

static void
log_state(struct lookup *l, enum name_state state)
{
	const char	*what = word_of(l);

	if (l->all->quiet)
		return;
	if (state != NAME_HELD)
		log_warn(&self->lc, "%s \"%s\": failing: %s; %s", what,
		    l->name, l->why, l->nip[0] + l->nip[1] + l->ntarget > 0 ?
		    "what it said last still holds" : "it never had any "
		    "addresses");
	else if (l->state != NAME_ASKING)
		log_info(&self->lc, "%s \"%s\": recovered", what, l->name);
}

static void
count_failing(struct lookup *l, int n)
{
	l->all->nfailing += (unsigned)n;
	if (l->all->quiet)
		return;
	if (n > 0)
		stat_add(STAT_NAMES_FAILING, 1);
	else
		stat_sub(STAT_NAMES_FAILING, 1);
}

static bool
is_failing(enum name_state s)
{
	return s == NAME_ERROR || s == NAME_TIMEOUT;
}

/* Told once per change, not per try. */
static void
set_state(struct lookup *l, enum name_state state, const char *why)
{
	bool	change = is_failing(l->state) != is_failing(state) ||
	    l->state == NAME_ASKING;

	l->why = why;
	if (change) {
		log_state(l, state);
		l->since_ms = ev_wall_ms(l->all->ev);
		if (is_failing(state) != is_failing(l->state))
			count_failing(l, is_failing(state) ? 1 : -1);
	}
	l->state = state;
}

static void
on_again(struct timer *t)
{
	ask(container_of(t, struct lookup, again));
}

/* Whoever waits for a turn has it from now on. */
static void
give_turn(struct lookup *l)
{
	struct lookups	*all = l->all;
	struct lookup	*next;

	l->turn = false;
	if (list_is_empty(&all->queue)) {
		all->nasking--;
		return;
	}
	next = container_of(all->queue.next, struct lookup, node);
	list_del(&next->node);
	next->waits = false;
	next->turn = true;
	ev_timer(all->ev, &next->again, 0);
}

static void
end_asking(struct lookup *l, uint64_t ms)
{
	ev_timer(l->all->ev, &l->again, ms);
	give_turn(l);
	l->all->changed(l->all->ctx, l);
}

static uint64_t
clamp_ttl(uint32_t seconds)
{
	uint64_t	ms = (uint64_t)seconds * 1000;

	return ms < TTL_MIN_MS ? TTL_MIN_MS : ms > TTL_MAX_MS ? TTL_MAX_MS :
	    ms;
}

static void
drop_got(struct lookup *l)
{
	for (unsigned i = 0; i < 2; i++) {
		free(l->got[i]);
		l->got[i] = NULL;
		l->ngot[i] = 0;
	}
}

static bool
has_said_no(enum dns_rc rc)
{
	return rc == DNS_NONE || rc == DNS_NO_NAME;
}

static void
fail(struct lookup *l)
{
	/* a "no" says less than an answer that did not come */
	unsigned	i = l->kind != LOOKUP_SRV &&
	    has_said_no(l->rc[0]) && !has_said_no(l->rc[1]) ? 1 : 0;
	uint64_t	ms = AGAIN_MS << (l->streak < 4 ? l->streak : 4);

	l->streak++;
	l->failed++;
	if (!l->all->quiet)
		stat_add(STAT_NAMES_FAILED, 1);
	set_state(l, l->rc[i] == DNS_TIMEOUT ? NAME_TIMEOUT : NAME_ERROR,
	    l->said[i]);
	end_asking(l, ms > AGAIN_MAX_MS ? AGAIN_MAX_MS : ms);
}

static void
hold(struct lookup *l, uint64_t ms)
{
	l->streak = 0;
	set_state(l, NAME_HELD, "");
	end_asking(l, ms);
}

/* Told once, not with each answer. */
static void
note_cut(struct lookup *l, bool cut)
{
	if (cut && !l->cut && !l->all->quiet)
		log_warn(&self->lc, "%s \"%s\": more than %u addresses: the "
		    "first ones by number are used", word_of(l), l->name,
		    DNS_RECORDS);
	l->cut = cut;
}

/*
 * Both answers are there.  A family that could not be asked keeps what it
 * had; one that is said to have no addresses loses them, but not when
 * that would be the last of them.
 */
static void
end_host(struct lookup *l)
{
	uint64_t	ms = TTL_MAX_MS;

	if (l->rc[0] != DNS_OK && l->rc[1] != DNS_OK) {
		fail(l);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (l->rc[i] != DNS_OK && !has_said_no(l->rc[i]))
			continue;
		free(l->ip[i]);
		l->ip[i] = l->got[i];
		l->nip[i] = l->ngot[i];
		l->got[i] = NULL;
		l->ngot[i] = 0;
		if (l->rc[i] == DNS_OK && clamp_ttl(l->ttl[i]) < ms)
			ms = clamp_ttl(l->ttl[i]);
	}
	note_cut(l, l->many[0] || l->many[1]);
	hold(l, ms);
}

static void
keep_ips(struct lookup *l, unsigned i, const struct dns_answer *a)
{
	free(l->got[i]);
	l->got[i] = must_calloc(a->n, sizeof(*l->got[i]));
	l->ngot[i] = a->n;
	for (unsigned k = 0; k < a->n; k++)
		memcpy(l->got[i][k], a->rec[k].ip, 16);
}

static void ask_next(struct lookup *);

static void
on_ip(struct lookup *l, unsigned i, enum dns_rc rc,
    const struct dns_answer *a, const char *why)
{
	l->ask[i] = NULL;
	l->rc[i] = rc;
	l->said[i] = why;
	if (rc == DNS_OK) {
		l->ttl[i] = a->ttl;
		l->many[i] = a->cut;
		keep_ips(l, i, a);
	}
	if (--l->pending > 0)
		return;
	if (has_said_no(l->rc[0]) && has_said_no(l->rc[1]))
		ask_next(l);
	else
		end_host(l);
}

static void
on_a(void *ctx, enum dns_rc rc, const struct dns_answer *a, const char *why)
{
	on_ip(ctx, 0, rc, a, why);
}

static void
on_aaaa(void *ctx, enum dns_rc rc, const struct dns_answer *a,
    const char *why)
{
	on_ip(ctx, 1, rc, a, why);
}

static void
drop_targets(struct lookup_target *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		lookup_put(&v[i].host);
	free(v);
}

/* The hosts that stay are not asked again: the old ones go after. */
static void
set_targets(struct lookup *l, const struct dns_answer *a)
{
	struct lookup_target	*old = l->target;
	unsigned		 n = l->ntarget;

	l->target = must_calloc(a->n, sizeof(*l->target));
	l->ntarget = a->n;
	for (unsigned i = 0; i < a->n; i++) {
		l->target[i].priority = a->rec[i].priority;
		l->target[i].weight = a->rec[i].weight;
		l->target[i].port = a->rec[i].port;
		l->target[i].host = lookup_get(l->all,
		    str_from(a->rec[i].host), LOOKUP_TARGET);
	}
	drop_targets(old, n);
}

static void
on_srv(void *ctx, enum dns_rc rc, const struct dns_answer *a,
    const char *why)
{
	struct lookup	*l = ctx;

	l->ask[0] = NULL;
	l->pending--;
	l->rc[0] = rc;
	l->said[0] = why;
	if (rc == DNS_OK) {
		set_targets(l, a);
		note_cut(l, a->cut);
		hold(l, clamp_ttl(a->ttl));
	} else if (has_said_no(rc))
		ask_next(l);
	else
		fail(l);
}

/* --- asking --- */

/* The next of the names that may be meant; without one it has failed. */
static void
ask_next(struct lookup *l)
{
	struct resolver	*r = l->all->resolver;
	const char	*name = l->name;
	char		 buf[DNS_NAME];

	if (l->kind != LOOKUP_TARGET) {
		name = buf;
		if (!resolver_search(r, l->name, l->nth, buf))
			name = NULL;
	} else if (l->nth > 0)
		name = NULL;
	l->nth++;
	if (name == NULL) {
		fail(l);
		return;
	}
	l->pending = l->kind == LOOKUP_SRV ? 1 : 2;
	if (l->kind == LOOKUP_SRV) {
		l->ask[0] = resolver_ask(r, name, DNS_SRV, on_srv, l);
		return;
	}
	l->ask[0] = resolver_ask(r, name, DNS_A, on_a, l);
	l->ask[1] = resolver_ask(r, name, DNS_AAAA, on_aaaa, l);
}

/* This machine's own list goes before all name servers. */
static bool
ask_hosts(struct lookup *l)
{
	struct dns_answer	*a = must_alloc(sizeof(*a));
	bool			 found = false;

	for (unsigned i = 0; i < 2; i++) {
		l->rc[i] = DNS_NONE;
		l->ttl[i] = HOSTS_MS / 1000;
		if (resolver_hosts(l->all->resolver, l->name,
		    i == 0 ? DNS_A : DNS_AAAA, a) == 0)
			continue;
		l->rc[i] = DNS_OK;
		keep_ips(l, i, a);
		found = true;
	}
	free(a);
	return found;
}

static void
ask(struct lookup *l)
{
	struct lookups	*all = l->all;

	if (l->waits || l->pending > 0)
		return;
	if (!l->turn && all->nasking >= ASKING_MAX) {
		l->waits = true;
		list_add_tail(&all->queue, &l->node);
		return;
	}
	all->nasking += !l->turn;
	l->turn = true;
	l->asked++;
	l->asked_ms = ev_ms(all->ev);
	l->nth = 0;
	l->rc[0] = l->rc[1] = DNS_NONE;
	l->said[0] = l->said[1] = "the name is too long";
	l->many[0] = l->many[1] = false;
	drop_got(l);
	if (!all->quiet)
		stat_add(STAT_NAMES_ASKED, 1);
	if (l->kind != LOOKUP_SRV && ask_hosts(l))
		end_host(l);
	else
		ask_next(l);
}

/* --- life --- */

/* Other servers may say something else: all is asked at once. */
static void
on_change(void *ctx)
{
	struct lookups	*all = ctx;
	struct str	 key;
	void		*val;
	size_t		 i = 0;
	struct lookup	*l;

	while (map_next(&all->names, &i, &key, &val)) {
		l = val;
		if (l->pending == 0 && !l->waits)
			ev_timer(all->ev, &l->again, 0);
	}
}

int
lookups_open(struct lookups *all, struct ev *ev, const char *servers,
    struct err *e)
{
	struct rand	r;

	all->ev = ev;
	rand_seed(&r);
	map_init(&all->names, rand_next(&r));
	list_init(&all->queue);
	all->resolver = resolver_new(ev, servers, e);
	if (all->resolver == NULL)
		return -1;
	resolver_on_change(all->resolver, on_change, all);
	return 0;
}

void
lookups_close(struct lookups *all)
{
	must(all->names.n == 0);
	map_fini(&all->names);
	resolver_free(&all->resolver);
}

static struct str
key_of(const struct lookup *l, char buf[DNS_NAME + 2])
{
	int	n = snprintf(buf, DNS_NAME + 2, "%d %s", (int)l->kind, l->name);

	return str_make(buf, (size_t)n);
}

struct lookup *
lookup_get(struct lookups *all, struct str name, enum lookup_kind kind)
{
	struct lookup	*l = must_calloc(1, sizeof(*l));
	struct lookup	*old;
	char		 key[DNS_NAME + 2];
	char		*own;
	struct str	 k;

	l->kind = kind;
	must(str_to_c(name, l->name, sizeof(l->name)) == 0);
	k = key_of(l, key);
	old = map_find(&all->names, k);
	if (old != NULL) {
		free(l);
		old->uses++;
		return old;
	}
	l->all = all;
	l->uses = 1;
	l->why = "";
	l->since_ms = ev_wall_ms(all->ev);
	timer_init(&l->again, on_again);
	own = must_alloc(k.n);
	memcpy(own, k.p, k.n);
	map_add(&all->names, str_make(own, k.n), l);
	/* later: the caller has not got it yet */
	ev_timer(all->ev, &l->again, 0);
	return l;
}

/* The map's key is the entry's own. */
static void
forget(struct lookup *l)
{
	char		 buf[DNS_NAME + 2];
	struct str	 k = key_of(l, buf);
	struct str	 key;
	void		*val;
	size_t		 i = 0;

	while (map_next(&l->all->names, &i, &key, &val)) {
		if (val != l)
			continue;
		map_del(&l->all->names, k);
		free((void *)(uintptr_t)key.p);
		return;
	}
}

void
lookup_put(struct lookup **lp)
{
	struct lookup	*l = *lp;

	*lp = NULL;
	if (l == NULL || --l->uses > 0)
		return;
	forget(l);
	if (is_failing(l->state))
		count_failing(l, -1);
	if (l->waits)
		list_del(&l->node);
	if (l->turn)
		give_turn(l);
	drop_got(l);
	for (unsigned i = 0; i < 2; i++) {
		resolver_cancel(&l->ask[i]);
		free(l->ip[i]);
	}
	ev_timer_off(l->all->ev, &l->again);
	drop_targets(l->target, l->ntarget);
	free(l);
}

/* What is asked now is asked of the new ones. */
int
lookups_reopen(struct lookups *all, const char *servers, struct err *e)
{
	struct resolver	*r = resolver_new(all->ev, servers, e);
	struct str	 key;
	void		*val;
	size_t		 i = 0;
	struct lookup	*l;

	if (r == NULL)
		return -1;
	while (map_next(&all->names, &i, &key, &val)) {
		l = val;
		resolver_cancel(&l->ask[0]);
		resolver_cancel(&l->ask[1]);
		l->pending = 0;
		ev_timer(all->ev, &l->again, 0);
	}
	resolver_free(&all->resolver);
	all->resolver = r;
	resolver_on_change(r, on_change, all);
	return 0;
}

/* --- what it says --- */

bool
lookup_is_new(const struct lookup *l)
{
	if (l->state == NAME_ASKING)
		return true;
	for (unsigned i = 0; i < l->ntarget; i++)
		if (l->target[i].host->state == NAME_ASKING)
			return true;
	return false;
}

/* What is equal but for the weight is told apart, too: one order alone. */
static int
compare(const struct name_member *x, const struct name_member *y)
{
	int	d = memcmp(x->ip, y->ip, 16);

	if (x->family != y->family)
		return (x->family > y->family) - (x->family < y->family);
	if (d != 0)
		return d;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return (x->weight > y->weight) - (x->weight < y->weight);
}

/* Into its place; of too many the last one goes, whichever came first. */
static void
add_member(struct name_member *v, unsigned *n, const struct name_member *m)
{
	unsigned	at = *n;

	if (*n < NAME_MEMBERS)
		++*n;
	else if (compare(m, &v[--at]) >= 0)
		return;
	for (; at > 0 && compare(m, &v[at - 1]) < 0; at--)
		v[at] = v[at - 1];
	v[at] = *m;
}

static void
add_members(const struct lookup *l, uint16_t port, uint32_t weight,
    struct name_member *v, unsigned *n)
{
	static const uint8_t	none[16];
	struct name_member	m;

	for (unsigned f = 0; f < 2 && port != 0; f++)
		for (unsigned i = 0; i < l->nip[f]; i++) {
			if (memcmp(l->ip[f][i], none, 16) == 0)
				continue;
			memset(&m, 0, sizeof(m));
			memcpy(m.ip, l->ip[f][i], 16);
			m.family = f == 0 ? AF_INET : AF_INET6;
			m.port = port;
			m.weight = weight;
			add_member(v, n, &m);
		}
}

/* The next priority behind *at that some target has; false: none. */
static bool
next_priority(const struct lookup *l, int *at)
{
	int	best = -1;
	int	p;

	for (unsigned i = 0; i < l->ntarget; i++) {
		p = l->target[i].priority;
		if (p > *at && (best == -1 || p < best))
			best = p;
	}
	*at = best;
	return best != -1;
}

unsigned
lookup_members(const struct lookup *l, uint16_t port, struct name_member *v)
{
	const struct lookup_target	*t;
	unsigned			 n = 0;
	int				 at = -1;

	if (l->kind != LOOKUP_SRV)
		add_members(l, port, 1, v, &n);
	while (n == 0 && next_priority(l, &at))
		for (unsigned i = 0; i < l->ntarget; i++) {
			t = &l->target[i];
			/* 0 is the least there is (RFC 2782), not nothing */
			if (t->priority == at)
				add_members(t->host, t->port, t->weight > 0 ?
				    t->weight : 1, v, &n);
		}
	return n;
}

enum name_state
lookup_state(const struct lookup *l, const char **why)
{
	const struct lookup	*host = NULL;

	*why = l->why;
	if (l->state != NAME_HELD)
		return l->state;
	/* hosts of a service stand in for each other */
	for (unsigned i = 0; i < l->ntarget; i++) {
		if (l->target[i].host->state == NAME_HELD)
			return NAME_HELD;
		if (host == NULL)
			host = l->target[i].host;
	}
	if (host == NULL)
		return l->state;
	*why = host->why;
	return host->state;
}

void
lookup_why(const struct lookup *l, struct text *t)
{
	const struct lookup	*host;
	bool			 first = true;

	if (l->state != NAME_HELD) {
		text_add(t, str_from(l->why));
		return;
	}
	for (unsigned i = 0; i < l->ntarget; i++) {
		host = l->target[i].host;
		if (!is_failing(host->state))
			continue;
		text_fmt(t, "%s%s: %s", first ? "" : "; ", host->name,
		    host->why);
		first = false;
	}
}

uint64_t
lookup_left(const struct lookup *l)
{
	uint64_t	now = ev_ms(l->all->ev);

	return timer_is_armed(&l->again) && l->again.due > now ?
	    l->again.due - now : 0;
}
