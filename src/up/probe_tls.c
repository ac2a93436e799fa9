/*
 * The handshake of a probe.  Health process.
 *
 * It is that of requests, but each is a whole one: what is kept of the last
 * would hide a certificate that is not valid any more.
 */
#include "up/probe_int.h"
#include "up/server_tls.h"

void
probe_tls_init(struct probe *p, const struct tls_peer *peer)
{
	if (peer == NULL || p->set->client == NULL)
		return;
	p->client = tls_client_ref(p->set->client);
	p->peer = *peer;
	p->peer.name = arena_dup(&p->arena, peer->name);
}

void
probe_tls_fini(struct probe *p)
{
	tls_client_unref(&p->client);
}

static void
go(struct probe *p)
{
	struct text	what;
	char		buf[TLS_BLAME_MAX];
	enum io_rc	rc;
	enum fail	why;

	if (p->over)
		return;
	text_init_fixed(&what, buf, sizeof(buf));
	rc = tls_shake(&p->io);
	if (rc == IO_AGAIN)
		return;
	if (rc == IO_OK && p->http == SERVER_H2 &&
	    !str_eq(tls_client_alpn(&p->io), STR("h2"))) {
		tls_client_blame_alpn(&p->io, &what);
		probe_detail(p, "%.*s", STR_FMT(text_str(&what)));
		probe_over(p, FAIL_TLS_UPSTREAM_NO_H2);
		return;
	}
	if (rc == IO_OK) {
		probe_ask(p);
		return;
	}
	why = tls_client_blame(&p->io, &p->out, rc == IO_EOF, &what);
	probe_detail(p, "%.*s", STR_FMT(text_str(&what)));
	probe_over(p, why);
}

static void
on_io(struct io *io, unsigned what)
{
	(void)what;
	go(container_of(io, struct probe, io));
}

void
probe_tls_begin(struct probe *p)
{
	p->phase = PHASE_SHAKE;
	p->out = (struct tls_out){ .peer = &p->peer,
	    .alpn = server_tls_alpn((enum server_http)p->http,
	    p->set->conf->type == PROBE_WEBSOCKET) };
	p->io.on = on_io;
	tls_open(&p->io, p->env->room, tls_client_begin(p->client, &p->out),
	    STR_NONE);
	go(p);
}

enum fail
probe_tls_blame(struct probe *p, enum fail why)
{
	const char	*alert = p->client == NULL ? NULL :
	    tls_client_alert(&p->out);

	if (alert == NULL || p->phase != PHASE_HEAD)
		return why;
	probe_detail(p, "%s", alert);
	return FAIL_TLS_UPSTREAM_ALERT;
}
