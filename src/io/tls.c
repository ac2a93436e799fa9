/*
 * TLS over a socket.  Workers.
 *
 * OpenSSL's wire is a BIO of ours.  Reads go straight to the socket, with
 * OpenSSL's read-ahead, so that one call takes the head and the body of
 * many records.  A read that was short has emptied the socket: until the
 * next event OpenSSL is told so without the kernel being asked again.
 *
 * Writes are gathered in the room.  When OpenSSL is done, all leaves in one
 * call; what the kernel did not take is moved to the connection (left) and
 * goes first next time.  Plain bytes whose records are not wholly with the
 * kernel are not reported: the owner brings them again, and as many are
 * skipped (ahead).  So nobody above takes bytes for sent that are not, and
 * a connection that is broken off ends within a record.
 *
 * The bits of readiness are those of the wire.  What OpenSSL holds no
 * event tells of: io.held does.
 *
 * Owners bound what they take of a connection in a turn by its plain bytes.
 * A record costs far more than its bytes if these are few, and what hands
 * out none, such as a KeyUpdate, they do not see: both are bounded here.
 */
#include "io/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/must.h"

#define RECORD		16384		/* plain bytes of one */
#define RECORD_WIRE	(RECORD + 512)	/* with head, tag and padding */
#define RECORDS		4		/* of one write */
#define TICKET_MS	3		/* in which the answer takes it along */
#define SPARE		16384		/* of handshakes, beside them */
#define OUT_MAX		(RECORDS * RECORD_WIRE + SPARE)

#define TURN_COST	(512 * 1024)	/* of a connection in one turn */
#define RECORD_COST	256		/* of each record, beside its bytes */
/* messages without data before it ends; bytes of data for another one */
#define TALK_MAX	64
#define TALK_BYTES	1024

/* a record that was made and is not yet reported */
struct made {
	size_t		plain;
	size_t		end;		/* in what is to be sent */
};

struct tls_room {
	BIO_METHOD	*meth;		/* own */
	size_t		 n;		/* bytes of out */
	unsigned	 nmade;
	struct made	 made[RECORDS];
	char		 plain[RECORD];
	char		 out[OUT_MAX];
};

struct tls {
	struct io_ops		 ops;	/* io.ops points here */
	const struct io_ops	*below;	/* const: of the socket */
	struct io		*io;	/* ref */
	struct tls_room		*room;	/* ref */
	SSL			*ssl;	/* own */
	struct str		 first;	/* of the room, while shaking */
	char			*left;	/* own: nleft bytes not yet sent */
	size_t			 nleft;
	size_t			 ahead;	/* plain bytes of them */
	struct ev_task		 late;	/* sends what a handshake left */
	struct timer		 ticket; /* the same, if that is a ticket */
	struct ev_task		 again;	/* reads on in another turn */
	uint64_t		 turn;	/* of the loop, that cost is of */
	uint32_t		 cost;
	uint32_t		 talk;	/* TALK_BYTES for each message */
	struct tls_error	 error;
	bool			 eof:1;	/* it has ended */
	bool			 broken:1;	/* so is the socket */
	bool			 failed:1;	/* OpenSSL is done with it */
	bool			 up:1;	/* the handshake is through */
	bool			 ended:1;	/* close_notify was made */
};

static struct tls *
of(const struct io *io)
{
	return container_of((struct io_ops *)(uintptr_t)io->ops, struct tls,
	    ops);
}

/* --- the wire, as OpenSSL sees it --- */

static int
wire_read(BIO *b, char *p, int n)
{
	struct tls	*t = BIO_get_data(b);
	struct iovec	 v = { p, (size_t)n };
	size_t		 got = 0;
	uint8_t		*ready = &t->io->fd.ready;
	enum io_rc	 rc = IO_AGAIN;

	BIO_clear_retry_flags(b);
	if (t->talk > TALK_MAX * TALK_BYTES) {
		ERR_raise(ERR_LIB_SSL, SSL_R_TOO_MANY_KEY_UPDATES);
		return -1;
	}
	if (t->first.n > 0) {
		got = t->first.n < v.iov_len ? t->first.n : v.iov_len;
		memcpy(p, t->first.p, got);
		t->first = str_sub(t->first, got, t->first.n);
		return (int)got;
	}
	if ((*ready & IO_R) && !t->eof)
		rc = t->below->readv(t->io, &v, 1, &got);
	if (rc == IO_OK) {
		/* an end that is known already is not told again */
		if (got < v.iov_len && (*ready & IO_GONE) == 0)
			*ready &= (uint8_t)~IO_R;
		return (int)got;
	}
	if (rc == IO_EOF)
		t->eof = true;
	if (t->eof)
		return 0;
	if (rc != IO_AGAIN)
		return -1;
	*ready &= (uint8_t)~IO_R;
	BIO_set_retry_read(b);
	return -1;
}

static bool	send_out(struct tls *, unsigned flags, size_t *room_put);

/*
 * It never has to be asked again: what is too much for the room goes out
 * early, or is kept.  Nobody makes a peer that reads nothing answer for
 * ever.
 */
static int
wire_write(BIO *b, const char *p, int n)
{
	struct tls	*t = BIO_get_data(b);
	struct tls_room	*room = t->room;
	size_t		 put;

	BIO_clear_retry_flags(b);
	if (OUT_MAX < n || t->nleft > OUT_MAX)
		return -1;
	if (OUT_MAX - room->n < (size_t)n)
		send_out(t, IO_MORE, &put);
	if (t->broken)
		return -1;
	memcpy(room->out + room->n, p, (size_t)n);
	room->n += (size_t)n;
	return n;
}

static long
wire_ctrl(BIO *b, int cmd, long num, void *p)
{
	const struct tls	*t = BIO_get_data(b);

	(void)num;
	(void)p;
	if (cmd == BIO_CTRL_EOF)
		return t != NULL && t->eof;
	return cmd == BIO_CTRL_FLUSH;
}

static int
wire_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

/* --- the room --- */

struct tls_room *
tls_room_new(void)
{
	struct tls_room	*room = must_alloc(sizeof(*room));

	room->n = 0;
	room->nmade = 0;
	room->meth = BIO_meth_new(BIO_TYPE_SOURCE_SINK |
	    BIO_get_new_index(), "io");
	must(room->meth != NULL &&
	    BIO_meth_set_read(room->meth, wire_read) == 1 &&
	    BIO_meth_set_write(room->meth, wire_write) == 1 &&
	    BIO_meth_set_ctrl(room->meth, wire_ctrl) == 1 &&
	    BIO_meth_set_create(room->meth, wire_create) == 1);
	return room;
}

void
tls_room_free(struct tls_room **room)
{
	if (*room == NULL)
		return;
	BIO_meth_free((*room)->meth);
	OPENSSL_cleanse((*room)->plain, sizeof((*room)->plain));
	free(*room);
	*room = NULL;
}

enum io_rc
tls_first(struct tls_room *room, struct io *io, struct str *bytes)
{
	struct iovec	v = { room->plain, sizeof(room->plain) };
	size_t		got;
	enum io_rc	rc;

	rc = io_readv(io, &v, 1, &got);
	*bytes = str_make(room->plain, got);
	return rc;
}

/* --- what is to be sent --- */

/* What of left and the room is not with the kernel stays as left. */
static void
keep_rest(struct tls *t, size_t put)
{
	struct tls_room	*room = t->room;
	size_t		 gone = put < t->nleft ? put : t->nleft;
	size_t		 rest = room->n - (put - gone);

	t->nleft -= gone;
	if (t->nleft == 0 && rest == 0) {
		free(t->left);
		t->left = NULL;
		return;
	}
	if (gone > 0)
		memmove(t->left, t->left + gone, t->nleft);
	if (rest == 0)
		return;
	t->left = must_realloc(t->left, t->nleft + rest);
	memcpy(t->left + t->nleft, room->out + room->n - rest, rest);
	t->nleft += rest;
}

/*
 * Sends what is left from before and what the room has; true if all went.
 * *room_put: bytes of the room's.
 */
static bool
send_out(struct tls *t, unsigned flags, size_t *room_put)
{
	struct tls_room	*room = t->room;
	struct iovec	 v[2] = { { t->left, t->nleft },
			    { room->out, room->n } };
	size_t		 all = t->nleft + room->n, put = 0, first = t->nleft;
	enum io_rc	 rc;

	*room_put = 0;
	if (all == 0 || t->broken) {
		room->n = 0;
		return !t->broken;
	}
	ev_timer_off(t->io->ev, &t->ticket);
	rc = t->below->writev(t->io, &v[first == 0],
	    first == 0 || room->n == 0 ? 1 : 2, flags, &put);
	if (rc == IO_ERR)
		t->broken = t->failed = true;
	if (put > first)
		*room_put = put - first;
	keep_rest(t, put);
	room->n = 0;
	return put == all;
}

/* The same for what nobody waits for; events tell when more may go. */
static bool
send_all(struct tls *t)
{
	size_t	put;

	if (send_out(t, 0, &put))
		return true;
	if (t->broken)
		return false;
	t->io->fd.ready &= (uint8_t)~IO_W;
	t->broken = io_watch_writes(t->io) == -1;
	return false;
}

/* What a handshake left, if no write has taken it along. */
static void
on_late(struct ev_task *task)
{
	struct tls	*t = container_of(task, struct tls, late);

	if (t->nleft > 0)
		(void)send_all(t);
}

static void
on_ticket(struct timer *timer)
{
	on_late(&container_of(timer, struct tls, ticket)->late);
}

/* --- OpenSSL's answers --- */

/* What others left in its queue would be taken for this connection's. */
static void
begin(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

static void
note_error(struct tls *t)
{
	unsigned long	code = ERR_peek_error();
	int		reason = ERR_GET_REASON(code);

	t->failed = true;
	if (t->error.code == 0)
		t->error.code = code;
	if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    reason >= SSL_AD_REASON_OFFSET)
		t->error.alert = reason - SSL_AD_REASON_OFFSET;
	if (t->io->error == 0)
		t->io->error = EPROTO;
	ERR_clear_error();
}

/* What OpenSSL's answer means; it has failed unless it waits. */
static enum io_rc
judge(struct tls *t, int rc)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
	case SSL_ERROR_WANT_X509_LOOKUP:
	case SSL_ERROR_WANT_CLIENT_HELLO_CB:
		return IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return IO_EOF;
	default:
		break;
	}
	if (t->eof && ERR_peek_error() == 0) {
		t->failed = true;
		return IO_EOF;
	}
	note_error(t);
	return IO_ERR;
}

/* --- reading --- */

/*
 * A client that ends without close_notify has mostly just gone, and its
 * requests have lengths; an answer that ends so may be cut short.
 */
static enum io_rc
judge_end(struct tls *t)
{
	if (!t->eof || SSL_is_server(t->ssl))
		return IO_EOF;
	t->io->error = ECONNRESET;
	return IO_ERR;
}

/* What came behind the bytes of this read, be it the end, is for the next. */
static void
hold(struct tls *t, enum io_rc rc)
{
	t->io->held = rc == IO_OK ? SSL_has_pending(t->ssl) == 1 :
	    rc != IO_AGAIN;
	if (rc == IO_EOF)
		t->io->fd.ready |= EV_RDHUP;
}

/*
 * What is no data but a handshake's message or an alert, be it ours that
 * answers one; only behind the handshake.
 */
static void
on_message(int ours, int version, int type, const void *buf, size_t n,
    SSL *ssl, void *arg)
{
	struct tls	*t = arg;

	(void)version, (void)buf, (void)n, (void)ssl;
	if (type == SSL3_RT_ALERT || (type == SSL3_RT_HANDSHAKE && !ours))
		t->talk += TALK_BYTES;
}

/* As an event would: what is left of the turn before is still there. */
static void
on_again(struct ev_task *task)
{
	struct tls	*t = container_of(task, struct tls, again);

	if (t->turn == ev_counts(t->io->ev)->turns) {
		ev_post(t->io->ev, EV_READY, &t->again);
		return;
	}
	t->io->fd.ready |= IO_R;
	t->io->on(t->io, IO_R);
}

/* False: its share of this turn is used up, and it goes on in the next. */
static bool
has_turn(struct tls *t)
{
	uint64_t	turn = ev_counts(t->io->ev)->turns;

	if (t->turn != turn)
		t->cost = 0;
	t->turn = turn;
	if (t->cost < TURN_COST)
		return true;
	ev_post(t->io->ev, EV_READY, &t->again);
	return false;
}

static void
count_read(struct tls *t, size_t n)
{
	t->cost += (uint32_t)n + RECORD_COST;
	t->talk -= n < t->talk ? (uint32_t)n : t->talk;
}

static enum io_rc
tls_readv(struct io *io, const struct iovec *v, int n, size_t *got)
{
	struct tls	*t = of(io);
	enum io_rc	 rc = IO_OK;
	size_t		 at, k;

	begin();
	for (int i = 0; i < n && rc == IO_OK; i++)
		for (at = 0; at < v[i].iov_len && rc == IO_OK; at += k) {
			k = 0;
			if (t->failed)
				rc = t->eof ? IO_EOF : IO_ERR;
			else if (!has_turn(t))
				rc = IO_AGAIN;
			else if (SSL_read_ex(t->ssl, (char *)v[i].iov_base +
			    at, v[i].iov_len - at, &k) != 1)
				rc = judge(t, 0);
			count_read(t, k);
			*got += k;
		}
	if (t->room->n > 0)
		(void)send_all(t);
	if (rc == IO_EOF)
		rc = judge_end(t);
	hold(t, rc);
	return *got > 0 ? IO_OK : rc;
}

/* --- the end, and writing --- */

/* Nothing follows, unless something before it is missing. */
static void
make_end(struct tls *t)
{
	if (!t->up || t->failed || t->ended || t->ahead > 0)
		return;
	t->ended = true;
	if (SSL_shutdown(t->ssl) < 0)
		ERR_clear_error();
}

/* The pieces that are to be written, as far as one has come. */
struct walk {
	const struct iovec	*v;
	int			 n;
	size_t			 at;		/* in *v */
};

static void
skip(struct walk *w, size_t n)
{
	size_t	left;

	while (w->n > 0 && n >= (left = w->v->iov_len - w->at)) {
		n -= left;
		w->at = 0;
		w->v++;
		w->n--;
	}
	w->at += w->n > 0 ? n : 0;
}

static size_t
count_left(const struct walk *w)
{
	size_t	sum = 0;

	for (int i = 0; i < w->n; i++)
		sum += w->v[i].iov_len;
	return sum - w->at;
}

/*
 * The next record's bytes: put together in the room, or where they lie, if
 * that is a good part of one.
 */
static struct str
next_record(struct tls_room *room, struct walk *w)
{
	struct str	s = STR_NONE;
	size_t		n, sum = 0;

	skip(w, 0);
	if (w->n == 0)
		return s;
	s = str_make((char *)w->v->iov_base + w->at, w->v->iov_len - w->at);
	if (s.n >= RECORD / 2 || w->n == 1) {
		s = str_sub(s, 0, RECORD);
		skip(w, s.n);
		return s;
	}
	while (w->n > 0 && sum < RECORD) {
		n = w->v->iov_len - w->at;
		n = n < RECORD - sum ? n : RECORD - sum;
		memcpy(room->plain + sum, (char *)w->v->iov_base + w->at, n);
		sum += n;
		skip(w, n);
	}
	return str_make(room->plain, sum);
}

/* Makes records in the room; false: OpenSSL fails. */
static bool
make_records(struct tls *t, struct walk *w)
{
	struct tls_room	*room = t->room;
	struct str	 s;
	size_t		 k;

	room->nmade = 0;
	while (room->nmade < RECORDS) {
		s = next_record(room, w);
		if (s.n == 0)
			return true;
		if (SSL_write_ex(t->ssl, s.p, s.n, &k) != 1) {
			(void)judge(t, 0);
			return false;
		}
		must(k == s.n);
		room->made[room->nmade++] = (struct made){ k, room->n };
	}
	return true;
}

/*
 * Of what was made so much is with the kernel; the rest is to be brought
 * again, and then skipped.
 */
static size_t
count_sent(struct tls *t, size_t room_put, bool all)
{
	const struct tls_room	*room = t->room;
	size_t			 sent = 0, sum = 0;

	for (unsigned i = 0; i < room->nmade; i++) {
		sum += room->made[i].plain;
		if (all || room->made[i].end <= room_put)
			sent = sum;
	}
	t->ahead = sum - sent;
	return sent;
}

/* Those whose records are made already; false: they still wait. */
static bool
send_ahead(struct tls *t, struct walk *w, unsigned flags, size_t *put)
{
	size_t	n, ignore;

	if (t->ahead == 0)
		return true;
	if (!send_out(t, flags, &ignore))
		return false;
	n = count_left(w);
	*put = t->ahead < n ? t->ahead : n;
	skip(w, *put);
	t->ahead = 0;
	return true;
}

static enum io_rc
tls_writev(struct io *io, const struct iovec *v, int n, unsigned flags,
    size_t *put)
{
	struct tls	*t = of(io);
	struct walk	 w = { v, n, 0 };
	size_t		 room_put;
	bool		 all;

	must(t->room->n == 0);
	begin();
	if (!t->failed && !send_ahead(t, &w, flags, put))
		return t->failed ? IO_ERR : IO_AGAIN;
	if (t->failed || !make_records(t, &w)) {
		t->room->n = 0;
		return *put > 0 ? IO_OK : IO_ERR;
	}
	if (count_left(&w) > 0)
		flags |= IO_MORE;
	else if (flags & IO_LAST)
		make_end(t);
	all = send_out(t, flags, &room_put);
	*put += count_sent(t, room_put, all);
	if (*put > 0)
		return IO_OK;
	return t->failed ? IO_ERR : IO_AGAIN;
}

static void
say_end(struct tls *t)
{
	if (t->ended)
		return;
	begin();
	make_end(t);
	(void)send_all(t);
}

static enum io_rc
tls_shutdown(struct io *io)
{
	struct tls	*t = of(io);

	say_end(t);
	return t->below->shutdown(io);
}

static void
take_off(struct tls *t)
{
	ev_cancel(&t->late);
	ev_timer_off(t->io->ev, &t->ticket);
	ev_cancel(&t->again);
	t->io->ops = t->below;
	SSL_free(t->ssl);
	free(t->left);
	free(t);
}

static void
tls_close(struct io *io, bool reset)
{
	struct tls	*t = of(io);

	if (!reset)
		say_end(t);
	take_off(t);
	io->ops->close(io, reset);
}

static size_t
tls_unsent(const struct io *io)
{
	const struct tls	*t = of(io);

	return t->nleft + (t->below->unsent == NULL ? 0 :
	    t->below->unsent(io));
}

/* Tickets may come at any time; they are read, and say nothing. */
static bool
tls_quiet(struct io *io)
{
	struct tls	*t = of(io);
	enum io_rc	 rc = IO_EOF;
	size_t		 n;
	char		 c;

	begin();
	io->fd.ready |= IO_R;
	if (!t->failed)
		rc = SSL_peek_ex(t->ssl, &c, 1, &n) == 1 ? IO_OK :
		    judge(t, 0);
	/* an alert that answers a HelloRequest */
	if (t->room->n > 0)
		(void)send_all(t);
	hold(t, rc);
	return rc == IO_AGAIN;
}

static const struct io_ops tls_ops = {
	.name = "tls",
	.readv = tls_readv,
	.writev = tls_writev,
	.shutdown = tls_shutdown,
	.close = tls_close,
	.unsent = tls_unsent,
	.quiet = tls_quiet
};

/* --- the layer --- */

void
tls_open(struct io *io, struct tls_room *room, SSL *ssl, struct str first)
{
	struct tls	*t = must_calloc(1, sizeof(*t));
	BIO		*b = BIO_new(room->meth);

	must(b != NULL && io->open);
	t->ops = tls_ops;
	t->below = io->ops;
	t->io = io;
	t->room = room;
	t->ssl = ssl;
	t->first = first;
	t->error.alert = -1;
	ev_task_init(&t->late, on_late);
	timer_init(&t->ticket, on_ticket);
	ev_task_init(&t->again, on_again);
	BIO_set_data(b, t);
	SSL_set_bio(ssl, b, b);
	SSL_set_read_ahead(ssl, 1);
	SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_IGNORE_UNEXPECTED_EOF);
	io->ops = &t->ops;
	io->caps &= (uint8_t)~(IO_C_SPLICE | IO_C_SENDFILE);
	io->caps |= IO_C_SECURE;
	ERR_clear_error();
}

/* OpenSSL may not have taken all that was read: the room is for others. */
static enum io_rc
end_first(struct tls *t, enum io_rc rc)
{
	if (t->first.n == 0 || rc != IO_AGAIN)
		return rc;
	t->failed = true;
	t->io->error = EPROTO;
	return IO_ERR;
}

/*
 * What its last flight is goes with the first write, or on_late sends it.
 * Of TLS 1.3 that is a ticket, for which nobody waits: the request may come
 * in a packet of its own, and a call is saved then.
 */
static enum io_rc
finish(struct tls *t)
{
	t->up = true;
	SSL_set_msg_callback(t->ssl, on_message);
	SSL_set_msg_callback_arg(t->ssl, t);
	t->io->held = SSL_has_pending(t->ssl) == 1;
	keep_rest(t, 0);
	t->room->n = 0;
	if (t->nleft > 0 && SSL_is_server(t->ssl) &&
	    SSL_version(t->ssl) == TLS1_3_VERSION)
		ev_timer(t->io->ev, &t->ticket, TICKET_MS);
	else if (t->nleft > 0)
		ev_post(t->io->ev, EV_FREE, &t->late);
	return IO_OK;
}

enum io_rc
tls_shake(struct io *io)
{
	struct tls	*t = of(io);
	enum io_rc	 rc;
	int		 done;

	must(t->room->n == 0);
	begin();
	if (t->failed)
		return IO_ERR;
	done = SSL_do_handshake(t->ssl);
	if (done == 1)
		return finish(t);
	rc = end_first(t, judge(t, done));
	if (!send_all(t) && t->broken)
		return IO_ERR;
	if (rc != IO_AGAIN)
		return rc;
	return io_watch(io) == 0 ? IO_AGAIN : IO_ERR;
}

bool
tls_off(struct io *io)
{
	struct tls	*t = of(io);

	if (t->nleft > 0)
		return false;
	take_off(t);
	io->held = false;
	io->caps &= (uint8_t)~IO_C_SECURE;
	return true;
}

SSL *
tls_ssl(const struct io *io)
{
	return io->caps & IO_C_SECURE ? of(io)->ssl : NULL;
}

const struct tls_error *
tls_error(const struct io *io)
{
	return &of(io)->error;
}
