/*
 * The handshake of TLS, before HTTP is spoken.  Workers.
 *
 * Until its first byte comes a connection has nothing but a greeting.  Then
 * it takes a turn (core/secure.h), is given a layer and shakes hands by
 * what the wire brings.  Who speaks HTTP instead is told so in clear.
 */
#include "core/greet.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/must.h"
#include "core/board.h"
#include "core/int.h"
#include "core/pass.h"
#include "core/version.h"

#define ALERT_MAX	64
#define TOLD_MS		1000	/* in which who was told may leave */
#define TOLD_BYTES	(256 * 1024)	/* that it may still send */

static struct ev *
loop_of(const struct greet *g)
{
	return g->c->listener->serve->ev;
}

/* --- the end --- */

void
greet_tls_end(struct greet *g)
{
	if (g->tls == GREET_PLAIN)
		return;
	secure_forget(g->c->listener, &g->wait);
	if (g->tls == GREET_SHAKE)
		secure_leave(g->c->listener);
	tls_policy_end(&g->hand);
	g->tls = GREET_PLAIN;
}

/* What the log says of a failure: OpenSSL's words, or the alert's name. */
static const char *
explain(const struct greet *g, const struct tls_error *e, enum fail why)
{
	const char	*text = NULL;

	if (e->alert >= 0)
		return SSL_alert_desc_string_long(e->alert);
	if (why == FAIL_TLS_CLIENT_REFUSED)
		return X509_verify_cert_error_string(
		    SSL_get_verify_result(tls_ssl(&g->c->io)));
	if (e->code != 0 && ERR_GET_REASON(e->code) != SSL_R_CALLBACK_FAILED)
		text = ERR_reason_error_string(e->code);
	return text == NULL ? "" : text;
}

/* --- who was told why --- */

/* A method and a blank; what else a port of TLS may get is garbage. */
static bool
is_http(struct str s)
{
	size_t	i = 0;

	while (i < s.n && s.p[i] >= 'A' && s.p[i] <= 'Z')
		i++;
	return i > 1 && i < s.n && s.p[i] == ' ';
}

/* What it still sends is read, or the kernel would reset the answer away. */
static void
drop_rest(struct greet *g)
{
	struct str	bytes;
	enum io_rc	rc;

	do {
		rc = tls_first(secure_room(g->c->listener->serve), &g->c->io,
		    &bytes);
		g->dropped += (uint32_t)bytes.n;
	} while (rc == IO_OK && g->dropped < TOLD_BYTES);
	if (rc != IO_AGAIN)
		greet_refuse(g, FAIL_NONE, "");
}

/*
 * Our end is said, and theirs is waited for: who sent more than was read
 * would have a reset, which takes away what it was told before.
 */
static void
linger(struct greet *g)
{
	if (io_shutdown(&g->c->io) != IO_OK) {
		greet_refuse(g, FAIL_NONE, "");
		return;
	}
	g->tls = GREET_TOLD;
	ev_timer(loop_of(g), &g->timer, TOLD_MS);
	drop_rest(g);
}

static void
fail(struct greet *g, bool ended)
{
	const struct tls_error	*e = tls_error(&g->c->io);
	enum fail		 why = g->hand.why;

	if (why == FAIL_NONE)
		why = tls_policy_blame(e->code, e->alert, ended);
	greet_count(g, why, explain(g, e, why));
	if (ended || e->alert >= 0 || !tls_off(&g->c->io)) {
		greet_refuse(g, FAIL_NONE, "");
		return;
	}
	/* an alert of ours; what it took goes back at once */
	secure_leave(g->c->listener);
	g->tls = GREET_TOLD;
	tls_policy_end(&g->hand);
	linger(g);
}

static void
tell_plain(struct greet *g)
{
	const char	*why = fail_row(FAIL_PLAIN_ON_TLS)->text;
	struct text	 t;
	struct iovec	 v;
	size_t		 put;
	char		 buf[512];

	text_init_fixed(&t, buf, sizeof(buf));
	text_fmt(&t, "HTTP/1.1 400 Bad Request\r\nDate: %.29s\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
	    g->c->listener->serve->date, strnlen(why, sizeof(buf)) + 1, why);
	v = (struct iovec){ t.p, t.n };
	greet_count(g, FAIL_PLAIN_ON_TLS, "");
	if (io_writev(&g->c->io, &v, 1, 0, &put) == IO_OK)
		linger(g);
	else
		greet_refuse(g, FAIL_NONE, "");
}

/* --- the handshake --- */

static void
begin(struct greet *g)
{
	struct conn	*c = g->c;
	SSL		*ssl = tls_ssl(&c->io);
	struct str	 alpn = tls_alpn(ssl);

	stat_add(STAT_TLS_HANDSHAKES, 1);
	if (SSL_session_reused(ssl))
		stat_add(STAT_TLS_RESUMED, 1);
	else
		secure_shown(c->listener, ssl);
	if (secure_is_late(c)) {
		greet_refuse(g, FAIL_NONE, "");
		return;
	}
	tls_policy_done(ssl);
	greet_drop(g);
	version_start(c, alpn);
}

static void
shake(struct greet *g)
{
	secure_ask(g->c->listener, &g->hand);
	switch (tls_shake(&g->c->io)) {
	case IO_OK:
		begin(g);
		break;
	case IO_AGAIN:
		break;
	case IO_EOF:
		fail(g, true);
		break;
	default:
		fail(g, false);
		break;
	}
}

/* The first bytes are here: with them it becomes a handshake. */
static void
open_layer(struct greet *g, struct str bytes)
{
	struct listener	*l = g->c->listener;

	g->tls = GREET_SHAKE;
	secure_ask(l, &g->hand);
	tls_open(&g->c->io, secure_room(l->serve),
	    tls_policy_begin(l->tls, &g->hand), bytes);
	shake(g);
}

static void
let_go(struct conn *c)
{
	greet_drop(c->greet);
}

/* True: it is passed on, or waits, or is gone; see pass.h. */
static bool
pass(struct greet *g)
{
	enum pass_rc	rc = pass_look(g->c, let_go);

	if (rc == PASS_WAIT)
		secure_forget(g->c->listener, &g->wait);
	if (rc == PASS_GONE)
		greet_refuse(g, FAIL_NONE, "");
	return rc != PASS_NOT;
}

static void
look(struct greet *g)
{
	struct listener	*l = g->c->listener;
	struct str	 bytes;
	enum io_rc	 rc;

	if (!io_can(&g->c->io, IO_R)) {
		/* who has nothing to read holds up nobody */
		secure_forget(g->c->listener, &g->wait);
		return;
	}
	if (l->passes && pass(g))
		return;
	if (l->tls == NULL || !secure_enter(l, &g->wait)) {
		if (l->tls == NULL)
			greet_refuse(g, FAIL_NONE, "");
		return;
	}
	rc = tls_first(secure_room(l->serve), &g->c->io, &bytes);
	if (rc == IO_OK && bytes.p[0] == 22) {
		open_layer(g, bytes);
		return;
	}
	secure_leave(l);
	if (rc == IO_AGAIN)
		return;
	/* who says nothing only looked whether somebody is here */
	if (rc != IO_OK)
		greet_refuse(g, FAIL_NONE, "");
	else if (is_http(bytes))
		tell_plain(g);
	else
		greet_refuse(g, FAIL_TLS_BAD_HELLO, "no record of TLS");
}

static void
go(struct greet *g)
{
	switch (g->tls) {
	case GREET_HELLO:
		look(g);
		break;
	case GREET_SHAKE:
		shake(g);
		break;
	case GREET_TOLD:
		drop_rest(g);
		break;
	default:
		break;
	}
}

static void
on_io(struct io *io, unsigned what)
{
	(void)what;
	go(io->ctx);
}

static void
on_task(struct ev_task *t)
{
	go(container_of(t, struct greet, wait.task));
}

/* Part of a hello may stand in the socket, if its name is looked for. */
static const char *
how_far(const struct greet *g)
{
	char	c;
	size_t	got = 0;

	if (g->tls == GREET_SHAKE)
		return "it has begun";
	if (!list_is_empty(&g->wait.node))
		return "it waited for its turn";
	if (io_peek(&g->c->io, &c, 1, &got) == IO_OK && got > 0)
		return "its hello is not whole";
	return "it has not begun";
}

static void
on_timer(struct timer *t)
{
	struct greet	*g = container_of(t, struct greet, timer);

	greet_refuse(g, g->tls == GREET_TOLD ? FAIL_NONE :
	    FAIL_TLS_HANDSHAKE_TIMEOUT, how_far(g));
}

void
greet_tls_start(struct greet *g)
{
	struct listener	*l = g->c->listener;

	g->tls = GREET_HELLO;
	/* the header's time is over */
	ev_timer_off(l->serve->ev, &g->timer);
	ev_cancel(&g->wait.task);
	timer_init(&g->timer, on_timer);
	ev_task_init(&g->wait.task, on_task);
	g->c->io.on = on_io;
	ev_timer(l->serve->ev, &g->timer, l->handshake_ms);
	/* a client that has just connected has its hello still to make */
	if (!io_is_watched(&g->c->io))
		g->c->io.fd.ready = IO_W;
	if (io_watch_reads(&g->c->io) == -1)
		greet_refuse(g, FAIL_NONE, "");
	else if (io_can(&g->c->io, IO_R))
		ev_post(l->serve->ev, EV_READY, &g->wait.task);
}
