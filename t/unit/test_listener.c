/*
 * Accept rules: several processes on one socket, stepping back, kicks, no
 * descriptors left; addresses and limits of configurations.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <sched.h>
#include <signal.h>

#include "serve_env.h"

#define HELLO	"[route r]\npath = /*\nrespond = 200 hi there\n"
#define ASK	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

/* --- one process --- */

START_TEST(settings_of_a_listener)
{
	struct env	 t;
	struct listener	*l;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, "timeout.idle = 30ms\n" HELLO
	    "[limits]\nheader_count = 7\n");
	l = container_of(t.serve.listeners.next, struct listener, node);
	ck_assert_uint_eq(l->env.limits.idle_ms, 30);
	ck_assert_uint_eq(l->env.limits.header_count, 7);
	ck_assert_uint_eq(l->env.limits.header_bytes, 32768);
	ck_assert_uint_eq(l->env.limits.min_rate, 256);
	c = cli_open(&t);
	cli_send(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	cli_expect(&t, c, "hi there");
	cli_end(&t, c);
	cli_close(&c);
	/* a new generation's hold for the same socket */
	env_conf(&t, "timeout.idle = 9s\n" HELLO);
	ck_assert_uint_eq(l->env.limits.idle_ms, 9000);
	ck_assert_uint_eq(l->env.limits.header_count, 128);
	env_fini(&t);
}
END_TEST

/* An address that goes is no longer accepted on; its idle ones end. */
START_TEST(retired_gently)
{
	struct env		 t;
	struct gen		*g;
	struct cli		*c;
	struct err		 e;
	struct text		 conf;

	env_init(&t);
	env_conf(&t, HELLO);
	c = cli_open(&t);
	cli_send(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	cli_expect(&t, c, "hi there");
	text_init(&conf);
	text_fmt(&conf, "[listener web]\nbind = 127.0.0.2:%u\n" HELLO,
	    t.port);
	text_c(&conf, '\0');
	g = env_make(&t, conf.p);
	text_fini(&conf);
	ck_assert_int_eq(serve_prepare(&t.serve, g, &e), 0);
	serve_commit(&t.serve, g);
	gen_commit(&t.gens, g);
	ck_assert(list_is_empty(&t.serve.listeners));
	cli_end(&t, c);
	cli_close(&c);
	env_until(&t, &t.serve.nconn, 0);
	env_fini(&t);
}
END_TEST

static bool
refuse(struct listener *l, int fd)
{
	(void)l;
	(void)fd;
	return false;
}

START_TEST(who_is_not_admitted)
{
	struct env	 t;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, HELLO);
	container_of(t.serve.listeners.next, struct listener, node)->admit =
	    refuse;
	c = cli_open(&t);
	cli_end(&t, c);
	ck_assert_uint_eq(c->n, 0);
	cli_close(&c);
	ck_assert_uint_eq(t.serve.conn_no, 0);
	env_fini(&t);
}
END_TEST

#define EPOCH_MS	250	/* of core/listener.c */

/* The next epoch, so that none ends in the middle of a case. */
static uint64_t
next_epoch(struct env *t)
{
	uint64_t	was = ev_ms(t->ev) / EPOCH_MS;

	while (ev_ms(t->ev) / EPOCH_MS == was)
		ev_turn(t->ev, 5);
	return ev_ms(t->ev) / EPOCH_MS & UINT32_MAX;
}

/* What this process and the other one had of the epoch that begins now. */
static void
set_load(struct env *t, struct board_slot *peer, uint64_t mine,
    uint64_t busy_us)
{
	uint64_t	e = next_epoch(t);

	t->board.slot->state = SLOT_SERVING;
	t->board.slot->epoch_accepts = e << 32 | mine;
	t->serve.epoch_busy_ns = ev_counts(t->ev)->busy_ns - busy_us * 1000;
	if (peer == NULL)
		return;
	peer->epoch_accepts = e << 32 | 60;
	peer->epoch_busy_us = e << 32 | 300000;
}

/* Alone nobody has more than his share: it never steps back. */
START_TEST(never_alone)
{
	struct env	 t;

	env_init(&t);
	env_conf(&t, HELLO);
	set_load(&t, NULL, 1000, 1000000);
	for (int i = 0; i < 5; i++) {
		env_has(env_ask(&t, "GET /", ""), "hi there");
		ck_assert_uint_eq(t.serve.nback, 0);
	}
	env_fini(&t);
}
END_TEST

static struct board_slot *
add_peer(struct env *t, unsigned i, bool stepped)
{
	struct board_slot	*s = shm_row(t->shm, &board_slots, i);

	s->state = SLOT_SERVING;
	s->role = t->board.slot->role;
	s->stepped = stepped;
	return s;
}

/* One turn of the loop with a connection waiting. */
static struct cli *
arrive(struct env *t)
{
	struct cli	*c = cli_open(t);
	uint64_t	 no = t->serve.conn_no;

	for (int i = 0; i < 100 && t->serve.conn_no == no; i++)
		ev_turn(t->ev, 2);
	ck_assert_uint_eq(t->serve.conn_no, no + 1);
	return c;
}

START_TEST(steps_back_after_one)
{
	struct env	 t;
	struct cli	*c[2];
	uint64_t	 from;

	env_init(&t);
	env_conf(&t, HELLO);
	set_load(&t, add_peer(&t, 1, false), 130, 500000);
	c[0] = arrive(&t);
	ck_assert_uint_eq(t.serve.nback, 1);
	ck_assert_uint_eq(t.board.slot->stepped, 1);
	/* for at most 20 ms, then it takes who waits */
	from = env_ms();
	c[1] = arrive(&t);
	ck_assert_uint_le(env_ms() - from, 500);
	cli_close(&c[0]);
	cli_close(&c[1]);
	env_fini(&t);
}
END_TEST

/* Stepped back or not, who ends takes nobody more and holds nothing. */
START_TEST(ends_stepped_back)
{
	struct env	 t;
	struct cli	*c[2];
	uint64_t	 from, no;

	env_init(&t);
	env_conf(&t, HELLO);
	set_load(&t, add_peer(&t, 1, false), 130, 500000);
	c[0] = arrive(&t);
	ck_assert_uint_eq(t.serve.nback, 1);
	c[1] = cli_open(&t);
	no = t.serve.conn_no;
	/* by now it would look whether it may come back */
	for (from = env_ms(); env_ms() - from < 5;)
		sched_yield();
	serve_fini(&t.serve);
	ck_assert_uint_eq(t.serve.conn_no, no);
	ck_assert_ptr_null(t.serve.peers);
	cli_close(&c[0]);
	cli_close(&c[1]);
	env_close(&t);
}
END_TEST

static void
stays(struct env *t)
{
	struct cli	*c = arrive(t);

	ck_assert_uint_eq(t->serve.nback, 0);
	cli_close(&c);
}

START_TEST(reasons_to_stay)
{
	struct env		 t;
	struct board_slot	*peer;

	env_init(&t);
	env_conf(&t, HELLO);
	peer = add_peer(&t, 1, false);
	/* not above 9/8 of the mean, with the one that comes and the slack */
	set_load(&t, peer, 112, 500000);
	stays(&t);
	/* many, but no work */
	set_load(&t, peer, 130, 200000);
	stays(&t);
	/* fewer than half would listen */
	set_load(&t, peer, 130, 500000);
	peer->stepped = 1;
	stays(&t);
	/* another role does not count: alone it stays */
	set_load(&t, peer, 130, 500000);
	peer->stepped = 0;
	peer->role = 7;
	stays(&t);
	env_fini(&t);
}
END_TEST

/* A client each for n wakes of one that takes them. */
static void
wakes(struct env *t, unsigned n)
{
	struct cli	*c;
	unsigned	 was;

	for (unsigned i = 0; i < n; i++) {
		was = t->serve.conn_no;
		c = cli_open(t);
		while (t->serve.conn_no == was)
			ev_turn(t->ev, 50);
		cli_close(&c);
	}
}

/* More are taken in a turn once wakes found their fill, fewer once not. */
START_TEST(batches_at_a_high_rate)
{
	struct env	 t;
	struct cli	*c[6];
	unsigned	 first;

	env_init(&t);
	env_conf(&t, HELLO);
	wakes(&t, 8);
	first = t.serve.conn_no;
	for (int i = 0; i < 6; i++)
		c[i] = cli_open(&t);
	ev_turn(t.ev, 50);
	/* not a high rate: one, though two would be due */
	ck_assert_uint_eq(t.serve.conn_no - first, 1);
	t.board.slot->accept_rate = 1000;
	ev_turn(t.ev, 50);
	ck_assert_uint_eq(t.serve.conn_no - first, 3);
	ev_turn(t.ev, 50);
	ck_assert_uint_eq(t.serve.conn_no - first, 5);
	/* two were due, one was there: one is, from now on */
	ev_turn(t.ev, 50);
	ck_assert_uint_eq(t.serve.conn_no - first, 6);
	for (int i = 0; i < 6; i++)
		cli_close(&c[i]);
	first = t.serve.conn_no;
	for (int i = 0; i < 2; i++)
		c[i] = cli_open(&t);
	ev_turn(t.ev, 50);
	ck_assert_uint_eq(t.serve.conn_no - first, 1);
	ev_turn(t.ev, 50);
	ck_assert_uint_eq(t.serve.conn_no - first, 2);
	for (int i = 0; i < 2; i++)
		cli_close(&c[i]);
	env_fini(&t);
}
END_TEST

/* Told that a worker died, it looks even if nobody woke it. */
START_TEST(kicked)
{
	struct env	 t;
	struct listener	*l;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, HELLO);
	l = container_of(t.serve.listeners.next, struct listener, node);
	c = cli_open(&t);
	t.board.global->accept_kick++;
	listener_second(&t.serve);
	ck_assert_uint_eq(t.serve.conn_no, 1);
	ck_assert_uint_eq(l->kick, t.board.global->accept_kick);
	cli_close(&c);
	c = cli_open(&t);
	listener_second(&t.serve);
	ck_assert_uint_eq(t.serve.conn_no, 1);
	cli_close(&c);
	ev_turn(t.ev, 50);
	env_fini(&t);
}
END_TEST

START_TEST(out_of_descriptors)
{
	struct env	 t;
	struct cli	*idle, *c;
	struct rlimit	 was, now;

	env_init(&t);
	env_conf(&t, HELLO);
	idle = cli_open(&t);
	cli_send(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	cli_expect(&t, idle, "hi there");
	while (list_is_empty(&t.serve.conns_idle))
		ev_turn(t.ev, 2);
	c = cli_open(&t);
	cli_send(c, ASK);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	now = was;
	now.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
	ev_turn(t.ev, 50);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
	ck_assert_uint_eq(t.board.stat[STAT_FD_EXHAUSTED], 1);
	ck_assert_uint_eq(t.serve.nback, 1);
	/* the idle one went, the other is taken after a while */
	cli_end(&t, idle);
	cli_end(&t, c);
	env_has(c->buf, "hi there");
	cli_close(&idle);
	cli_close(&c);
	env_fini(&t);
}
END_TEST

/* --- several processes on one socket --- */

#define NPROC	4

/* A child that serves until it is killed. */
static pid_t
fork_worker(const struct sock_addr *a, int front)
{
	struct env	*t;
	struct err	 e;
	pid_t		 pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid != 0)
		return pid;
	t = must_calloc(1, sizeof(*t));
	env_init(t);
	close(t->front);
	t->front = front;
	t->port = ntohs(a->u.in4.sin_port);
	env_conf(t, HELLO);
	(void)e;
	ev_run(t->ev);
	_exit(0);
}

static void
check_answer(int fd)
{
	char	buf[512];
	size_t	n = 0;
	ssize_t	got;

	while ((got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0)
		n += (size_t)got;
	buf[n] = '\0';
	ck_assert_msg(strstr(buf, "hi there") != NULL, "\"%s\"", buf);
	close(fd);
}

static int
dial(const struct sock_addr *a)
{
	struct timeval	tv = { 5, 0 };
	int		fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ne(fd, -1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	ck_assert_int_eq(connect(fd, &a->u.sa, a->len), 0);
	ck_assert_int_eq(send(fd, ASK, strlen(ASK), MSG_NOSIGNAL),
	    (ssize_t)strlen(ASK));
	return fd;
}

/* Six at once, again and again: none is left behind. */
START_TEST(several_processes)
{
	struct sock_addr	a;
	struct err		e;
	pid_t			pid[NPROC];
	int			front, fd[6];

	ck_assert_int_eq(sock_parse(STR("127.0.0.1:0"), -1, &a, &e), 0);
	front = sock_listen(&a, 64, 0, &e);
	ck_assert_int_ne(front, -1);
	ck_assert_int_eq(sock_local(front, &a), 0);
	for (int i = 0; i < NPROC; i++)
		pid[i] = fork_worker(&a, front);
	for (int turn = 0; turn < 20; turn++) {
		for (int i = 0; i < 6; i++)
			fd[i] = dial(&a);
		for (int i = 0; i < 6; i++)
			check_answer(fd[i]);
	}
	/* one is stopped: whoever was told besides it goes on */
	ck_assert_int_eq(kill(pid[0], SIGKILL), 0);
	waitpid(pid[0], NULL, 0);
	for (int turn = 0; turn < 20; turn++) {
		for (int i = 0; i < 6; i++)
			fd[i] = dial(&a);
		for (int i = 0; i < 6; i++)
			check_answer(fd[i]);
	}
	for (int i = 1; i < NPROC; i++) {
		ck_assert_int_eq(kill(pid[i], SIGKILL), 0);
		waitpid(pid[i], NULL, 0);
	}
	close(front);
}
END_TEST

/* --- configurations --- */

START_TEST(what_is_said)
{
	env_says("[listener a]\n" HELLO, true, "E0111");
	env_says("[listener a]\nbind = nowhere:80\n" HELLO, true, "E0126");
	env_says("[listener a]\nbind = 127.0.0.1\n" HELLO, true, "E0126");
	env_says("[listener a]\nbind = ,\n" HELLO, true, "E0127");
	env_says("[listener a]\nbind = 127.0.0.1:80 127.0.0.1:80\n" HELLO,
	    true, "E0301");
	env_says("[listener a]\nbind = 127.0.0.1:80\n[listener b]\n"
	    "bind = 127.0.0.1:81 127.0.0.1:80\n" HELLO, true, "E0301");
	env_says("[listener a]\nbind = :80\n[limits]\ntarget = 60k\n" HELLO,
	    true, "E0305");
	env_says("[listener a]\nbind = :80\n[sluice]\nworkers = 0\n" HELLO,
	    true, "E0121");
}
END_TEST

START_TEST(order_of_addresses)
{
	const struct listen_addr	*v;
	const struct conf		*c;
	struct arena			 a;
	struct text			 t;
	size_t				 n;

	arena_init(&a, NULL);
	c = env_load(&a, "[listener b]\nbind = :80 unix:/x\n"
	    "[listener a]\nbind = [::1]:81\n" HELLO, NULL);
	v = listener_addrs(c, &n);
	ck_assert_uint_eq(n, 3);
	text_init(&t);
	for (size_t i = 0; i < n; i++) {
		text_add(&t, v[i].conf->obj.name);
		text_c(&t, ' ');
		sock_text(&t, v[i].addr);
		text_c(&t, ' ');
	}
	text_c(&t, '\0');
	ck_assert_str_eq(t.p, "b 0.0.0.0:80 b unix:/x a [::1]:81 ");
	text_fini(&t);
	ck_assert_uint_ge(settings_workers(c), 1);
	arena_fini(&a);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("listener");
	TCase	*tc = tcase_create("listener");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, settings_of_a_listener);
	tcase_add_test(tc, retired_gently);
	tcase_add_test(tc, who_is_not_admitted);
	tcase_add_test(tc, never_alone);
	tcase_add_test(tc, steps_back_after_one);
	tcase_add_test(tc, ends_stepped_back);
	tcase_add_test(tc, reasons_to_stay);
	tcase_add_test(tc, batches_at_a_high_rate);
	tcase_add_test(tc, kicked);
	tcase_add_test(tc, out_of_descriptors);
	tcase_add_test(tc, several_processes);
	tcase_add_test(tc, what_is_said);
	tcase_add_test(tc, order_of_addresses);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 bad;

	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad == 0 ? 0 : 1;
}
