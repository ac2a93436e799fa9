/*
 * Attempts at servers, counted.  Workers.
 *
 * Attempts that are under way are counted in one word of the server's row
 * by all, and in this process's row of uses: when it dies, the master
 * takes back what that says.  A row that went on to another life is left
 * alone.
 *
 * Each counts as good or bad, once.  A body may break off, so an answer is
 * good when the attempt is over.  Two cannot wait for that: the probe of a
 * breaker, whose deadline is that of a head, is taken back if its turn is
 * not over; and bodies that last long must not leave failures of a whole
 * day in a row, so the oldest here are settled before a failure counts.
 */
#include "up/attempt.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/mail.h"
#include "core/stat.h"
#include "os/proc.h"
#include "up/fail_count.h"
#include "up/outlier.h"
#include "up/server_use.h"
#include "up/upstream.h"

#define LONG_MS		1000	/* an answer that lasts so long goes well */
#define LONG_LOOKS	4	/* at those, for each failure */

static bool
is_alive(const struct server *s)
{
	return atomic_load_explicit(&s->live->tag, memory_order_relaxed) ==
	    s->tag;
}

void
attempt_init(struct attempt *a)
{
	list_init(&a->node);
}

/* --- good or bad --- */

/* It has gone well so far, for those who count failures in a row. */
static void
count_good(struct attempt *a)
{
	struct server	*s = a->server;

	breaker_attempt(a, FAIL_NONE);
	/* a load alone, as a rule: the line stays shared */
	if (atomic_load_explicit(&s->live->fails, memory_order_relaxed) != 0)
		atomic_store(&s->live->fails, 0);
}

static void
settle(struct attempt *a)
{
	a->settled = true;
	count_good(a);
}

static void
settle_long(struct server *s)
{
	uint64_t	 now = ev_ms(s->upstream->serve->ev);
	struct attempt	*a;

	for (unsigned i = 0; i < LONG_LOOKS; i++) {
		if (list_is_empty(&s->attempts))
			return;
		a = container_of(s->attempts.next, struct attempt, node);
		/* others are looked at the next time */
		list_del(&a->node);
		list_add_tail(&s->attempts, &a->node);
		if (!a->answered || a->judged || a->settled ||
		    now - a->head_ms < LONG_MS)
			continue;
		settle(a);
	}
}

static void
count_bad(struct attempt *a, enum fail why)
{
	struct server	*s = a->server;
	uint64_t	 ms;
	uint32_t	 n;

	settle_long(s);
	breaker_attempt(a, why);
	ms = ev_wall_ms(s->upstream->serve->ev);
	n = atomic_fetch_add(&s->live->fails, 1) + 1;
	atomic_fetch_add(&s->live->failures, 1);
	atomic_store(&s->live->last_fail, (uint64_t)why << 48 |
	    (ms & 0xffffffffffffULL));
	outlier_failed(s, n, why);
}

static void
judge(struct attempt *a, enum fail why)
{
	if (a->server == NULL || a->judged)
		return;
	a->judged = true;
	if (!is_alive(a->server))
		return;
	if (why != FAIL_NONE)
		count_bad(a, why);
	else if (!a->settled)
		count_good(a);
}

/* --- begin and end --- */

#define LOAD_BEGUN	(1ULL << LOAD_SHIFT)	/* of struct server's load */

/* It is over, and takes that off; the next one may be chosen already. */
static void
finish(struct attempt *a, uint64_t load)
{
	struct server	*s = a->server;

	if (s == NULL)
		return;
	attempt_complete(a);
	breaker_leave(a);
	list_del(&a->node);
	if (a->counted && use_counts(s)) {
		use_active(s, -1);
		atomic_fetch_sub_explicit(&s->live->load, load,
		    memory_order_relaxed);
	}
	server_unref(&a->server);
}

/*
 * A state that bars it from the choice came since that: its letter is
 * still to come, and finds it.
 */
static uint64_t
word_chosen(const struct server *s)
{
	uint64_t	word = atomic_load(&s->live->state);

	return (word & s->upstream->view.rule.bars & STATE_CUTS) != 0 ? 0 :
	    word;
}

/* One word has both numbers: two counts for the price of one. */
void
attempt_begin(struct attempt *a, struct server *s)
{
	/* the same over another connection is the same probe */
	if (a->server == s && !a->answered && !a->judged && !a->next.held) {
		a->next = a->probe;
		a->probe.held = false;
	}
	finish(a, 1);
	a->server = server_ref(s);
	a->probe = a->next;
	a->next.held = false;
	a->word = word_chosen(s);
	a->answered = a->judged = a->settled = a->failed = false;
	a->excused = false;
	a->counted = use_counts(s);
	list_add(s->attempts.prev, &a->node);
	/* a sum that is told never goes back */
	if (!a->summed)
		stat_add(STAT_UP_ATTEMPTS, 1);
	a->summed = false;
	if (!a->counted)
		return;
	/* the shared word first, and last: a death leaves it too high */
	atomic_fetch_add_explicit(&s->live->load, LOAD_BEGUN | 1,
	    memory_order_relaxed);
	use_active(s, 1);
}

void
attempt_return_probe(struct attempt *a)
{
	if (a->server == NULL || !a->probe.held)
		return;
	a->server->probe_ms = 0;
	breaker_return(a->server->upstream->serve->shm, &a->probe);
}

void
attempt_take_back(struct attempt *a)
{
	if (a->server == NULL)
		return;
	attempt_return_probe(a);
	finish(a, LOAD_BEGUN | 1);
	a->summed = true;
}

/* Whatever it failed for: once, in all places that tell how many did. */
static void
tally(struct attempt *a, enum fail why)
{
	const struct upstream	*up = a->server->upstream;

	a->failed = true;
	stat_add(STAT_TRY(why), 1);
	if (is_alive(a->server))
		fail_count_add(up->serve->shm, up->row, why);
}

void
attempt_erred(struct attempt *a, enum fail why)
{
	if (a->server == NULL || a->judged || a->failed)
		return;
	tally(a, why);
	judge(a, why);
}

void
attempt_answered(struct attempt *a, int status)
{
	if (a->server == NULL || a->judged)
		return;
	if (status >= 500) {
		attempt_erred(a, FAIL_SERVER_ERROR);
		return;
	}
	a->answered = true;
	a->head_ms = ev_ms(a->server->upstream->serve->ev);
	/* what follows an upgrade is no answer */
	if (status == 101)
		judge(a, FAIL_NONE);
	else if (a->probe.held)
		settle(a);
}

void
attempt_complete(struct attempt *a)
{
	if (a->answered)
		judge(a, FAIL_NONE);
}

void
attempt_failed(struct attempt *a, enum fail why)
{
	if (a->server == NULL || a->failed)
		return;
	tally(a, why);
	if ((fail_row(why)->flags & FAIL_F_B) != 0 &&
	    (!a->excused || a->probe.held))
		judge(a, why);
}

void
attempt_excuse(struct attempt *a)
{
	a->excused = true;
}

void
attempt_end(struct attempt *a)
{
	/* chosen, and not begun */
	if (a->next.held)
		breaker_return(self->shm, &a->next);
	finish(a, 1);
}

/* --- servers that go out of service --- */

/* What its strongest bit was set for. */
static enum fail
why_of(const struct server *s, uint64_t word)
{
	uint16_t	why = atomic_load(&s->live->why[state_of(word)]);

	return why < FAIL_N ? (enum fail)why : FAIL_NONE;
}

/*
 * Has what cuts come since the attempt was laid beside the state?  In a
 * panic it may have begun at one that was sick then.
 */
static bool
is_new(uint64_t word, uint64_t was)
{
	return (word & STATE_CUTS & ~was) != 0 || (state_of(word) ==
	    state_of(was) && state_since_ms(word) != state_since_ms(was));
}

static void
cut_all(struct server *s)
{
	uint64_t	 word = atomic_load(&s->live->state);
	struct list	*pos, *tmp;
	struct attempt	*a;

	if (!is_alive(s) || (word & STATE_CUTS) == 0)
		return;
	list_each_safe(pos, tmp, &s->attempts) {
		a = container_of(pos, struct attempt, node);
		if (!is_new(word, a->word))
			continue;
		a->word = word;
		if (a->cut != NULL)
			a->cut(a, why_of(s, word));
	}
}

/* Who is asked instead may make the members anew: they are noted first. */
static void
cut_upstream(struct upstream *up)
{
	struct server	**v = must_calloc(up->nserver + 1, sizeof(*v));
	size_t		  n = 0;

	for (size_t i = 0; i < up->nserver; i++)
		if (!list_is_empty(&up->servers[i]->attempts))
			v[n++] = server_ref(up->servers[i]);
	for (size_t i = 0; i < n; i++) {
		cut_all(v[i]);
		server_unref(&v[i]);
	}
	free(v);
}

void
attempt_on_mail(struct serve *serve, uint32_t key)
{
	struct upstream	*up;
	struct str	 name;
	void		*val;
	size_t		 at = 0;

	while (map_next(&serve->upstreams, &at, &name, &val)) {
		up = val;
		if (up->row % MAIL_KEYS != key)
			continue;
		cut_upstream(up);
	}
}
