/*
 * The chain of filters: orders of the hooks with every answer, states,
 * body sinks.  The filters are the test's own.
 */
#include "core/chain.h"
#include "serve_env.h"

#define NFILTER	3

/* what a filter is to answer, and what was called */
struct script {
	char		 name;
	enum step_rc	 req[3];	/* one after the other */
	enum step_rc	 res[3];
	bool		 wraps;
	struct sink	 sink;
	struct sink	*next;
};

struct state {
	unsigned	nreq;
	unsigned	nres;
};

struct world {
	struct arena		 a;
	struct exchange		 x;
	struct route		 r;
	struct chain		 c;
	struct chain_link	 link[NFILTER];
	struct script		 s[NFILTER];
	char			 said[64];
	struct sink		 out;
};

static void
say(struct exchange *x, char what, char name)
{
	struct world	*w = container_of(x, struct world, x);
	size_t		 n = strlen(w->said);

	ck_assert_uint_lt(n + 2, sizeof(w->said));
	w->said[n] = what;
	w->said[n + 1] = name;
}

static struct script *
script_of(struct exchange *x, const void *conf)
{
	return &container_of(x, struct world, x)->s[*(const char *)conf -
	    'a'];
}

static enum step_rc
on_req(struct exchange *x, const void *conf, void *state)
{
	struct script	*s = script_of(x, conf);

	say(x, '>', s->name);
	return s->req[((struct state *)state)->nreq++];
}

static enum step_rc
on_res(struct exchange *x, const void *conf, void *state)
{
	struct script	*s = script_of(x, conf);

	say(x, '<', s->name);
	return s->res[((struct state *)state)->nres++];
}

static struct sink *
on_body(struct exchange *x, const void *conf, void *state, struct sink *next)
{
	struct script	*s = script_of(x, conf);

	(void)state;
	if (!s->wraps)
		return NULL;
	s->next = next;
	return &s->sink;
}

static void
on_done(struct exchange *x, const void *conf, void *state)
{
	(void)state;
	say(x, '.', script_of(x, conf)->name);
}

static const struct filter	full = { "full", PHASE_EDGE, NULL,
	sizeof(struct state), on_req, on_res, on_body, on_done };
static const struct filter	bare = { "bare", PHASE_EDGE, NULL, 0, NULL,
	NULL, NULL, NULL };

static void
setup(struct world *w)
{
	memset(w, 0, sizeof(*w));
	arena_init(&w->a, NULL);
	w->x.arena = &w->a;
	w->x.route = &w->r;
	w->x.out = &w->out;
	w->r.chain = &w->c;
	w->c.n = NFILTER;
	w->c.link = w->link;
	for (int i = 0; i < NFILTER; i++) {
		w->s[i].name = (char)('a' + i);
		w->link[i].filter = &full;
		w->link[i].conf = &w->s[i].name;
	}
}

static void
finish(struct world *w, const char *want)
{
	chain_done(&w->x);
	ck_assert_str_eq(w->said, want);
	chain_done(&w->x);
	ck_assert_str_eq(w->said, want);
	arena_fini(&w->a);
}

START_TEST(in_order_and_back)
{
	struct world	w;

	setup(&w);
	ck_assert_int_eq(chain_request(&w.x), STEP_NEXT);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	finish(&w, ">a>b>c<c<b<a.a.b.c");
}
END_TEST

START_TEST(one_that_answers)
{
	struct world	w;

	setup(&w);
	w.s[1].req[0] = STEP_DONE;
	ck_assert_int_eq(chain_request(&w.x), STEP_DONE);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	finish(&w, ">a>b<a.a.b");
}
END_TEST

START_TEST(one_that_fails)
{
	struct world	w;

	setup(&w);
	w.s[2].req[0] = STEP_FAIL;
	ck_assert_int_eq(chain_request(&w.x), STEP_FAIL);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	finish(&w, ">a>b>c<b<a.a.b.c");
}
END_TEST

START_TEST(one_that_waits)
{
	struct world	w;

	setup(&w);
	w.s[0].req[0] = STEP_WAIT;
	w.s[0].req[1] = STEP_WAIT;
	w.s[1].res[0] = STEP_WAIT;
	ck_assert_int_eq(chain_request(&w.x), STEP_WAIT);
	ck_assert_int_eq(chain_request(&w.x), STEP_WAIT);
	ck_assert_int_eq(chain_request(&w.x), STEP_NEXT);
	ck_assert_int_eq(chain_response(&w.x), STEP_WAIT);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	finish(&w, ">a>a>a>b>c<c<b<b<a.a.b.c");
}
END_TEST

START_TEST(waits_and_then_fails)
{
	struct world	w;

	setup(&w);
	w.s[1].req[0] = STEP_WAIT;
	w.s[1].req[1] = STEP_FAIL;
	ck_assert_int_eq(chain_request(&w.x), STEP_WAIT);
	ck_assert_int_eq(chain_request(&w.x), STEP_FAIL);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	finish(&w, ">a>b>b<a.a.b");
}
END_TEST

/* The page that follows goes on with the filters that are left. */
START_TEST(fails_on_the_way_back)
{
	struct world	w;

	setup(&w);
	w.s[2].res[0] = STEP_FAIL;
	ck_assert_int_eq(chain_request(&w.x), STEP_NEXT);
	ck_assert_int_eq(chain_response(&w.x), STEP_FAIL);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	finish(&w, ">a>b>c<c<b<a.a.b.c");
}
END_TEST

START_TEST(hooks_that_are_not_there)
{
	struct world	w;

	setup(&w);
	w.link[1].filter = &bare;
	ck_assert_int_eq(chain_request(&w.x), STEP_NEXT);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	chain_wrap(&w.x);
	ck_assert_ptr_eq(w.x.out, &w.out);
	finish(&w, ">a>c<c<a.a.c");
}
END_TEST

START_TEST(no_chain)
{
	struct world	w;

	setup(&w);
	w.r.chain = NULL;
	ck_assert_int_eq(chain_request(&w.x), STEP_NEXT);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	chain_wrap(&w.x);
	w.x.route = NULL;
	ck_assert_int_eq(chain_request(&w.x), STEP_NEXT);
	finish(&w, "");
}
END_TEST

/* The handler writes to the last filter, the first one to the codec. */
START_TEST(bodies)
{
	struct world	w;

	setup(&w);
	w.s[0].wraps = w.s[2].wraps = true;
	ck_assert_int_eq(chain_request(&w.x), STEP_NEXT);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	chain_wrap(&w.x);
	ck_assert_ptr_eq(w.x.out, &w.s[2].sink);
	ck_assert_ptr_eq(w.s[2].next, &w.s[0].sink);
	ck_assert_ptr_eq(w.s[0].next, &w.out);
	finish(&w, ">a>b>c<c<b<a.a.b.c");
}
END_TEST

/* A filter that never let the request pass sees no body either. */
START_TEST(bodies_of_an_answer)
{
	struct world	w;

	setup(&w);
	w.s[0].wraps = w.s[1].wraps = true;
	w.s[1].req[0] = STEP_DONE;
	ck_assert_int_eq(chain_request(&w.x), STEP_DONE);
	ck_assert_int_eq(chain_response(&w.x), STEP_NEXT);
	chain_wrap(&w.x);
	ck_assert_ptr_eq(w.x.out, &w.s[0].sink);
	ck_assert_ptr_eq(w.s[0].next, &w.out);
	finish(&w, ">a>b<a.a.b");
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("chain");
	TCase	*tc = tcase_create("chain");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, in_order_and_back);
	tcase_add_test(tc, one_that_answers);
	tcase_add_test(tc, one_that_fails);
	tcase_add_test(tc, one_that_waits);
	tcase_add_test(tc, waits_and_then_fails);
	tcase_add_test(tc, fails_on_the_way_back);
	tcase_add_test(tc, hooks_that_are_not_there);
	tcase_add_test(tc, no_chain);
	tcase_add_test(tc, bodies);
	tcase_add_test(tc, bodies_of_an_answer);
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
