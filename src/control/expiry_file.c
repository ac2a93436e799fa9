/*
 * What is said of files of TLS before they end.  Control process.
 *
 * Lists of revoked certificates live for days or hours and are made anew
 * all the time: nothing is said of them before three quarters of their
 * time are over.
 */
#include "control/expiry_int.h"

#include "core/board.h"
#include "os/proc.h"
#include "tls/cert.h"

#define HOUR	3600
#define DAY	86400

/* a look at all of them */
struct look {
	struct expiry	*x;
	int64_t		 now;
	int64_t		 ca;	/* seconds left of the first, INT64_MAX */
	int64_t		 crl;
};

/* What each is called, and what comes of its end. */
static const struct {
	const char	*name;
	const char	*then;
} kinds[TLS_FILE_NKIND] = {
	[TLS_FILE_CA] = { "authority of clients",
	    "certificates by it are refused" },
	[TLS_FILE_CRL] = { "list of revoked certificates",
	    "clients of its authority are refused" },
	[TLS_FILE_SERVER_CA] = { "authority of servers",
	    "servers with certificates by it are not believed" },
	[TLS_FILE_SHOWN] = { "certificate for servers",
	    "servers refuse it" }
};

static void
say(const struct tls_file *f, int64_t left)
{
	const char	*name = kinds[f->kind].name;
	char		 day[TLS_DATE_BYTES], in[32];

	tls_certs_date(day, f->until, f->until - left);
	expiry_put(in, sizeof(in), left);
	if (left <= 0)
		log_err(&self->lc, "%s \"%.*s\" expired on %s: %s", name,
		    STR_FMT(f->path), day, kinds[f->kind].then);
	else
		log_warn(&self->lc, "%s \"%.*s\" expires on %s, in %s",
		    name, STR_FMT(f->path), day, in);
}

static void
look_at(void *ctx, const struct tls_file *f)
{
	struct look	*l = ctx;
	int64_t		 left = f->until - l->now, most = INT64_MAX;
	uint64_t	 id[2];

	if (f->until == 0)
		return;
	if (f->kind == TLS_FILE_CRL) {
		l->crl = left < l->crl ? left : l->crl;
		most = (f->until - f->from) / 4;
	} else if (f->kind != TLS_FILE_SHOWN) {
		l->ca = left < l->ca ? left : l->ca;
	}
	id[0] = str_hash(f->path, STR_HASH0);
	id[1] = (uint64_t)f->until << 3 | f->kind;
	if (expiry_is_due(l->x, (const uint8_t *)id, left, most))
		say(f, left);
}

void
expiry_look_files(struct expiry *x, int64_t now)
{
	struct look	l = { x, now, INT64_MAX, INT64_MAX };

	tls_files_each(x->conf, look_at, &l);
	expiry_set(&x->ca, l.ca, DAY);
	expiry_set(&x->crl, l.crl, HOUR);
}
