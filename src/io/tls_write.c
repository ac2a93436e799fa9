/*
 * TLS over a socket: what leaves.  Workers.
 *
 * Writes are gathered in the room.  When OpenSSL is done, all leaves in one
 * call; what the kernel did not take is moved to the connection (left) and
 * goes first next time.  Plain bytes whose records are not wholly with the
 * kernel are not reported: the owner brings them again, and as many are
 * skipped (ahead).  So nobody above takes bytes for sent that are not, and
 * a connection that is broken off ends within a record.
 */
#include "io/tls_int.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/must.h"

/* --- what is to be sent --- */

void
tls_keep_rest(struct tls *t, size_t put)
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

bool
tls_send_out(struct tls *t, unsigned flags, size_t *room_put)
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
		t->broken = true;
	if (put > first)
		*room_put = put - first;
	tls_keep_rest(t, put);
	room->n = 0;
	return put == all;
}

bool
tls_send_all(struct tls *t)
{
	size_t	put;

	if (tls_send_out(t, 0, &put))
		return true;
	if (t->broken)
		return false;
	t->io->fd.ready &= (uint8_t)~IO_W;
	t->broken = io_watch_writes(t->io) == -1;
	return false;
}

/* --- the end, and writing --- */

/* Nothing follows, unless something before it is missing. */
static void
make_end(struct tls *t)
{
	if (!t->up || tls_is_done(t) || t->ended || t->ahead > 0)
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
			(void)tls_judge(t, 0);
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
	if (!tls_send_out(t, flags, &ignore))
		return false;
	n = count_left(w);
	*put = t->ahead < n ? t->ahead : n;
	skip(w, *put);
	t->ahead = 0;
	return true;
}

enum io_rc
tls_writev(struct io *io, const struct iovec *v, int n, unsigned flags,
    size_t *put)
{
	struct tls	*t = tls_of(io);
	struct walk	 w = { v, n, 0 };
	size_t		 room_put;
	bool		 all;

	must(t->room->n == 0);
	tls_begin();
	if (!tls_is_done(t) && !send_ahead(t, &w, flags, put))
		return tls_is_done(t) ? IO_ERR : IO_AGAIN;
	if (tls_is_done(t) || !make_records(t, &w)) {
		t->room->n = 0;
		return *put > 0 ? IO_OK : IO_ERR;
	}
	if (count_left(&w) > 0)
		flags |= IO_MORE;
	else if (flags & IO_LAST)
		make_end(t);
	all = tls_send_out(t, flags, &room_put);
	*put += count_sent(t, room_put, all);
	if (*put > 0)
		return IO_OK;
	return tls_is_done(t) ? IO_ERR : IO_AGAIN;
}

void
tls_say_end(struct tls *t)
{
	if (t->ended)
		return;
	tls_begin();
	make_end(t);
	(void)tls_send_all(t);
}
