/*
 * The first and the last thing of every exchange: its id, its row in the
 * flight table, its access record, its counters.  Workers and control.
 *
 * The order at the end makes a kill at any instant decidable (flight.c):
 * the record is written but not visible, the row learns where it will
 * stand, the commit makes it visible, the row is closed, which counts the
 * request as finished.  All of it before the last bytes of the answer go
 * to the kernel, so no client has an answer that was not counted.
 */
#include <endian.h>
#include <time.h>

#include "base/enc.h"
#include "core/chain.h"
#include "core/error_grpc.h"
#include "core/int.h"
#include "core/listener.h"
#include "core/log_conf.h"
#include "core/route.h"
#include "core/secure_identity.h"
#include "core/settings.h"
#include "tls/policy.h"

#define UUID_LEN	36
#define ID_MAX		128	/* bytes of an id that is accepted */
#define NAP_NS		1000000	/* a full ring is looked at each ms */

/* --- the beginning --- */

/* UUIDv7 (RFC 9562 5.7): 48 bits of milliseconds, then random ones. */
static struct str
make_id(struct exchange *x)
{
	char		*out = arena_text(x->arena, UUID_LEN);
	uint64_t	 ms = ev_wall_ms(x->serve->ev);
	uint64_t	 a = rand_next(&x->serve->rand);
	uint64_t	 b = rand_next(&x->serve->rand);
	uint64_t	 u[2];
	char		 hex[2 * sizeof(u)];

	u[0] = htobe64(ms << 16 | 0x7000 | (a & 0x0fff));
	u[1] = htobe64(b >> 2 | 1ULL << 63);
	enc_hex(u, sizeof(u), hex);
	memcpy(out, hex, 8);
	out[8] = '-';
	memcpy(out + 9, hex + 8, 4);
	out[13] = '-';
	memcpy(out + 14, hex + 12, 4);
	out[18] = '-';
	memcpy(out + 19, hex + 16, 4);
	out[23] = '-';
	memcpy(out + 24, hex + 20, 12);
	return str_make(out, UUID_LEN);
}

/* 1 to 128 of [A-Za-z0-9._-]: safe in logs, pages, shells and names. */
static bool
is_id(struct str s)
{
	unsigned char	c;

	for (size_t i = 0; i < s.n; i++) {
		c = (unsigned char)s.p[i];
		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') &&
		    (c < '0' || c > '9') && c != '.' && c != '_' && c != '-')
			return false;
	}
	return s.n > 0 && s.n <= ID_MAX;
}

/* What a trusted proxy says, if it says one thing. */
static struct str
given_id(const struct exchange *x)
{
	const struct hdrs	*hs = &x->req->hdrs;
	struct str		 id = STR("");

	for (size_t i = 0; i < hs->n; i++) {
		if (hs->v[i].id != HDR_X_REQUEST_ID ||
		    (hs->v[i].flags & HDR_F_DEAD) != 0)
			continue;
		if (id.n > 0 || !is_id(hs->v[i].val))
			return STR("");
		id = hs->v[i].val;
	}
	return id;
}

static struct str
choose_id(struct exchange *x, const struct settings_log *l)
{
	struct str	id;

	if (x->serve->only != NULL)
		return make_id(x);
	if (!l->ids)
		return STR("");
	id = given_id(x);
	return id.n > 0 && x->trusted ? id : make_id(x);
}

/* The name is of the connection, which may go before the record. */
static void
fill_tls(struct exchange *x)
{
	const SSL	*ssl = conn_tls(x->conn);

	if (ssl == NULL)
		return;
	x->acc.str[ACCESS_TLS] = tls_version(ssl);
	x->acc.str[ACCESS_CIPHER] = tls_cipher(ssl);
	x->acc.str[ACCESS_SNI] = arena_dup(x->arena, tls_sni(ssl));
	x->acc.num[ACCESS_TLS_RESUMED] = SSL_session_reused(ssl) == 1;
	identity_note(x);
}

static void
fill_access(struct exchange *x)
{
	struct access		*a = &x->acc;
	const struct msg	*m = x->req;

	/* by the clock of the day, as the loop has it beside the other */
	a->num[ACCESS_TIME] = ev_wall_ms(x->serve->ev) -
	    ev_ms(x->serve->ev) + x->client->begun_ns / 1000000;
	a->str[ACCESS_ID] = x->id;
	a->num[ACCESS_CLIENT_PORT] = a->peer.port;
	a->str[ACCESS_LISTENER] = arena_dup(x->arena,
	    x->conn->listener->name);
	/* a head that was never read has no version */
	if (m->method.n > 0) {
		a->str[ACCESS_VERSION] = msg_version(m);
		a->str[ACCESS_SCHEME] = exchange_scheme(x);
	}
	if (x->conn->raw) {
		a->str[ACCESS_VERSION] = STR("");
		a->str[ACCESS_SCHEME] = STR("tls");
		a->str[ACCESS_SNI] = m->authority;
	}
	fill_tls(x);
	a->str[ACCESS_METHOD] = m->method;
	a->str[ACCESS_HOST] = m->authority;
	a->str[ACCESS_TARGET] = m->target;
	a->str[ACCESS_REFERER] = hdr_val(&m->hdrs, HDR_REFERER);
	a->str[ACCESS_USER_AGENT] = hdr_val(&m->hdrs, HDR_USER_AGENT);
	if (self != NULL)
		a->num[ACCESS_WORKER] = self->index;
}

/* What nobody is to read stands in no record. */
static void
redact(struct exchange *x, const struct log_conf *c)
{
	struct str	*v = x->acc.str;

	v[ACCESS_TARGET] = log_redact(c, x->arena, v[ACCESS_TARGET]);
	v[ACCESS_REFERER] = log_redact(c, x->arena, v[ACCESS_REFERER]);
}

static void
open_flight(struct exchange *x)
{
	struct board_flight	*f = flight_take();
	struct flight_text	 t = { x->id, x->req->method,
	    x->req->authority, x->acc.str[ACCESS_TARGET] };

	if (f != NULL) {
		f->begun_ms = x->acc.num[ACCESS_TIME];
		memcpy(f->ip, x->acc.peer.ip, sizeof(f->ip));
		f->port = x->acc.peer.port;
		f->family = x->acc.peer.family;
		flight_set(f, &t);
	}
	flight_open(f);
	x->flight = f;
}

/* A request of a process that has no configuration yet. */
static void
begin_bare(struct exchange *x)
{
	x->id = make_id(x);
	x->lc.ids.request = x->id;
	x->acc.peer = x->conn->peer;
	x->secure = conn_is_secure(x->conn);
	fill_access(x);
	if (x->serve->only == NULL)
		open_flight(x);
}

/*
 * Who asks is known before the first line about the request.  A trusted
 * proxy says by what scheme its client came: by a field, else by the target.
 */
static void
find_client(struct exchange *x)
{
	const struct settings	*s = settings_get(x->gen->conf);
	bool			 own, secure;

	own = conn_is_secure(x->conn) || x->conn->by_tls;
	secure = x->req->scheme.n > 0 ?
	    str_eq(x->req->scheme, STR("https")) : own;

	x->client_field = (uint8_t)s->client_field;
	x->trusted = client_find(&s->trusted,
	    (enum client_field)s->client_field, &x->req->hdrs,
	    &x->conn->peer, &x->acc.peer, &secure);
	x->secure = x->trusted ? secure : own;
}

void
exchange_begin(struct exchange *x)
{
	struct gen			*g = x->serve->gens->cur;
	const struct settings_log	*l;
	const struct log_conf		*c;

	if (x->begun)
		return;
	x->begun = true;
	if (g == NULL) {
		begin_bare(x);
		return;
	}
	x->gen = gen_ref(g);
	l = settings_log(g->conf);
	c = log_conf_of(l);
	find_client(x);
	x->id = choose_id(x, l);
	x->lc.ids.request = x->id;
	fill_access(x);
	redact(x, c);
	x->acc.num[ACCESS_GENERATION] = g->number;
	/* what asks the control API is no traffic */
	if (x->serve->only == NULL)
		open_flight(x);
	x->log_it = l->access && x->serve->only == NULL;
	x->log_block = l->overflow != 0;
	x->log_sample = (uint32_t)c->sample;
}

void
exchange_drop_gen(struct exchange *x)
{
	if (x->gen == NULL || (x->route != NULL && x->route->chain != NULL))
		return;
	x->route = NULL;
	gen_unref(x->serve->gens, &x->gen);
}

/* --- the end --- */

static void
count_static(unsigned status)
{
	stat_add(STAT_STATIC_REQUESTS, 1);
	if (status == 200 || status == 206 || status == 304)
		stat_add(STAT_STATIC_SERVED, 1);
	else if (status == 404)
		stat_add(STAT_STATIC_NOT_FOUND, 1);
	else if (status >= 500)
		stat_add(STAT_STATIC_ERRORS, 1);
}

static void
count_fail(const struct exchange *x)
{
	struct last_who	who = { .id = x->id,
	    .upstream = x->acc.str[ACCESS_UPSTREAM],
	    .server = x->acc.str[ACCESS_SERVER] };

	stat_add(STAT_FAIL(x->fail), 1);
	last_note(x->fail, &who, ev_wall_ms(x->serve->ev));
}

static void
count(struct exchange *x)
{
	static const enum stat_id	classes[] = { STAT_STATUS_2XX,
		STAT_STATUS_3XX, STAT_STATUS_4XX, STAT_STATUS_5XX };
	unsigned			c;

	c = (unsigned)x->acc.num[ACCESS_STATUS] / 100;
	if (c >= 2 && c <= 5)
		stat_add(classes[c - 2], 1);
	if (x->req->major == 2)
		stat_add(STAT_REQUESTS_H2, 1);
	if (x->fail != FAIL_NONE && !x->error_page)
		stat_add(STAT_ABORTED, 1);
	if (x->fail != FAIL_NONE)
		count_fail(x);
	if (str_eq(x->acc.str[ACCESS_HANDLER], STR("static")))
		count_static((unsigned)x->acc.num[ACCESS_STATUS]);
	stat_add(STAT_BYTES_IN, x->acc.num[ACCESS_BYTES_IN]);
	stat_add(STAT_BYTES_OUT, x->acc.num[ACCESS_BYTES_OUT]);
}

/*
 * [log] overflow = block: waits for the logger, which is what was asked
 * for, and goes on beating, for this is no hang.
 */
static void
wait_room(struct board *b)
{
	static const struct timespec	nap = { .tv_nsec = NAP_NS };

	while (b->ring.size - ring_used(&b->ring) < 4 * RECORD_MAX &&
	    b->ring.size > 8 * RECORD_MAX) {
		atomic_store_explicit(&b->slot->beat_ms,
		    ev_clock_ns() / 1000000, memory_order_relaxed);
		nanosleep(&nap, NULL);
	}
}

static void
put_record(struct exchange *x)
{
	struct board	*b = board_self();
	size_t		 n;

	if (b != NULL && log_wants(x)) {
		if (x->log_block)
			wait_room(b);
		if (access_put(&b->ring, &x->acc, &n)) {
			flight_closing(x->flight, ring_pos(&b->ring));
			ring_commit(&b->ring, n);
			stat_add(STAT_LOG_RECORDS, 1);
		}
	}
	flight_close(x->flight);
	x->flight = NULL;
}

void
exchange_end(struct exchange *x)
{
	struct access	*a = &x->acc;

	if (x->counted)
		return;
	/* A stream that died before its first wake has not begun yet. */
	exchange_begin(x);
	x->counted = true;
	a->num[ACCESS_BYTES_IN] = x->client->got;
	a->num[ACCESS_BYTES_OUT] = x->client->sent + x->client->queued;
	a->num[ACCESS_DURATION] =
	    (ev_clock_ns() - x->client->begun_ns) / 1000;
	a->str[ACCESS_FAIL] = str_from(fail_row(x->fail)->name);
	if (x->serve->only == NULL) {
		error_grpc_count(x);
		count(x);
		put_record(x);
	}
	chain_done(x);
}
