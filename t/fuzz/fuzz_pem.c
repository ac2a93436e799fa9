/*
 * Certificates and keys as files have them: PEM, then what OpenSSL makes
 * of it.  Blocks lie within the text, one behind the other; what decodes
 * fits; what is accepted has a chain, a key and right names.
 */
#include <stdlib.h>

#include "base/must.h"
#include "tls/cert_names.h"
#include "tls/cert_read.h"
#include "tls/pem.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_blocks(struct str text)
{
	const char	*behind = text.p;
	struct str	 rest = text;
	struct pem	 b;
	char		*out;

	while (pem_next(&rest, &b)) {
		must(b.whole.p >= behind);
		behind = b.whole.p + b.whole.n;
		must(behind <= text.p + text.n && rest.p == behind);
		must(b.body.p >= b.whole.p && b.body.p + b.body.n <= behind);
		out = must_alloc(pem_room(b.body.n));
		must(pem_decode(b.body, out) <=
		    (ptrdiff_t)pem_room(b.body.n));
		free(out);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str		s = str_make((const char *)data, size);
	struct cert_text	t = { s, s, STR_NONE };
	struct tls_cert		c = { .file = STR("") };
	struct cert_fault	f;
	struct cert_seen	seen;
	struct arena		a;

	check_blocks(s);
	arena_init(&a, NULL);
	cert_seen_init(&seen);
	if (cert_read(&seen, &t, &a, &a, &c, &f) == 0 &&
	    cert_examine(&seen, &a, &c, &f) == 0) {
		must(c.nchain > 0 && c.key.n > 0);
		for (size_t i = 0; i < c.nname; i++)
			must(c.names[i].n > 0 &&
			    c.names[i].n <= CERT_NAMES_MAX);
	}
	cert_seen_fini(&seen);
	arena_fini(&a);
	return 0;
}
