/*
 * Questions to name servers.  Control process.
 *
 * c-ares does the protocol; its sockets are watched by our loop, its
 * time-outs are one of our timers.  It would double the time with each
 * try, so it makes one and the second is ours.  When resolv.conf changes
 * there is a new channel, and what was asked is asked there again.
 */
#include "control/resolver.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <ares.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "control/search.h"
#include "os/proc.h"

#define RESOLV_CONF	"/etc/resolv.conf"
#define TRY_MS		2000
#define TRIES		2
#define LOOK_MS		2000	/* between looks at resolv.conf */
#define EDNS_BYTES	1232
#define TURN_READS	64	/* of one socket in a turn */

/* a socket of c-ares */
struct watch {
	struct ev_fd	 fd;
	struct list	 node;		/* of resolver.watches */
	struct resolver	*r;		/* ref */
	struct ev_task	 free;
	bool		 gone;
};

struct resolver {
	struct ev	*ev;		/* ref */
	ares_channel	 ch;		/* own */
	char		*servers;	/* own; NULL: resolv.conf's */
	struct list	 watches;	/* own */
	struct timer	 due;		/* c-ares wants to look at the time */
	struct timer	 look;
	struct ev_task	 kick;		/* it has something to write */
	struct stat	 conf;		/* of resolv.conf, as it was read */
	bool		 unread;	/* its change; that was said */
	struct search	 search;	/* of the same */
	void		(*changed)(void *);
	void		*ctx;		/* of changed */
	struct dns_answer answer;	/* the one being told */
	bool		 closing;
};

struct question {
	struct resolver	*r;		/* ref */
	resolver_fn	 fn;		/* NULL: nobody wants to know */
	void		*ctx;
	enum dns_type	 type;
	unsigned	 tries;
	struct ev_task	 start;
	char		 name[DNS_NAME];
};

static void arm(struct resolver *);

/* --- sockets --- */

/* More waits to be read: c-ares takes one piece of a stream at a time. */
static bool
has_more(int fd)
{
	char	c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void
on_fd(struct ev_fd *f, unsigned what)
{
	struct watch	*w = container_of(f, struct watch, fd);
	struct resolver	*r = w->r;
	int		 fd = f->fd;

	f->ready &= (uint8_t)~(EV_R | EV_GONE);
	if (what & EV_W)
		ares_process_fd(r->ch, ARES_SOCKET_BAD, fd);
	for (unsigned i = 0; i < TURN_READS && !w->gone &&
	    (what & (EV_R | EV_GONE)); i++) {
		ares_process_fd(r->ch, fd, ARES_SOCKET_BAD);
		if (w->gone || !has_more(fd))
			break;
	}
	arm(r);
}

static void
on_kick(struct ev_task *t)
{
	struct resolver	*r = container_of(t, struct resolver, kick);
	struct list	*l;
	struct watch	*w;
	int		 fds[16];
	unsigned	 n = 0;

	list_each(l, &r->watches) {
		w = container_of(l, struct watch, node);
		if ((w->fd.ready & EV_W) != 0 && n < 16)
			fds[n++] = w->fd.fd;
	}
	while (n > 0)
		ares_process_fd(r->ch, ARES_SOCKET_BAD, fds[--n]);
	arm(r);
}

static void
on_watch_free(struct ev_task *t)
{
	free(container_of(t, struct watch, free));
}

static struct watch *
find_watch(struct resolver *r, int fd)
{
	struct list	*l;

	list_each(l, &r->watches)
		if (container_of(l, struct watch, node)->fd.fd == fd)
			return container_of(l, struct watch, node);
	return NULL;
}

static void
drop_watch(struct watch *w)
{
	w->gone = true;
	list_del(&w->node);
	ev_del(w->r->ev, &w->fd, true);
	ev_post(w->r->ev, EV_FREE, &w->free);
}

static void
add_watch(struct resolver *r, int fd)
{
	struct watch	*w = must_calloc(1, sizeof(*w));

	w->r = r;
	ev_fd_init(&w->fd, fd, on_fd);
	ev_task_init(&w->free, on_watch_free);
	list_add(&r->watches, &w->node);
	/* one that cannot be watched times out */
	(void)ev_add(r->ev, &w->fd, EV_EDGE, NULL);
}

static void
on_socket(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolver	*r = ctx;
	struct watch	*w = find_watch(r, fd);

	if (!readable && !writable) {
		if (w != NULL)
			drop_watch(w);
		return;
	}
	if (w == NULL)
		add_watch(r, fd);
	else if (writable && (w->fd.ready & EV_W) != 0)
		ev_post(r->ev, EV_WAKE, &r->kick);
}

/* --- time --- */

static void
arm(struct resolver *r)
{
	struct timeval	tv;

	if (r->closing || ares_timeout(r->ch, NULL, &tv) == NULL)
		ev_timer_off(r->ev, &r->due);
	else
		ev_timer(r->ev, &r->due, (uint64_t)tv.tv_sec * 1000 +
		    (uint64_t)tv.tv_usec / 1000 + 1);
}

static void
on_due(struct timer *t)
{
	struct resolver	*r = container_of(t, struct resolver, due);

	ares_process_fd(r->ch, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(r);
}

/* --- the channel --- */

static int
open_channel(struct resolver *r, struct err *e)
{
	struct ares_options	o = {
		.timeout = TRY_MS, .tries = 1, .ednspsz = EDNS_BYTES,
		.flags = ARES_FLAG_EDNS, .sock_state_cb = on_socket,
		.sock_state_cb_data = r
	};
	int			mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
	    ARES_OPT_EDNSPSZ | ARES_OPT_FLAGS | ARES_OPT_SOCK_STATE_CB;
	ares_channel		ch;
	struct stat		st;
	int			rc;

#ifdef ARES_OPT_QUERY_CACHE
	/* newer ones keep answers; who asks here wants what holds now */
	mask |= ARES_OPT_QUERY_CACHE;
	o.qcache_max_ttl = 0;
#endif
	/* before it is read: a change meanwhile is one that comes after */
	if (stat(RESOLV_CONF, &st) == -1)
		memset(&st, 0, sizeof(st));
	rc = ares_init_options(&ch, &o, mask);
	if (rc != ARES_SUCCESS)
		return err_set(e, "names cannot be resolved: %s",
		    ares_strerror(rc));
	if (r->servers != NULL)
		rc = ares_set_servers_ports_csv(ch, r->servers);
	if (rc != ARES_SUCCESS) {
		ares_destroy(ch);
		return err_set(e, "resolver \"%s\": %s", r->servers,
		    ares_strerror(rc));
	}
	r->ch = ch;
	r->conf = st;
	search_load(&r->search, RESOLV_CONF);
	return 0;
}

static bool
is_changed(const struct resolver *r)
{
	struct stat	st;

	return stat(RESOLV_CONF, &st) == 0 &&
	    (st.st_mtim.tv_sec != r->conf.st_mtim.tv_sec ||
	    st.st_mtim.tv_nsec != r->conf.st_mtim.tv_nsec ||
	    st.st_ino != r->conf.st_ino || st.st_size != r->conf.st_size);
}

static void
on_look(struct timer *t)
{
	struct resolver	*r = container_of(t, struct resolver, look);
	ares_channel	 old = r->ch;
	struct err	 e;

	ev_timer(r->ev, t, LOOK_MS);
	if (!is_changed(r))
		return;
	if (open_channel(r, &e) == -1) {
		/* it is tried again at each look */
		if (!r->unread)
			log_err(&self->lc, "%s", e.text);
		r->unread = true;
		return;
	}
	r->unread = false;
	log_info(&self->lc, "resolver: %s has changed: read anew",
	    RESOLV_CONF);
	/* the questions under way are asked again by their callbacks */
	ares_destroy(old);
	arm(r);
	if (r->changed != NULL)
		r->changed(r->ctx);
}

void
resolver_on_change(struct resolver *r, void (*changed)(void *), void *ctx)
{
	r->changed = changed;
	r->ctx = ctx;
}

struct resolver *
resolver_new(struct ev *ev, const char *servers, struct err *e)
{
	struct resolver	*r = must_calloc(1, sizeof(*r));

	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		must(!"c-ares");
	r->ev = ev;
	list_init(&r->watches);
	timer_init(&r->due, on_due);
	timer_init(&r->look, on_look);
	ev_task_init(&r->kick, on_kick);
	if (servers != NULL) {
		r->servers = must_alloc(strlen(servers) + 1);
		memcpy(r->servers, servers, strlen(servers) + 1);
	}
	if (open_channel(r, e) == -1) {
		free(r->servers);
		free(r);
		ares_library_cleanup();
		return NULL;
	}
	ev_timer(ev, &r->look, LOOK_MS);
	return r;
}

void
resolver_free(struct resolver **rp)
{
	struct resolver	*r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	r->closing = true;
	ares_destroy(r->ch);
	must(list_is_empty(&r->watches));
	ev_timer_off(r->ev, &r->due);
	ev_timer_off(r->ev, &r->look);
	ev_cancel(&r->kick);
	free(r->servers);
	free(r);
	ares_library_cleanup();
}

/* --- questions --- */

static enum dns_rc
rc_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return DNS_OK;
	case ARES_ENODATA:
		return DNS_NONE;
	case ARES_ENOTFOUND:
		return DNS_NO_NAME;
	case ARES_ETIMEOUT:
		return DNS_TIMEOUT;
	default:
		return DNS_FAILED;
	}
}

static const char *
why_of(int status)
{
	switch (status) {
	case ARES_ENODATA:
		return "no such records";
	case ARES_ENOTFOUND:
		return "no such name";
	case ARES_ESERVFAIL:
		return "the resolver failed";
	case ARES_EREFUSED:
		return "the resolver refused";
	case ARES_ECONNREFUSED:
		return "the resolver is not there";
	case ARES_ETIMEOUT:
		return "time-out";
	default:
		return ares_strerror(status);
	}
}

static void
tell(struct question *q, enum dns_rc rc, const char *why)
{
	resolver_fn	 fn = q->fn;
	void		*ctx = q->ctx;
	struct resolver	*r = q->r;

	free(q);
	fn(ctx, rc, rc == DNS_OK ? &r->answer : NULL, why);
}

static void
on_answer(void *arg, int status, int timeouts, unsigned char *p, int n)
{
	struct question	*q = arg;
	struct resolver	*r = q->r;

	(void)timeouts;
	if (q->fn == NULL || r->closing) {
		free(q);
		return;
	}
	/* the channel is another one now, or there is a try left */
	if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED ||
	    (status == ARES_ETIMEOUT && ++q->tries < TRIES)) {
		ev_post(r->ev, EV_WAKE, &q->start);
		return;
	}
	if (status != ARES_SUCCESS) {
		tell(q, rc_of(status), why_of(status));
		return;
	}
	if (dns_parse(p, (size_t)n, q->type, &r->answer) == -1)
		tell(q, DNS_FAILED, "the answer is malformed");
	else if (r->answer.n == 0)
		tell(q, DNS_NONE, why_of(ARES_ENODATA));
	else
		tell(q, DNS_OK, "");
}

static void
on_start(struct ev_task *t)
{
	struct question	*q = container_of(t, struct question, start);
	struct resolver	*r = q->r;

	ares_query(r->ch, q->name, 1, (int)q->type, on_answer, q);
	arm(r);
}

struct question *
resolver_ask(struct resolver *r, const char *name, enum dns_type type,
    resolver_fn fn, void *ctx)
{
	struct question	*q = must_calloc(1, sizeof(*q));

	q->r = r;
	q->fn = fn;
	q->ctx = ctx;
	q->type = type;
	must(str_to_c(str_from(name), q->name, sizeof(q->name)) == 0);
	ev_task_init(&q->start, on_start);
	ev_post(r->ev, EV_WAKE, &q->start);
	return q;
}

void
resolver_cancel(struct question **qp)
{
	struct question	*q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	q->fn = NULL;
	if (!ev_is_posted(&q->start))
		return;
	ev_cancel(&q->start);
	free(q);
}

/* --- names of this machine --- */

bool
resolver_search(const struct resolver *r, const char *name, unsigned nth,
    char out[DNS_NAME])
{
	return search_name(&r->search, name, nth, out);
}

unsigned
resolver_hosts(struct resolver *r, const char *name, enum dns_type type,
    struct dns_answer *a)
{
	struct hostent	*h;
	int		 family = type == DNS_A ? AF_INET : AF_INET6;

	a->n = 0;
	a->cut = false;
	a->ttl = 0;
	if (ares_gethostbyname_file(r->ch, name, family, &h) != ARES_SUCCESS)
		return 0;
	for (char **p = h->h_addr_list; *p != NULL && a->n < DNS_RECORDS;
	    p++) {
		memset(&a->rec[a->n], 0, sizeof(a->rec[0]));
		memcpy(a->rec[a->n++].ip, *p, family == AF_INET ? 4 : 16);
	}
	ares_free_hostent(h);
	return a->n;
}
