/*
 * Probes of type websocket: the handshake is checked, then a ping must
 * bring its pong.  Health process.
 */
#include "up/probe_int.h"

#include "base/must.h"
#include "base/rand.h"

#define TOKEN	STR("websocket")
#define ACCEPT	STR("Sec-WebSocket-Accept")

static void
fill(struct rand *r, void *p, size_t n)
{
	uint64_t	v = 0;

	for (size_t i = 0; i < n; i++) {
		v = i % 8 == 0 ? rand_next(r) : v >> 8;
		((uint8_t *)p)[i] = (uint8_t)v;
	}
}

void
probe_ws_ask(struct probe *p, struct msg *m)
{
	uint8_t	nonce[WS_NONCE];

	fill(p->env->rand, nonce, sizeof(nonce));
	ws_key(p->ws.key, nonce);
	m->upgrade = true;
	m->protocol = TOKEN;
	hdr_add_name(&p->arena, &m->hdrs, STR("Sec-WebSocket-Version"),
	    STR("13"));
	hdr_add_name(&p->arena, &m->hdrs, STR("Sec-WebSocket-Key"),
	    str_make(p->ws.key, WS_KEY));
}

static void
fail(struct probe *p, const char *what)
{
	probe_detail(p, "%s", what);
	probe_over(p, FAIL_PROBE_WEBSOCKET);
}

/* --- frames --- */

static bool
send_frame(struct probe *p, enum ws_opcode op, struct str payload)
{
	char		out[WS_OUT];
	uint8_t		mask[4];
	struct iovec	v = { out, 0 };
	size_t		n = 0;

	fill(p->env->rand, mask, sizeof(mask));
	v.iov_len = ws_write(out, op, payload, mask);
	return io_writev(&p->io, &v, 1, 0, &n) == IO_OK && n == v.iov_len;
}

static void
on_pong(struct probe *p, struct str payload)
{
	/* an unasked one is allowed (5.5.3) */
	if (!str_eq(payload, str_make(p->ws.ping, PING_BYTES)))
		return;
	(void)send_frame(p, WS_CLOSE, STR("\x03\xe8"));
	probe_over(p, FAIL_NONE);
}

/* Bytes of ws.in that are done with; 0: more are needed, or it is over. */
static size_t
take_frame(struct probe *p)
{
	struct str	in = str_make(p->ws.in, p->ws.n);
	struct ws_head	h;

	switch (ws_read_head(in, &h)) {
	case WS_NEED:
		return 0;
	case WS_BAD:
		fail(p, "a malformed frame");
		return 0;
	default:
		break;
	}
	if (h.opcode == WS_CLOSE) {
		fail(p, "closed by the server");
		return 0;
	}
	if (h.opcode != WS_PONG) {
		p->ws.skip = h.len;
		return h.used;
	}
	if (in.n < h.used + h.len)
		return 0;
	on_pong(p, str_sub(in, h.used, h.used + (size_t)h.len));
	return h.used + (size_t)h.len;
}

/* True: there is room for more. */
static void
take_frames(struct probe *p)
{
	struct probe_ws	*w = &p->ws;
	size_t		 n;

	while (!p->over && w->n > 0) {
		n = w->skip < w->n ? (size_t)w->skip : w->n;
		w->skip -= n;
		if (n == 0)
			n = take_frame(p);
		if (n == 0)
			return;
		w->n -= n;
		memmove(w->in, w->in + n, w->n);
	}
}

static void
feed(struct probe *p, struct str s)
{
	size_t	n;

	p->ws.got += s.n;
	if (p->ws.got > PROBE_BODY)
		fail(p, "no pong in 64 KiB");
	while (!p->over && s.n > 0) {
		n = sizeof(p->ws.in) - p->ws.n;
		must(n > 0);
		n = s.n < n ? s.n : n;
		memcpy(p->ws.in + p->ws.n, s.p, n);
		p->ws.n += n;
		s = str_sub(s, n, s.n);
		take_frames(p);
	}
}

static void
read_on(struct probe *p)
{
	char		buf[1024];
	struct iovec	v = { buf, sizeof(buf) };
	enum io_rc	rc;
	size_t		n;

	while (!p->over) {
		n = 0;
		rc = io_readv(&p->io, &v, 1, &n);
		if (rc == IO_AGAIN)
			return;
		if (rc == IO_OK)
			feed(p, str_make(buf, n));
		else
			fail(p, "cut by the server");
	}
}

static void
on_io(struct io *io, unsigned what)
{
	struct probe	*p = container_of(io, struct probe, io);

	if (what & (IO_R | IO_GONE))
		read_on(p);
}

/* --- the handshake --- */

/* RFC 6455 4.1 */
static const char *
check_handshake(const struct probe *p, const struct msg *m)
{
	char			 want[WS_ACCEPT];
	const struct hdr	*h = hdr_get_name(&m->hdrs, ACCEPT);

	if (m->status != 101)
		return "no 101";
	if (!str_eq_fold(m->protocol, TOKEN))
		return "another protocol";
	ws_accept(want, str_make(p->ws.key, WS_KEY));
	if (h == NULL || !str_eq(h->val, str_make(want, WS_ACCEPT)))
		return "a wrong Sec-WebSocket-Accept";
	if (hdr_get_name(&m->hdrs, STR("Sec-WebSocket-Extensions")) != NULL ||
	    hdr_get_name(&m->hdrs, STR("Sec-WebSocket-Protocol")) != NULL)
		return "what was not asked for";
	return NULL;
}

void
probe_ws_begin(struct probe *p, const struct msg *m)
{
	const char	*why = check_handshake(p, m);
	struct chunk	 rest;

	if (why != NULL) {
		fail(p, why);
		return;
	}
	/* an answer before the question was all sent */
	if (p->how->take(p->codec, &rest) == NULL) {
		fail(p, "an early answer");
		return;
	}
	p->taken = true;
	p->phase = PHASE_PONG;
	p->io.on = on_io;
	fill(p->env->rand, p->ws.ping, PING_BYTES);
	if (!send_frame(p, WS_PING, str_make(p->ws.ping, PING_BYTES)))
		fail(p, "cut by the server");
	if (rest.n > 0)
		feed(p, str_make(rest.u.mem.p, (size_t)rest.n));
	chunk_drop(&rest);
	read_on(p);
}
