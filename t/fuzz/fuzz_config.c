/*
 * Configurations: any bytes as the main file, against the rows of the
 * program.  Messages, dumps and a second load of the same must hold too.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/text.h"
#include "conf/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *const env[] = {
	"FUZZ=value with $ and \"", "EMPTY=", NULL
};

/* Everything that can be printed of a load. */
static void
print(struct conf_load *l, const struct conf *c)
{
	struct text	t;
	FILE		*f;

	text_init(&t);
	diag_print(conf_load_diags(l), &t, "verdict");
	diag_json(conf_load_diags(l), &t);
	text_fini(&t);
	if (c == NULL)
		return;
	f = fopen("/dev/null", "w");
	must(f != NULL);
	conf_dump(l, CONF_DUMP_ALL, f);
	conf_dump(l, CONF_DUMP_SET, f);
	fclose(f);
}

/* Loads the text; the digest, or 0 if it is refused. */
static uint64_t
load(const struct str *text)
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
	print(l, c);
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
	uint64_t	digest = load(&text);

	/* What is sound is the same each time. */
	if (digest != 0)
		must(load(&text) == digest);
	return 0;
}
