/*
 * HTTP/1.1 syntax by the cases of t/corpus/h1: each runs whole, split in
 * two at every byte and byte by byte, and must be understood the same.
 */
#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "t/lib/h1_drive.h"

#define LARGE	2048		/* from here on only some splits */

struct kase {
	struct str		name;
	struct text		bytes;
	struct str		events;
	bool			response;
	enum http_method	meth;
};

static struct text	file;
static unsigned		ncases;
static unsigned		nfail[2];	/* refused requests, responses */

static int
hex(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static size_t unescape(struct str, size_t, struct text *);

/* "\{N*text}": text N times. */
static size_t
repeat(struct str s, size_t i, struct text *out)
{
	ptrdiff_t	star = str_find(s, '*', i);
	ptrdiff_t	end = str_find(s, '}', i);
	uint64_t	n;
	struct str	body;
	size_t		k;

	ck_assert(star > 0 && end > star);
	ck_assert_int_eq(str_to_u64(str_sub(s, i, (size_t)star), 100000,
	    &n), 0);
	body = str_sub(s, (size_t)star + 1, (size_t)end);
	while (n-- > 0)
		for (k = 0; k < body.n;)
			k = unescape(body, k, out);
	return (size_t)end + 1;
}

/* One byte or escape at i; returns the index behind it. */
static size_t
unescape(struct str s, size_t i, struct text *out)
{
	if (s.p[i] == '\n')
		return i + 1;
	if (s.p[i] != '\\') {
		text_c(out, s.p[i]);
		return i + 1;
	}
	ck_assert_uint_lt(i + 1, s.n);
	switch (s.p[i + 1]) {
	case 'r':
		text_c(out, '\r');
		break;
	case 'n':
		text_c(out, '\n');
		break;
	case 't':
		text_c(out, '\t');
		break;
	case '\\':
		text_c(out, '\\');
		break;
	case 'x':
		text_c(out, (char)(hex(s.p[i + 2]) << 4 | hex(s.p[i + 3])));
		return i + 4;
	case '{':
		return repeat(s, i + 2, out);
	default:
		ck_abort_msg("unknown escape in the corpus");
	}
	return i + 2;
}

static struct str
run(const struct kase *k, struct drive *d, size_t step, size_t split)
{
	struct str	all = text_str(&k->bytes);
	size_t		n = split;

	drive_init(d, k->response, k->meth);
	for (; n < all.n; n += step)
		drive_feed(d, all, n);
	drive_feed(d, all, all.n);
	return drive_close(d, all.n);
}

static void
compare(const struct kase *k, struct str got, const char *how, size_t at)
{
	if (str_eq(got, k->events))
		return;
	ck_abort_msg("%.*s, %s %zu: expected\n%.*sbut was\n%.*s",
	    STR_FMT(k->name), how, at, STR_FMT(k->events), STR_FMT(got));
}

static void
run_case(const struct kase *k)
{
	size_t		n = k->bytes.n;
	size_t		by = n > LARGE ? 997 : 1;
	struct drive	d;
	size_t		i;

	compare(k, run(k, &d, n, n), "whole", n);
	drive_fini(&d);
	for (i = 0; i < n; i += i < 64 || i + 64 > n ? 1 : by) {
		compare(k, run(k, &d, n, i), "split at", i);
		drive_fini(&d);
	}
	by = n > LARGE ? 101 : 1;
	compare(k, run(k, &d, by, 0), "in steps of", by);
	drive_fini(&d);
	ncases++;
	nfail[k->response] += str_ends(k->events, STR("\n")) &&
	    (str_starts(k->events, STR("fail ")) ||
	    memmem(k->events.p, k->events.n, "\nfail ", 6) != NULL);
}

static struct str
cut_line(struct str *rest)
{
	ptrdiff_t	at = str_find(*rest, '\n', 0);
	size_t		n = at < 0 ? rest->n : (size_t)at;
	struct str	line = str_sub(*rest, 0, n);

	*rest = str_sub(*rest, n + 1, rest->n);
	return line;
}

/* The text up to the closing fence. */
static struct str
cut_block(struct str *rest)
{
	const char	*from = rest->p;
	const char	*to = from;

	while (rest->n > 0) {
		to = rest->p;
		if (str_starts(cut_line(rest), STR("```")))
			break;
	}
	return str_make(from, (size_t)(to - from));
}

static void
read_input(struct kase *k, struct str info, struct str block)
{
	size_t		i = 0;
	struct str	word;

	k->response = false;
	k->meth = METHOD_GET;
	while (str_word(&info, " ", &word))
		if (str_eq(word, STR("response")))
			k->response = true;
		else if (k->response)
			k->meth = msg_method(word);
	k->bytes.n = 0;
	while (i < block.n)
		i = unescape(block, i, &k->bytes);
}

static void
run_file(const char *path)
{
	struct kase	 k = { .name = STR_NONE };
	FILE		*f = fopen(path, "r");
	struct str	 rest;
	struct str	 line;
	char		 buf[4096];
	size_t		 n;

	ck_assert_ptr_nonnull(f);
	text_init(&file);
	text_init(&k.bytes);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		text_add(&file, str_make(buf, n));
	fclose(f);
	for (rest = text_str(&file); rest.n > 0;) {
		line = cut_line(&rest);
		if (str_starts(line, STR("## ")))
			k.name = str_sub(line, 3, line.n);
		else if (str_starts(line, STR("```http")))
			read_input(&k, str_sub(line, 7, line.n),
			    cut_block(&rest));
		else if (str_starts(line, STR("```events"))) {
			k.events = cut_block(&rest);
			run_case(&k);
		}
	}
	text_fini(&k.bytes);
	text_fini(&file);
}

START_TEST(corpus)
{
	glob_t	g;
	size_t	i;

	ck_assert_int_eq(glob("t/corpus/h1/*.md", 0, NULL, &g), 0);
	for (i = 0; i < g.gl_pathc; i++)
		run_file(g.gl_pathv[i]);
	globfree(&g);
	printf("h1: %u cases, %u requests and %u responses refused\n",
	    ncases, nfail[0], nfail[1]);
	ck_assert_uint_ge(nfail[0], 150);
	ck_assert_uint_ge(nfail[1], 60);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h1_parse");
	TCase	*tc = tcase_create("corpus");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, corpus);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
