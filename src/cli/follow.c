/*
 * sluicectl log.  sluicectl.  Each line of the answer is a record, printed
 * when it is whole and flushed with the last one that came: who reads the
 * output through a pipe sees records as they come, too.
 */
#include "cli/follow.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/show.h"
#include "conf/diag.h"
#include "control/api.h"

#define TARGET_MAX	8000	/* control refuses targets above 8192 */
#define PAST_MS		"1000"	/* shown before what comes */
#define HEAD_MS		15000	/* control waits ten seconds itself */

enum { DONE = 0, USAGE = 2 };

struct follow {
	bool		json;
	bool		color;
	struct text	rest;		/* own: of a line that goes on */
};

/* --- words --- */

static void
add_encoded(struct text *t, struct str s)
{
	unsigned char	c;

	for (size_t i = 0; i < s.n; i++) {
		c = (unsigned char)s.p[i];
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z'))
			text_c(t, (char)c);
		else
			text_fmt(t, "%%%02X", c);
	}
}

int
follow_read(char *const *words, size_t n, struct text *target,
    json_t **answer)
{
	struct text	filter;
	bool		follows = false;
	size_t		i;

	*answer = NULL;
	for (i = 0; i < n && words[i][0] == '-'; i++) {
		if (strcmp(words[i], "-f") != 0) {
			fprintf(stderr, "sluicectl: log: unknown option "
			    "\"%s\": see sluicectl help\n", words[i]);
			return USAGE;
		}
		follows = true;
	}
	text_init(&filter);
	for (; i < n; i++)
		text_fmt(&filter, "%s%s", filter.n > 0 ? " " : "", words[i]);
	text_add(target, follows ? STR("?follow=1&past=" PAST_MS "&q=") :
	    STR("?past=all&q="));
	add_encoded(target, text_str(&filter));
	text_fini(&filter);
	if (target->n > TARGET_MAX) {
		fprintf(stderr, "sluicectl: log: the filter is too long\n");
		return USAGE;
	}
	return DONE;
}

/* --- records --- */

static void
print_line(struct follow *f, struct str line)
{
	struct show	s = { .color = f->color };
	json_t		*j = f->json ? NULL :
	    json_loadb(line.p, line.n, 0, NULL);

	if (j == NULL) {
		fwrite(line.p, 1, line.n, stdout);
		putchar('\n');
		return;
	}
	text_init(&s.out);
	show_log(&s, j);
	fwrite(s.out.p, 1, s.out.n, stdout);
	text_fini(&s.out);
	json_decref(j);
}

static void
on_bytes(void *ctx, struct str bytes)
{
	struct follow	*f = ctx;
	struct str	 all;
	ptrdiff_t	 at;

	text_add(&f->rest, bytes);
	all = text_str(&f->rest);
	while ((at = str_find(all, '\n', 0)) >= 0) {
		print_line(f, str_sub(all, 0, (size_t)at));
		all = str_sub(all, (size_t)at + 1, all.n);
	}
	memmove(f->rest.p, all.p, all.n);
	f->rest.n = all.n;
	/* the reader of a pipe has gone: so do we */
	if (fflush(stdout) != 0)
		_exit(DONE);
}

int
follow_run(const char *sock, const char *target, bool json,
    struct answer *a, struct err *e)
{
	struct follow		f = { .json = json,
	    .color = diag_wants_color(STDOUT_FILENO) };
	struct client_follow	to = { on_bytes, &f };
	int			rc;

	text_init(&f.rest);
	rc = client_follow(sock, target, HEAD_MS, &to, a, e);
	text_fini(&f.rest);
	return rc;
}
