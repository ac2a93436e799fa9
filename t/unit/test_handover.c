/*
 * main/handover: what a master writes is what the next one reads, and
 * what it does not understand costs no more than that line.
 */
#include "main/handover.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void
empty(struct master *m)
{
	memset(m, 0, sizeof(*m));
	m->pid_fd = m->ctl_fd = -1;
	list_init(&m->children);
	list_init(&m->bound);
}

static void
add_bound(struct master *m, const char *addr, int fd)
{
	struct bound	*b = calloc(1, sizeof(*b));

	ck_assert_int_eq(sock_parse(str_from(addr), -1, &b->addr, NULL), 0);
	b->fd = fd;
	list_add_tail(&m->bound, &b->node);
}

static struct child *
add_child(struct master *m, const char *role, int pid)
{
	struct child	*c = calloc(1, sizeof(*c));

	c->row = child_row(role);
	c->pid = pid;
	c->slot = 3;
	c->tag = UINT64_MAX;
	c->index = 1;
	c->chan.fd.fd = -1;
	list_add_tail(&m->children, &c->node);
	return c;
}

static void
drop(struct master *m)
{
	struct list	*l;

	shm_free(&m->proc.shm);
	while ((l = m->bound.next) != &m->bound) {
		list_del(l);
		free(container_of(l, struct bound, node));
	}
	while ((l = m->children.next) != &m->children) {
		list_del(l);
		free(container_of(l, struct child, node));
	}
}

static const struct bound *
first_bound(const struct master *m)
{
	return container_of(m->bound.next, struct bound, node);
}

static const struct child *
first_child(const struct master *m)
{
	return container_of(m->children.next, struct child, node);
}

START_TEST(there_and_back)
{
	struct master		m, n;
	struct handover		h;
	struct err		e = { "" };
	int			fd;

	empty(&m);
	m.proc.shm = shm_new(shm_regions, &e);
	ck_assert_ptr_nonnull(m.proc.shm);
	ck_assert_int_eq(board_grow(m.proc.shm, 16, &e), 0);
	m.numbers = 7;
	m.tags = UINT64_MAX;
	m.pid_fd = 41;
	m.ctl_fd = 42;
	strcpy(m.run_dir, "/run/my sluice");
	strcpy(m.state_dir, "/var/100%/%20\n\t\xc3\xa4");
	strcpy(m.pid_file, "/p i d");
	add_bound(&m, "unix:/a b c", 50);
	add_child(&m, "worker", 1234);
	fd = handover_write(&m, &e);
	ck_assert_int_ge(fd, 0);
	empty(&n);
	ck_assert_msg(handover_read(&n, fd, &h, &e) == 0, "%s", e.text);
	close(fd);
	ck_assert_str_eq(n.run_dir, m.run_dir);
	ck_assert_str_eq(n.state_dir, m.state_dir);
	ck_assert_str_eq(n.pid_file, m.pid_file);
	ck_assert_int_eq(n.pid_fd, 41);
	ck_assert_int_eq(n.ctl_fd, 42);
	ck_assert_uint_eq(n.numbers, 7);
	ck_assert_uint_eq(n.tags, UINT64_MAX);
	ck_assert_uint_eq(h.layout, shm_layout(shm_regions));
	ck_assert_int_eq(first_bound(&n)->fd, 50);
	ck_assert_str_eq(first_bound(&n)->addr.u.un.sun_path, "/a b c");
	ck_assert_int_eq(first_child(&n)->pid, 1234);
	ck_assert_uint_eq(first_child(&n)->tag, UINT64_MAX);
	ck_assert_uint_eq(first_child(&n)->slot, 3);
	ck_assert_uint_eq(first_child(&n)->index, 1);
	ck_assert_ptr_eq(first_child(&n)->row, child_row("worker"));
	ck_assert(first_child(&n)->old);
	/* the board goes along, unless a process stands outside of it */
	for (int i = 0; i < SHM_NSEG; i++)
		h.shm[i] = dup(h.shm[i]);
	container_of(n.children.next, struct child, node)->slot = 100;
	ck_assert_ptr_null(handover_board(&n, &h, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "slot 100"));
	container_of(n.children.next, struct child, node)->slot = 3;
	n.proc.shm = handover_board(&n, &h, &e);
	ck_assert_msg(n.proc.shm != NULL, "%s", e.text);
	ck_assert_int_lt(fcntl(h.shm[0], F_GETFD), 0);
	drop(&n);
	drop(&m);
}
END_TEST

static int
read_text(struct master *m, const char *text, struct handover *h,
    struct err *e)
{
	int	fd = memfd_create("state", MFD_CLOEXEC);
	int	rc;

	ck_assert_int_eq(write(fd, text, strlen(text)),
	    (ssize_t)strlen(text));
	empty(m);
	rc = handover_read(m, fd, h, e);
	close(fd);
	return rc;
}

#define PLACES	"places 4 5 /r /s /p\n"
#define REST	"shm 6 7 8 9\nbound 10 127.0.0.1:80\n"		\
		"child 99 1 1 worker 0 11 0\n"

START_TEST(goes_on_behind_what_it_does_not_know)
{
	static const char *const	bad[] = {
		"sluice-handover 9\n" PLACES REST,
		"sluice-handover 1\nchild 5 1 1 juggler 0 3 0\n" PLACES REST,
		"sluice-handover 1\nchild 5 1 1 master 0 3 0\n" PLACES REST,
		"sluice-handover 1\nchild 5 4000 1 worker 0 3 0\n" PLACES REST,
		"sluice-handover 1\nchild 0 1 1 worker 0 3 0\n" PLACES REST,
		"sluice-handover 1\nchild 5 1 1 worker 0 3 0 1\n" PLACES REST,
		"sluice-handover 1\nbound 3 x\n" PLACES REST,
		"sluice-handover 1\nbound -1 127.0.0.1:80\n" PLACES REST,
		"sluice-handover 1\ntags 0x3\n" PLACES REST,
		"sluice-handover 1\nlayout 12\n" PLACES REST,
		"sluice-handover 1\nshm 1 2 3\n" PLACES REST,
		"sluice-handover 1\nplaces 4 5 /%2 /s /p\n" PLACES REST,
		"sluice-handover 1\nplaces 4 5 /%zz /s /p\n" PLACES REST,
	};
	struct master	m;
	struct handover	h;
	struct err	e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(read_text(&m, bad[i], &h, &e) < 0, "%s",
		    bad[i]);
		ck_assert_int_eq(m.pid_fd, 4);
		ck_assert_str_eq(m.run_dir, "/r");
		ck_assert_int_eq(h.shm[3], 9);
		ck_assert_int_eq(first_bound(&m)->fd, 10);
		ck_assert_ptr_eq(m.bound.next->next, &m.bound);
		ck_assert_int_eq(first_child(&m)->pid, 99);
		ck_assert_ptr_eq(m.children.next->next, &m.children);
		drop(&m);
	}
}
END_TEST

START_TEST(what_must_not_miss)
{
	struct master	m;
	struct handover	h;
	struct err	e;

	ck_assert_int_lt(read_text(&m, "", &h, &e), 0);
	ck_assert_int_lt(read_text(&m, "sluice-handover 1\n" REST, &h, &e),
	    0);
	ck_assert_ptr_nonnull(strstr(e.text, "places"));
	drop(&m);
	ck_assert_int_lt(read_text(&m, "sluice-handover 1\n" PLACES, &h, &e),
	    0);
	ck_assert_ptr_nonnull(strstr(e.text, "board"));
	/* words of a later program */
	ck_assert_int_eq(read_text(&m, "sluice-handover 1\nnew 1 2\n" PLACES
	    REST, &h, &e), 0);
	drop(&m);
}
END_TEST

/* Sockets that no line names are taken, all else is closed. */
START_TEST(takes_the_rest)
{
	struct master		m;
	struct sock_addr	a, got;
	struct err		e;
	int			named, other, file;

	empty(&m);
	ck_assert_int_eq(sock_parse(STR("127.0.0.1:0"), -1, &a, &e), 0);
	named = sock_listen(&a, 8, 0, &e);
	other = sock_listen(&a, 8, 0, &e);
	file = open("/dev/null", O_RDONLY);
	ck_assert(named > 2 && other > 2 && file > 2);
	add_bound(&m, "127.0.0.1:1", named);
	handover_take_rest(&m);
	ck_assert_int_lt(fcntl(file, F_GETFD), 0);
	ck_assert_int_ge(fcntl(named, F_GETFD), 0);
	ck_assert_ptr_eq(m.bound.next->next->next, &m.bound);
	ck_assert_int_eq(container_of(m.bound.prev, struct bound, node)->fd,
	    other);
	ck_assert_int_eq(sock_local(other, &got), 0);
	ck_assert(sock_eq(&container_of(m.bound.prev, struct bound,
	    node)->addr, &got));
	close(named);
	close(other);
	drop(&m);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("handover");
	TCase	*t = tcase_create("handover");

	tcase_add_test(t, there_and_back);
	tcase_add_test(t, goes_on_behind_what_it_does_not_know);
	tcase_add_test(t, what_must_not_miss);
	tcase_add_test(t, takes_the_rest);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*r = srunner_create(suite());
	int	 failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
