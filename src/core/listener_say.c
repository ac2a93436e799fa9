/*
 * Lines about clients whose connections were closed.  Workers.
 *
 * All have the same fields, by which other programs find the client.  What
 * anybody can bring about as often as he likes is told once in a while; each
 * row of the fail table has a while of its own, so that no kind of failure
 * hides another.
 */
#include "core/listener.h"

#include "base/must.h"
#include "base/text.h"
#include "os/proc.h"

#define SAY_MS		10000	/* between two lines of a row */

/* what of a row was told lately */
struct listener_said {
	uint64_t	ms;		/* 0: never */
	unsigned	unsaid;		/* since then */
};

/* May it be told now?  *unsaid: how many were not since the last one. */
static bool
may_say(struct listener *l, enum fail why, unsigned *unsaid)
{
	uint64_t		 now = ev_ms(l->serve->ev);
	struct listener_said	*s;

	if (l->said == NULL)
		l->said = must_calloc(FAIL_N, sizeof(*l->said));
	s = &l->said[why];
	if (s->ms != 0 && now - s->ms < SAY_MS) {
		s->unsaid++;
		return false;
	}
	*unsaid = s->unsaid;
	*s = (struct listener_said){ .ms = now };
	return true;
}

/* Who it was, in one piece and in two. */
static void
put_client(const struct sock_peer *p, struct text *whole, struct text *ip,
    struct text *port)
{
	struct sock_addr	a;

	sock_peer_text(ip, p);
	if (p->family == AF_UNIX) {
		sock_peer_text(whole, p);
		return;
	}
	sock_of_peer(&a, p);
	sock_text(whole, &a);
	text_u64(port, p->port);
}

static void
put_rest(struct text *t, const struct listener_end *e, unsigned unsaid)
{
	if (e->more[0] != '\0')
		text_fmt(t, ": %s", e->more);
	if (unsaid > 0)
		text_fmt(t, "; %u more %s of this row left out", unsaid,
		    unsaid == 1 ? "line was" : "lines were");
}

void
listener_say(struct listener *l, const struct listener_end *e)
{
	const char	*row = fail_row(e->why)->name;
	struct logctx	 lc = self->lc;
	struct text	 t, ip, port, rest;
	unsigned	 unsaid = 0;
	char		 buf[3][64], more[512];

	if (!e->shake && !may_say(l, e->why, &unsaid))
		return;
	text_init_fixed(&t, buf[0], sizeof(buf[0]));
	text_init_fixed(&ip, buf[1], sizeof(buf[1]));
	text_init_fixed(&port, buf[2], sizeof(buf[2]));
	text_init_fixed(&rest, more, sizeof(more));
	put_client(e->peer, &t, &ip, &port);
	put_rest(&rest, e, unsaid);
	lc.ids.module = e->shake ? "greet" : "listener";
	/* nor does the flood guard hold one kind for another */
	lc.ids.code = row;
	lc.ids.fields = (const struct log_field[]){
		{ "client", text_str(&ip), false },
		{ "client_port", text_str(&port), true },
		{ "listener", l->name, false },
		{ "sni", e->sni, false },
		{ "client_cert", e->cert, false },
		{ "client_fingerprint", e->print, false },
		{ "fail", str_from(row), false }
	};
	lc.ids.nfield = 7;
	log_line(&lc, e->shake ? LOG_INFO : LOG_WARN, __FILE__,
	    "listener \"%.*s\": %.*s%s%.*s%s: closed: %s%.*s",
	    STR_FMT(l->name), STR_FMT(text_str(&t)),
	    e->sni.n > 0 ? " for \"" : "", STR_FMT(e->sni),
	    e->sni.n > 0 ? "\"" : "", row, STR_FMT(text_str(&rest)));
}
