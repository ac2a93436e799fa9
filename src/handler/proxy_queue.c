/*
 * Which server an attempt goes to, and waiting while none has room.
 * Workers.
 *
 * What it takes to ask a server is claimed with the choice: a pooled
 * connection, or one of its max_conns.  So two requests never choose the
 * same last place, and who waits keeps its place in the queue until it
 * has a claim.
 */
#include "handler/proxy.h"

#include "base/must.h"
#include "os/fault.h"

#define PROBE_MS	60000	/* of a probe whose attempt has no limit */
#define NAMES_MS	20	/* between looks whether a name has addresses */

/*
 * In the place of a pooled connection that was dead; the server may have
 * gone out of service meanwhile.
 */
static bool
claim_anew(struct proxy *p, const struct pick *want)
{
	if (!p->fresh || p->server == NULL)
		return false;
	view_refresh(p->up);
	return (view_takes(p->up, p->server, want) ||
	    (p->attempt.server == p->server &&
	    breaker_goes_on(p->up, &p->attempt, want))) &&
	    pool_claim(p->server, &p->wait, true);
}

/* How long an attempt may be without an answer, for who waits for it. */
static uint64_t
probe_ms(const struct proxy *p)
{
	const struct upstream_times	*t = &p->times;

	if (t->first_byte > 0)
		return t->connect + t->first_byte;
	return t->total > 0 ? t->total : PROBE_MS;
}

struct server *
proxy_pick(struct proxy *p)
{
	struct pick	 want = { .tried = &p->tried,
		.hash = proxy_choice_hash(p),
		.probe = &p->attempt.next, .probe_ms = probe_ms(p) };
	struct server	*s;

	p->queue.upstream = p->up;
	if (FAULT("no_server"))
		return NULL;
	if (claim_anew(p, &want))
		return p->server;
	s = proxy_choice_server(p);
	if (p->queue.in == NULL && queue_is_due(p->up, &p->tried, s))
		return NULL;
	if (s != NULL)
		return pool_claim(s, &p->wait, p->fresh) ? s : NULL;
	/* Others may be faster, but not each time. */
	for (size_t n = 0; n <= p->up->nserver; n++) {
		s = upstream_pick(p->up, &want);
		if (s == NULL || pool_claim(s, &p->wait, p->fresh))
			return s;
		breaker_return(p->x->serve->shm, &p->attempt.next);
		want.probe = NULL;
	}
	return NULL;
}

/* Is there any that was not asked? */
static bool
is_any_left(const struct proxy *p)
{
	return !FAULT("no_server") && upstream_any_left(p->up, &p->tried);
}

/*
 * Nobody is there.  The first answer to a name is waited for as long as a
 * dial may take; the board wakes nobody, so it is looked at.
 */
static enum step_rc
miss_server(struct proxy *p)
{
	enum fail	why = upstream_why(p->up);

	if (why == FAIL_NONE && p->looks++ * NAMES_MS < p->times.connect) {
		ev_timer(p->x->serve->ev, &p->quiet, NAMES_MS);
		return STEP_WAIT;
	}
	/* What the last server said, if one was asked. */
	proxy_note(p, why == FAIL_NONE ? FAIL_NAME_TIMEOUT : why);
	return STEP_FAIL;
}

void
proxy_leave_queue(struct proxy *p)
{
	if (p->queue.in == NULL)
		return;
	p->x->acc.num[ACCESS_QUEUE] += queue_time(&p->queue);
	queue_leave(&p->queue);
}

/* What ends the wait has nothing to do with the attempt before it. */
static void
forget_attempt(struct proxy *p)
{
	p->told = false;
	p->what = "";
	p->error = 0;
	p->x->received = 0;
}

enum step_rc
proxy_queue(struct proxy *p)
{
	enum fail	why;

	if (p->wait.claimed) {
		proxy_leave_queue(p);
		return STEP_NEXT;
	}
	if (!is_any_left(p)) {
		proxy_leave_queue(p);
		return miss_server(p);
	}
	if (p->queue.in != NULL)
		return STEP_WAIT;
	forget_attempt(p);
	why = queue_join(&p->queue, &p->limits);
	if (why == FAIL_NONE)
		return STEP_WAIT;
	p->why = why;
	return STEP_FAIL;
}

static struct server *
want_server(struct queue_wait *w)
{
	return proxy_choice_server(container_of(w, struct proxy, queue));
}

static void
on_room(struct queue_wait *w, enum fail why)
{
	struct proxy	*p = container_of(w, struct proxy, queue);

	must(p->magic == PROXY_MAGIC);
	if (why != FAIL_NONE) {
		p->x->acc.num[ACCESS_QUEUE] += queue_time(w);
		p->why = why;
		if (proxy_fallback_next(p))
			proxy_run(p);
		else
			proxy_give_up(p, why);
		return;
	}
	p->step = PROXY_PICK;
	proxy_run(p);
}

void
proxy_init_queue(struct proxy *p)
{
	p->queue.on = on_room;
	p->queue.wants = want_server;
	p->queue.tried = &p->tried;
}
