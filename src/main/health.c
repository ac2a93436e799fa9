/*
 * The health process.  It watches over what is shared: each second it
 * makes the words of leases, and of attempts under way, equal to the sum
 * of what processes say they hold, so that a limit never leaks, and wakes
 * those who wait for one of them, should a wake have been lost.  It
 * probes servers, sweeps for those that fail, ends ejections and slow
 * starts (up/watch.h).
 */
#include "main/skel.h"

#include "core/lease.h"
#include "up/breaker.h"
#include "up/queue.h"
#include "up/use_sweep.h"
#include "up/watch.h"
#include "main/roles.h"

#define SWEEP_MS	1000

struct health {
	struct timer		sweep;
	struct use_looks	looks;
	struct watch		watch;
};

static void
on_sweep(struct timer *t)
{
	struct health *h = container_of(t, struct health, sweep);
	unsigned n = lease_sweep(self->shm);

	if (n > 0)
		log_warn(&self->lc, "lease: %u words repaired", n);
	n = use_sweep(&h->looks, self->shm);
	if (n > 0)
		log_warn(&self->lc, "servers: attempts under way of %u "
		    "repaired", n);
	queue_sweep(self->shm);
	breaker_sweep(self->shm);
	ev_timer(self->ev, t, SWEEP_MS);
}

static int
prepare(void *ctx, struct gen *g, struct err *e)
{
	struct health *h = ctx;

	(void)e;
	watch_prepare(&h->watch, g->conf);
	return 0;
}

static void
commit(void *ctx, struct gen *g)
{
	struct health *h = ctx;

	watch_commit(&h->watch, g->conf);
}

int
health_run(void)
{
	struct health h = { .looks = { NULL, 0 } };
	struct skel_hooks hooks = { .ctx = &h, .prepare = prepare,
	    .commit = commit };
	int status;

	timer_init(&h.sweep, on_sweep);
	ev_timer(self->ev, &h.sweep, SWEEP_MS);
	watch_init(&h.watch, self->ev, self->shm, self->gens->cur->conf);
	status = skel_run(&hooks);
	watch_fini(&h.watch);
	use_sweep_fini(&h.looks);
	return status;
}
