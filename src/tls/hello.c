/*
 * The name in a ClientHello.  What is malformed counts as no name here:
 * OpenSSL parses it once more and refuses it.
 */
#include "tls/hello.h"

#define HOST_NAME	0	/* name_type */

struct str
tls_hello_fold(struct str name, char buf[TLS_NAME_MAX])
{
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > TLS_NAME_MAX)
		return STR_NONE;
	for (size_t i = 0; i < name.n; i++)
		buf[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ?
		    (char)(name.p[i] | 0x20) : name.p[i];
	return str_make(buf, name.n);
}

/* Two bytes of length and as many bytes; p NULL: they are not there. */
static struct str
cut(struct str *rest)
{
	struct str	s = STR_NONE;
	size_t		n;

	if (rest->n < 2)
		return s;
	n = (size_t)(unsigned char)rest->p[0] << 8 |
	    (unsigned char)rest->p[1];
	if (rest->n - 2 < n)
		return s;
	s = str_make(rest->p + 2, n);
	*rest = str_sub(*rest, n + 2, rest->n);
	return s;
}

struct str
tls_hello_name(struct str ext, char buf[TLS_NAME_MAX])
{
	struct str	list = cut(&ext), name;
	char		type;

	if (list.p == NULL || ext.n > 0)
		return STR_NONE;
	while (list.n > 0) {
		type = list.p[0];
		list = str_sub(list, 1, list.n);
		name = cut(&list);
		if (name.p == NULL)
			return STR_NONE;
		if (type == HOST_NAME)
			return tls_hello_fold(name, buf);
	}
	return STR_NONE;
}
