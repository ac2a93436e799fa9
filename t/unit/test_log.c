/*
 * os/log: levels, cutting, the flood guard, what goes to stderr.
 */
#include "os/log.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* what the sink of the tests was given */
struct got {
	unsigned	n;
	enum log_level	level;
	char		module[LOG_MODULE_MAX + 1];
	size_t		len;
	char		text[LOG_TEXT_MAX];
	const struct logctx *again;	/* logs to it from inside */
};

static void
on_line(struct log *log, enum log_level level, const struct log_ids *ids,
    struct str text)
{
	struct got	*g = log->ctx;

	g->n++;
	g->level = level;
	snprintf(g->module, sizeof(g->module), "%s", ids->module);
	g->len = text.n;
	memcpy(g->text, text.p, text.n);
	if (text.n < sizeof(g->text))
		g->text[text.n] = '\0';
	if (g->again != NULL)
		log_err(g->again, "inside");
}

static struct got	got;
static struct log	sink;
static struct logctx	lc;

static void
setup(void)
{
	got = (struct got){ .n = 0 };
	sink = (struct log){ .level = LOG_INFO, .put = on_line, .ctx = &got };
	lc = (struct logctx){ &sink, { .module = "mod",
	    .request = STR_INIT("r1"), .conn = 7 } };
}

/* Makes sure that the next lines share a second. */
static void
settle(void)
{
	struct timespec	ts;

	do
		clock_gettime(CLOCK_MONOTONIC, &ts);
	while (ts.tv_nsec > 900000000);
}

/* A second passes. */
static void
pass(void)
{
	for (unsigned i = 0; i < LOG_CODES; i++)
		sink.flood[i].second--;
}

START_TEST(levels)
{
	log_dbg(&lc, "no");
	ck_assert_uint_eq(got.n, 0);
	log_info(&lc, "a %d", 5);
	ck_assert_uint_eq(got.n, 1);
	ck_assert_str_eq(got.text, "a 5");
	ck_assert_str_eq(got.module, "mod");
	ck_assert_int_eq(got.level, LOG_INFO);
	log_warn(&lc, "b");
	ck_assert_int_eq(got.level, LOG_WARN);
	log_err(&lc, "c");
	ck_assert_int_eq(got.level, LOG_ERR);
	sink.level = LOG_DBG;
	log_dbg(&lc, "d");
	ck_assert_int_eq(got.level, LOG_DBG);
	ck_assert_str_eq(log_level_name(LOG_WARN), "warning");
	ck_assert_str_eq(log_level_name(LOG_NLEVEL), "");
}
END_TEST

static bool
is_module(const char *file, const char *name)
{
	return str_eq(log_module_of(file), str_from(name));
}

START_TEST(modules)
{
	ck_assert(is_module("src/core/listener_conf.c", "listener"));
	ck_assert(is_module("proxy.c", "proxy"));
	ck_assert(is_module("a/b", "b"));
	ck_assert(is_module("", ""));
	lc.ids.module = NULL;
	log_info(&lc, "x");
	ck_assert_str_eq(got.module, "test");
	lc.ids.module = "mod";
	ck_assert_int_eq(log_set_module(&sink, STR("mod"), LOG_DBG), 0);
	ck_assert_int_eq(log_set_module(&sink, STR("calm"), LOG_ERR), 0);
	log_dbg(&lc, "a");
	ck_assert_str_eq(got.text, "a");
	lc.ids.module = "calm";
	log_warn(&lc, "b");
	ck_assert_str_eq(got.text, "a");
	log_err(&lc, "c");
	ck_assert_str_eq(got.text, "c");
	lc.ids.module = "";
	log_dbg(&lc, "d");
	ck_assert_str_eq(got.text, "c");
	log_forget_modules(&sink);
	lc.ids.module = "calm";
	log_info(&lc, "e");
	ck_assert_str_eq(got.text, "e");
}
END_TEST

START_TEST(modules_bounds)
{
	char	name[8];

	ck_assert_int_eq(log_set_module(&sink,
	    STR("a23456789012345678901234x"), LOG_DBG), -1);
	for (int i = 0; i < LOG_MODULES; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		for (int k = 0; k < 2; k++)
			ck_assert_int_eq(log_set_module(&sink,
			    str_from(name), LOG_DBG), 0);
	}
	ck_assert_int_eq(log_set_module(&sink, STR("b"), LOG_DBG), -1);
	lc.ids.module = "a234567890123456789012345678";
	log_err(&lc, "x");
	ck_assert_str_eq(got.module, "a23456789012345678901234");
}
END_TEST

START_TEST(nowhere)
{
	lc.log = NULL;
	log_err(&lc, "x");
	lc.log = &sink;
	sink.put = NULL;
	log_err(&lc, "x");
	log_tick(&sink);
	ck_assert_uint_eq(got.n, 0);
}
END_TEST

START_TEST(cut)
{
	log_err(&lc, "%*d", LOG_TEXT_MAX * 2, 1);
	ck_assert_uint_eq(got.n, 1);
	ck_assert_uint_eq(got.len, LOG_TEXT_MAX - 1);
}
END_TEST

START_TEST(sink_that_logs)
{
	got.again = &lc;
	log_err(&lc, "x");
	ck_assert_uint_eq(got.n, 1);
	ck_assert_str_eq(got.text, "x");
}
END_TEST

START_TEST(flood)
{
	static const char	fmt[] = "line %d";
	struct logctx		other = lc;

	other.ids.code = "another";
	settle();
	for (int i = 0; i < LOG_FLOOD + 20; i++)
		log_warn(&lc, fmt, i);
	ck_assert_uint_eq(got.n, LOG_FLOOD);
	/* other codes have their own hundred */
	log_warn(&other, "x");
	ck_assert_uint_eq(got.n, LOG_FLOOD + 1);
	log_tick(&sink);
	ck_assert_uint_eq(got.n, LOG_FLOOD + 1);
	pass();
	log_tick(&sink);
	ck_assert_uint_eq(got.n, LOG_FLOOD + 2);
	ck_assert_str_eq(got.text, "log: suppressed 20 lines like \"line %d\"");
	ck_assert_int_eq(got.level, LOG_WARN);
	log_tick(&sink);
	ck_assert_uint_eq(got.n, LOG_FLOOD + 2);
}
END_TEST

/* A code that is named counts for itself, whatever the format. */
START_TEST(flood_of_code)
{
	struct logctx	other = lc;
	const char	*more;

	other.ids.code = "one";
	more = "another";
	settle();
	for (int i = 0; i < LOG_FLOOD + 20; i++)
		log_warn(&other, "same %d", i);
	ck_assert_uint_eq(got.n, LOG_FLOOD);
	other.ids.code = more;
	log_warn(&other, "same %d", 0);
	ck_assert_uint_eq(got.n, LOG_FLOOD + 1);
	pass();
	log_tick(&sink);
	ck_assert_uint_eq(got.n, LOG_FLOOD + 2);
	ck_assert_str_eq(got.text, "log: suppressed 20 lines like \"one\"");
}
END_TEST

/* Wherever their places are, a few codes do not take each other's lines. */
START_TEST(flood_of_several)
{
	static const char	codes[65536];
	struct logctx		ctx = lc;

	for (unsigned round = 0; round < 20; round++) {
		memset(sink.flood, 0, sizeof(sink.flood));
		got.n = 0;
		settle();
		for (unsigned i = 0; i < 8 * 60; i++) {
			ctx.ids.code = &codes[(round * 7919 +
			    i % 8 * (i % 8) * 4099 + i % 8 * 977) %
			    sizeof(codes)];
			log_warn(&ctx, "x");
		}
		ck_assert_uint_eq(got.n, 8 * 60);
	}
}
END_TEST

/* The next line tells it too, and comes after it. */
START_TEST(flood_told_by_line)
{
	static const char	fmt[] = "x %d";

	settle();
	for (int i = 0; i < LOG_FLOOD + 1; i++)
		log_err(&lc, fmt, 1);
	pass();
	log_err(&lc, fmt, 2);
	ck_assert_uint_eq(got.n, LOG_FLOOD + 2);
	ck_assert_str_eq(got.text, "x 2");
}
END_TEST

START_TEST(to_stderr)
{
	struct log	log;
	struct logctx	ctx = { &log, { .module = "" } };
	char		buf[256];
	int		p[2];
	ssize_t		n;

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
	log_init_stderr(&log, LOG_INFO);
	log_warn(&ctx, "a: b\n\x1b[2Jc");
	n = read(p[0], buf, sizeof(buf));
	ck_assert(str_eq(str_make(buf, (size_t)n),
	    STR("warning: a: b\\x0a\\x1b[2Jc\n")));
	log_dbg(&ctx, "no");
	/* whole lines, however long */
	log_err(&ctx, "%*d", LOG_TEXT_MAX * 2, 1);
	close(p[1]);
	close(STDERR_FILENO);
	while ((n = read(p[0], buf, sizeof(buf))) > 0)
		if (n < (ssize_t)sizeof(buf))
			ck_assert_int_eq(buf[n - 1], '\n');
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("log");
	TCase	*c = tcase_create("log");

	tcase_set_timeout(c, 30);
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, levels);
	tcase_add_test(c, modules);
	tcase_add_test(c, modules_bounds);
	tcase_add_test(c, nowhere);
	tcase_add_test(c, cut);
	tcase_add_test(c, sink_that_logs);
	tcase_add_test(c, flood);
	tcase_add_test(c, flood_of_code);
	tcase_add_test(c, flood_of_several);
	tcase_add_test(c, flood_told_by_line);
	tcase_add_test(c, to_stderr);
	suite_add_tcase(s, c);
	return s;
}

int
main(void)
{
	SRunner	*r = srunner_create(suite());
	int	 failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
