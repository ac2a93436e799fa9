/*
 * Request heads and bodies: however the bytes are cut, they are understood
 * the same; and what is written of a request reads as that request.
 */
#include "t/lib/h1_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
run(struct drive *d, struct str in, size_t first, size_t step)
{
	size_t	n;

	drive_init(d, false, METHOD_GET);
	for (n = first; n < in.n; n += step)
		drive_feed(d, in, n);
	drive_feed(d, in, in.n);
	drive_close(d, in.n);
}

static void
same_in_pieces(struct str in)
{
	struct drive	whole;
	struct drive	cut;
	size_t		at = in.n < 2 ? 0 :
			    (unsigned char)in.p[in.n - 1] * in.n / 256;

	run(&whole, in, in.n, 1);
	run(&cut, in, at, in.n);
	must(str_eq(text_str(&whole.out), text_str(&cut.out)));
	drive_fini(&cut);
	run(&cut, in, 0, in.n < 128 ? 1 : in.n / 16);
	must(str_eq(text_str(&whole.out), text_str(&cut.out)));
	drive_fini(&cut);
	drive_fini(&whole);
}

/* Parses a head that must be one, whole, and writes it anew. */
static bool
rewrite(struct str in, struct arena *a, bool sure, struct text *out)
{
	struct codec_limits	none = { 0 };
	struct msg		m;
	struct h1_framing	f;
	size_t			seen = 0;
	size_t			used;
	enum fail		why;
	enum h1_rc		rc;

	rc = h1_find_head(in, &none, true, &seen, &used, &why);
	must(!sure || (rc == H1_DONE && used == in.n));
	if (rc != H1_DONE)
		return false;
	why = h1_parse_request(str_sub(in, 0, used), &none, a, &m, &f);
	must(!sure || why == FAIL_NONE);
	/* HTTP/1.0 may come without a host, 1.1 cannot go out so */
	if (why != FAIL_NONE || m.authority.n == 0)
		return false;
	must(f.chunked == (m.body < 0) && !(f.chunked && f.length > 0));
	h1_write_request(out, &m, f.chunked);
	return true;
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
	if (rewrite(in, &a, false, &one)) {
		rewrite(text_str(&one), &a, true, &two);
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

	same_in_pieces(in);
	same_when_written(in);
	return 0;
}
