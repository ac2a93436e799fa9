/*
 * A whole gateway in the test's own process, between scripted clients and
 * servers on the loopback: nothing moves but by turns of its loop.
 */
#ifndef SL_T_PROXY_ENV_H
#define SL_T_PROXY_ENV_H

#include <sys/mman.h>

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "core/listener.h"
#include "core/settings.h"
#include "handler/proxy.h"

#define PATIENCE_MS	5000
#define NSERVER		3

/* an end of a connection that the test plays */
struct peer {
	int	fd;
	char	buf[1 << 18];	/* what came and was not yet taken */
	size_t	n;
	bool	eof;
	bool	reset;
};

struct env {
	struct proc	proc;
	struct board	board;
	struct gens	gens;
	struct serve	serve;
	struct ev	*ev;
	struct log	log;
	int		front;		/* listening socket */
	uint16_t	port;
	int		back[NSERVER];	/* of servers */
	uint16_t	back_port[NSERVER];
	uint64_t	number;
};

/* Small buffers, so that a peer that does not read is felt soon. */
static inline int
env_listen(uint16_t *port, int backlog)
{
	struct sock_addr	a;
	struct err		e;
	int			fd;

	ck_assert_int_eq(sock_parse(STR("127.0.0.1:0"), -1, &a, &e), 0);
	fd = sock_listen(&a, backlog, 0, &e);
	ck_assert_msg(fd != -1, "%s", e.text);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF,
	    &(int){ 65536 }, sizeof(int)), 0);
	ck_assert_int_eq(sock_local(fd, &a), 0);
	*port = ntohs(a.u.in4.sin_port);
	return fd;
}

static inline void
env_full(void *ctx)
{
	(void)ctx;
	abort();
}

static inline struct conf *
env_load(struct env *t, const char *text, struct arena *out)
{
	struct str		 mem = str_from(text);
	struct conf_opts	 o = { .file = "t.conf", .file_given = true,
		.memory = &mem };
	struct conf_load	*l = conf_load_new(&o);
	struct conf		*c = conf_load_run(l, out);
	struct text		 why;

	text_init(&why);
	diag_print(conf_load_diags(l), &why, "");
	text_c(&why, '\0');
	ck_assert_msg(c != NULL, "%s", why.p);
	text_fini(&why);
	conf_load_free(&l);
	c->number = ++t->number;
	return c;
}

/* A generation from text, as builder, master and worker make it. */
static inline void
env_publish(struct env *t, const char *text)
{
	struct arena	 out;
	struct err	 e = { "" };
	unsigned	 slot = (unsigned)(t->number % GEN_SLOTS);
	struct conf	*c;
	struct gen	*g;
	int		 fd;

	fd = gen_create(&t->gens, slot, &out, env_full, NULL, &e);
	ck_assert_msg(fd != -1, "%s", e.text);
	c = env_load(t, text, &out);
	gen_finish(&t->gens, slot, &out, c);
	ck_assert_ptr_ne(mmap(t->gens.range + slot * GEN_SLOT_BYTES,
	    GEN_SLOT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_NORESERVE | MAP_FIXED, -1, 0), MAP_FAILED);
	ck_assert_msg(gen_check(&t->gens, fd, slot, t->number, &e) == 0,
	    "%s", e.text);
	g = gen_map(&t->gens, fd, slot, &e);
	ck_assert_msg(g != NULL, "%s", e.text);
	close(fd);
	ck_assert_msg(upstream_link_rows(t->serve.shm, g->conf, t->number,
	    &e) == 0, "%s", e.text);
	ck_assert_msg(serve_prepare(&t->serve, g, &e) == 0, "%s", e.text);
	serve_commit(&t->serve, g);
	gen_commit(&t->gens, g);
	upstream_settle_rows(t->serve.shm, g->conf);
}

static inline void
env_init(struct env *t)
{
	struct err	 e;
	struct shm	*shm = shm_new(shm_regions, &e);

	memset(t, 0, sizeof(*t));
	ck_assert_msg(shm != NULL, "%s", e.text);
	ck_assert_int_eq(board_grow(shm, 1, &e), 0);
	ck_assert_int_eq(lease_grow(shm, 1, 8, &e), 0);
	board_enter(&t->board, shm, 0, RING_BYTES);
	t->ev = ev_new(NULL, &e);
	ck_assert_ptr_nonnull(t->ev);
	t->proc.ev = t->ev;
	t->proc.board = &t->board;
	t->proc.shm = shm;
	self = &t->proc;
	log_init_stderr(&t->log, LOG_ERR);
	ck_assert_int_eq(gen_reserve(&t->gens, &e), 0);
	ck_assert_msg(serve_init(&t->serve, t->ev, shm, &t->gens, &t->log,
	    &e) == 0, "%s", e.text);
	t->front = env_listen(&t->port, 64);
	for (unsigned i = 0; i < NSERVER; i++)
		t->back[i] = env_listen(&t->back_port[i], 64);
}

/* Replaces words $0 .. $2 by addresses of servers. */
static inline void
env_start(struct env *t, const char *keys)
{
	struct text			 c;
	const struct listen_addr	*a;
	struct listener			*l;
	struct err			 e;
	size_t				 n;

	text_init(&c);
	text_fmt(&c, "[listener web]\nbind = 127.0.0.1:%u\n", t->port);
	for (char was = '\0'; *keys != '\0'; was = *keys++)
		if (*keys == '$' && was == ' ') {
			keys++;
			text_fmt(&c, "127.0.0.1:%u",
			    t->back_port[*keys - '0']);
		} else
			text_c(&c, *keys);
	text_c(&c, '\0');
	env_publish(t, c.p);
	text_fini(&c);
	if (t->number > 1)
		return;
	a = listener_addrs(t->gens.cur->conf, &n);
	ck_assert_uint_eq(n, 1);
	l = listener_attach(&t->serve, a, dup(t->front), &e);
	ck_assert_ptr_nonnull(l);
	listener_start(l);
}

/* --- peers --- */

static inline void
peer_read(struct peer *p)
{
	ssize_t	n;

	if (p->fd == -1 || p->eof || p->n == sizeof(p->buf) - 1)
		return;
	n = recv(p->fd, p->buf + p->n, sizeof(p->buf) - 1 - p->n,
	    MSG_DONTWAIT);
	if (n > 0)
		p->n += (size_t)n;
	else if (n == 0)
		p->eof = true;
	else if (errno != EAGAIN)
		p->eof = p->reset = true;
	p->buf[p->n] = '\0';
}

static inline uint64_t
now_ms(void)
{
	return ev_clock_ns() / 1000000;
}

/* Turns until the text is there; takes it off with all before it. */
static inline void
peer_expect(struct env *t, struct peer *p, const char *want)
{
	uint64_t	 end = now_ms() + PATIENCE_MS;
	char		*at;

	for (;;) {
		peer_read(p);
		at = p->n > 0 ? strstr(p->buf, want) : NULL;
		if (at != NULL || p->eof || now_ms() > end)
			break;
		ev_turn(t->ev, 2);
	}
	ck_assert_msg(at != NULL, "no \"%s\" in \"%s\"%s", want, p->buf,
	    p->eof ? " at its end" : "");
	p->n -= (size_t)(at - p->buf) + strlen(want);
	memmove(p->buf, at + strlen(want), p->n + 1);
}

/* Turns until the text ends with want; the whole is left in buf. */
static inline char *
peer_head(struct env *t, struct peer *p)
{
	static char	 head[65536];
	uint64_t	 end = now_ms() + PATIENCE_MS;
	char		*at;
	size_t		 n;

	for (;;) {
		peer_read(p);
		at = p->n > 0 ? strstr(p->buf, "\r\n\r\n") : NULL;
		if (at != NULL || p->eof || now_ms() > end)
			break;
		ev_turn(t->ev, 2);
	}
	ck_assert_msg(at != NULL, "no head in \"%s\"%s", p->buf,
	    p->eof ? " at its end" : "");
	n = (size_t)(at - p->buf) + 4;
	ck_assert_uint_lt(n, sizeof(head));
	memcpy(head, p->buf, n);
	head[n] = '\0';
	p->n -= n;
	memmove(p->buf, p->buf + n, p->n + 1);
	return head;
}

static inline void
peer_end(struct env *t, struct peer *p)
{
	uint64_t	end = now_ms() + PATIENCE_MS;

	while (!p->eof && now_ms() < end) {
		peer_read(p);
		if (!p->eof)
			ev_turn(t->ev, 2);
	}
	ck_assert_msg(p->eof, "still open, with \"%s\"", p->buf);
}

static inline void
peer_send(struct env *t, struct peer *p, const char *s)
{
	size_t		 n = strlen(s);
	uint64_t	 end = now_ms() + PATIENCE_MS;
	ssize_t		 put;

	while (n > 0 && now_ms() < end) {
		put = send(p->fd, s, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (put > 0) {
			s += put;
			n -= (size_t)put;
			continue;
		}
		ck_assert_int_eq(errno, EAGAIN);
		ev_turn(t->ev, 2);
	}
	ck_assert_uint_eq(n, 0);
}

static inline struct peer *
peer_new(int fd)
{
	struct peer	*p = calloc(1, sizeof(*p));

	p->fd = fd;
	return p;
}

static inline void
peer_free(struct peer *p)
{
	if (p->fd != -1)
		close(p->fd);
	free(p);
}

static inline struct peer *
client_new(struct env *t)
{
	struct sockaddr_in	a = { .sin_family = AF_INET,
		.sin_port = htons(t->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int			fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF,
	    &(int){ 65536 }, sizeof(int)), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return peer_new(fd);
}

/* The next connection that server i gets. */
static inline struct peer *
server_accept(struct env *t, unsigned i)
{
	uint64_t		end = now_ms() + PATIENCE_MS;
	struct sock_addr	a;
	int			fd;

	do {
		fd = sock_accept(t->back[i], &a);
		if (fd == -1)
			ev_turn(t->ev, 2);
	} while (fd == -1 && now_ms() < end);
	ck_assert_msg(fd != -1, "nobody connected to server %u", i);
	return peer_new(fd);
}

/* True if nobody has connected to server i within a while. */
static inline bool
server_is_alone(struct env *t, unsigned i)
{
	struct sock_addr	a;

	for (unsigned n = 0; n < 10; n++)
		ev_turn(t->ev, 2);
	return sock_accept(t->back[i], &a) == -1;
}

static inline void
turns_while(struct env *t, const unsigned *n, unsigned want)
{
	uint64_t	end = now_ms() + PATIENCE_MS;

	while (*n != want && now_ms() < end)
		ev_turn(t->ev, 2);
	ck_assert_uint_eq(*n, want);
}

static inline void
env_fini(struct env *t)
{
	turns_while(t, &t->serve.nexchange, 0);
	serve_fini(&t->serve);
	ev_turn(t->ev, 0);
	ev_turn(t->ev, 0);
	ev_free(&t->ev);
	board_leave(&t->board);
	shm_free(&t->proc.shm);
	munmap(t->gens.range, GEN_SLOTS * GEN_SLOT_BYTES);
	close(t->front);
	for (unsigned i = 0; i < NSERVER; i++)
		if (t->back[i] != -1)
			close(t->back[i]);
	self = NULL;
}

#endif
