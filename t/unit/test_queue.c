/*
 * The queue of an upstream: order, bounds, time, whom a place that is
 * given back wakes, and what a process that died leaves behind.  Other
 * workers are leases and cells of their own on the same board.
 */
#include "up/breaker.h"
#include "up/fail_count.h"
#include "up/queue.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "up/names.h"
#include "up/outlier.h"
#include "up/pool.h"
#include "up/probes.h"
#include "up/server_use.h"
#include "up/outlier.h"
#include "up/probes.h"
#include "up/retry.h"
#include "up_env.h"

#define NWAIT	12
#define OTHER	5	/* slot of another worker */
#define THIRD	6

static const struct shm_region *const regions[] = {
	&board_slots, &board_servers, &board_paths, &board_upstream_names,
	&board_servers_live, &board_server_uses,
	&board_breakers, &board_breaker_probes, &board_breaker_confs,
	&board_fail_counts,
	&board_names, &board_upstreams, &board_retries, &board_retry_uses,
	&board_outliers, &board_probes,
	&board_queues, &board_mails, &lease_words, &lease_shadows,
	&lease_heads, &lease_listeners, &lease_addrs, &board_outliers,
	&board_probes, NULL
};

struct one {
	struct queue_wait	 q;
	struct pool_wait	 p;
	struct tried		 tried;
	uint64_t		 tag;		/* of tried */
	enum fail		 why;
	unsigned		 calls;
	unsigned		 turn;		/* it was served as which */
	struct server		*server;	/* what it claimed */
	struct server		*only;		/* that it wants, or NULL */
};

static struct fix {
	struct serve		 serve;
	struct proc		 proc;
	struct upstream_conf	 uc;
	struct server_conf	 sc[3];
	struct up_env		 env;		/* of conf */
	struct conf		 conf;
	struct upstream		*up;
	struct upstream		*next;		/* a twin with a server more */
	struct lease		*other;		/* another worker's */
	struct one		 one[NWAIT];
	unsigned		 served;
	unsigned		 heard[MAIL_NTOPIC];	/* letters to OTHER */
	struct mail		*ear;		/* OTHER's */
} f;

static const struct queue_limits limits = { .length = 4, .timeout = 20000 };

static void
on_letter(void *ctx, enum mail_topic topic, uint32_t key)
{
	(void)ctx;
	ck_assert_uint_eq(key, f.up->row);
	f.heard[topic]++;
}

static void
publish(uint64_t number, size_t n)
{
	f.uc.balance = &balancer_round_robin;
	f.uc.queue = limits;
	f.uc.pool = (struct pool_limits){ 64, 55000, 0, 0, 100, 0 };
	f.uc.digest = number;
	up_env_set(&f.env, &f.conf, &f.uc, f.sc, n, number);
	up_env_publish(&f.serve, &f.conf);
}

/* Two servers of one connection each. */
static void
setup(void)
{
	static const char *const	 addrs[] = {
		"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"
	};
	struct err			 e;
	struct board_slot		*s;

	memset(&f, 0, sizeof(f));
	f.serve.ev = ev_new(NULL, &e);
	f.serve.shm = shm_new(regions, &e);
	ck_assert_int_eq(lease_grow(f.serve.shm, 8, 8, &e), 0);
	ck_assert_int_eq(shm_grow(f.serve.shm, &board_slots, 8, &e), 0);
	for (unsigned i = 0; i < 8; i++) {
		s = shm_row(f.serve.shm, &board_slots, i);
		s->beat_ms = ev_clock_ns() / 1000000;
	}
	f.serve.lease = lease_open(f.serve.shm, 1);
	f.other = lease_open(f.serve.shm, OTHER);
	f.proc.ev = f.serve.ev;
	self = &f.proc;
	f.proc.mail = mail_new();
	mail_set_board(f.proc.mail, f.serve.shm);
	ck_assert_int_eq(mail_make(f.proc.mail, 1, &e), 1);
	ck_assert_int_eq(mail_make(f.proc.mail, OTHER, &e), 1);
	ck_assert_int_eq(mail_listen(f.proc.mail, f.serve.ev, 1,
	    queue_on_mail, &f.serve, &e), 0);
	f.ear = mail_new();
	mail_set_board(f.ear, f.serve.shm);
	mail_add(f.ear, OTHER, dup(mail_fd(f.proc.mail, OTHER)));
	ck_assert_int_eq(mail_listen(f.ear, f.serve.ev, OTHER, on_letter,
	    NULL, &e), 0);
	map_init(&f.serve.upstreams, 0);
	for (unsigned i = 0; i < 3; i++) {
		f.sc[i].text = str_from(addrs[i]);
		f.sc[i].max_conns = 1;
	}
	publish(1, 2);
	f.up = upstream_get(&f.serve, &f.uc);
	ck_assert_ptr_nonnull(f.up);
	for (unsigned i = 0; i < 3; i++)
		ev_turn(f.serve.ev, 0);
	memset(f.heard, 0, sizeof(f.heard));
}

static void
teardown(void)
{
	struct serve_part const	*p = &queue_part;

	for (unsigned i = 0; i < NWAIT; i++) {
		queue_leave(&f.one[i].q);
		pool_cancel(&f.one[i].p);
	}
	upstream_put(&f.up);
	if (f.next != NULL)
		upstream_put(&f.next);
	upstream_part.fini(&f.serve);
	p->fini(&f.serve);
	mail_free(&f.ear);
	mail_free(&f.proc.mail);
	ev_free(&f.serve.ev);
	lease_free(&f.other);
	lease_free(&f.serve.lease);
	shm_free(&f.serve.shm);
	self = NULL;
}

static void
turns(void)
{
	for (unsigned i = 0; i < 4; i++)
		ev_turn(f.serve.ev, 0);
}

static void
sleep_ms(unsigned ms)
{
	uint64_t	end = ev_clock_ns() + ms * 1000000ULL;

	while (ev_clock_ns() < end)
		ev_turn(f.serve.ev, 1);
}

static uint32_t
word_of(const struct server *s)
{
	return atomic_load(&s->board->lease) - 1;
}

static uint32_t
queue_word(void)
{
	return atomic_load(&f.up->live->queue) - 1;
}

static struct board_queue *
row(void)
{
	return shm_row(f.serve.shm, &board_queues, f.up->row);
}

/* What the proxy does: claims and leaves, or waits on. */
static void
on(struct queue_wait *q, enum fail why)
{
	struct one	*o = container_of(q, struct one, q);
	struct pick	 want = { .tried = &o->tried };
	struct server	*s;

	o->calls++;
	o->why = why;
	if (why != FAIL_NONE)
		return;
	s = o->only != NULL ? o->only : upstream_pick(q->upstream, &want);
	if (s == NULL || !pool_claim(s, &o->p, false))
		return;
	o->server = s;
	o->turn = ++f.served;
	queue_leave(q);
}

static struct server *
wants(struct queue_wait *q)
{
	return container_of(q, struct one, q)->only;
}

static enum fail
join_twin(unsigned i, int64_t length, struct upstream *up)
{
	struct queue_limits	 l = { .length = length, .timeout = 20000 };
	struct one		*o = &f.one[i];

	o->q.on = on;
	o->q.wants = wants;
	o->q.upstream = up;
	o->q.tried = &o->tried;
	return queue_join(&o->q, &l);
}

static enum fail
join_max(unsigned i, int64_t length)
{
	return join_twin(i, length, f.up);
}

static enum fail
join(unsigned i)
{
	return join_max(i, limits.length);
}

/* All places are the other worker's. */
static void
fill(void)
{
	for (size_t i = 0; i < f.up->nserver; i++)
		ck_assert(lease_take(f.other, word_of(f.up->servers[i])));
	ck_assert(!queue_has_room(f.up, &f.one[0].tried));
}

/* The other worker closes one and wakes whom it finds, here us. */
static void
give(unsigned server)
{
	uint64_t	since;

	lease_give(f.other, word_of(f.up->servers[server]));
	ck_assert_uint_eq(queue_oldest(f.serve.shm, f.up->row, OTHER,
	    &since), 1);
	ck_assert_uint_ne(since, UINT64_MAX);
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
}

/* Somebody there waits, since so long. */
static void
other_waits(unsigned slot, unsigned ms)
{
	uint64_t	us = ev_clock_ns() / 1000 - ms * 1000ULL;

	atomic_store(&row()->cell[slot], us << 16 | (slot + 1));
	ck_assert(lease_take_max(f.other, queue_word(), 0));
}

START_TEST(test_order)
{
	fill();
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(join(i), FAIL_NONE);
	ck_assert_uint_eq(queue_waiting(f.serve.shm, f.up->live), 4);
	ck_assert_int_eq(join(4), FAIL_QUEUE_FULL);
	ck_assert_uint_eq(f.up->live->refused, 1);
	turns();
	ck_assert_uint_eq(f.served, 0);
	/* One place, one is served: the first. */
	give(1);
	turns();
	ck_assert_uint_eq(f.served, 1);
	ck_assert_uint_eq(f.one[0].turn, 1);
	ck_assert_ptr_eq(f.one[0].server, f.up->servers[1]);
	ck_assert_uint_eq(queue_waiting(f.serve.shm, f.up->live), 3);
	/* One leaves; the next of those that stay has its turn. */
	queue_leave(&f.one[1].q);
	give(0);
	turns();
	ck_assert_uint_eq(f.one[2].turn, 2);
	ck_assert_uint_eq(f.one[1].calls + f.one[3].calls, 0);
	/* What is given back here serves our own. */
	pool_cancel(&f.one[0].p);
	turns();
	ck_assert_uint_eq(f.one[3].turn, 3);
	ck_assert_uint_eq(queue_waiting(f.serve.shm, f.up->live), 0);
	for (unsigned i = 0; i < QUEUE_CELLS; i++)
		ck_assert_uint_eq(atomic_load(&row()->cell[i]), 0);
	ck_assert_uint_eq(f.up->live->queued, 4);
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 0);
}
END_TEST

START_TEST(test_time)
{
	struct queue_limits	 l = { .length = 4, .timeout = 30 };

	fill();
	ck_assert_int_eq(join(0), FAIL_NONE);
	f.one[1].q = (struct queue_wait){ .on = on, .upstream = f.up,
	    .tried = &f.one[1].tried };
	ck_assert_int_eq(queue_join(&f.one[1].q, &l), FAIL_NONE);
	sleep_ms(40);
	ck_assert_uint_eq(f.one[0].calls, 0);
	ck_assert_uint_eq(f.one[1].calls, 1);
	ck_assert_int_eq(f.one[1].why, FAIL_QUEUE_TIMEOUT);
	ck_assert_uint_ge(queue_time(&f.one[1].q), 30000);
	ck_assert_uint_eq(f.up->live->timed_out, 1);
	ck_assert_uint_eq(queue_waiting(f.serve.shm, f.up->live), 1);
	l.length = 0;
	ck_assert_int_eq(queue_join(&f.one[1].q, &l), FAIL_DIAL_LIMIT);
}
END_TEST

/* Room that came between the look and the joining. */
START_TEST(test_room_at_once)
{
	ck_assert_int_eq(join(0), FAIL_NONE);
	ck_assert_uint_eq(f.one[0].calls, 0);
	turns();
	ck_assert_uint_eq(f.one[0].turn, 1);
}
END_TEST

/* A new request goes behind those that wait, unless there is plenty. */
START_TEST(test_due)
{
	ck_assert(!queue_is_due(f.up, &f.one[0].tried, NULL));
	other_waits(OTHER, 0);
	ck_assert(queue_is_due(f.up, &f.one[0].tried, NULL));
	atomic_store(&((struct lease_word *)shm_row(f.serve.shm,
	    &lease_words, word_of(f.up->servers[0])))->limit, 2);
	ck_assert(!queue_is_due(f.up, &f.one[0].tried, NULL));
}
END_TEST

START_TEST(test_older_elsewhere)
{
	fill();
	other_waits(OTHER, 500);
	ck_assert_int_eq(join(0), FAIL_NONE);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 0);
	/* What comes free here is theirs, and a connection does not stay. */
	lease_give(f.other, word_of(f.up->servers[0]));
	queue_note_place(f.up);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 1);
	ck_assert_uint_eq(f.one[0].calls, 0);
	ck_assert(!queue_lets_idle(f.up->servers[0]));
	/* Of the same age: ours. */
	other_waits(OTHER, 0);
	ck_assert(queue_lets_idle(f.up->servers[0]));
	queue_note_place(f.up);
	turns();
	ck_assert_uint_eq(f.one[0].turn, 1);
	/* With nobody left here the next are asked to look. */
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 2);
}
END_TEST

/* Two wakes for one waiter: the second is passed on. */
START_TEST(test_passed_on)
{
	fill();
	ck_assert_int_eq(join(0), FAIL_NONE);
	sleep_ms(30);
	other_waits(OTHER, 0);
	lease_give(f.other, word_of(f.up->servers[0]));
	lease_give(f.other, word_of(f.up->servers[1]));
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.one[0].turn, 1);
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 1);
}
END_TEST

/* The waiter has asked that server; it stays so for the whole test. */
static void
has_asked(unsigned i, unsigned server)
{
	struct one	*o = &f.one[i];

	o->tag = f.up->servers[server]->tag;
	o->tried = (struct tried){ &o->tag, 1, 1 };
}

/* Room that nobody here can use goes on, once, to those that are younger. */
START_TEST(test_of_no_use)
{
	fill();
	has_asked(0, 0);
	ck_assert_int_eq(join(0), FAIL_NONE);
	turns();
	sleep_ms(2);
	other_waits(OTHER, 0);
	lease_give(f.other, word_of(f.up->servers[0]));
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.one[0].calls, 0);
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 1);
	/* A letter does not go back to who is older and has had it. */
	other_waits(OTHER, 900);
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 1);
	/* Chosen here for its own connection, it begins with them. */
	other_waits(OTHER, 5);
	queue_note_place(f.up);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 2);
	/* Without a place there is nothing to pass on. */
	ck_assert(lease_take(f.other, word_of(f.up->servers[0])));
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 2);
}
END_TEST

static void
set_limit(unsigned server, uint32_t limit)
{
	struct lease_word	*l;

	l = shm_row(f.serve.shm, &lease_words,
	    word_of(f.up->servers[server]));
	atomic_store(&l->limit, limit);
}

/* Behind the one that the letter was for, not behind who is left here. */
START_TEST(test_between)
{
	fill();
	ck_assert_int_eq(join(0), FAIL_NONE);
	sleep_ms(2);
	other_waits(OTHER, 0);
	sleep_ms(2);
	has_asked(1, 0);
	ck_assert_int_eq(join(1), FAIL_NONE);
	turns();
	set_limit(0, 3);
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.one[0].turn, 1);
	ck_assert_uint_eq(f.one[1].calls, 0);
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 1);
}
END_TEST

/* Many that have asked it before do not hide one that has not. */
START_TEST(test_behind_many)
{
	fill();
	for (unsigned i = 0; i < NWAIT; i++) {
		if (i < NWAIT - 1)
			has_asked(i, 0);
		ck_assert_int_eq(join_max(i, NWAIT), FAIL_NONE);
	}
	lease_give(f.other, word_of(f.up->servers[0]));
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.one[NWAIT - 1].turn, 1);
	for (unsigned i = 0; i < NWAIT - 1; i++)
		ck_assert_uint_eq(f.one[i].calls, 0);
}
END_TEST

/* Those that are for one server hold up nobody who wants another. */
START_TEST(test_sticky)
{
	struct server	**v = f.up->servers;

	fill();
	for (unsigned i = 0; i < NWAIT - 1; i++) {
		f.one[i].only = v[0];
		ck_assert_int_eq(join_max(i, NWAIT), FAIL_NONE);
	}
	ck_assert_uint_eq(v[0]->nwant, NWAIT - 1);
	ck_assert_uint_eq(f.up->nwant, NWAIT - 1);
	/* There is no room; with some, a new one need not wait for these. */
	ck_assert(queue_is_due(f.up, &f.one[0].tried, NULL));
	lease_give(f.other, word_of(v[1]));
	ck_assert(!queue_is_due(f.up, &f.one[0].tried, NULL));
	ck_assert(!queue_is_due(f.up, &f.one[0].tried, v[1]));
	ck_assert(queue_is_due(f.up, &f.one[0].tried, v[0]));
	ck_assert(lease_take(f.other, word_of(v[1])));
	/* Behind all of them, and served before. */
	ck_assert_int_eq(join_max(NWAIT - 1, NWAIT), FAIL_NONE);
	turns();
	ck_assert_uint_eq(f.served, 0);
	give(1);
	turns();
	ck_assert_uint_eq(f.one[NWAIT - 1].turn, 1);
	ck_assert_ptr_eq(f.one[NWAIT - 1].server, v[1]);
	for (unsigned i = 0; i < NWAIT - 1; i++)
		ck_assert_uint_eq(f.one[i].calls, 0);
	/* Among themselves the oldest is first. */
	give(0);
	turns();
	ck_assert_uint_eq(f.one[0].turn, 2);
	ck_assert_ptr_eq(f.one[0].server, v[0]);
	ck_assert_uint_eq(v[0]->nwant, NWAIT - 2);
	/* Whose server is no more to be had takes what there is. */
	f.one[1].only = NULL;
	pool_cancel(&f.one[NWAIT - 1].p);
	turns();
	ck_assert_uint_eq(f.one[1].turn, 3);
	ck_assert_uint_eq(f.up->nwant, NWAIT - 3);
}
END_TEST

/* A server that comes back is told of: nobody waits for a look around. */
START_TEST(test_state)
{
	struct server	*s = f.up->servers[1];

	fill();
	ck_assert(state_change(f.serve.shm, s->row, s->tag, SERVER_DOWN,
	    true, FAIL_NONE));
	lease_give(f.other, word_of(s));
	ck_assert_int_eq(join(0), FAIL_NONE);
	turns();
	ck_assert_uint_eq(f.one[0].calls, 0);
	ck_assert(state_change(f.serve.shm, s->row, s->tag, SERVER_DOWN,
	    false, FAIL_NONE));
	turns();
	ck_assert_uint_eq(f.one[0].turn, 1);
	ck_assert_ptr_eq(f.one[0].server, s);
}
END_TEST

/* From now on there is a third server, which the old twin does not know. */
static struct server *
add_server(void)
{
	publish(2, 3);
	f.next = upstream_get(&f.serve, &f.uc);
	ck_assert_ptr_nonnull(f.next);
	ck_assert_ptr_ne(f.next, f.up);
	ck_assert_uint_eq(f.next->row, f.up->row);
	return f.next->servers[2];
}

/* Who waits for servers of an old twin holds up nobody else. */
START_TEST(test_twins)
{
	struct server	*three;

	fill();
	for (unsigned i = 0; i < NWAIT - 2; i++)
		ck_assert_int_eq(join_max(i, NWAIT), FAIL_NONE);
	turns();
	three = add_server();
	/* A new one takes what none of these can have. */
	ck_assert(!queue_is_due(f.next, &f.one[NWAIT - 1].tried, NULL));
	ck_assert(queue_is_due(f.up, &f.one[NWAIT - 1].tried, NULL));
	ck_assert(lease_take(f.other, word_of(three)));
	ck_assert(queue_is_due(f.next, &f.one[NWAIT - 1].tried, NULL));
	/* It waits behind all, but not for them. */
	for (unsigned i = NWAIT - 2; i < NWAIT; i++)
		ck_assert_int_eq(join_twin(i, NWAIT, f.next), FAIL_NONE);
	turns();
	ck_assert_uint_eq(f.served, 0);
	lease_give(f.other, word_of(three));
	/* Now there are some who miss it. */
	ck_assert(queue_is_due(f.next, &f.one[0].tried, NULL));
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.one[NWAIT - 2].turn, 1);
	ck_assert_ptr_eq(f.one[NWAIT - 2].server, three);
	ck_assert_uint_eq(f.one[NWAIT - 1].calls, 0);
	/* A server of both goes to who has waited longest. */
	give(0);
	turns();
	ck_assert_uint_eq(f.one[0].turn, 2);
	ck_assert_uint_eq(f.served, 2);
	ck_assert_uint_eq(f.up->nwait, NWAIT - 3);
	ck_assert_uint_eq(f.next->nwait, 1);
}
END_TEST

/* Those of an old twin that asked who has room hold up nobody either. */
START_TEST(test_twin_of_no_use)
{
	struct server	*three;

	fill();
	has_asked(0, 0);
	ck_assert_int_eq(join(0), FAIL_NONE);
	turns();
	three = add_server();
	sleep_ms(2);
	other_waits(OTHER, 0);
	/* Nobody here can use it: it is offered to the others. */
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 1);
	ck_assert(lease_take(f.other, word_of(three)));
	mail_post(f.proc.mail, 1, MAIL_ROOM, f.up->row);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_ROOM], 1);
	ck_assert_uint_eq(f.one[0].calls, 0);
}
END_TEST

/* With room for all who wait nobody needs what is pooled. */
START_TEST(test_roomy)
{
	fill();
	other_waits(OTHER, 500);
	ck_assert(!queue_lets_idle(f.up->servers[0]));
	ck_assert(!queue_has_spare(f.up->servers[0]));
	set_limit(0, 2);
	ck_assert(queue_lets_idle(f.up->servers[0]));
	ck_assert(!queue_has_spare(f.up->servers[0]));
	ck_assert(!queue_lets_idle(f.up->servers[1]));
	set_limit(0, 3);
	ck_assert(queue_has_spare(f.up->servers[0]));
	set_limit(1, 0);
	ck_assert(queue_lets_idle(f.up->servers[1]));
	ck_assert(queue_has_spare(f.up->servers[1]));
}
END_TEST

START_TEST(test_hung)
{
	struct board_slot	*s;
	uint64_t		 since;

	s = shm_row(f.serve.shm, &board_slots, OTHER);
	other_waits(OTHER, 900);
	other_waits(THIRD, 100);
	ck_assert_uint_eq(queue_oldest(f.serve.shm, f.up->row, 1, &since),
	    OTHER);
	s->beat_ms -= 10000;
	ck_assert_uint_eq(queue_oldest(f.serve.shm, f.up->row, 1, &since),
	    THIRD);
}
END_TEST

/* What a process that died has left is cleared, and the rest woken. */
START_TEST(test_forget)
{
	uint64_t	since;

	fill();
	other_waits(OTHER, 900);
	atomic_store(&f.up->live->touched, 1);
	atomic_store(&row()->idle[0], 1ULL << OTHER | 1ULL << THIRD);
	ck_assert_int_eq(join(0), FAIL_NONE);
	turns();
	ck_assert_uint_eq(f.served, 0);
	lease_return(f.serve.shm, OTHER);
	queue_forget(f.serve.shm, OTHER);
	turns();
	ck_assert_uint_eq(f.one[0].turn, 1);
	ck_assert_uint_eq(queue_oldest(f.serve.shm, f.up->row, SLOT_MAX,
	    &since), 0);
	ck_assert_uint_eq(since, UINT64_MAX);
	ck_assert_uint_eq(atomic_load(&row()->idle[0]) & 1ULL << OTHER, 0);
	ck_assert_uint_eq(queue_waiting(f.serve.shm, f.up->live), 0);
	lease_free(&f.other);
	f.other = lease_open(f.serve.shm, OTHER);
}
END_TEST

/* A wake that was lost is repeated by the sweep. */
START_TEST(test_sweep)
{
	fill();
	ck_assert_int_eq(join(0), FAIL_NONE);
	lease_give(f.other, word_of(f.up->servers[1]));
	turns();
	ck_assert_uint_eq(f.served, 0);
	queue_sweep(f.serve.shm);
	turns();
	ck_assert_uint_eq(f.served, 1);
}
END_TEST

/* Who waits asks one by one who may have idle connections. */
START_TEST(test_asks_idle)
{
	fill();
	atomic_store(&row()->idle[0], 1ULL << OTHER);
	ck_assert_int_eq(join(0), FAIL_NONE);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_IDLE], 1);
	/* We have none, and hand the question on. */
	f.heard[MAIL_IDLE] = 0;
	queue_note_idle(f.up->servers[0]);
	ck_assert_uint_eq(f.heard[MAIL_IDLE], 0);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_IDLE], 1);
	queue_leave(&f.one[0].q);
	/* Nobody waits: it is noted that there may be some. */
	queue_note_idle(f.up->servers[0]);
	ck_assert_uint_ne(atomic_load(&row()->idle[0]) & 1ULL << 1, 0);
	turns();
	ck_assert_uint_eq(f.heard[MAIL_IDLE], 1);
	/* Asked in vain it is noted no more. */
	other_waits(OTHER, 10);
	mail_post(f.proc.mail, 1, MAIL_IDLE, f.up->row);
	turns();
	ck_assert_uint_eq(atomic_load(&row()->idle[0]) & 1ULL << 1, 0);
	ck_assert_uint_eq(f.heard[MAIL_IDLE], 2);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("queue");
	TCase	*tc = tcase_create("queue");
	SRunner	*sr;
	int	 failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_time);
	tcase_add_test(tc, test_room_at_once);
	tcase_add_test(tc, test_due);
	tcase_add_test(tc, test_older_elsewhere);
	tcase_add_test(tc, test_passed_on);
	tcase_add_test(tc, test_of_no_use);
	tcase_add_test(tc, test_between);
	tcase_add_test(tc, test_behind_many);
	tcase_add_test(tc, test_sticky);
	tcase_add_test(tc, test_state);
	tcase_add_test(tc, test_twins);
	tcase_add_test(tc, test_twin_of_no_use);
	tcase_add_test(tc, test_roomy);
	tcase_add_test(tc, test_hung);
	tcase_add_test(tc, test_forget);
	tcase_add_test(tc, test_sweep);
	tcase_add_test(tc, test_asks_idle);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
