/*
 * Response heads and bodies; the first byte chooses the method that is
 * answered.  However the bytes are cut, they are understood the same, and
 * what is written of a response is one, with the same body.
 */
#include "t/lib/h1_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const enum http_method methods[] = {
	METHOD_GET, METHOD_HEAD, METHOD_CONNECT, METHOD_POST
};

static void
run(struct drive *d, struct str in, enum http_method meth, size_t first,
    size_t step)
{
	size_t	n;

	drive_init(d, true, meth);
	for (n = first; n < in.n; n += step)
		drive_feed(d, in, n);
	drive_feed(d, in, in.n);
	drive_close(d, in.n);
}

static void
same_in_pieces(struct str in, enum http_method meth)
{
	struct drive	whole;
	struct drive	cut;
	size_t		at = in.n < 2 ? 0 :
			    (unsigned char)in.p[in.n - 1] * in.n / 256;

	run(&whole, in, meth, in.n, 1);
	run(&cut, in, meth, at, in.n);
	must(str_eq(text_str(&whole.out), text_str(&cut.out)));
	drive_fini(&cut);
	run(&cut, in, meth, 0, in.n < 128 ? 1 : in.n / 16);
	must(str_eq(text_str(&whole.out), text_str(&cut.out)));
	drive_fini(&cut);
	drive_fini(&whole);
}

static bool
parse(struct str in, struct arena *a, enum http_method meth, bool sure,
    struct msg *m, struct h1_framing *f)
{
	struct codec_limits	none = { 0 };
	size_t			seen = 0;
	size_t			used;
	enum fail		why;
	enum h1_rc		rc;

	rc = h1_find_head(in, &none, false, &seen, &used, &why);
	must(!sure || (rc == H1_DONE && used == in.n));
	if (rc != H1_DONE)
		return false;
	why = h1_parse_response(str_sub(in, 0, used), &none, a, meth, m, f);
	must(!sure || why == FAIL_NONE);
	return why == FAIL_NONE;
}

static void
same_when_written(struct str in, enum http_method meth)
{
	static const char	date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
	struct arena		a;
	struct text		t;
	struct msg		m[2];
	struct h1_framing	f[2];
	struct h1_out		o = { .date = date };

	arena_init(&a, NULL);
	text_init(&t);
	if (parse(in, &a, meth, false, &m[0], &f[0])) {
		must(f[0].chunked + f[0].until_close <= 1);
		must(!m[0].bodyless || (!f[0].chunked && f[0].length == 0));
		o.chunked = f[0].chunked;
		o.close = f[0].close;
		o.keep10 = f[0].keep10;
		o.no_length = f[0].until_close ||
		    (meth == METHOD_CONNECT && m[0].upgrade);
		h1_write_response(&t, &m[0], &o);
		parse(text_str(&t), &a, meth, true, &m[1], &f[1]);
		must(m[0].status == m[1].status);
		must(f[0].length == f[1].length);
		must(f[0].chunked == f[1].chunked);
		must(f[0].until_close == f[1].until_close);
		must(m[0].upgrade == m[1].upgrade);
		must(m[0].upgrade || f[0].close == f[1].close);
	}
	text_fini(&t);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str		in = str_make((const char *)p, n);
	enum http_method	meth;

	if (n == 0)
		return 0;
	meth = methods[p[0] % 4];
	in = str_sub(in, 1, n);
	same_in_pieces(in, meth);
	same_when_written(in, meth);
	return 0;
}
