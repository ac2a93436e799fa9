/*
 * The handshake of a connection to a server.  Workers.
 *
 * It is part of the dial: under its deadline, for the same wait, and who
 * gets the connection need not know of it.  Where two addresses of a name
 * are dialled the first to connect has won, whatever its handshake brings.
 */
#include "up/pool_int.h"

#include "base/must.h"
#include "core/board.h"

/*
 * A text that lasts as long as the server, whatever becomes of the
 * connection: several may wait for it.
 */
static void
refuse(struct up_conn *c, struct text *what, enum fail why)
{
	struct server_shake	*s = server_shake(c->server);

	if (s->said == NULL)
		s->said = must_alloc(TLS_BLAME_MAX + 1);
	(void)str_to_c(text_str(what), s->said, TLS_BLAME_MAX + 1);
	pool_dial_fail(c, s->said, 0, why);
}

/* Which version it is; false: the server does not have that. */
static bool
agree(struct up_conn *c)
{
	bool		h2 = str_eq(tls_client_alpn(&c->io), STR("h2"));
	struct text	what;
	char		buf[TLS_BLAME_MAX];

	if (!h2 && server_http(c->server) == SERVER_H2) {
		text_init_fixed(&what, buf, sizeof(buf));
		tls_client_blame_alpn(&c->io, &what);
		refuse(c, &what, FAIL_TLS_UPSTREAM_NO_H2);
		return false;
	}
	c->how = h2 ? &h2_client : &h1_client;
	if (!pool_wants_h1(c->server, c->wait))
		c->server->spoke_h1 = !h2;
	return true;
}

static void
go(struct up_conn *c)
{
	struct text	what;
	char		buf[TLS_BLAME_MAX];
	enum io_rc	rc = tls_shake(&c->io);
	enum fail	why;

	if (rc == IO_AGAIN)
		return;
	if (rc == IO_OK && !agree(c))
		return;
	if (rc == IO_OK) {
		/* it is for whoever waited, and nobody else */
		c->retired = !pool_tls_fits(c);
		stat_add(STAT_UP_TLS, 1);
		if (SSL_session_reused(tls_ssl(&c->io)))
			stat_add(STAT_UP_TLS_RESUMED, 1);
		pool_dial_begin(c);
		return;
	}
	stat_add(STAT_UP_TLS_FAILED, 1);
	text_init_fixed(&what, buf, sizeof(buf));
	why = tls_client_blame(&c->io, &c->out, rc == IO_EOF, &what);
	/* a session that does not serve is not tried again */
	server_tls_forget(c->server);
	refuse(c, &what, why);
}

static void
on_io(struct io *io, unsigned what)
{
	(void)what;
	go(container_of(io, struct up_conn, io));
}

void
pool_tls_shake(struct up_conn *c)
{
	c->io.on = on_io;
	server_tls_open(c->server, &c->io, &c->out,
	    pool_wants_h1(c->server, c->wait));
	go(c);
}

void
pool_tls_move(struct up_conn *c, struct server *to)
{
	if (to->peer == NULL)
		return;
	c->out.peer = to->peer;
	c->out.now = &to->peer;
	c->out.keep = &server_shake(to)->session;
}

bool
pool_tls_fits(const struct up_conn *c)
{
	return c->out.peer == c->server->peer;
}

/*
 * Only those by which a server refuses us: then it has acted on nothing.
 * With TLS 1.3 they come behind the handshake.
 */
const char *
pool_alert(const struct up_conn *c)
{
	bool	refused;

	if (c->uses != 1 || c->server->peer == NULL)
		return NULL;
	refused = (c->out.alert >= SSL_AD_HANDSHAKE_FAILURE &&
	    c->out.alert <= SSL_AD_ACCESS_DENIED) ||
	    c->out.alert == SSL_AD_CERTIFICATE_REQUIRED;
	return refused ? tls_client_alert(&c->out) : NULL;
}
