/*
 * The loop's descriptors (its turn: test_ev_turn.c).  Every case runs with
 * each backend of this system, so that what one promises all of them do.
 */
#include "os/ev.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY	300	/* more than one batch of events */

static const struct ev_backend *const backends[] = { &ev_epoll, &ev_poll };

#define NBACKEND	((int)(sizeof(backends) / sizeof(backends[0])))

/* a watched end and what its callback was told */
struct end {
	struct ev_fd	 fd;
	int		 peer;
	unsigned	 told;
	int		 calls;
	struct ev	*ev;
	struct end	*victim;	/* taken out by the callback */
	int		*total;
};

/* a timer that ends the loop */
struct alarm {
	struct timer	 t;
	struct ev	*ev;
};

static struct ev *
loop(int i)
{
	struct err e;
	struct ev *ev = ev_new(backends[i], &e);

	ck_assert_ptr_nonnull(ev);
	ck_assert_str_eq(ev_name(ev), backends[i]->name);
	return ev;
}

static void
on_end(struct ev_fd *fd, unsigned what)
{
	struct end *n = container_of(fd, struct end, fd);

	n->told = what;
	n->calls++;
	if (n->total != NULL)
		++*n->total;
	if (n->victim != NULL) {
		ev_del(n->ev, &n->victim->fd, true);
		close(n->victim->fd.fd);
		n->victim = NULL;
	}
}

static void
start(struct end *n, struct ev *ev, unsigned how)
{
	int fds[2];

	memset(n, 0, sizeof(*n));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	ev_fd_init(&n->fd, fds[0], on_end);
	n->ev = ev;
	n->peer = fds[1];
	ck_assert_int_eq(ev_add(ev, &n->fd, how, NULL), 0);
}

static void
end(struct end *n)
{
	ev_del(n->ev, &n->fd, true);
	close(n->fd.fd);
	if (n->peer != -1)
		close(n->peer);
}

static void
feed(struct end *n)
{
	ck_assert_int_eq(write(n->peer, "x", 1), 1);
}

static void
drain(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	ck_assert_int_eq(errno, EAGAIN);
}

/* One turn without waiting: how often the callback ran. */
static int
turn(struct end *n)
{
	int calls = n->calls;

	n->told = 0;
	ev_turn(n->ev, 0);
	return n->calls - calls;
}

START_TEST(test_edge_read)
{
	struct ev *ev = loop(_i);
	struct end n;

	start(&n, ev, EV_EDGE);
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_uint_eq(n.told, EV_W);
	feed(&n);
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_uint_eq(n.told, EV_R);
	ck_assert_uint_eq(n.fd.ready, EV_R | EV_W);
	feed(&n);
	ck_assert_int_eq(turn(&n), 0);
	drain(n.fd.fd);
	n.fd.ready &= (uint8_t)~EV_R;
	ck_assert_int_eq(turn(&n), 0);
	feed(&n);
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_uint_eq(n.told, EV_R);
	end(&n);
	ev_free(&ev);
	ck_assert_ptr_null(ev);
}
END_TEST

START_TEST(test_edge_write)
{
	static char block[65536];
	struct ev *ev = loop(_i);
	struct end n;

	start(&n, ev, EV_EDGE);
	ck_assert_int_eq(turn(&n), 1);
	while (write(n.fd.fd, block, sizeof(block)) > 0)
		;
	ck_assert_int_eq(errno, EAGAIN);
	n.fd.ready &= (uint8_t)~EV_W;
	ck_assert_int_eq(turn(&n), 0);
	drain(n.peer);
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_uint_eq(n.told, EV_W);
	end(&n);
	ev_free(&ev);
}
END_TEST

START_TEST(test_level)
{
	struct ev *ev = loop(_i);
	struct end n;

	start(&n, ev, EV_LEVEL | EV_EXCLUSIVE);
	ck_assert_int_eq(turn(&n), 0);
	feed(&n);
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_uint_eq(n.told, EV_R);
	/* stepping out and in again */
	ev_del(ev, &n.fd, false);
	ck_assert_int_eq(turn(&n), 0);
	ev_del(ev, &n.fd, false);
	ck_assert_int_eq(ev_add(ev, &n.fd, EV_LEVEL, NULL), 0);
	ck_assert_int_eq(turn(&n), 1);
	drain(n.fd.fd);
	ck_assert_int_eq(turn(&n), 0);
	end(&n);
	ev_free(&ev);
}
END_TEST

START_TEST(test_gone)
{
	struct ev *ev = loop(_i);
	struct end n;

	start(&n, ev, EV_EDGE);
	ck_assert_int_eq(turn(&n), 1);
	feed(&n);
	shutdown(n.peer, SHUT_WR);
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_uint_eq(n.told, EV_R | EV_RDHUP);
	ck_assert_int_eq(turn(&n), 0);
	/* half closed: the other direction is still used */
	ck_assert_int_eq(write(n.fd.fd, "x", 1), 1);
	drain(n.peer);
	close(n.peer);
	n.peer = -1;
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_uint_eq(n.told, EV_HUP);
	ck_assert_uint_eq(n.fd.ready, EV_R | EV_W | EV_RDHUP | EV_HUP);
	end(&n);
	ev_free(&ev);
}
END_TEST

static void
on_alarm(struct timer *t)
{
	ev_stop(container_of(t, struct alarm, t)->ev);
}

/* A hang-up or an error that was told must not keep the loop awake. */
START_TEST(test_no_spin)
{
	struct ev *ev = loop(_i);
	struct alarm a = { .ev = ev };
	struct end n, half;
	uint64_t turns;

	start(&half, ev, EV_EDGE);
	shutdown(half.peer, SHUT_WR);
	start(&n, ev, EV_EDGE);
	/* bytes nobody read: the peer's close is an error as well */
	ck_assert_int_eq(write(n.fd.fd, "x", 1), 1);
	close(n.peer);
	n.peer = -1;
	ck_assert_int_eq(turn(&n), 1);
	ck_assert_uint_eq(n.told & EV_ERR, EV_ERR);
	ck_assert_uint_eq(n.told & EV_HUP, EV_HUP);
	timer_init(&a.t, on_alarm);
	ev_timer(ev, &a.t, 30);
	turns = ev_counts(ev)->turns;
	ev_run(ev);
	ck_assert_int_eq(n.calls, 1);
	ck_assert_uint_le(ev_counts(ev)->turns - turns, 8);
	end(&half);
	end(&n);
	ev_free(&ev);
}
END_TEST

/* Both are ready; whichever comes first takes the other one out. */
START_TEST(test_del_other)
{
	struct ev *ev = loop(_i);
	struct end a, b, c;
	int total = 0;

	start(&a, ev, EV_LEVEL);
	start(&b, ev, EV_LEVEL);
	feed(&a);
	feed(&b);
	a.victim = &b;
	b.victim = &a;
	a.total = b.total = &total;
	ev_turn(ev, 0);
	ck_assert_int_eq(total, 1);
	/* the number is used again; nothing of the old one comes up */
	start(&c, ev, EV_LEVEL);
	ck_assert_int_eq(turn(&c), 0);
	ck_assert_int_eq(total, 2);
	feed(&c);
	ck_assert_int_eq(turn(&c), 1);
	end(&c);
	if (b.victim == NULL)
		end(&b);
	else
		end(&a);
	ev_free(&ev);
}
END_TEST

static void
on_swap(struct ev_fd *fd, unsigned what)
{
	struct end *n = container_of(fd, struct end, fd);

	(void)what;
	n->calls++;
	if (n->victim == NULL)
		return;
	/* out and in again: told anew by a later wait, not by this one */
	ev_del(n->ev, &n->victim->fd, false);
	n->victim->fd.ready = 0;
	ck_assert_int_eq(ev_add(n->ev, &n->victim->fd, EV_EDGE, NULL), 0);
	n->victim->victim = NULL;
}

START_TEST(test_del_add)
{
	struct ev *ev = loop(_i);
	struct end a, b;

	start(&a, ev, EV_EDGE);
	start(&b, ev, EV_EDGE);
	a.fd.on = b.fd.on = on_swap;
	a.victim = &b;
	b.victim = &a;
	ev_turn(ev, 0);
	ck_assert_int_eq(a.calls + b.calls, 1);
	ev_turn(ev, 0);
	ck_assert_int_eq(a.calls + b.calls, 2);
	end(&a);
	end(&b);
	ev_free(&ev);
}
END_TEST

START_TEST(test_many)
{
	struct ev *ev = loop(_i);
	static struct end n[MANY];
	int total = 0, i;

	for (i = 0; i < MANY; i++) {
		start(&n[i], ev, EV_EDGE);
		n[i].total = &total;
	}
	for (i = 0; i < 4; i++)
		ev_turn(ev, 0);
	ck_assert_int_eq(total, MANY);
	for (i = 0; i < MANY; i += 2)
		end(&n[i]);
	for (i = 1; i < MANY; i += 2)
		feed(&n[i]);
	for (i = 0; i < 4; i++)
		ev_turn(ev, 0);
	ck_assert_int_eq(total, MANY + MANY / 2);
	ck_assert_uint_eq(ev_counts(ev)->events, (uint64_t)total);
	for (i = 1; i < MANY; i += 2)
		end(&n[i]);
	ev_free(&ev);
}
END_TEST

/* What a forked child does with its copy leaves the parent's alone. */
START_TEST(test_fork)
{
	struct ev *ev = loop(_i);
	struct end n;
	int status;
	pid_t pid;

	start(&n, ev, EV_EDGE);
	ck_assert_int_eq(turn(&n), 1);
	pid = fork();
	if (pid == 0) {
		ev_del(ev, &n.fd, false);
		ev_free(&ev);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	feed(&n);
	ck_assert_int_eq(turn(&n), 1);
	end(&n);
	ev_free(&ev);
}
END_TEST

/* a reader that takes one byte per turn */
struct slow {
	struct end	n;
	struct ev_task	t;
	char		*log;
	char		letter;
};

static void
slow_read(struct slow *s)
{
	char c;

	if (read(s->n.fd.fd, &c, 1) == -1) {
		ck_assert_int_eq(errno, EAGAIN);
		s->n.fd.ready &= (uint8_t)~EV_R;
		return;
	}
	s->log[strlen(s->log)] = s->letter;
	ev_post(s->n.ev, EV_READY, &s->t);
}

static void
on_slow_ready(struct ev_task *t)
{
	slow_read(container_of(t, struct slow, t));
}

static void
on_slow(struct ev_fd *fd, unsigned what)
{
	struct end *n = container_of(fd, struct end, fd);
	struct slow *s = container_of(n, struct slow, n);

	if ((what & EV_R) && !ev_is_posted(&s->t))
		slow_read(s);
}

/* Work beyond the budget goes on by turns, without the kernel's help. */
START_TEST(test_budget)
{
	struct ev *ev = loop(_i);
	char log[32] = "";
	struct slow a, b;

	start(&a.n, ev, EV_EDGE);
	start(&b.n, ev, EV_EDGE);
	a.n.fd.on = b.n.fd.on = on_slow;
	ev_task_init(&a.t, on_slow_ready);
	ev_task_init(&b.t, on_slow_ready);
	a.log = b.log = log;
	a.letter = 'a';
	b.letter = 'b';
	ck_assert_int_eq(write(a.n.peer, "1234", 4), 4);
	ev_turn(ev, 0);
	ck_assert_str_eq(log, "aa");
	ck_assert_int_eq(write(b.n.peer, "123", 3), 3);
	ev_turn(ev, -1);
	ck_assert_int_eq(strlen(log), 5);
	ck_assert_ptr_nonnull(strchr(log, 'b'));
	ev_turn(ev, -1);
	ev_turn(ev, -1);
	ck_assert_int_eq(strlen(log), 7);
	ck_assert_uint_eq(a.n.fd.ready, EV_W);
	ck_assert_uint_eq(b.n.fd.ready, EV_W);
	end(&a.n);
	end(&b.n);
	ev_free(&ev);
}
END_TEST

START_TEST(test_refused)
{
	struct ev *ev = loop(_i);
	struct end n;
	struct err e = { "" };
	int fd;

	start(&n, ev, EV_EDGE);
	end(&n);
	if (backends[_i] == &ev_epoll) {
		/* epoll takes no plain files */
		fd = open("/proc/self/exe", O_RDONLY);
		ev_fd_init(&n.fd, fd, on_end);
		ck_assert_int_eq(ev_add(ev, &n.fd, EV_EDGE, &e), -1);
		ck_assert_ptr_nonnull(strstr(e.text, "cannot watch"));
		ev_del(ev, &n.fd, false);
		close(fd);
	}
	ev_free(&ev);
}
END_TEST

int
main(void)
{
	const TTest *const each[] = {
		test_edge_read, test_edge_write, test_level, test_gone,
		test_no_spin, test_del_other, test_del_add, test_many,
		test_fork, test_budget, test_refused
	};
	Suite *s = suite_create("ev");
	TCase *tc = tcase_create("ev");
	SRunner *sr;
	size_t i;
	int failed;

	for (i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		tcase_add_loop_test(tc, each[i], 0, NBACKEND);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
