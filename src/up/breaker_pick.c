/*
 * Breakers as requests meet them: choosing a server to probe, and what an
 * attempt came to.  Workers.
 */
#include "os/proc.h"
#include "up/attempt.h"
#include "up/breaker.h"
#include "up/pool.h"
#include "up/upstream.h"

/* Open, and nothing else keeps requests away from it. */
static bool
may_probe(const struct upstream *up, const struct server *s,
    const struct pick *p)
{
	uint64_t	word = atomic_load(&s->live->state);

	if ((word & STATE_AWAY) != STATE_BIT(SERVER_OPEN))
		return false;
	/* a backup is seen to when it is needed */
	if (atomic_load(&s->board->backup) != 0 &&
	    (up->view.rule.tier == VIEW_MAIN ||
	    up->view.rule.tier == VIEW_PANIC))
		return false;
	return view_weight(s) > 0 && !tried_has(p->tried, s) &&
	    (s->nidle > 0 || pool_room(s) > 0);
}

struct server *
breaker_pick(struct upstream *up, const struct pick *p)
{
	struct server	*s;
	struct breaker	 br;

	if (up->view.nopen == 0 || p->probe == NULL)
		return NULL;
	for (size_t i = 0; i < up->nserver; i++) {
		s = up->servers[i];
		if (may_probe(up, s, p) &&
		    breaker_find(&br, up->serve->shm, s->row, s->tag) &&
		    breaker_take(&br, self->slot, p->probe_ms, p->probe))
			return s;
	}
	return NULL;
}

static bool
find(struct breaker *br, struct shm *shm, const struct breaker_ticket *t)
{
	return breaker_find(br, shm, t->row, t->tag);
}

void
breaker_return(struct shm *shm, struct breaker_ticket *t)
{
	struct breaker	br;

	if (t->held && find(&br, shm, t))
		(void)breaker_end(&br, t, BREAKER_FREE, FAIL_NONE);
	t->held = false;
}

void
breaker_attempt(struct attempt *a, enum fail why)
{
	const struct server	*s = a->server;
	struct breaker		 br;

	/* asked after each attempt, and mostly there is none */
	if (!a->probe.held && !breaker_is_on(s->upstream->serve->shm,
	    s->upstream->row))
		return;
	if (!breaker_find(&br, s->upstream->serve->shm, s->row, s->tag)) {
		a->probe.held = a->probe.good = false;
		return;
	}
	if (a->probe.good && why != FAIL_NONE &&
	    breaker_take_back(&br, &a->probe, why))
		return;
	if (a->probe.held && breaker_end(&br, &a->probe,
	    why == FAIL_NONE ? BREAKER_GOOD : BREAKER_BAD, why))
		return;
	breaker_judge(&br, why);
}

void
breaker_leave(struct attempt *a)
{
	struct breaker	br;

	if (a->probe.held &&
	    find(&br, a->server->upstream->serve->shm, &a->probe))
		(void)breaker_end(&br, &a->probe, BREAKER_VOID,
		    FAIL_CLIENT_GONE);
	a->probe.held = false;
}
