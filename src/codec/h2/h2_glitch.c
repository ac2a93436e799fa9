/*
 * What a peer does that costs more than it is worth (h2_glitch.h).
 * Workers.
 */
#include "codec/h2/h2_glitch.h"

#define ONE		1000	/* thousandths */
#define CONTINUATIONS	8	/* of a head */

/* how much, what wears off each second, and with which row it ends */
static const struct {
	uint32_t	max;
	uint32_t	per_s;
	enum fail	why;
} kinds[H2_GLITCH_N] = {
	[H2_GLITCH_RESET] = { 100, 20, FAIL_H2_RESET_FLOOD },
	[H2_GLITCH_MADE] = { 100, 20, FAIL_H2_MADE_RESET_FLOOD },
	/* downloads are stopped, and what is in front of us has many */
	[H2_GLITCH_CUT] = { 1000, 100, FAIL_H2_RESET_FLOOD },
	/* clients may open many before they have heard of the limit */
	[H2_GLITCH_REFUSED] = { 1000, 100, FAIL_H2_MADE_RESET_FLOOD },
	[H2_GLITCH_PING] = { 500, 50, FAIL_H2_PING_FLOOD },
	[H2_GLITCH_SETTINGS] = { 100, 10, FAIL_H2_SETTINGS_FLOOD },
	[H2_GLITCH_PRIORITY] = { 500, 50, FAIL_H2_PRIORITY_FLOOD },
	[H2_GLITCH_WINDOW] = { 1000, 100, FAIL_H2_WINDOW_FLOOD },
	[H2_GLITCH_EMPTY] = { 10, 10, FAIL_H2_EMPTY_FLOOD },
	[H2_GLITCH_STRAY] = { 500, 50, FAIL_H2_STRAY_FLOOD }
};

/* Takes n thousandths off. */
static void
ease(struct h2_glitch *g, enum h2_glitch_kind k, uint64_t n)
{
	g->level[k] = n < g->level[k] ? g->level[k] - (uint32_t)n : 0;
}

static void
wear_off(struct h2_glitch *g, uint64_t now)
{
	uint64_t	ms = now - g->ms;

	if (ms == 0)
		return;
	g->ms = now;
	for (unsigned k = 0; k < H2_GLITCH_N; k++)
		ease(g, (enum h2_glitch_kind)k, ms * kinds[k].per_s);
}

enum fail
h2_glitch_add(struct h2_glitch *g, enum h2_glitch_kind k, uint64_t now,
    uint32_t more)
{
	wear_off(g, now);
	g->level[k] += ONE;
	return g->level[k] > (kinds[k].max + more) * ONE ? kinds[k].why :
	    FAIL_NONE;
}

bool
h2_glitch_is_high(const struct h2_glitch *g)
{
	for (unsigned k = H2_GLITCH_RESET; k <= H2_GLITCH_CUT; k++)
		if (g->level[k] > kinds[k].max * ONE / 4 * 3)
			return true;
	return false;
}

/* Each stream may say a few words about itself. */
void
h2_glitch_opened(struct h2_glitch *g)
{
	ease(g, H2_GLITCH_PRIORITY, 100 * ONE);
	ease(g, H2_GLITCH_WINDOW, 2 * ONE);
	ease(g, H2_GLITCH_PING, ONE);
}

void
h2_glitch_sent(struct h2_glitch *g)
{
	ease(g, H2_GLITCH_WINDOW, 10 * ONE);
	ease(g, H2_GLITCH_PING, ONE);
}

/* Clients that measure the path ask once for some of these. */
void
h2_glitch_got(struct h2_glitch *g)
{
	ease(g, H2_GLITCH_EMPTY, ONE);
	ease(g, H2_GLITCH_PING, ONE);
}

void
h2_glitch_closed(struct h2_glitch *g)
{
	ease(g, H2_GLITCH_STRAY, ONE);
}

void
h2_glitch_crossed(struct h2_glitch *g)
{
	ease(g, H2_GLITCH_STRAY, 4 * ONE);
}

void
h2_glitch_head(struct h2_glitch *g)
{
	g->blocks = 0;
}

enum fail
h2_glitch_continued(struct h2_glitch *g)
{
	return ++g->blocks > CONTINUATIONS ? FAIL_H2_CONTINUATION_FLOOD :
	    FAIL_NONE;
}
