/*
 * Breakers as requests meet them: choosing a server to probe, and what an
 * attempt came to.  Workers.
 */
#include "os/proc.h"
#include "up/attempt.h"
#include "up/breaker_int.h"
#include "up/pool.h"
#include "up/upstream.h"

#define SOON_MS	10	/* until probes that are all taken are looked at */

/* Open, and nothing else keeps requests away from it. */
static bool
is_open(const struct upstream *up, const struct server *s,
    const struct tried *tried)
{
	uint64_t	word = atomic_load(&s->live->state);

	if ((word & STATE_AWAY) != STATE_BIT(SERVER_OPEN))
		return false;
	/* a backup is seen to when it is needed */
	if (atomic_load(&s->board->backup) != 0 &&
	    (up->view.rule.tier == VIEW_MAIN ||
	    up->view.rule.tier == VIEW_PANIC))
		return false;
	return view_weight(s) > 0 && !tried_has(tried, s);
}

static bool
has_room(const struct server *s)
{
	return s->nidle > 0 || pool_room(s) > 0;
}

static bool
may_probe(const struct upstream *up, const struct server *s,
    const struct pick *p)
{
	return is_open(up, s, p->tried) && has_room(s);
}

/* It gave no probe: when it is asked again. */
static uint64_t
next_ms(const struct breaker *br, uint64_t now)
{
	uint64_t	word = atomic_load(&br->b->word);
	uint64_t	until = atomic_load(&br->b->until);

	if (WORD_STATE(word) == BREAKER_OPEN &&
	    UNTIL_TURN(until) == WORD_TURN(word))
		return UNTIL_MS(until);
	return now + SOON_MS;
}

struct server *
breaker_pick(struct upstream *up, const struct pick *p)
{
	uint64_t	 now = ev_ms(up->serve->ev);
	struct server	*s;
	struct breaker	 br;

	if (up->view.nopen == 0 || p->probe == NULL)
		return NULL;
	for (size_t i = 0; i < up->view.nopen; i++) {
		s = up->view.open[i];
		if (s->probe_ms > now || !may_probe(up, s, p) ||
		    !breaker_find(&br, up->serve->shm, s->row, s->tag))
			continue;
		if (breaker_take(&br, self->slot, p->probe_ms, p->probe))
			return s;
		s->probe_ms = next_ms(&br, now);
	}
	return NULL;
}

/* Nobody has taken it in this turn. */
static bool
is_free(uint64_t p, uint64_t turn)
{
	return PROBE_TURN(p) != turn || PROBE_KIND(p) == PROBE_FREE;
}

/* Would breaker_take() be given one? */
static bool
has_probe(const struct breaker *br)
{
	uint64_t	word = atomic_load(&br->b->word);
	uint64_t	until = atomic_load(&br->b->until);

	if (WORD_STATE(word) == BREAKER_OPEN)
		return UNTIL_TURN(until) == WORD_TURN(word) &&
		    UNTIL_MS(until) <= breaker_ms();
	for (unsigned i = 0; i < breaker_nprobe(br->conf); i++)
		if (WORD_STATE(word) == BREAKER_HALF && is_free(
		    breaker_probe_word(br, i), WORD_TURN(word)))
			return true;
	return false;
}

static bool
has_any(const struct upstream *up, const struct tried *tried, bool room)
{
	uint64_t		 now = ev_ms(up->serve->ev);
	const struct server	*s;
	struct breaker		 br;

	for (size_t i = 0; i < up->view.nopen; i++) {
		s = up->view.open[i];
		if (is_open(up, s, tried) &&
		    (room ? has_room(s) : s->probe_ms <= now) &&
		    breaker_find(&br, up->serve->shm, s->row, s->tag) &&
		    has_probe(&br))
			return true;
	}
	return false;
}

bool
breaker_has_room(const struct upstream *up, const struct pick *p)
{
	return has_any(up, p->tried, true);
}

bool
breaker_any_left(const struct upstream *up, const struct tried *tried)
{
	return has_any(up, tried, false);
}

static bool
find(struct breaker *br, struct shm *shm, const struct breaker_ticket *t)
{
	return breaker_find(br, shm, t->row, t->tag);
}

bool
breaker_goes_on(const struct upstream *up, const struct attempt *a,
    const struct pick *p)
{
	const struct breaker_ticket	*t = &a->probe;
	struct breaker			 br;
	uint64_t			 word;

	if (!t->held || !may_probe(up, a->server, p) ||
	    !find(&br, up->serve->shm, t))
		return false;
	word = atomic_load(&br.b->word);
	return WORD_STATE(word) == BREAKER_HALF &&
	    WORD_TURN(word) == PROBE_TURN(t->word) &&
	    breaker_probe_word(&br, t->i) == t->word;
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
