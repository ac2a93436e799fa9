/*
 * Chunked bodies: however the bytes are cut, data, trailers and errors are
 * the same; and a body that was read can be written and read again.
 */
#include "t/lib/h1_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
run(struct drive *d, struct str in, size_t first, size_t step)
{
	size_t	n;

	drive_init(d, false, METHOD_GET);
	d->chunked = (struct h1_chunked){ .limits = &d->limits,
	    .arena = &d->arena };
	d->state = DR_CHUNKED;
	for (n = first; n < in.n; n += step)
		drive_feed(d, in, n);
	drive_feed(d, in, in.n);
	drive_close(d, in.n);
}

static void
compare(const struct drive *whole, struct str in, size_t first, size_t step)
{
	struct drive	cut;

	run(&cut, in, first, step);
	must(whole->pos == cut.pos || whole->state == DR_STOP);
	must(str_eq(text_str(&whole->out), text_str(&cut.out)));
	drive_fini(&cut);
}

/* The first body of in, as one chunk; false if it does not end. */
static bool
rewrite(struct str in, struct arena *a, struct text *out)
{
	struct codec_limits	none = { 0 };
	struct h1_chunked	c = { .limits = &none, .arena = a };
	struct text		body;
	struct str		data;
	char			line[18];
	size_t			used;
	enum fail		why;
	enum h1_rc		rc;

	text_init(&body);
	do {
		rc = h1_chunk_next(&c, in, &data, &used, &why);
		if (rc == H1_BAD)
			break;
		text_add(&body, data);
		in = str_sub(in, used, in.n);
	} while (rc == H1_MORE && data.n > 0);
	if (rc == H1_DONE) {
		if (body.n > 0) {
			used = h1_write_chunk(line, body.n);
			text_add(out, str_make(line, used));
			text_add(out, text_str(&body));
			text_add(out, STR("\r\n"));
		}
		h1_write_last(out, &c.trailers);
	}
	text_fini(&body);
	return rc == H1_DONE;
}

static void
same_when_written(struct str in)
{
	struct arena	a;
	struct text	one;
	struct text	two;

	arena_init(&a, NULL);
	text_init(&one);
	text_init(&two);
	if (rewrite(in, &a, &one)) {
		must(rewrite(text_str(&one), &a, &two));
		must(str_eq(text_str(&one), text_str(&two)));
	}
	text_fini(&one);
	text_fini(&two);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str	in = str_make((const char *)p, n);
	struct drive	whole;

	run(&whole, in, n, 1);
	compare(&whole, in, n < 2 ? 0 : p[n - 1] * n / 256, n + 1);
	compare(&whole, in, 0, n < 128 ? 1 : n / 16);
	drive_fini(&whole);
	same_when_written(in);
	return 0;
}
