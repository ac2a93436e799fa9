/*
 * Configurations: any bytes as the main file, against the rows of the
 * program.  Messages, dumps and a second load of the same must hold too.
 *
 * A load is cheap, what is printed of it is not.  So a fuzzer, which comes
 * by with more of the same, prints one form of each input and loads some
 * of those that are sound again; the length says which.  The replay of a
 * corpus does all of it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/text.h"
#include "conf/load.h"

#define FORMS		2	/* of messages and of dumps */
#define AGAIN		4	/* one in so many is loaded again */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int LLVMFuzzerInitialize(int *, char ***);

static const char *const env[] = {
	"FUZZ=value with $ and \"", "EMPTY=", NULL
};

static bool	 fuzzing;	/* libFuzzer says so, replay.c does not */
static FILE	*out;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzzing = true;
	return 0;
}

static void
print_messages(struct diags *d, size_t form)
{
	struct text	t;

	text_init(&t);
	if (form == 0)
		diag_print(d, &t, "verdict");
	else
		diag_json(d, &t);
	text_fini(&t);
}

static void
print_conf(struct conf_load *l, size_t form)
{
	if (out == NULL)
		out = fopen("/dev/null", "w");
	must(out != NULL);
	conf_dump(l, form == 0 ? CONF_DUMP_ALL : CONF_DUMP_SET, out);
}

/* Loads the text; the digest, or 0 if it is refused. */
static uint64_t
load(const struct str *text, bool again)
{
	struct conf_opts	 opts = { .file = "fuzz.conf" };
	struct conf_load	*l;
	struct arena		 a;
	struct conf		*c;
	uint64_t		 digest;

	opts.memory = text;
	opts.env = (char *const *)(uintptr_t)env;
	arena_init(&a, NULL);
	l = conf_load_new(&opts);
	c = conf_load_run(l, &a);
	must((c == NULL) == (diag_errors(conf_load_diags(l)) > 0));
	for (size_t i = 0; i < FORMS && !again; i++) {
		if (fuzzing && text->n % FORMS != i)
			continue;
		print_messages(conf_load_diags(l), i);
		if (c != NULL)
			print_conf(l, i);
	}
	conf_load_free(&l);
	/* What was loaded needs nothing of the load. */
	digest = c != NULL ? c->digest : 0;
	arena_fini(&a);
	return digest;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str	text = str_make((const char *)data, n);
	uint64_t	digest = load(&text, false);

	/* What is sound is the same each time. */
	if (digest != 0 && (!fuzzing || n / FORMS % AGAIN == 0))
		must(load(&text, true) == digest);
	return 0;
}
