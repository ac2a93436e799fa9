/*
 * Lists: order, taking out while walking, nodes that are in no list.
 */
#include <check.h>
#include <stdlib.h>

#include "base/list.h"

struct item {
	int		n;
	struct list	link;
};

static int
number(struct list *l)
{
	return container_of(l, struct item, link)->n;
}

/* The numbers of a list as decimal digits. */
static int
digits(struct list *head)
{
	struct list	*pos;
	int		 v = 0;

	list_each(pos, head)
		v = v * 10 + number(pos);
	return v;
}

START_TEST(front_and_end)
{
	struct list	head;
	struct item	it[4] = { { .n = 1 }, { .n = 2 }, { .n = 3 },
	    { .n = 4 } };

	list_init(&head);
	ck_assert(list_is_empty(&head));
	list_add_tail(&head, &it[1].link);
	list_add_tail(&head, &it[2].link);
	list_add(&head, &it[0].link);
	list_add(&it[2].link, &it[3].link);
	ck_assert_int_eq(digits(&head), 1234);
	ck_assert_int_eq(number(head.prev), 4);
	ck_assert(!list_is_empty(&head));
}
END_TEST

START_TEST(del_is_harmless)
{
	struct list	head;
	struct item	it[2] = { { .n = 1 }, { .n = 2 } };

	list_init(&head);
	list_init(&it[0].link);
	list_del(&it[0].link);
	list_add_tail(&head, &it[0].link);
	list_add_tail(&head, &it[1].link);
	list_del(&it[0].link);
	list_del(&it[0].link);
	ck_assert(list_is_empty(&it[0].link));
	ck_assert_int_eq(digits(&head), 2);
	list_del(&it[1].link);
	ck_assert(list_is_empty(&head));
}
END_TEST

START_TEST(del_while_walking)
{
	struct list	 head;
	struct list	*pos;
	struct list	*tmp;
	struct item	 it[5];
	int		 i;

	list_init(&head);
	for (i = 0; i < 5; i++) {
		it[i].n = i + 1;
		list_add_tail(&head, &it[i].link);
	}
	list_each_safe(pos, tmp, &head)
		if (number(pos) % 2 == 1)
			list_del(pos);
	ck_assert_int_eq(digits(&head), 24);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("list");
	TCase	*tc = tcase_create("list");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, front_and_end);
	tcase_add_test(tc, del_is_harmless);
	tcase_add_test(tc, del_while_walking);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
