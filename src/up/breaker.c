/*
 * Breakers of servers, on the board.  All processes; what holds between
 * them is written in the header.
 */
#include "up/breaker.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "core/board.h"
#include "os/proc.h"
#include "up/breaker_int.h"
#include "up/slow_start.h"
#include "up/state.h"

const struct shm_region board_breakers = {
	"breaker", SHM_LIVE, 1, sizeof(struct board_breaker), 64,
	"breakers of servers"
};
const struct shm_region board_breaker_probes = {
	"breaker_probe", SHM_LIVE, 1, sizeof(struct board_breaker_probes), 64,
	"probes of half-open breakers"
};
const struct shm_region board_breaker_confs = {
	"breaker_conf", SHM_DIR, 1, sizeof(struct board_breaker_conf), 64,
	"settings of breakers, by upstream"
};

const char *const breaker_names[3] = { "closed", "open", "half_open" };

/* --- words --- */

uint64_t
breaker_ms(void)
{
	return ev_clock_ns() / 1000000;
}

_Atomic uint64_t *
breaker_probe(const struct breaker *br, unsigned i)
{
	struct board_breaker_probes	*row;

	row = shm_row(br->shm, &board_breaker_probes, br->row);
	return &row->v[i];
}

uint64_t
breaker_probe_word(const struct breaker *br, unsigned i)
{
	return atomic_load(&br->b->tried) == 0 ? 0 :
	    atomic_load(breaker_probe(br, i));
}

uint64_t
breaker_probe_end(uint64_t p, enum probe_kind k)
{
	return (p & ~(7ULL << 42)) | (uint64_t)k << 42;
}

/* Its half of a word wraps. */
static bool
is_late(uint64_t p)
{
	return (int32_t)((uint32_t)(breaker_ms() / PROBE_UNIT) -
	    (uint32_t)p) > 0;
}

/* --- rows --- */

/* Who has an earlier life's tag stops here. */
static void
begin_life(struct shm *shm, uint32_t i, uint64_t tag)
{
	struct board_breaker	*b = shm_row(shm, &board_breakers, i);

	atomic_store(&b->tag, 0);
	if (atomic_load(&b->tried) != 0)
		memset(shm_row(shm, &board_breaker_probes, i), 0,
		    sizeof(struct board_breaker_probes));
	memset((void *)b, 0, sizeof(*b));
	atomic_store(&b->tag, tag);
}

/* The settings of the upstream that server i is of; NULL: none. */
static const struct board_breaker_conf *
conf_of(struct shm *shm, uint32_t i)
{
	const struct board_server	*s;
	uint32_t			 row;

	if (i >= shm_rows(shm, &board_servers) ||
	    i >= shm_rows(shm, &board_breakers))
		return NULL;
	s = shm_row(shm, &board_servers, i);
	row = atomic_load(&s->upstream_row);
	if (row >= shm_rows(shm, &board_breaker_confs))
		return NULL;
	return shm_row(shm, &board_breaker_confs, row);
}

int
breaker_grow(struct shm *shm, uint32_t n, struct err *e)
{
	return shm_grow(shm, &board_breaker_probes, n, e) == -1 ? -1 :
	    shm_grow(shm, &board_breakers, n, e);
}

/* A row of which nobody has need is not even read: its page costs nothing. */
void
breaker_begin(struct shm *shm, uint32_t i, uint64_t tag)
{
	const struct board_breaker_conf	*c = conf_of(shm, i);

	if (c != NULL && atomic_load(&c->was_on) != 0)
		begin_life(shm, i, tag);
}

void
breaker_begin_all(struct shm *shm, uint32_t upstream)
{
	uint32_t		 n = upstream_rows_used(shm);
	uint32_t		 most = shm_rows(shm, &board_breakers);
	struct board_server	*s;
	struct board_breaker	*b;
	uint64_t		 tag;

	for (uint32_t i = 0; i < n && i < most; i++) {
		s = shm_row(shm, &board_servers, i);
		tag = atomic_load(&s->tag);
		if (tag == 0 || atomic_load(&s->upstream_row) != upstream)
			continue;
		b = shm_row(shm, &board_breakers, i);
		if (atomic_load(&b->tag) != tag)
			begin_life(shm, i, tag);
	}
}

bool
breaker_locate(struct breaker *br, struct shm *shm, uint32_t i,
    uint64_t tag)
{
	br->conf = conf_of(shm, i);
	if (br->conf == NULL || atomic_load(&br->conf->was_on) == 0)
		return false;
	br->shm = shm;
	br->row = i;
	br->tag = tag;
	br->server = shm_row(shm, &board_servers, i);
	br->b = shm_row(shm, &board_breakers, i);
	return tag != 0 && atomic_load(&br->b->tag) == tag &&
	    atomic_load(&br->server->tag) == tag;
}

bool
breaker_is_on(const struct shm *shm, uint32_t upstream)
{
	const struct board_breaker_conf	*c;

	if (upstream >= shm_rows(shm, &board_breaker_confs))
		return false;
	c = shm_row(shm, &board_breaker_confs, upstream);
	return atomic_load_explicit(&c->on, memory_order_relaxed) != 0;
}

bool
breaker_find(struct breaker *br, struct shm *shm, uint32_t i, uint64_t tag)
{
	return breaker_locate(br, shm, i, tag) &&
	    atomic_load(&br->conf->on) != 0;
}

unsigned
breaker_nprobe(const struct board_breaker_conf *c)
{
	uint32_t	n = atomic_load(&c->probes);

	return n < 1 ? 1 : n > BREAKER_PROBES ? BREAKER_PROBES : n;
}

/* --- changes of state --- */

/*
 * The bit `open` of the server's state follows the word.  Others may be
 * at it: who writes last has seen the last word.
 */
void
breaker_sync(const struct breaker *br, enum fail why)
{
	bool	on;

	do {
		on = WORD_STATE(atomic_load(&br->b->word)) != BREAKER_CLOSED;
		(void)state_change(br->shm, br->row, br->tag, SERVER_OPEN,
		    on, on ? why : FAIL_NONE);
	} while (on != (WORD_STATE(atomic_load(&br->b->word)) !=
	    BREAKER_CLOSED));
}

/* Said by whoever changed the word, once. */
static void
tell(const struct breaker *br, uint64_t was, uint64_t is, const char *why)
{
	static const enum stat_id	stats[] = {
		STAT_BREAKER_CLOSED, STAT_BREAKER_OPENED, STAT_BREAKER_HALF
	};
	_Atomic uint32_t		*times[] = {
		&br->b->closed, &br->b->opened, &br->b->half
	};
	enum breaker_state		 now = WORD_STATE(is);
	struct logctx			 lc;

	atomic_fetch_add(times[now], 1);
	if (board_self() == NULL)
		return;
	stat_add(stats[now], 1);
	lc = self->lc;
	lc.ids.wall_ms = state_wall_ms();
	log_line(&lc, now == BREAKER_OPEN ? LOG_WARN : LOG_INFO,
	    __FILE__, "server \"%.*s\" of \"%.*s\": breaker %s -> %s: %s",
	    STR_FMT(row_text_addr(br->shm, br->row)),
	    STR_FMT(row_text_upstream(br->shm, br->row)),
	    breaker_names[WORD_STATE(was)], breaker_names[now], why);
}

/*
 * When the turn's opening is over.  The word is read last: a turn that
 * went on meanwhile has written its own, and the swap fails.
 */
void
breaker_set_until(const struct breaker *br, uint64_t word)
{
	uint64_t	was = atomic_load(&br->b->until);
	uint64_t	ms = atomic_load(&br->conf->open);
	uint64_t	most = atomic_load(&br->conf->open_max);

	for (unsigned i = 0; i < WORD_LEVEL(word) && ms < most; i++)
		ms *= 2;
	ms = breaker_ms() + (ms < most ? ms : most);
	if (atomic_load(&br->b->word) == word &&
	    UNTIL_TURN(was) != WORD_TURN(word))
		(void)atomic_compare_exchange_strong(&br->b->until, &was,
		    UNTIL(WORD_TURN(word), ms));
}

/* A new turn begins with an opening; `was` is exchanged, or nothing is. */
static bool
open_it(const struct breaker *br, uint64_t was, unsigned level,
    enum fail why, const char *text)
{
	uint64_t	turn = (WORD_TURN(was) + 1) & TURN_MAX;
	uint64_t	is;

	turn += turn == 0;
	level = level > LEVEL_MAX ? LEVEL_MAX : level;
	is = WORD(BREAKER_OPEN, turn, level, 0);
	if (!atomic_compare_exchange_strong(&br->b->word, &was, is))
		return false;
	breaker_set_until(br, is);
	tell(br, was, is, text);
	breaker_sync(br, why);
	return true;
}

/*
 * What was counted before says nothing of what comes.  slow: ms of its
 * slow start.
 */
static bool
close_it(const struct breaker *br, uint64_t was, uint64_t slow,
    const char *text)
{
	uint64_t	is = WORD(BREAKER_CLOSED, WORD_TURN(was), 0, 0);

	for (unsigned i = 0; i < BREAKER_BUCKETS; i++)
		atomic_store(&br->b->bucket[i], 0);
	if (!atomic_compare_exchange_strong(&br->b->word, &was, is))
		return false;
	tell(br, was, is, text);
	slow_start_begin(br->shm, br->row, br->tag, slow);
	breaker_sync(br, FAIL_NONE);
	return true;
}

void
breaker_close(const struct breaker *br)
{
	uint64_t	was;

	do {
		was = atomic_load(&br->b->word);
		if (WORD_STATE(was) == BREAKER_CLOSED)
			return;
	} while (!close_it(br, was, 0, "by the operator"));
}

void
breaker_turn_off(const struct breaker *br)
{
	uint64_t	was = atomic_load(&br->b->word);

	if (WORD_STATE(was) != BREAKER_CLOSED)
		(void)close_it(br, was, 0,
		    "there is no breaker any more");
}

/* --- closed: counting --- */

static void
open_by_count(const struct breaker *br, uint64_t was, enum fail why)
{
	char	text[96];

	(void)snprintf(text, sizeof(text), "%u failures in a row, the last "
	    "%s", WORD_FAILS(was) + 1, fail_row(why)->name);
	(void)open_it(br, was, 0, why, text);
}

/* True if the rate of the window opens it. */
static bool
is_too_many(const struct breaker *br, unsigned *all, unsigned *bad)
{
	uint64_t	rate = atomic_load(&br->conf->rate);

	breaker_window(br, all, bad);
	return rate > 0 && *all >= atomic_load(&br->conf->requests) &&
	    (uint64_t)*bad * 100 >= *all * rate;
}

static void
fail_closed(const struct breaker *br, enum fail why)
{
	uint64_t	was = atomic_load(&br->b->word), is;
	uint64_t	most = atomic_load(&br->conf->failures);
	unsigned	all, bad;
	char		text[96];

	do {
		if (WORD_STATE(was) != BREAKER_CLOSED)
			return;
		if (most > 0 && WORD_FAILS(was) + 1 >= most) {
			open_by_count(br, was, why);
			return;
		}
		is = WORD_FAILS(was) < FAILS_MAX ? was + 1 : was;
	} while (!atomic_compare_exchange_weak(&br->b->word, &was, is));
	if (!is_too_many(br, &all, &bad))
		return;
	(void)snprintf(text, sizeof(text), "%u of %u requests failed, the "
	    "last %s", bad, all, fail_row(why)->name);
	(void)open_it(br, is, 0, why, text);
}

void
breaker_judge(const struct breaker *br, enum fail why)
{
	uint64_t	was = atomic_load(&br->b->word);

	if (WORD_STATE(was) != BREAKER_CLOSED)
		return;
	breaker_count(br, why != FAIL_NONE);
	if (why != FAIL_NONE) {
		fail_closed(br, why);
		return;
	}
	/* a load alone, as a rule */
	while (WORD_STATE(was) == BREAKER_CLOSED && WORD_FAILS(was) != 0 &&
	    !atomic_compare_exchange_weak(&br->b->word, &was,
	    was - WORD_FAILS(was)))
		continue;
}

/* --- half open: probes --- */

/* what became of a turn's probes */
struct tally {
	unsigned	free, pending, good, bad;
	enum fail	why;
};

void
breaker_lost(const struct breaker *br)
{
	atomic_fetch_add(&br->b->lost, 1);
	if (board_self() != NULL)
		stat_add(STAT_BREAKER_LOST, 1);
}

static void
add_probe(const struct breaker *br, unsigned i, uint64_t turn,
    struct tally *t)
{
	uint64_t	p = breaker_probe_word(br, i);

	if (PROBE_TURN(p) == turn && PROBE_KIND(p) == PROBE_PENDING &&
	    is_late(p) &&
	    atomic_compare_exchange_strong(breaker_probe(br, i), &p,
	    breaker_probe_end(p, PROBE_BAD))) {
		breaker_lost(br);
		t->why = FAIL_FIRST_BYTE_TIMEOUT;
		t->bad++;
		return;
	}
	/* it may have ended meanwhile: p is what it is now */
	if (PROBE_TURN(p) != turn || PROBE_KIND(p) == PROBE_FREE)
		t->free++;
	else if (PROBE_KIND(p) == PROBE_PENDING)
		t->pending++;
	else if (PROBE_KIND(p) == PROBE_GOOD)
		t->good++;
	else if (PROBE_KIND(p) == PROBE_BAD)
		t->bad++;
}

void
breaker_conclude(const struct breaker *br, enum fail why)
{
	uint64_t	was = atomic_load(&br->b->word);
	unsigned	n = breaker_nprobe(br->conf);
	struct tally	t = { .why = why };
	char		text[96];

	if (WORD_STATE(was) != BREAKER_HALF)
		return;
	for (unsigned i = 0; i < n; i++)
		add_probe(br, i, WORD_TURN(was), &t);
	if (t.bad > 0) {
		(void)snprintf(text, sizeof(text), "a probe failed: %s",
		    fail_row(t.why)->name);
		(void)open_it(br, was, WORD_LEVEL(was) + 1, t.why, text);
	} else if (t.good >= atomic_load(&br->conf->successes)) {
		(void)snprintf(text, sizeof(text), "%u of %u probes were "
		    "answered well", t.good, n);
		(void)close_it(br, was, atomic_load(&br->conf->slow_start),
		    text);
	} else if (t.free + t.pending == 0)
		(void)open_it(br, was, WORD_LEVEL(was), FAIL_CLIENT_GONE,
		    "too few probes came to an end");
}

/* Closed for requests, and its time is over: half open now. */
static void
begin_turn(const struct breaker *br, uint64_t was)
{
	uint64_t	until = atomic_load(&br->b->until), now, is;

	now = breaker_ms();
	if (UNTIL_TURN(until) != WORD_TURN(was) || now < UNTIL_MS(until))
		return;
	is = WORD(BREAKER_HALF, WORD_TURN(was), WORD_LEVEL(was), 0);
	if (atomic_compare_exchange_strong(&br->b->word, &was, is))
		tell(br, was, is, "its time is over");
}

/*
 * The word is read behind the probe's: a probe of a later turn than the
 * word's is then never written over.
 */
static bool
take(const struct breaker *br, unsigned i, unsigned slot, uint64_t ms,
    struct breaker_ticket *t)
{
	_Atomic uint64_t *at = breaker_probe(br, i);
	uint64_t	p = breaker_probe_word(br, i);
	uint64_t	word = atomic_load(&br->b->word);
	uint64_t	turn = WORD_TURN(word), mine;

	if (WORD_STATE(word) != BREAKER_HALF ||
	    (PROBE_TURN(p) == turn && PROBE_KIND(p) != PROBE_FREE))
		return false;
	atomic_store(&br->b->tried, 1);
	mine = PROBE(turn, PROBE_PENDING, slot, breaker_ms() + ms);
	if (!atomic_compare_exchange_strong(at, &p, mine))
		return false;
	if (atomic_load(&br->b->word) != word) {
		/* the turn is over: nobody looks at this any more */
		(void)atomic_compare_exchange_strong(at, &mine,
		    breaker_probe_end(mine, PROBE_FREE));
		return false;
	}
	*t = (struct breaker_ticket){ .word = mine, .tag = br->tag,
	    .row = br->row, .i = (uint8_t)i, .held = true };
	return true;
}

bool
breaker_take(const struct breaker *br, unsigned slot, uint64_t ms,
    struct breaker_ticket *t)
{
	uint64_t	was = atomic_load(&br->b->word);
	uint64_t	own = atomic_load(&br->conf->timeout);
	unsigned	n = breaker_nprobe(br->conf);

	if (WORD_STATE(was) == BREAKER_OPEN)
		begin_turn(br, was);
	if (WORD_STATE(atomic_load(&br->b->word)) != BREAKER_HALF)
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (!take(br, i, slot, own > 0 ? own : ms, t))
			continue;
		atomic_fetch_add(&br->b->probed, 1);
		if (board_self() != NULL)
			stat_add(STAT_BREAKER_PROBES, 1);
		return true;
	}
	/* perhaps one of them is late */
	breaker_conclude(br, FAIL_FIRST_BYTE_TIMEOUT);
	return false;
}

/* A probe's end was written; true: while its turn goes on. */
static bool
tell_turn(const struct breaker *br, const struct breaker_ticket *t,
    enum fail why)
{
	uint64_t	word = atomic_load(&br->b->word);

	if (WORD_STATE(word) != BREAKER_HALF ||
	    WORD_TURN(word) != PROBE_TURN(t->word))
		return false;
	breaker_conclude(br, why);
	return true;
}

bool
breaker_end(const struct breaker *br, struct breaker_ticket *t,
    enum breaker_end end, enum fail why)
{
	static const enum probe_kind	kinds[] = {
		[BREAKER_GOOD] = PROBE_GOOD, [BREAKER_BAD] = PROBE_BAD,
		[BREAKER_VOID] = PROBE_VOID, [BREAKER_FREE] = PROBE_FREE
	};
	uint64_t			 p = t->word;

	must(t->held && t->i < BREAKER_PROBES);
	t->held = false;
	if (t->tag != br->tag || !atomic_compare_exchange_strong(
	    breaker_probe(br, t->i), &p, breaker_probe_end(p, kinds[end])))
		return false;
	t->good = end == BREAKER_GOOD;
	if (end == BREAKER_FREE)
		atomic_fetch_sub(&br->b->probed, 1);
	return tell_turn(br, t, why);
}

bool
breaker_take_back(const struct breaker *br, struct breaker_ticket *t,
    enum fail why)
{
	uint64_t	p = breaker_probe_end(t->word, PROBE_GOOD);

	must(t->good && t->i < BREAKER_PROBES);
	t->good = false;
	return t->tag == br->tag && atomic_compare_exchange_strong(
	    breaker_probe(br, t->i), &p, breaker_probe_end(p, PROBE_BAD)) &&
	    tell_turn(br, t, why);
}
