/*
 * Requests to one of many routes, exact ones, prefixes and parameters.
 * SLUICE_ROUTES says how many of each there are: soak/test_routes.py
 * counts the instructions of the loop.
 */
#include "serve_env.h"

#define REQUESTS	300

static unsigned
count_routes(void)
{
	const char	*s = getenv("SLUICE_ROUTES");

	return s != NULL ? (unsigned)strtoul(s, NULL, 10) : 100;
}

static void
add_routes(struct text *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		text_fmt(t, "[route e%u]\npath = /exact/%u\n"
		    "respond = 200 exact%u\n"
		    "[route p%u]\npath = /svc%u/*\nrespond = 200 prefix%u\n"
		    "[route u%u]\npath = /app%u/:id/edit\n"
		    "respond = 200 param%u ${path.id}\n",
		    i, i, i, i, i, i, i, i, i);
	text_c(t, '\0');
}

START_TEST(many_routes)
{
	static const char *const	what[][4] = {
		{ "exact/", "", "exact", "" },
		{ "svc", "/x/y", "prefix", "" },
		{ "app", "/42/edit", "param", " 42" } };
	struct env	 t;
	struct text	 c;
	struct cli	*cli;
	unsigned	 n = count_routes(), last = n - 1;
	char		 ask[128], want[64];

	env_init(&t);
	text_init(&c);
	add_routes(&c, n);
	env_conf(&t, c.p);
	text_fini(&c);
	cli = cli_open(&t);
	for (unsigned i = 0; i < REQUESTS; i++) {
		const char *const	*w = what[i % 3];

		snprintf(ask, sizeof(ask), "GET /%s%u%s HTTP/1.1\r\n"
		    "Host: t.example\r\n\r\n", w[0], last, w[1]);
		snprintf(want, sizeof(want), "%s%u%s", w[2], last, w[3]);
		cli_send(cli, ask);
		cli_expect(&t, cli, want);
	}
	cli_close(&cli);
	env_fini(&t);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("route_cost");
	TCase	*tc = tcase_create("many");
	SRunner	*sr;
	int	 bad;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, many_routes);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad == 0 ? 0 : 1;
}
