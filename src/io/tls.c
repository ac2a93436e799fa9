/*
 * TLS over a socket.  Workers.
 *
 * OpenSSL's wire is a BIO of ours.  Reads go straight to the socket, with
 * OpenSSL's read-ahead, so that one call takes the head and the body of
 * many records.  A read that was short has emptied the socket: until the
 * next event OpenSSL is told so without the kernel being asked again.
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
#include "io/tls_int.h"

#define TICKET_MS	3		/* in which the answer takes it along */
#define TURN_COST	(512 * 1024)	/* of a connection in one turn */
#define RECORD_COST	256		/* of each record, beside its bytes */
/* messages without data before it ends; bytes of data for another one */
#define TALK_MAX	64
#define TALK_BYTES	1024

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
		tls_send_out(t, IO_MORE, &put);
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

/* --- what a handshake left --- */

/* What a handshake left, if no write has taken it along. */
static void
on_late(struct ev_task *task)
{
	struct tls	*t = container_of(task, struct tls, late);

	if (t->nleft > 0)
		(void)tls_send_all(t);
}

static void
on_ticket(struct timer *timer)
{
	on_late(&container_of(timer, struct tls, ticket)->late);
}

/* --- OpenSSL's answers --- */

void
tls_begin(void)
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

enum io_rc
tls_judge(struct tls *t, int rc)
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
	t->io->fd.ready |= (uint8_t)(IO_R | t->gone);
	t->gone = 0;
	t->io->on(t->io, IO_R);
}

/*
 * False: its share of this turn is used up, and it goes on in the next, with
 * the end of the connection if there is one: something stands before it.
 */
static bool
has_turn(struct tls *t)
{
	uint64_t	turn = ev_counts(t->io->ev)->turns;

	if (t->turn != turn)
		t->cost = 0;
	t->turn = turn;
	if (t->cost < TURN_COST)
		return true;
	t->gone |= t->io->fd.ready & IO_GONE;
	t->io->fd.ready &= (uint8_t)~IO_GONE;
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
	struct tls	*t = tls_of(io);
	enum io_rc	 rc = IO_OK;
	size_t		 at, k;

	tls_begin();
	for (int i = 0; i < n && rc == IO_OK; i++)
		for (at = 0; at < v[i].iov_len && rc == IO_OK; at += k) {
			k = 0;
			if (t->failed)
				rc = t->eof ? IO_EOF : IO_ERR;
			else if (!has_turn(t))
				rc = IO_AGAIN;
			else if (SSL_read_ex(t->ssl, (char *)v[i].iov_base +
			    at, v[i].iov_len - at, &k) != 1)
				rc = tls_judge(t, 0);
			count_read(t, k);
			*got += k;
		}
	if (t->room->n > 0)
		(void)tls_send_all(t);
	if (rc == IO_EOF)
		rc = judge_end(t);
	hold(t, rc);
	return *got > 0 ? IO_OK : rc;
}

static enum io_rc
tls_shutdown(struct io *io)
{
	struct tls	*t = tls_of(io);

	tls_say_end(t);
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
	struct tls	*t = tls_of(io);

	if (!reset)
		tls_say_end(t);
	take_off(t);
	io->ops->close(io, reset);
}

static size_t
tls_unsent(const struct io *io)
{
	const struct tls	*t = tls_of(io);

	return t->nleft + (t->below->unsent == NULL ? 0 :
	    t->below->unsent(io));
}

/* Tickets may come at any time; they are read, and say nothing. */
static bool
tls_quiet(struct io *io)
{
	struct tls	*t = tls_of(io);
	enum io_rc	 rc = IO_EOF;
	size_t		 n;
	char		 c;

	tls_begin();
	io->fd.ready |= IO_R;
	if (!tls_is_done(t))
		rc = SSL_peek_ex(t->ssl, &c, 1, &n) == 1 ? IO_OK :
		    tls_judge(t, 0);
	/* an alert that answers a HelloRequest */
	if (t->room->n > 0)
		(void)tls_send_all(t);
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
	tls_keep_rest(t, 0);
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
	struct tls	*t = tls_of(io);
	enum io_rc	 rc;
	int		 done;

	must(t->room->n == 0);
	tls_begin();
	if (tls_is_done(t))
		return IO_ERR;
	done = SSL_do_handshake(t->ssl);
	if (done == 1)
		return finish(t);
	rc = end_first(t, tls_judge(t, done));
	if (!tls_send_all(t) && t->broken)
		return IO_ERR;
	if (rc != IO_AGAIN)
		return rc;
	return io_watch(io) == 0 ? IO_AGAIN : IO_ERR;
}

bool
tls_off(struct io *io)
{
	struct tls	*t = tls_of(io);

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
	return io->caps & IO_C_SECURE ? tls_of(io)->ssl : NULL;
}

const struct tls_error *
tls_error(const struct io *io)
{
	return &tls_of(io)->error;
}
