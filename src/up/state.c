/*
 * States of servers.  Workers, health and control write, all read.
 */
#include "up/state.h"

#include <time.h>

#include "core/mail.h"
#include "os/proc.h"
#include "up/queue.h"

const char *const state_names[SERVER_NSTATE] = {
	[SERVER_UP] = "up", [SERVER_SLOW] = "slow_start",
	[SERVER_OPEN] = "open", [SERVER_EJECTED] = "ejected",
	[SERVER_DOWN] = "down", [SERVER_DRAIN] = "drain",
	[SERVER_MAINTENANCE] = "maintenance"
};

enum server_state
state_of(uint64_t word)
{
	for (int s = SERVER_NSTATE - 1; s > SERVER_UP; s--)
		if ((word & STATE_BIT(s)) != 0)
			return (enum server_state)s;
	return SERVER_UP;
}

uint64_t
state_since_ms(uint64_t word)
{
	return word & ((1ULL << STATE_SHIFT) - 1);
}

uint64_t
state_wall_ms(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool
state_finds_nobody(enum fail why)
{
	return why == FAIL_DIAL_REFUSED || why == FAIL_DIAL_UNREACHABLE;
}

/* What a probe found goes before what requests did. */
bool
state_is_absent(const struct board_server_live *l, uint64_t word)
{
	enum server_state	s = state_of(word & STATE_SICK);

	return s != SERVER_UP &&
	    state_finds_nobody((enum fail)atomic_load(&l->why[s]));
}

void
state_touch_row(struct shm *shm, uint32_t upstream)
{
	struct board_upstream	*u;

	if (upstream >= shm_rows(shm, &board_upstreams))
		return;
	u = shm_row(shm, &board_upstreams, upstream);
	atomic_fetch_add(&u->epoch, 1);
}

void
state_touch(struct shm *shm, uint32_t i)
{
	const struct board_server	*b = shm_row(shm, &board_servers, i);

	state_touch_row(shm, atomic_load(&b->upstream_row));
}

/* With the time of the word, not of the turn: attempts are laid beside it. */
static void
tell(const struct shm *shm, uint32_t i, uint64_t was, uint64_t is,
    enum fail why)
{
	enum log_level	level = state_of(is) > SERVER_SLOW ? LOG_WARN :
			    LOG_INFO;
	struct logctx	lc;

	if (board_self() == NULL)
		return;
	stat_add(STAT_SERVER_CHANGES, 1);
	lc = self->lc;
	lc.ids.wall_ms = state_since_ms(is);
	log_line(&lc, level, __FILE__, "server \"%.*s\" of \"%.*s\": "
	    "%s -> %s%s%s", STR_FMT(row_text_addr(shm, i)),
	    STR_FMT(row_text_upstream(shm, i)), state_names[state_of(was)],
	    state_names[state_of(is)], why == FAIL_NONE ? "" : ": ",
	    why == FAIL_NONE ? "" : fail_row(why)->name);
}

/* Workers end the attempts that still wait for a first byte. */
static void
call_off(const struct board_server *b, uint64_t bits)
{
	if ((bits & STATE_CUTS) != 0 && self != NULL)
		mail_post_all(self->mail, MAIL_STATE,
		    atomic_load(&b->upstream_row));
}

uint32_t
state_full_weight(const struct board_server *b)
{
	uint32_t	w = atomic_load(&b->override);

	return w != 0 ? w - 1 : atomic_load(&b->weight);
}

uint32_t
state_weight(const struct board_server *b, const struct board_server_live *l)
{
	uint32_t	ramp = RAMP_FULL;

	if ((atomic_load(&l->state) & STATE_BIT(SERVER_SLOW)) != 0)
		ramp = atomic_load(&l->ramp);
	ramp = ramp / 100 > 0 ? ramp / 100 : 1;
	return state_full_weight(b) * ramp;
}

/* --- what was told --- */

/*
 * Bits of states 7, weight 10, ramp 4, time 43: no two are the same.  What
 * lies beneath a reason to be away is told with the end of that.
 */
static uint64_t
digest(uint64_t word, uint64_t weight, uint64_t ramp)
{
	if (state_of(word) != SERVER_SLOW) {
		word &= ~STATE_BIT(SERVER_SLOW);
		ramp = 0;
	}
	return word >> STATE_SHIFT << 57 | (weight & 0x3ff) << 47 |
	    (ramp / 100 & 0xf) << 43 | (word & ((1ULL << 43) - 1));
}

/*
 * Only if all before this was told, too: else health finds a difference
 * and tells everything once more.
 */
static void
note_told(struct board_server_live *l, uint64_t before, uint64_t now)
{
	(void)atomic_compare_exchange_strong(&l->told, &before, now);
}

uint64_t
state_digest(const struct board_server *b,
    const struct board_server_live *l)
{
	return digest(atomic_load(&l->state), atomic_load(&b->override),
	    atomic_load(&l->ramp));
}

void
state_repeat(struct shm *shm, uint32_t i)
{
	const struct board_server	*b = shm_row(shm, &board_servers, i);
	struct board_server_live	*l;
	uint64_t			 now;

	l = shm_row(shm, &board_servers_live, i);
	now = state_digest(b, l);
	state_touch(shm, i);
	call_off(b, atomic_load(&l->state));
	atomic_store(&l->told, now);
}

/* --- changes --- */

/* Tells of an exchange of words. */
static void
tell_all(struct shm *shm, uint32_t i, uint64_t was, uint64_t is,
    enum fail why)
{
	const struct board_server	*b = shm_row(shm, &board_servers, i);
	struct board_server_live	*l;
	uint64_t			 weight, ramp, before, now;

	l = shm_row(shm, &board_servers_live, i);
	weight = atomic_load(&b->override);
	ramp = atomic_load(&l->ramp);
	before = digest(was, weight, ramp);
	now = digest(is, weight, ramp);
	if (before == now)
		return;
	state_touch(shm, i);
	queue_note_state(shm, atomic_load(&b->upstream_row));
	if (state_of(is) != state_of(was))
		tell(shm, i, was, is, why);
	call_off(b, is & ~was);
	note_told(l, before, now);
}

bool
state_change(struct shm *shm, uint32_t i, uint64_t tag,
    enum server_state state, bool on, enum fail why)
{
	struct board_server_live	*l;
	uint64_t			 was, is;

	l = shm_row(shm, &board_servers_live, i);
	if (on)
		atomic_store(&l->why[state], (uint16_t)why);
	was = atomic_load(&l->state);
	do {
		if (atomic_load(&l->tag) != tag ||
		    ((was & STATE_BIT(state)) != 0) == on)
			return false;
		is = on ? was | STATE_BIT(state) : was & ~STATE_BIT(state);
		if (state_of(is) != state_of(was))
			is = (is >> STATE_SHIFT << STATE_SHIFT) |
			    (state_wall_ms() & ((1ULL << STATE_SHIFT) - 1));
	} while (!atomic_compare_exchange_weak(&l->state, &was, is));
	tell_all(shm, i, was, is, why);
	return true;
}

void
state_renew(struct shm *shm, uint32_t i, uint64_t tag,
    enum server_state state, enum fail why)
{
	struct board_server_live	*l = shm_row(shm, &board_servers_live,
					    i);
	uint16_t			 was = atomic_load(&l->why[state]);

	if (was == (uint16_t)why || atomic_load(&l->tag) != tag ||
	    (atomic_load(&l->state) & STATE_BIT(state)) == 0)
		return;
	atomic_store(&l->why[state], (uint16_t)why);
	if (state_finds_nobody((enum fail)was) != state_finds_nobody(why))
		state_touch(shm, i);
}

void
state_set_ramp(struct shm *shm, uint32_t i, uint32_t ramp)
{
	const struct board_server	*b = shm_row(shm, &board_servers, i);
	struct board_server_live	*l;
	uint64_t			 was, word, weight;

	l = shm_row(shm, &board_servers_live, i);
	was = atomic_exchange(&l->ramp, ramp);
	state_touch(shm, i);
	word = atomic_load(&l->state);
	weight = atomic_load(&b->override);
	note_told(l, digest(word, weight, was), digest(word, weight, ramp));
}

void
state_set_weight(struct shm *shm, uint32_t i, uint64_t weight)
{
	struct board_server		*b = shm_row(shm, &board_servers, i);
	struct board_server_live	*l;
	uint64_t			 was, word, ramp;

	l = shm_row(shm, &board_servers_live, i);
	was = atomic_exchange(&b->override, (uint32_t)weight);
	if (was == weight)
		return;
	state_touch(shm, i);
	word = atomic_load(&l->state);
	ramp = atomic_load(&l->ramp);
	note_told(l, digest(word, was, ramp), digest(word, weight, ramp));
	if (board_self() == NULL)
		return;
	if (weight == 0)
		log_info(&self->lc, "server \"%.*s\" of \"%.*s\": weighs "
		    "as configured", STR_FMT(row_text_addr(shm, i)),
		    STR_FMT(row_text_upstream(shm, i)));
	else
		log_info(&self->lc, "server \"%.*s\" of \"%.*s\": weighs "
		    "%llu", STR_FMT(row_text_addr(shm, i)),
		    STR_FMT(row_text_upstream(shm, i)),
		    (unsigned long long)(weight - 1));
}
