/*
 * Certificates that change on the disk.  Master.  A renewal writes two or
 * three files one after the other, so the reload waits for a moment of
 * rest behind the last, though not for ever.  Who writes the key later than
 * that is waited for as well, before it is told as an error.
 */
#include "main/certwatch.h"

#include <limits.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/must.h"
#include "main/master.h"
#include "os/dirwatch.h"
#include "tls/cert_conf.h"
#include "up/tls_files.h"

#define REST_MS		500
#define MOST_MS		5000	/* behind the first change */
#define PAIR_MS		5000	/* for the other file of a pair */

struct certwatch {
	struct master	*m;		/* ref */
	struct dirwatch	*dirs;		/* own */
	struct timer	 timer;
	uint64_t	 since;		/* of the first change; 0: none */
	uint64_t	 unpaired;	/* when a pair was first found not to
					 * match; 0: all do */
};

static void
on_timer(struct timer *t)
{
	struct certwatch *w = container_of(t, struct certwatch, timer);

	struct publish *p = &w->m->pub;
	uint64_t now = ev_ms(w->m->proc.ev);

	if (w->since != 0)
		log_info(&self->lc, "certificates: files have changed: "
		    "reloading");
	w->since = 0;
	if (p->step == PUBLISH_IDLE)
		p->patient = w->unpaired == 0 || now < w->unpaired + PAIR_MS;
	if (!p->patient)
		w->unpaired = 0;
	publish_start(w->m, 0);
}

void
certwatch_wait(struct master *m)
{
	struct certwatch *w = m->certwatch;
	uint64_t now = ev_ms(m->proc.ev), due;

	must(w != NULL);
	if (w->unpaired == 0) {
		w->unpaired = now;
		log_info(&self->lc, "certificates: a key does not go with its "
		    "certificate: it is waited for");
	}
	/* a change that came meanwhile has set the timer */
	due = w->unpaired + PAIR_MS;
	if (w->since == 0)
		ev_timer(m->proc.ev, &w->timer, due > now ? due - now : 0);
}

/* a name that is looked for among those of files */
struct wanted {
	struct str name;
	bool found;
};

static void
look_at(void *ctx, const struct tls_file *f)
{
	struct wanted *want = ctx;

	want->found |= str_eq(cert_file_name(f->path), want->name);
}

/* Whether one of that name, in one of the folders, may be one of ours. */
static bool
is_ours(const struct conf *c, struct str name)
{
	struct wanted want = { name, tls_certs_watched(c, name) };

	if (!want.found)
		tls_files_each(c, look_at, &want);
	return want.found;
}

/* Others may lie beside them: those that nobody named say nothing. */
static void
on_file(void *ctx, struct str name)
{
	struct certwatch *w = ctx;
	uint64_t now = ev_ms(w->m->proc.ev), left;

	if (w->since == 0 && name.p != NULL &&
	    !is_ours(w->m->gens.cur->conf, name))
		return;
	if (w->since == 0)
		w->since = now;
	left = w->since + MOST_MS > now ? w->since + MOST_MS - now : 0;
	ev_timer(w->m->proc.ev, &w->timer, left < REST_MS ? left : REST_MS);
}

static void
add_dir(void *ctx, struct str path)
{
	struct certwatch *w = ctx;
	char dir[PATH_MAX];
	struct err e;

	if (str_to_c(path, dir, sizeof(dir)) == 0 &&
	    dirwatch_add(w->dirs, dir, &e) == -1)
		log_warn(&self->lc, "certificates: changes are not noticed: "
		    "%s", e.text);
}

static void
add_file(void *ctx, const struct tls_file *f)
{
	add_dir(ctx, cert_folder(f->path));
}

/* What is live matches. */
static void
end_wait(struct certwatch *w)
{
	if (w->unpaired != 0 && w->since == 0)
		ev_timer_off(w->m->proc.ev, &w->timer);
	w->unpaired = 0;
}

void
certwatch_update(struct master *m)
{
	const struct conf *conf = m->gens.cur->conf;
	struct certwatch *w = m->certwatch;
	struct err e;

	if (w == NULL && !tls_certs_watch(conf))
		return;
	if (w != NULL)
		end_wait(w);
	if (w == NULL) {
		w = m->certwatch = must_calloc(1, sizeof(*w));
		w->m = m;
		timer_init(&w->timer, on_timer);
	}
	if (!tls_certs_watch(conf)) {
		dirwatch_free(&w->dirs);
		return;
	}
	/* those of generations before stay: what they tell is not listened
	 * to, and what they are about to tell must not be lost */
	if (w->dirs == NULL)
		w->dirs = dirwatch_new(m->proc.ev, on_file, w, &e);
	if (w->dirs == NULL) {
		log_warn(&self->lc, "certificates: changes are not noticed: "
		    "%s", e.text);
		return;
	}
	tls_certs_dirs(conf, add_dir, w);
	tls_files_each(conf, add_file, w);
}

void
certwatch_fini(struct master *m)
{
	struct certwatch *w = m->certwatch;

	m->certwatch = NULL;
	if (w == NULL)
		return;
	ev_timer_off(m->proc.ev, &w->timer);
	dirwatch_free(&w->dirs);
	free(w);
}
