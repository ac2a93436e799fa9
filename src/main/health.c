/*
 * The health process.  It watches over what is shared: each second it
 * makes the words of leases equal to the sum of what processes say they
 * hold, so that a limit never leaks, and wakes those who wait for one of
 * them, should a wake have been lost.  Probes and the outlier sweep join
 * it with the balancers that obey them.
 */
#include "main/skel.h"

#include "core/lease.h"
#include "up/breaker.h"
#include "up/queue.h"
#include "main/roles.h"

#define SWEEP_MS	1000

struct health {
	struct timer	sweep;
};

static void
on_sweep(struct timer *t)
{
	unsigned n = lease_sweep(self->shm);

	if (n > 0)
		log_warn(&self->lc, "lease: %u words repaired", n);
	queue_sweep(self->shm);
	breaker_sweep(self->shm);
	ev_timer(self->ev, t, SWEEP_MS);
}

int
health_run(void)
{
	struct health h;
	struct skel_hooks hooks = { .ctx = &h };

	timer_init(&h.sweep, on_sweep);
	ev_timer(self->ev, &h.sweep, SWEEP_MS);
	return skel_run(&hooks);
}
