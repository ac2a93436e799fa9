/*
 * The extension server_name.  A name lies in the buffer, is in lower case,
 * has no dot at its end, and is found again when it is written anew.
 */
#include <string.h>

#include "base/must.h"
#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char		buf[TLS_NAME_MAX], again[TLS_NAME_MAX];
	char		ext[TLS_NAME_MAX + 5];
	struct str	s, t;

	s = tls_hello_name(str_make((const char *)data, size), buf);
	if (s.n == 0) {
		must(s.p == NULL);
		return 0;
	}
	must(s.p == buf && s.n <= TLS_NAME_MAX && !str_has_upper(s));
	ext[0] = (char)((s.n + 3) >> 8);
	ext[1] = (char)(s.n + 3);
	ext[2] = 0;
	ext[3] = (char)(s.n >> 8);
	ext[4] = (char)s.n;
	memcpy(ext + 5, s.p, s.n);
	t = tls_hello_name(str_make(ext, s.n + 5), again);
	/* "a.." has lost one of its dots already */
	if (s.p[s.n - 1] == '.')
		s.n--;
	must(str_eq(s, t));
	return 0;
}
