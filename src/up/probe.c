/*
 * A probe: connect, ask, look at the answer.  Health process.
 *
 * The verdict is noted where it is found and told from a wake, where the
 * connection is closed too: no callback of the codec ends what calls it.
 * One deadline holds for all of it.
 */
#include "up/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "base/rand.h"
#include "io/proxy_proto.h"
#include "os/fault.h"
#include "up/dial_fail.h"
#include "up/probe_int.h"
#include "up/upstream.h"

#define ARENA_CHUNK	4096
#define KEEP		4	/* pages and chunks that are not given back */

/* --- the end --- */

void
probe_detail(struct probe *p, const char *fmt, ...)
{
	va_list	ap;

	if (p->over)
		return;
	va_start(ap, fmt);
	vsnprintf(p->detail, sizeof(p->detail), fmt, ap);
	va_end(ap);
}

void
probe_over(struct probe *p, enum fail why)
{
	if (p->over)
		return;
	p->over = true;
	p->why = why;
	p->us = (ev_clock_ns() - p->begun_ns) / 1000;
	ev_timer_off(p->env->ev, &p->deadline);
	ev_post(p->env->ev, EV_WAKE, &p->end);
}

/* In the second batch of frees: the codec's own may need cenv until then. */
static void
on_free(struct ev_task *t)
{
	struct probe	*p = container_of(t, struct probe, free);

	if (!p->late) {
		p->late = true;
		ev_post(p->env->ev, EV_FREE, t);
		return;
	}
	probe_tls_fini(p);
	arena_fini(&p->arena);
	free(p->body);
	free(p);
}

static void
shut(struct probe *p)
{
	p->over = true;
	ev_timer_off(p->env->ev, &p->deadline);
	ev_cancel(&p->end);
	if (p->codec != NULL)
		p->how->close(p->codec, FAIL_NONE);
	if (p->io.open)
		io_close(&p->io, false);
	ev_post(p->env->ev, EV_FREE, &p->free);
}

static void
on_end(struct ev_task *t)
{
	struct probe	*p = container_of(t, struct probe, end);

	shut(p);
	if (p->on != NULL)
		p->on(p->ctx, p->why, p->detail, p->us);
}

static void
on_deadline(struct timer *t)
{
	static const enum fail	why[] = {
		[PHASE_DIAL] = FAIL_DIAL_TIMEOUT,
		[PHASE_SHAKE] = FAIL_TLS_UPSTREAM_TIMEOUT,
		[PHASE_HEAD] = FAIL_FIRST_BYTE_TIMEOUT,
		[PHASE_BODY] = FAIL_BETWEEN_TIMEOUT,
		[PHASE_PONG] = FAIL_PROBE_WEBSOCKET
	};
	struct probe		*p = container_of(t, struct probe, deadline);

	if (p->phase == PHASE_PONG)
		probe_detail(p, "no pong");
	probe_over(p, why[p->phase]);
}

/* --- the answer --- */

static bool
is_expected(const struct probe_conf *c, unsigned status)
{
	for (size_t i = 0; i < c->expect.n; i++)
		if (status >= c->expect.v[i].low &&
		    status <= c->expect.v[i].high)
			return true;
	return false;
}

static struct probe *
of_sink(struct sink *k)
{
	return container_of(k, struct probe, sink);
}

static void
judge_body(struct probe *p)
{
	size_t	n = p->nbody < PROBE_BODY ? p->nbody : PROBE_BODY;

	if (p->set->conf->type == PROBE_GRPC) {
		probe_grpc_judge(p);
		return;
	}
	probe_over(p, p->body == NULL || probe_set_likes(p->set,
	    str_make(p->body, n)) ? FAIL_NONE : FAIL_PROBE_BODY);
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct probe		*p = of_sink(k);
	const struct probe_conf	*c = p->set->conf;

	if ((flags & WAIST_INTERIM) || p->over)
		return;
	if (flags & WAIST_UPGRADE) {
		probe_ws_begin(p, m);
		return;
	}
	if (c->type == PROBE_GRPC) {
		if (!probe_grpc_head(p, m))
			return;
	} else if (c->type == PROBE_WEBSOCKET || !is_expected(c, m->status)) {
		probe_detail(p, "status %u", m->status);
		probe_over(p, c->type == PROBE_WEBSOCKET ?
		    FAIL_PROBE_WEBSOCKET : FAIL_PROBE_STATUS);
		return;
	}
	p->phase = PHASE_BODY;
	if (c->text.n > 0 || c->type == PROBE_GRPC)
		p->body = must_alloc(PROBE_BODY);
	if (flags & WAIST_END)
		judge_body(p);
}

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct probe	*p = of_sink(k);
	size_t		 room = p->nbody < PROBE_BODY ?
	    PROBE_BODY - p->nbody : 0;

	if (p->body != NULL && (c.kind == CHUNK_PAGE ||
	    c.kind == CHUNK_CONST))
		memcpy(p->body + p->nbody, c.u.mem.p,
		    c.n < room ? c.n : room);
	p->nbody += c.n < room ? c.n : room;
	chunk_drop(&c);
	if ((flags & WAIST_END) || p->nbody == PROBE_BODY)
		judge_body(p);
	return FLOW_MORE;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	if (of_sink(k)->set->conf->type == PROBE_GRPC)
		probe_grpc_status(of_sink(k), hs);
}

static void
on_body_end(struct sink *k)
{
	judge_body(of_sink(k));
}

static void
on_abort(struct sink *k, enum fail why)
{
	probe_over(of_sink(k), probe_tls_blame(of_sink(k), why));
}

static const struct sink_ops sink_ops = {
	.head = on_head,
	.data = on_data,
	.trailers = on_trailers,
	.end = on_body_end,
	.abort = on_abort
};

/* --- the question --- */

static void
on_room(struct source *s)
{
	(void)s;
}

/* The answer may be here all the same; the codec tells. */
static void
on_stop(struct source *s, enum fail why)
{
	(void)s;
	(void)why;
}

static const struct source_ops source_ops = {
	.room = on_room,
	.stop = on_stop
};

/* A stream that fails before its head has no other word. */
static void
on_closed(struct stream *s, enum fail why)
{
	struct probe	*p = s->ctx;

	if (why != FAIL_NONE)
		probe_over(p, probe_tls_blame(p, why));
}

static const struct stream_up stream_up = { .closed = on_closed };

static void
on_gone(void *ctx, enum fail why)
{
	struct probe	*p = ctx;

	p->codec = NULL;
	probe_over(p, probe_tls_blame(p, why == FAIL_NONE ?
	    FAIL_RESET_BEFORE_HEAD : why));
}

static void
set_env(struct probe *p)
{
	p->cenv = (struct codec_env){
		.ev = p->env->ev,
		.pages = &p->env->pages,
		.arenas = &p->env->arenas,
		.conns = &p->env->conns,
		/* as of requests */
		.limits = { .header_bytes = 65536, .header_field = 32768,
		    .header_count = 256 },
		.gone = on_gone
	};
}

static bool
has_field(const struct probe_conf *c, struct str name)
{
	for (size_t i = 0; i < c->fields.n; i++)
		if (str_eq_fold(c->fields.v[i].key, name))
			return true;
	return false;
}

static void
make_request(struct probe *p, struct msg *m)
{
	const struct probe_conf	*c = p->set->conf;
	bool			 ws = c->type == PROBE_WEBSOCKET;

	m->meth = (uint8_t)(ws ? METHOD_GET : c->meth);
	m->method = msg_method_text(m->meth);
	m->scheme = p->client != NULL ? STR("https") : STR("http");
	m->authority = c->host.n > 0 ? c->host : p->host;
	m->host = m->authority;
	m->target = c->target;
	m->minor = 1;
	if (!has_field(c, STR("user-agent")))
		hdr_add(&p->arena, &m->hdrs, HDR_USER_AGENT,
		    STR("sluice-health"));
	for (size_t i = 0; i < c->fields.n; i++)
		hdr_add_name(&p->arena, &m->hdrs, c->fields.v[i].key,
		    c->fields.v[i].val);
	if (ws)
		probe_ws_ask(p, m);
	else if (c->type == PROBE_GRPC)
		probe_grpc_ask(p, m);
}

/* As requests do. */
static bool
is_h2(const struct probe *p)
{
	return p->client == NULL ? p->http == SERVER_H2 :
	    str_eq(tls_client_alpn(&p->io), STR("h2"));
}

void
probe_ask(struct probe *p)
{
	struct stream	*st;
	struct msg	 m = { .body = BODY_NONE };

	if (p->set->conf->type == PROBE_TCP ||
	    p->set->conf->type == PROBE_TLS) {
		probe_over(p, FAIL_NONE);
		return;
	}
	p->phase = PHASE_HEAD;
	set_env(p);
	p->how = is_h2(p) ? &h2_client : &h1_client;
	p->codec = p->how->open(&p->io, &p->cenv, p);
	st = p->how->request(p->codec, &p->arena);
	st->up = &stream_up;
	st->ctx = p;
	p->src.ops = &source_ops;
	p->sink.ops = &sink_ops;
	p->sink.credit = INT64_MAX / 2;
	waist_join(&st->in, &p->sink);
	waist_join(&p->src, &st->out);
	make_request(p, &m);
	st->out.ops->head(&st->out, &m, m.body == BODY_NONE ? WAIST_END : 0);
	if (m.body != BODY_NONE && !p->over)
		probe_grpc_send(p, st);
}

/* --- connecting --- */

/* Says that it comes for nobody; it fits a new socket's buffer. */
static bool
write_preface(struct probe *p)
{
	struct sock_peer	none = { .family = AF_UNSPEC };
	char			buf[PROXY_PROTO_OUT];
	struct iovec		v = { buf, 0 };
	size_t			n = 0;

	if (p->set->send_proxy == 0)
		return true;
	v.iov_len = proxy_proto_build(buf, (unsigned)p->set->send_proxy,
	    &none, &none);
	return io_writev(&p->io, &v, 1,
	    p->set->conf->type == PROBE_TCP ? 0 : IO_MORE, &n) == IO_OK &&
	    n == v.iov_len;
}

static void
on_dialled(struct io *io, unsigned what)
{
	struct probe	*p = container_of(io, struct probe, io);
	int		 error;

	if ((what & (IO_W | IO_GONE)) == 0 || p->over)
		return;
	error = io_dialled(io);
	if (error != 0) {
		probe_detail(p, "%s", strerror(error));
		probe_over(p, dial_fail(error));
	} else if (!write_preface(p))
		probe_over(p, FAIL_SEND_ERROR);
	else if (p->client != NULL && p->set->conf->type != PROBE_TCP)
		probe_tls_begin(p);
	else
		probe_ask(p);
}

static void
dial(struct probe *p, const struct sock_addr *a)
{
	bool	done;
	int	fd, error;

	errno = EMFILE;
	fd = FAULT("probe_full") ? -1 : sock_dial(a, &done, NULL);
	error = errno;
	if (fd != -1 && io_sock_open(&p->io, p->env->ev, fd, 0, on_dialled,
	    NULL) == -1) {
		error = errno;
		close(fd);
		fd = -1;
	}
	if (fd != -1)
		return;
	probe_detail(p, "%s", strerror(error));
	probe_over(p, dial_fail(error));
}

struct probe *
probe_start(struct probe_env *env, const struct probe_set *set,
    const struct probe_of *of, probe_fn on, void *ctx)
{
	struct probe	*p = must_calloc(1, sizeof(*p));

	p->env = env;
	p->set = set;
	p->on = on;
	p->ctx = ctx;
	p->begun_ns = ev_clock_ns();
	arena_init(&p->arena, &env->arenas);
	p->host = arena_dup(&p->arena, of->host);
	p->http = (uint8_t)server_http_of(set->http, of->h2,
	    of->peer != NULL);
	if (set->conf->type == PROBE_GRPC)
		p->http = SERVER_H2;
	probe_tls_init(p, of->peer);
	timer_init(&p->deadline, on_deadline);
	ev_task_init(&p->end, on_end);
	ev_task_init(&p->free, on_free);
	ev_timer(env->ev, &p->deadline, set->conf->timeout);
	dial(p, &of->addr);
	return p;
}

void
probe_bind(struct probe *p, const struct probe_set *set)
{
	p->set = set;
}

void
probe_cancel(struct probe **pp)
{
	struct probe	*p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	p->on = NULL;
	shut(p);
}

void
probe_env_init(struct probe_env *env, struct ev *ev, struct rand *r)
{
	env->ev = ev;
	env->rand = r;
	page_pool_init(&env->pages, KEEP);
	slab_init(&env->arenas, ARENA_CHUNK, KEEP);
	slab_init(&env->conns, CODEC_CONN_MAX, KEEP);
	tls_clients_init(&env->clients);
	env->room = NULL;
}

void
probe_env_trim(struct probe_env *env)
{
	slab_trim(&env->pages.small, 1);
	slab_trim(&env->arenas, 1);
	slab_trim(&env->conns, 1);
	must_trim();
}

void
probe_env_fini(struct probe_env *env)
{
	page_pool_fini(&env->pages);
	slab_fini(&env->arenas);
	slab_fini(&env->conns);
	tls_room_free(&env->room);
}
