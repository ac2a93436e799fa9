/*
 * Retries: whether, when, and what is told of it.  Workers.
 *
 * An attempt that failed is followed by one at another server if all of
 * this holds: retry.on names the failure; retry.tries are not used up;
 * nothing of the request went to the server, or its method is idempotent;
 * the body is there as a whole; it would begin before the deadline; there
 * is a server that was not asked; and the upstream's budget has one left.
 * The budget is asked last, for what is taken of it is gone.
 *
 * The wait before it is a random part of retry.backoff, doubled with each
 * attempt (full jitter), the first retry and refused connections included:
 * when a server dies, all its requests fail at the same instant.  Servers
 * are chosen after the wait.  Two decisions are made while the attempt
 * still has its stream (redo): for a 503, whose body is read to its end so
 * that the connection serves again, and for a server that goes out of
 * service, where the next one is asked at once.
 */
#include "handler/proxy_retry.h"

#include <time.h>

#include "handler/proxy.h"
#include "http/date.h"
#include "http/grpc.h"
#include "up/server_use.h"
#include "up/state.h"

#define DROP_BYTES	16384	/* of an answer that nobody gets */
#define DROP_MS		50
#define SOON_S		1	/* Retry-After */
#define UNSEEN_MAX	8	/* times it is asked again, not looked at */
#define ANEW_MAX	32	/* times it chooses again, not even asked */

/* --- the decision --- */

/* The condition that a failure falls under; 0: none. */
static unsigned
condition(const struct retry_ask *a)
{
	switch (a->why) {
	case FAIL_GRPC_ERROR:
		return a->grpc;
	case FAIL_RESET_BEFORE_HEAD:
	case FAIL_RESET_IN_HEAD:
	case FAIL_SEND_ERROR:
	case FAIL_SERVER_RESET:
	case FAIL_SERVER_H2_PROTOCOL:
	case FAIL_SERVER_FLOOD:
	case FAIL_PING_TIMEOUT:
		return RETRY_ON_RESET;
	case FAIL_STREAM_REFUSED:
	case FAIL_SERVER_GOAWAY:
		return RETRY_ON_REFUSED;
	case FAIL_FIRST_BYTE_TIMEOUT:
	case FAIL_SEND_TIMEOUT:
		return RETRY_ON_FIRST_BYTE;
	case FAIL_SERVER_ERROR:
		return RETRY_ON_503;
	case FAIL_ATTEMPT_CUT:
		return ~0U;
	default:
		return (fail_row(a->why)->flags & FAIL_F_S) != 0 ?
		    RETRY_ON_CONNECT : 0;
	}
}

/*
 * An attempt that was cut is none of the tries: the request has done
 * nothing to a server that went out of service, and asks each but once.
 */
static bool
are_tries_made(const struct retry_conf *c, const struct retry_ask *a)
{
	return a->why == FAIL_ATTEMPT_CUT ? c->tries == 0 :
	    a->made >= (uint64_t)c->tries;
}

enum retry_no
proxy_retry_judge(const struct retry_conf *c, const struct retry_ask *a)
{
	bool	sent = a->sent && (fail_row(a->why)->flags & FAIL_F_S) == 0;

	if ((c->on & condition(a)) == 0)
		return RETRY_NO_COND;
	if (are_tries_made(c, a))
		return RETRY_NO_TRIES;
	/* who names a code says that such calls may be repeated */
	if (sent && a->why != FAIL_GRPC_ERROR && !msg_is_idempotent(a->meth))
		return RETRY_NO_METHOD;
	return a->lost ? RETRY_NO_BODY : RETRY_NO_OK;
}

uint64_t
proxy_retry_wait(const struct retry_conf *c, unsigned made, struct rand *r)
{
	uint64_t	most = c->backoff;

	while (made-- > 0 && most < c->backoff_max)
		most *= 2;
	if (most > c->backoff_max)
		most = c->backoff_max;
	return most == 0 ? 0 : rand_below(r, most);
}

static void
say_no(const struct proxy *p, enum retry_no no)
{
	static const char *const	texts[RETRY_NO_N] = {
		[RETRY_NO_COND] = "retry.on does not name it",
		[RETRY_NO_TRIES] = "retry.tries were made",
		[RETRY_NO_METHOD] = "the method is not idempotent",
		[RETRY_NO_BODY] = "its body was not kept",
		[RETRY_NO_TIME] = "the deadline is too near",
		[RETRY_NO_SERVER] = "no other server may be asked",
		[RETRY_NO_BUDGET] = "the budget is used up"
	};

	log_dbg(&p->x->lc, "no other attempt: %s", texts[no]);
}

/*
 * All of it, and one retry taken from the budget if nothing stands
 * against it.  wait: how long it is to wait first.
 */
static enum retry_no
decide(struct proxy *p, enum fail why, uint64_t wait)
{
	const struct retry_ask	a = { .why = why, .meth = p->req.meth,
		.sent = p->s != NULL ? p->s->sent > 0 : p->sent,
		.lost = proxy_keep_lost(p), .made = p->again.made,
		.grpc = p->again.grpc };
	enum retry_no		no;

	no = proxy_retry_judge(&p->again.conf, &a);
	if (no == RETRY_NO_OK && p->due_ms != 0 &&
	    ev_ms(p->x->serve->ev) + wait >= p->due_ms)
		no = RETRY_NO_TIME;
	if (no == RETRY_NO_OK && !upstream_any_left(p->up, &p->tried))
		no = RETRY_NO_SERVER;
	if (no == RETRY_NO_OK && !retry_take(p->up, p->again.refused)) {
		no = RETRY_NO_BUDGET;
		if (!p->again.refused)
			stat_add(STAT_UP_RETRIES_REFUSED, 1);
		p->again.refused = true;
	}
	if (no != RETRY_NO_OK) {
		say_no(p, no);
		return no;
	}
	p->again.made += why != FAIL_ATTEMPT_CUT;
	stat_add(STAT_UP_RETRIES, 1);
	return no;
}

static uint64_t
draw_wait(const struct proxy *p)
{
	return proxy_retry_wait(&p->again.conf, p->again.made,
	    &p->x->serve->rand);
}

/* --- the access record --- */

/* Since the time of the record, so that logs can be laid side by side. */
static uint64_t
since_begin_us(const struct proxy *p)
{
	uint64_t	begin = p->x->acc.num[ACCESS_TIME] * 1000;
	uint64_t	now;
	struct timespec	ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	return now > begin ? now - begin : 0;
}

void
proxy_retry_mark(struct proxy *p)
{
	p->again.at_us = since_begin_us(p);
}

/* Those before it, and this one; why: how it ended, FAIL_NONE: open. */
static struct str
add_try(const struct proxy *p, enum fail why)
{
	const struct str	*was = &p->again.tries;

	return arena_fmt(p->x->arena, "%.*s%s%.*s +%llu%s%s", STR_FMT(*was),
	    was->n > 0 ? ", " : "", STR_FMT(p->x->acc.str[ACCESS_SERVER]),
	    (unsigned long long)p->again.at_us,
	    why == FAIL_NONE ? "" : " ", fail_row(why)->name);
}

void
proxy_retry_begin(struct proxy *p)
{
	struct access	*acc = &p->x->acc;

	p->again.noted = false;
	p->again.redo = false;
	p->again.drop = false;
	p->again.last = acc->str[ACCESS_SERVER];
	p->again.last_us = acc->num[ACCESS_ATTEMPT];
	acc->num[ACCESS_ATTEMPTS]++;
	acc->num[ACCESS_ATTEMPT] = p->again.at_us;
	acc->str[ACCESS_SERVER] = arena_dup(p->x->arena, p->server->text);
	if (p->again.tries.n > 0)
		acc->str[ACCESS_TRIES] = add_try(p, FAIL_NONE);
	if (p->again.earned)
		return;
	p->again.earned = true;
	retry_earn(p->up, &p->again.conf);
}

/* The record is what it was before that. */
static void
unbegin(struct proxy *p)
{
	struct access	*acc = &p->x->acc;

	acc->num[ACCESS_ATTEMPTS]--;
	acc->num[ACCESS_ATTEMPT] = p->again.last_us;
	acc->str[ACCESS_SERVER] = p->again.last;
	acc->str[ACCESS_TRIES] = acc->num[ACCESS_ATTEMPTS] > 1 ?
	    p->again.tries : STR("");
}

static void
note(struct proxy *p, enum fail why)
{
	if (p->again.noted || p->server == NULL || why == FAIL_NONE)
		return;
	p->again.noted = true;
	p->again.tries = add_try(p, why);
	if (p->x->acc.num[ACCESS_ATTEMPTS] > 1)
		p->x->acc.str[ACCESS_TRIES] = p->again.tries;
}

void
proxy_retry_note(struct proxy *p)
{
	note(p, p->why);
}

/* --- what follows a failure --- */

/* The attempt is told of and over; the next one begins after the wait. */
static bool
go_on(struct proxy *p, uint64_t wait)
{
	attempt_end(&p->attempt);
	p->fresh = false;
	p->step = PROXY_PICK;
	if (wait > 0) {
		p->again.pause = true;
		ev_timer(p->x->serve->ev, &p->quiet, wait);
	}
	return true;
}

/* It fails for want of a retry; what led to it is its cause, and told so. */
static void
refuse(struct proxy *p)
{
	struct str	cause = proxy_cause(p);

	proxy_count(p, p->why);
	p->what = arena_fmt(p->x->arena, "%s%s%.*s", fail_row(p->why)->name,
	    cause.n > 0 ? ": " : "", STR_FMT(cause)).p;
	p->error = 0;
	p->told = false;
	p->why = FAIL_RETRY_BUDGET;
}

/* A server that ends all it accepts could have it go on for ever. */
bool
proxy_retry_anew(struct proxy *p)
{
	if (!p->wait.anew || p->again.anew == ANEW_MAX)
		return false;
	p->again.anew++;
	attempt_take_back(&p->attempt);
	unbegin(p);
	p->tried.n--;
	p->step = PROXY_PICK;
	return true;
}

/*
 * That it ends a connection says nothing of a server: the first time it is
 * chosen as if it had not been asked, so that sessions stay where they are.
 * One that refuses is full, and left for another only if that has room.
 */
static void
forget_asked(struct proxy *p)
{
	bool	ends = p->why == FAIL_SERVER_GOAWAY && p->again.unseen == 0;

	if (ends)
		attempt_return_probe(&p->attempt);
	if (ends || !queue_has_room(p->up, &p->tried))
		p->tried.n--;
}

bool
proxy_retry_unseen(struct proxy *p)
{
	uint64_t	wait = 0;

	if (p->again.redo || p->again.unseen == UNSEEN_MAX ||
	    proxy_keep_lost(p) ||
	    (p->why != FAIL_STREAM_REFUSED && p->why != FAIL_SERVER_GOAWAY) ||
	    (p->again.conf.on & RETRY_ON_REFUSED) == 0)
		return false;
	stat_add(STAT_UP_H2_REFUSED, 1);
	retry_note_replay(p->up);
	note(p, p->why);
	forget_asked(p);
	if (p->again.unseen++ > 0)
		wait = proxy_retry_wait(&p->again.conf, p->again.unseen - 2,
		    &p->x->serve->rand);
	return go_on(p, wait);
}

bool
proxy_retry_next(struct proxy *p)
{
	uint64_t	wait;
	enum retry_no	no;

	if (p->again.redo) {
		p->again.redo = p->again.drop = false;
		/* its body was held since then; half of it is never sent */
		if (proxy_keep_lost(p)) {
			p->why = FAIL_INTERNAL;
			return false;
		}
		/* who finds nobody any more has no other reason */
		p->why = FAIL_NONE;
		return go_on(p, p->again.wait);
	}
	wait = draw_wait(p);
	note(p, p->why);
	no = decide(p, p->why, wait);
	if (no == RETRY_NO_BUDGET)
		refuse(p);
	if (no != RETRY_NO_OK)
		return false;
	proxy_tell(p, p->why, "another server is asked");
	return go_on(p, wait);
}

/* --- a 503 that says that it is not for long --- */

static bool
is_soon(const struct proxy *p, const struct msg *m)
{
	int64_t		now = (int64_t)(ev_wall_ms(p->x->serve->ev) / 1000);
	struct str	s = hdr_val(&m->hdrs, HDR_RETRY_AFTER);
	int64_t		at;
	uint64_t	n;

	if (s.n == 0)
		return false;
	if (str_to_u64(s, UINT64_MAX, &n) == 0)
		return n <= SOON_S;
	return date_parse(s, now, &at) == 0 && at <= now + SOON_S;
}

/*
 * What an answer that need not be the last one failed with; FAIL_NONE: it
 * is the answer.  A status of gRPC counts only while it stands alone, with
 * no message before it.
 */
static enum fail
judge_answer(struct proxy *p, const struct msg *m, bool end)
{
	int	code;

	p->again.grpc = 0;
	if (p->x->grpc && end) {
		code = grpc_read_status(hdr_val(&m->hdrs, HDR_GRPC_STATUS));
		if (code > GRPC_OK && code < GRPC_N) {
			p->again.grpc = RETRY_ON_GRPC((unsigned)code);
			return (p->again.conf.on & p->again.grpc) != 0 ?
			    FAIL_GRPC_ERROR : FAIL_NONE;
		}
	}
	return m->status == 503 && is_soon(p, m) ? FAIL_SERVER_ERROR :
	    FAIL_NONE;
}

bool
proxy_retry_drops(struct proxy *p, const struct msg *m, bool end)
{
	enum fail	why = judge_answer(p, m, end);
	uint64_t	wait;

	if (why == FAIL_NONE)
		return false;
	wait = draw_wait(p);
	if (decide(p, why, wait) != RETRY_NO_OK)
		return false;
	p->again.wait = wait;
	p->again.redo = p->again.drop = true;
	use_time(p->server, (ev_clock_ns() - p->sent_ns) / 1000);
	p->what = why == FAIL_SERVER_ERROR ? "503" : proxy_grpc_code(&m->hdrs);
	p->error = 0;
	note(p, why);
	proxy_tell(p, why, "another server is asked");
	if (!p->req_told) {
		/* the rest of its body is the next one's, and by that this
		 * connection serves nobody any more */
		proxy_hold_body(p);
		proxy_stop(p, why);
	} else if (!end) {
		ev_timer(p->x->serve->ev, &p->quiet, DROP_MS);
		p->res_in.credit = DROP_BYTES;
		p->s->in.ops->room(&p->s->in);
	}
	return true;
}

void
proxy_retry_dropped(struct proxy *p, int64_t left)
{
	if (left <= 0)
		proxy_stop(p, FAIL_SERVER_ERROR);
}

/* --- a server that goes out of service --- */

/* An answer has begun, or none is waited for. */
static bool
is_settled(const struct proxy *p)
{
	return p->over || p->answered || p->again.redo || p->stopped ||
	    p->server == NULL ||
	    (p->s != NULL && (p->s->begun || p->s->got > 0)) ||
	    (p->s == NULL && !p->wait.waiting);
}

void
proxy_retry_cut(struct attempt *a, enum fail why)
{
	struct proxy	*p = container_of(a, struct proxy, attempt);

	if (!p->again.conf.cut || is_settled(p) ||
	    decide(p, FAIL_ATTEMPT_CUT, 0) != RETRY_NO_OK)
		return;
	stat_add(STAT_UP_CUT, 1);
	retry_note_cut(p->up);
	p->again.redo = true;
	p->again.wait = 0;
	p->what = fail_row(why)->name;
	p->error = 0;
	p->why = FAIL_ATTEMPT_CUT;
	note(p, p->why);
	proxy_tell(p, p->why, "another server is asked");
	if (p->s != NULL) {
		proxy_hold_body(p);
		proxy_stop(p, p->why);
		return;
	}
	pool_cancel(&p->wait);
	ev_post(p->x->serve->ev, EV_WAKE, &p->wake);
}
