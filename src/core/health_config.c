/*
 * The component config: which generation is live, and how the last reload
 * went.  Workers.
 */
#include "core/health.h"
#include "core/listener.h"

static const struct board_global *
global(const struct exchange *x)
{
	return shm_row(x->serve->shm, &board_globals, 0);
}

/* The last reload is the one that is live. */
static bool
is_well(struct exchange *x)
{
	return global(x)->failed_ms <= x->gen->conf->made_ms;
}

static void
tell(struct exchange *x, struct text *t)
{
	const struct board_global	*g = global(x);
	const struct conf		*c = x->gen->conf;

	health_num(t, "generation", c->number);
	health_num(t, "loaded_ms", c->made_ms);
	text_add(t, STR(",\"file\":"));
	text_json(t, c->file);
	health_num(t, "warnings", c->warnings);
	health_num(t, "reloads", g->reloads);
	health_num(t, "reloads_failed", g->reloads_failed);
	if (g->failed_ms > 0)
		health_num(t, "last_failed_ms", g->failed_ms);
}

const struct health_part health_config = {
	.name = "config", .is_well = is_well, .tell = tell
};
