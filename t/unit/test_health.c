/*
 * Health as the master's slot of the board tells it.
 */
#include "serve_env.h"

static void
answers(struct env *t, uint32_t state, const char *want)
{
	struct board_slot	*master = shm_row(t->shm, &board_slots, 0);

	master->state = state;
	env_has(env_ask(t, "GET /health", ""), want);
}

START_TEST(states_of_the_gateway)
{
	struct env	t;
	const char	*r;

	env_init(&t);
	env_conf(&t, "[route r]\nrespond = 200 r\n");
	answers(&t, SLOT_STARTING, "503 Service Unavailable");
	answers(&t, SLOT_STARTING, "{\"status\":\"starting\"}");
	r = env_ask(&t, "GET /ping", "");
	env_has(r, " 503 ");
	env_lacks(r, "pong");
	answers(&t, SLOT_SERVING, "{\"status\":\"ok\"}");
	answers(&t, SLOT_DRAINING, "{\"status\":\"draining\"}");
	env_has(env_ask(&t, "GET /config/health", ""), " 503 ");
	r = env_ask(&t, "GET /config/status", "");
	env_has(r, " 200 ");
	env_has(r, "{\"status\":\"draining\",\"generation\":1,");
	env_fini(&t);
}
END_TEST

START_TEST(paths_that_cannot_be)
{
	env_says("[health]\npath = /health*\n", true, "E0128");
	env_says("[health]\npath = health\n", true, "E0128");
	env_says("[health]\ncomponents = some\n", true, "E0124");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("health");
	TCase	*tc = tcase_create("health");
	SRunner	*sr;
	int	 bad;

	tcase_add_test(tc, states_of_the_gateway);
	tcase_add_test(tc, paths_that_cannot_be);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad == 0 ? 0 : 1;
}
