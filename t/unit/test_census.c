/*
 * up/census says of rows what up/view makes of them, and both what is
 * meant.
 */
#include "up/census.h"

#include <check.h>
#include <stdlib.h>

#include "up/upstream.h"

#define N	7

static struct {
	struct board_upstream	 board;
	struct board_server	 rows[N];
	struct board_server_live lives[N];
	struct server		 s[N];
	struct server		*v[N];
	struct upstream		 up;
} f;

/* Each state alone and with others, weights, backups. */
static void
shuffle(unsigned i)
{
	static const enum server_state	states[] = {
		SERVER_SLOW, SERVER_OPEN, SERVER_EJECTED, SERVER_DOWN,
		SERVER_DRAIN, SERVER_MAINTENANCE
	};
	uint64_t			 word = 0;

	for (size_t k = 0; k < 6; k++)
		if (random() % 6 == 0)
			word |= STATE_BIT(states[k]);
	f.lives[i].state = word;
	f.lives[i].ramp = (uint32_t)(random() % (RAMP_FULL + 1));
	f.rows[i].weight = (uint64_t)(random() % 4);
	f.rows[i].override = random() % 4 == 0 ?
	    (uint64_t)(random() % 3) : 0;
	f.rows[i].backup = random() % 4 == 0;
}

static bool
is_in_view(const struct server *s)
{
	for (size_t i = 0; i < f.up.view.n; i++)
		if (f.up.view.v[i] == s)
			return true;
	return false;
}

/* The rule as up/view.h has it in words; nobody is absent here. */
static bool
is_meant(unsigned i, const struct view_rule *r)
{
	static const uint64_t	away[VIEW_NTIER] = {
		[VIEW_EMPTY] = UINT64_MAX,
		[VIEW_MAIN] = STATE_AWAY, [VIEW_BACKUP] = STATE_AWAY,
		[VIEW_PANIC] = STATE_SHUT,
		[VIEW_EJECTED] = STATE_SHUT | STATE_BIT(SERVER_DOWN)
	};
	uint64_t		weight = f.rows[i].override != 0 ?
	    f.rows[i].override - 1 : f.rows[i].weight;

	return r->tier != VIEW_EMPTY && weight > 0 &&
	    (f.lives[i].state & away[r->tier]) == 0 && (!f.rows[i].backup ||
	    r->tier == VIEW_BACKUP || (r->tier == VIEW_EJECTED &&
	    r->backups));
}

static void
compare(unsigned tiers[VIEW_NTIER])
{
	struct census	c = { .main = 0 };
	bool		in;

	f.up.view.stale = true;
	view_refresh(&f.up);
	for (unsigned i = 0; i < N; i++)
		census_add(&c, &f.rows[i], &f.lives[i]);
	census_choose(&c, f.up.panic);
	ck_assert_int_eq(c.rule.tier, f.up.view.rule.tier);
	ck_assert_uint_eq(c.open, f.up.view.nopen);
	tiers[c.rule.tier]++;
	for (unsigned i = 0; i < N; i++) {
		in = is_in_view(&f.s[i]);
		ck_assert_int_eq(in, is_meant(i, &c.rule));
		ck_assert_int_eq(in, census_why_not(&c.rule, &f.rows[i],
		    &f.lives[i]) == NULL);
		ck_assert_uint_eq(state_weight(&f.rows[i], &f.lives[i]),
		    view_weight(&f.s[i]));
	}
}

START_TEST(test_same)
{
	unsigned	tiers[VIEW_NTIER] = { 0 };

	for (unsigned i = 0; i < N; i++) {
		f.lives[i].tag = i + 1;
		f.s[i].tag = i + 1;
		f.s[i].row = i;
		f.s[i].board = &f.rows[i];
		f.s[i].live = &f.lives[i];
		f.v[i] = &f.s[i];
	}
	f.up.servers = f.v;
	f.up.nserver = N;
	f.up.live = &f.board;
	f.up.balance = &balancer_round_robin;
	srandom(1);
	for (int n = 0; n < 20000; n++) {
		for (unsigned i = 0; i < N; i++)
			shuffle(i);
		f.up.panic = (unsigned)(random() % 101);
		compare(tiers);
	}
	for (int i = 0; i < VIEW_NTIER; i++)
		ck_assert_uint_gt(tiers[i], 100);
	view_fini(&f.up.view);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("census");
	TCase	*tc = tcase_create("census");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, test_same);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
