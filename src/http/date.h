/*
 * HTTP dates (RFC 9110 5.6.7).
 */
#ifndef SL_HTTP_DATE_H
#define SL_HTTP_DATE_H

#include "base/str.h"

#define DATE_LEN	29	/* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Writes DATE_LEN bytes, no NUL. */
void date_format(int64_t seconds, char *out);

/* IMF-fixdate, RFC 850 and asctime forms; -1 if it is none. */
int date_parse(struct str, int64_t now, int64_t *seconds);

/* Writes "2026-11-21T08:49:37.123Z" (24 bytes), for logs (RFC 3339). */
#define DATE_ISO_LEN	24
void date_iso(uint64_t ms, char *out);

/* Writes "[21/Nov/2026:08:49:37 +0000]" (28 bytes), as httpd's logs. */
#define DATE_CLF_LEN	28
void date_clf(uint64_t seconds, char *out);

#endif
