/*
 * A serving process in the test's own: configuration text, generations,
 * a listener on the loopback, clients on plain sockets.  Nothing moves
 * but by turns of its loop.
 */
#ifndef T_UNIT_SERVE_ENV_H
#define T_UNIT_SERVE_ENV_H

#include <sys/mman.h>

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "core/ask.h"
#include "core/handler.h"
#include "core/listener_limit.h"
#include "core/route.h"
#include "core/settings.h"
#include "up/upstream.h"

#define PATIENCE_MS	5000

struct env {
	struct proc	 proc;
	struct board	 board;
	struct gens	 gens;
	struct serve	 serve;
	struct ev	*ev;
	struct shm	*shm;
	struct log	 log;
	int		 front;		/* listening socket */
	uint16_t	 port;
	uint64_t	 number;	/* of generations */
	unsigned	 drained;
};

/* a client's end */
struct cli {
	int	fd;
	size_t	n;
	bool	eof;
	char	buf[1 << 17];		/* what came and was not yet taken */
};

static inline uint64_t
env_ms(void)
{
	return ev_clock_ns() / 1000000;
}

/* --- configuration --- */

/* Text to objects; what it says instead goes to *why, which may be NULL. */
static inline struct conf *
env_load(struct arena *out, const char *text, struct text *why)
{
	struct str		 mem = str_from(text);
	struct conf_opts	 o = { .file = "t.conf", .file_given = true,
		.memory = &mem, .as_root = true };
	struct conf_load	*l = conf_load_new(&o);
	struct conf		*c = conf_load_run(l, out);
	struct text		 t;

	text_init(&t);
	diag_print(conf_load_diags(l), &t, "");
	text_c(&t, '\0');
	if (why != NULL)
		*why = t;
	else {
		ck_assert_msg(c != NULL, "%s", t.p);
		text_fini(&t);
	}
	conf_load_free(&l);
	return c;
}

/* True if loading it says the text (an id, a word) and fails if bad. */
static inline void
env_says(const char *conf, bool bad, const char *said)
{
	struct arena	 a;
	struct text	 why;
	struct conf	*c;

	arena_init(&a, NULL);
	c = env_load(&a, conf, &why);
	ck_assert_msg(strstr(why.p, said) != NULL, "no \"%s\" in: %s", said,
	    why.p);
	ck_assert_msg((c == NULL) == bad, "%s", why.p);
	text_fini(&why);
	arena_fini(&a);
}

static inline void
env_full(void *ctx)
{
	(void)ctx;
	abort();
}

/* A generation as the builder makes it, mapped and not yet prepared. */
static inline struct gen *
env_make(struct env *t, const char *text)
{
	struct arena	 out;
	struct err	 e = { "" };
	unsigned	 slot = (unsigned)(++t->number % GEN_SLOTS);
	struct conf	*c;
	struct gen	*g;
	int		 fd;

	fd = gen_create(&t->gens, slot, &out, env_full, NULL, &e);
	ck_assert_msg(fd != -1, "%s", e.text);
	c = env_load(&out, text, NULL);
	c->number = t->number;
	gen_finish(&t->gens, slot, &out, c);
	ck_assert_ptr_ne(mmap(t->gens.range + slot * GEN_SLOT_BYTES,
	    GEN_SLOT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_NORESERVE | MAP_FIXED, -1, 0), MAP_FAILED);
	ck_assert_msg(gen_check(&t->gens, fd, slot, t->number, &e) == 0,
	    "%s", e.text);
	g = gen_map(&t->gens, fd, slot, &e);
	ck_assert_msg(g != NULL, "%s", e.text);
	close(fd);
	ck_assert_msg(upstream_link_rows(t->shm, g->conf, t->number, &e) ==
	    0, "%s", e.text);
	ck_assert_msg(listener_link_rows(t->shm, g->conf, t->number, &e) ==
	    0, "%s", e.text);
	return g;
}

/* keys follow a [listener web] on the test's port. */
static inline void
env_conf(struct env *t, const char *keys)
{
	struct listen_addr	 la;
	struct text		 c;
	struct err		 e = { "" };
	struct gen		*g;
	size_t			 n;

	text_init(&c);
	text_fmt(&c, "[listener web]\nbind = 127.0.0.1:%u\n%s", t->port,
	    keys);
	text_c(&c, '\0');
	g = env_make(t, c.p);
	text_fini(&c);
	ck_assert_msg(serve_prepare(&t->serve, g, &e) == 0, "%s", e.text);
	serve_commit(&t->serve, g);
	gen_commit(&t->gens, g);
	la = listener_addrs(g->conf, &n)[0];
	ck_assert_ptr_nonnull(listener_attach(&t->serve, &la, dup(t->front),
	    &e));
}

static inline void
env_init(struct env *t)
{
	struct sock_addr	a;
	struct err		e;

	memset(t, 0, sizeof(*t));
	t->shm = shm_new(shm_regions, &e);
	ck_assert_msg(t->shm != NULL, "%s", e.text);
	ck_assert_int_eq(board_grow(t->shm, 1, &e), 0);
	ck_assert_int_eq(lease_grow(t->shm, 1, 8, &e), 0);
	board_enter(&t->board, t->shm, 0, RING_BYTES);
	t->ev = ev_new(NULL, &e);
	ck_assert_ptr_nonnull(t->ev);
	t->proc.ev = t->ev;
	t->proc.board = &t->board;
	t->proc.shm = t->shm;
	self = &t->proc;
	log_init_stderr(&t->log, LOG_ERR);
	ck_assert_int_eq(gen_reserve(&t->gens, &e), 0);
	ck_assert_int_eq(serve_init(&t->serve, t->ev, t->shm, &t->gens,
	    &t->log, &e), 0);
	ck_assert_int_eq(sock_parse(STR("127.0.0.1:0"), -1, &a, &e), 0);
	t->front = sock_listen(&a, 64, 0, &e);
	ck_assert_msg(t->front != -1, "%s", e.text);
	ck_assert_int_eq(sock_local(t->front, &a), 0);
	t->port = ntohs(a.u.in4.sin_port);
}

/* What env_fini does once the serving has ended. */
static inline void
env_close(struct env *t)
{
	ck_assert_uint_eq(t->serve.nconn, 0);
	ck_assert_uint_eq(t->serve.nexchange, 0);
	ck_assert_uint_eq(t->serve.pages.live, 0);
	ck_assert_uint_eq(t->board.stat[STAT_STARTED],
	    t->board.stat[STAT_FINISHED]);
	ck_assert_uint_eq(t->board.stat[STAT_CONNS], 0);
	ck_assert_uint_eq(t->board.stat[STAT_CONNS_IDLE], 0);
	if (t->gens.cur != NULL) {
		struct gen	*g = t->gens.cur;

		ck_assert_uint_eq(g->uses, 1);
		t->gens.cur = NULL;
		gen_unref(&t->gens, &g);
	}
	board_leave(&t->board);
	ev_free(&t->ev);
	close(t->front);
	shm_free(&t->shm);
	self = NULL;
}

/* All that was begun has ended, and nothing is held. */
static inline void
env_fini(struct env *t)
{
	serve_fini(&t->serve);
	env_close(t);
}

/* --- clients --- */

static inline struct cli *
cli_open(struct env *t)
{
	struct cli		*c = must_calloc(1, sizeof(*c));
	struct sockaddr_in	 in = { .sin_family = AF_INET,
		.sin_port = htons(t->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ne(c->fd, -1);
	ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&in, sizeof(in)),
	    0);
	return c;
}

static inline void
cli_close(struct cli **cp)
{
	close((*cp)->fd);
	free(*cp);
	*cp = NULL;
}

static inline void
cli_send(struct cli *c, const char *text)
{
	size_t	n = strlen(text);

	ck_assert_int_eq(send(c->fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

static inline void
cli_read(struct cli *c)
{
	ssize_t	n;

	ck_assert_uint_lt(c->n, sizeof(c->buf) - 1);
	n = recv(c->fd, c->buf + c->n, sizeof(c->buf) - 1 - c->n,
	    MSG_DONTWAIT);
	if (n > 0)
		c->n += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		c->eof = true;
	c->buf[c->n] = '\0';
}

/* Turns until the text is there; takes it off with all before it. */
static inline void
cli_expect(struct env *t, struct cli *c, const char *want)
{
	uint64_t	 end = env_ms() + PATIENCE_MS;
	char		*at;

	for (;;) {
		cli_read(c);
		at = strstr(c->buf, want);
		if (at != NULL || c->eof || env_ms() > end)
			break;
		ev_turn(t->ev, 2);
	}
	ck_assert_msg(at != NULL, "no \"%s\" in \"%s\"%s", want, c->buf,
	    c->eof ? " at its end" : "");
	at += strlen(want);
	c->n -= (size_t)(at - c->buf);
	memmove(c->buf, at, c->n + 1);
}

/* Turns until the other side ends; all that came is left in buf. */
static inline void
cli_end(struct env *t, struct cli *c)
{
	uint64_t	end = env_ms() + PATIENCE_MS;

	while (!c->eof && env_ms() < end) {
		ev_turn(t->ev, 2);
		cli_read(c);
	}
	ck_assert_msg(c->eof, "no end after \"%s\"", c->buf);
}

/* Turns until the word in memory has that value. */
static inline void
env_until(struct env *t, const unsigned *word, unsigned want)
{
	uint64_t	end = env_ms() + PATIENCE_MS;

	while (*word != want && env_ms() < end)
		ev_turn(t->ev, 2);
	ck_assert_uint_eq(*word, want);
}

/* One request on a connection of its own; the answer, until the next. */
static inline const char *
env_ask(struct env *t, const char *line, const char *fields)
{
	static char	 answer[1 << 17];
	struct cli	*c = cli_open(t);
	struct text	 m;

	text_init(&m);
	text_fmt(&m, "%s HTTP/1.1\r\nHost: t.example\r\n%s"
	    "Connection: close\r\n\r\n", line, fields);
	text_c(&m, '\0');
	cli_send(c, m.p);
	text_fini(&m);
	cli_end(t, c);
	memcpy(answer, c->buf, c->n + 1);
	cli_close(&c);
	return answer;
}

static inline void
env_has(const char *answer, const char *want)
{
	ck_assert_msg(strstr(answer, want) != NULL, "no \"%s\" in \"%s\"",
	    want, answer);
}

static inline void
env_lacks(const char *answer, const char *not)
{
	ck_assert_msg(strstr(answer, not) == NULL, "\"%s\" in \"%s\"", not,
	    answer);
}

#endif
