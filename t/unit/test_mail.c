/*
 * Letters between processes: bits and bells, descriptors that come later,
 * a sender that dies in between.
 */
#include "core/mail.h"

#include <sys/wait.h>

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct shm_region *const regions[] = { &board_mails, NULL };

static struct fix {
	struct shm	*shm;
	struct ev	*ev;
	struct mail	*mail;
	unsigned	 got[MAIL_NTOPIC][MAIL_KEYS];
	unsigned	 n;
} f;

static void
on_letter(void *ctx, enum mail_topic topic, uint32_t key)
{
	ck_assert_ptr_eq(ctx, &f);
	ck_assert_uint_lt(key, MAIL_KEYS);
	f.got[topic][key]++;
	f.n++;
}

static void
setup(void)
{
	struct err	e;

	memset(&f, 0, sizeof(f));
	f.shm = shm_new(regions, &e);
	f.ev = ev_new(NULL, &e);
	f.mail = mail_new();
	mail_set_board(f.mail, f.shm);
	ck_assert_int_eq(mail_make(f.mail, 3, &e), 1);
	/* The second life of a slot has the same descriptor. */
	ck_assert_int_eq(mail_make(f.mail, 3, &e), 0);
	ck_assert_int_eq(mail_listen(f.mail, f.ev, 3, on_letter, &f, &e), 0);
}

static void
teardown(void)
{
	mail_free(&f.mail);
	ck_assert_ptr_null(f.mail);
	mail_free(&f.mail);
	ev_free(&f.ev);
	shm_free(&f.shm);
}

static void
turns(void)
{
	for (unsigned i = 0; i < 3; i++)
		ev_turn(f.ev, 0);
}

START_TEST(test_letters)
{
	turns();
	ck_assert_uint_eq(f.n, 0);
	mail_post(f.mail, 3, MAIL_ROOM, 0);
	mail_post(f.mail, 3, MAIL_ROOM, 511);
	mail_post(f.mail, 3, MAIL_IDLE, 64);
	turns();
	ck_assert_uint_eq(f.n, 3);
	ck_assert_uint_eq(f.got[MAIL_ROOM][0], 1);
	ck_assert_uint_eq(f.got[MAIL_ROOM][511], 1);
	ck_assert_uint_eq(f.got[MAIL_IDLE][64], 1);
	/* Many of one kind are one, and each is told once. */
	for (unsigned i = 0; i < 100; i++)
		mail_post(f.mail, 3, MAIL_ROOM, 512 + 7);
	turns();
	ck_assert_uint_eq(f.n, 4);
	ck_assert_uint_eq(f.got[MAIL_ROOM][7], 1);
	turns();
	ck_assert_uint_eq(f.n, 4);
}
END_TEST

START_TEST(test_nobody)
{
	/* a slot without a box, one without a bell, no mail at all */
	mail_post(f.mail, SLOT_MAX, MAIL_ROOM, 1);
	mail_post(f.mail, 900, MAIL_ROOM, 1);
	mail_post(f.mail, 4, MAIL_ROOM, 1);
	mail_post(NULL, 3, MAIL_ROOM, 1);
	ck_assert_int_eq(mail_fd(f.mail, 4), -1);
	ck_assert_int_eq(mail_fd(f.mail, SLOT_MAX), -1);
	ck_assert_int_eq(mail_listen(f.mail, f.ev, 4, on_letter, &f, NULL),
	    -1);
	turns();
	ck_assert_uint_eq(f.n, 0);
}
END_TEST

/* What was posted before the sender had the bell is told when it has. */
START_TEST(test_late_bell)
{
	struct mail	*other = mail_new();

	mail_set_board(other, f.shm);
	mail_post(other, 3, MAIL_ROOM, 9);
	turns();
	ck_assert_uint_eq(f.n, 0);
	mail_add(other, 3, dup(mail_fd(f.mail, 3)));
	turns();
	ck_assert_uint_eq(f.got[MAIL_ROOM][9], 1);
	/* A second one of the same is closed, one of no slot as well. */
	mail_add(other, 3, dup(mail_fd(f.mail, 3)));
	mail_add(other, SLOT_MAX, dup(mail_fd(f.mail, 3)));
	mail_free(&other);
}
END_TEST

/* The letters of a life that is over are not the next one's. */
START_TEST(test_next_life)
{
	mail_post(f.mail, 3, MAIL_IDLE, 5);
	ck_assert_int_eq(mail_make(f.mail, 3, NULL), 0);
	turns();
	ck_assert_uint_eq(f.n, 0);
}
END_TEST

/* Processes that post while others die in the midst of it. */
START_TEST(test_processes)
{
	pid_t	pid[4];

	for (unsigned i = 0; i < 4; i++) {
		pid[i] = fork();
		ck_assert_int_ge(pid[i], 0);
		if (pid[i] == 0)
			for (unsigned k = 0;; k++)
				mail_post(f.mail, 3, MAIL_ROOM,
				    i * 100 + k % 10);
	}
	for (unsigned i = 0; i < 4; i++) {
		/* until this one has had its turn, too */
		for (unsigned n = f.n; f.n < n + 200 ||
		    f.got[0][i * 100 + 9] == 0;)
			ev_turn(f.ev, 100);
		kill(pid[i], SIGKILL);
		ck_assert_int_eq(waitpid(pid[i], NULL, 0), pid[i]);
	}
	turns();
	for (unsigned k = 0; k < MAIL_KEYS; k++)
		ck_assert(k % 100 >= 10 || k >= 400 ? f.got[0][k] == 0 :
		    f.got[0][k] > 0);
	f.n = 0;
	turns();
	mail_post(f.mail, 3, MAIL_IDLE, 0);
	turns();
	ck_assert_uint_le(f.n, 2);
	ck_assert_uint_eq(f.got[MAIL_IDLE][0], 1);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("mail");
	TCase	*tc = tcase_create("mail");
	SRunner	*sr;
	int	 failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_letters);
	tcase_add_test(tc, test_nobody);
	tcase_add_test(tc, test_late_bell);
	tcase_add_test(tc, test_next_life);
	tcase_add_test(tc, test_processes);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
