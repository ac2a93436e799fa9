/*
 * See load_h1.h.
 */
#include "load_h1.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

size_t
h1_request(char *buf, size_t size, const char *path, const char *host,
    uint64_t upload, bool last)
{
	int	n;

	n = snprintf(buf, size, "%s %s HTTP/1.1\r\nHost: %s\r\n"
	    "User-Agent: load\r\nAccept: */*\r\n%s",
	    upload > 0 ? "PUT" : "GET", path, host,
	    last ? "Connection: close\r\n" : "");
	if (upload > 0)
		n += snprintf(buf + n, size - (size_t)n,
		    "Content-Length: %llu\r\n", (unsigned long long)upload);
	n += snprintf(buf + n, size - (size_t)n, "\r\n");
	return (size_t)n;
}

const char *
h1_field(const char *head, const char *name)
{
	size_t		n = strlen(name);
	const char	*p = head;

	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, n) == 0)
			return p + n + strspn(p + n, " ");
	}
	return NULL;
}
