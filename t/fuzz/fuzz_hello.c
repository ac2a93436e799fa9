/*
 * The first bytes of a connection: the name of a ClientHello.  It lies in
 * the room and is one that an index could have; a beginning of what is
 * whole never becomes anything else than its beginning.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static enum hello_rc
parse(struct str in, char *keep, struct str *name)
{
	char		*room = must_alloc(in.n + 1);
	enum hello_rc	 rc = tls_hello_parse(in, room, name);

	if (name->n > 0) {
		must(name->p >= room && name->p + name->n <= room + in.n);
		must(name->n <= TLS_NAME_MAX);
		for (size_t i = 0; i < name->n; i++)
			must(name->p[i] > ' ' && name->p[i] < 0x7f &&
			    (name->p[i] < 'A' || name->p[i] > 'Z'));
		memcpy(keep, name->p, name->n);
		name->p = keep;
	}
	free(room);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str	s = str_make((const char *)data,
	    size < HELLO_MAX ? size : HELLO_MAX);
	struct str	name, less;
	char		keep[256], other[256];
	enum hello_rc	rc = parse(s, keep, &name), part;

	must(rc == HELLO_DONE || rc == HELLO_BAD || s.n < HELLO_MAX);
	for (size_t n = 0; n < s.n; n += s.n / 16 + 1) {
		part = parse(str_sub(s, 0, n), other, &less);
		/* what is bad stays bad, what is done stays done */
		must(part == HELLO_MORE || part == rc ||
		    (part == HELLO_DONE && rc == HELLO_BAD));
		must(part != HELLO_DONE || rc != HELLO_DONE ||
		    str_eq(name, less));
	}
	return 0;
}
