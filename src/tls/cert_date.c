/*
 * Dates of certificates, for people.  All processes.
 */
#include "tls/cert.h"

#include <stdlib.h>
#include <time.h>

#define DAY	86400
#define SOON	(7 * DAY)	/* what -t warns of */

void
tls_certs_date(char buf[TLS_DATE_BYTES], int64_t at, int64_t now)
{
	time_t		t = (time_t)at;
	struct tm	tm;

	gmtime_r(&t, &tm);
	strftime(buf, TLS_DATE_BYTES, llabs(at - now) < 2 * DAY ?
	    "%Y-%m-%d %H:%M:%S UTC" : "%Y-%m-%d", &tm);
}

bool
tls_certs_dated(const struct tls_cert *c, int64_t now, struct err *e)
{
	char	buf[TLS_DATE_BYTES];

	if (c->until >= now + SOON && c->from <= now)
		return false;
	tls_certs_date(buf, c->until >= now && c->from > now ? c->from :
	    c->until, now);
	if (c->until < now)
		err_set(e, "expired on %s", buf);
	else if (c->from > now)
		err_set(e, "is not valid before %s", buf);
	else
		err_set(e, "expires on %s", buf);
	return true;
}
