/*
 * What is said of certificates before they expire.  Control process.
 *
 * Each is told of once at each of the times: whoever passed two of them
 * since the last look is told of the later one.  At most some are named
 * at a time, for ten thousand may have been issued on one day.
 */
#include "control/expiry.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "control/expiry_int.h"
#include "core/board.h"
#include "os/proc.h"
#include "tls/cert.h"
#include "tls/cert_conf.h"

#define HOUR_MS		3600000
#define HOUR		3600
#define DAY		86400
#define NAMED		20	/* certificates in a look */

/* of one certificate or file; the key of the map is its id */
struct said {
	uint8_t		id[TLS_ID_BYTES];
	int64_t		left;	/* the time that was said, seconds */
	bool		here;	/* the generation has it */
};

/* --- what was said --- */

static struct said *
said_of(struct expiry *x, const uint8_t *id)
{
	struct said	*s = map_find(&x->said, str_make((const char *)id,
	    TLS_ID_BYTES));

	if (s != NULL)
		return s;
	s = must_calloc(1, sizeof(*s));
	memcpy(s->id, id, sizeof(s->id));
	s->left = INT64_MAX;
	map_add(&x->said, str_make((const char *)s->id, TLS_ID_BYTES), s);
	return s;
}

/* Those that the generation has no more are forgotten. */
static void
sweep(struct expiry *x, bool all)
{
	struct map	 kept;
	struct said	*s;
	struct str	 key;
	size_t		 i = 0;
	void		*val;

	map_init(&kept, 0);
	while (map_next(&x->said, &i, &key, &val)) {
		s = val;
		if (s->here && !all)
			map_add(&kept, key, s);
		else
			free(s);
	}
	map_fini(&x->said);
	x->said = kept;
}

/* --- a look --- */

/* The smallest of the times that is not below what is left; -1: none. */
static int64_t
time_reached(const struct cert_days *d, int64_t left, int64_t most)
{
	int64_t	best = -1, at;

	for (size_t i = 0; i < d->n; i++) {
		at = d->v[i] < most ? d->v[i] : most;
		if (left <= at && (best == -1 || at < best))
			best = at;
	}
	return left <= 0 ? 0 : best;
}

void
expiry_put(char *buf, size_t size, int64_t left)
{
	long long	n;
	const char	*word;

	if (left >= 2 * DAY) {
		n = left / DAY;
		word = "day";
	} else if (left >= 2 * HOUR) {
		n = left / HOUR;
		word = "hour";
	} else {
		n = left / 60;
		word = "minute";
	}
	snprintf(buf, size, "%lld %s%s", n, word, n == 1 ? "" : "s");
}

static void
say(const struct tls_cert *c, int64_t left)
{
	char	day[TLS_DATE_BYTES], in[32];

	tls_certs_date(day, c->until, c->until - left);
	expiry_put(in, sizeof(in), left);
	if (left <= 0)
		log_err(&self->lc, "certificate \"%.*s\" expired on %s: "
		    "clients refuse it", STR_FMT(c->file), day);
	else
		log_warn(&self->lc, "certificate \"%.*s\" expires on %s, in "
		    "%s", STR_FMT(c->file), day, in);
}

bool
expiry_is_due(struct expiry *x, const uint8_t *id, int64_t left,
    int64_t most)
{
	const struct cert_days	*d = conf_value(x->conf, "sluice",
	    "tls.expiry_warn");
	int64_t			 at = time_reached(d, left, most);
	struct said		*s;

	if (left >= 0 && left < x->next)
		x->next = left;
	if (at == -1 || d->n == 0)
		return false;
	s = said_of(x, id);
	s->here = true;
	if (at >= s->left)
		return false;
	s->left = at;
	return true;
}

void
expiry_set(struct stat_gauge *g, int64_t left, int64_t unit)
{
	uint64_t	v = left == INT64_MAX ? 0 : stat_left_word(
	    (left - (left < 0 ? unit - 1 : 0)) / unit);

	if (v > g->at)
		stat_add((enum stat_id)g->stat, v - g->at);
	else
		stat_sub((enum stat_id)g->stat, g->at - v);
	g->at = v;
}

static void
forget_here(struct expiry *x)
{
	struct str	 key;
	size_t		 i = 0;
	void		*val;

	while (map_next(&x->said, &i, &key, &val))
		((struct said *)val)->here = false;
}

static void
look(struct expiry *x)
{
	const struct tls_certs	*all = tls_certs(x->conf);
	int64_t			 now = (int64_t)(ev_wall_ms(x->ev) / 1000);
	int64_t			 left, least = INT64_MAX;
	size_t			 due = 0;

	forget_here(x);
	x->next = INT64_MAX;
	for (size_t i = 0; i < all->n; i++) {
		left = all->v[i]->until - now;
		least = left < least ? left : least;
		if (expiry_is_due(x, all->v[i]->id, left, INT64_MAX) &&
		    ++due <= NAMED)
			say(all->v[i], left);
	}
	if (due > NAMED)
		log_warn(&self->lc, "certificates: %zu more expire soon: see "
		    "sluicectl certs", due - NAMED);
	expiry_look_files(x, now);
	sweep(x, false);
	expiry_set(&x->cert, least, DAY);
	/* a second later it has ended */
	ev_timer(x->ev, &x->timer, x->next < HOUR ?
	    (uint64_t)(x->next + 1) * 1000 : HOUR_MS);
}

static void
on_timer(struct timer *t)
{
	look(container_of(t, struct expiry, timer));
}

void
expiry_init(struct expiry *x, struct ev *ev)
{
	memset(x, 0, sizeof(*x));
	x->ev = ev;
	x->cert.stat = STAT_CERT_DAYS;
	x->ca.stat = STAT_CA_DAYS;
	x->crl.stat = STAT_CRL_HOURS;
	timer_init(&x->timer, on_timer);
	map_init(&x->said, 0);
}

void
expiry_commit(struct expiry *x, const struct conf *c)
{
	x->conf = c;
	look(x);
}

void
expiry_fini(struct expiry *x)
{
	ev_timer_off(x->ev, &x->timer);
	sweep(x, true);
	map_fini(&x->said);
}
