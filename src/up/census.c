/*
 * Which servers are asked.  Workers, control.
 */
#include "up/census.h"

const char *const census_tiers[VIEW_NTIER] = {
	[VIEW_EMPTY] = "empty", [VIEW_MAIN] = "main",
	[VIEW_BACKUP] = "backup", [VIEW_PANIC] = "panic",
	[VIEW_EJECTED] = "ejected"
};

static bool
is_backup(const struct board_server *b)
{
	return atomic_load(&b->backup) != 0;
}

/* True: it weighs something, and the operator allows that it is asked. */
static bool
is_allowed(const struct board_server *b, const struct board_server_live *l,
    uint64_t word)
{
	return state_weight(b, l) > 0 && (word & (STATE_BIT(SERVER_DRAIN) |
	    STATE_BIT(SERVER_MAINTENANCE))) == 0;
}

bool
census_is_open(const struct board_server *b,
    const struct board_server_live *l)
{
	uint64_t	word = atomic_load(&l->state);

	return (word & STATE_BIT(SERVER_OPEN)) != 0 && is_allowed(b, l, word);
}

void
census_add(struct census *c, const struct board_server *b,
    const struct board_server_live *l)
{
	uint64_t	word = atomic_load(&l->state);
	bool		ok = (word & STATE_AWAY) == 0;

	if (!is_allowed(b, l, word))
		return;
	c->open += (word & STATE_BIT(SERVER_OPEN)) != 0;
	if ((word & STATE_AWAY) == STATE_BIT(SERVER_EJECTED))
		c->out[is_backup(b)][state_is_absent(l, word)]++;
	if (is_backup(b))
		c->backup_ok += ok;
	else {
		c->main++;
		c->main_ok += ok;
	}
}

/* Backups only if no other is ejected, the absent if all are. */
static void
choose_ejected(struct census *c)
{
	struct view_rule	*r = &c->rule;

	r->bars = STATE_AWAY & ~STATE_BIT(SERVER_EJECTED);
	r->backups = c->out[0][0] + c->out[0][1] == 0;
	r->absent = c->out[r->backups][0] == 0;
	r->tier = c->out[r->backups][r->absent] > 0 ? VIEW_EJECTED :
	    VIEW_EMPTY;
}

void
census_choose(struct census *c, unsigned panic)
{
	struct view_rule	*r = &c->rule;

	*r = (struct view_rule){ .bars = STATE_AWAY };
	if (c->main_ok > 0 && c->main_ok * 100 >= c->main * panic)
		r->tier = VIEW_MAIN;
	else if (c->backup_ok > 0) {
		r->tier = VIEW_BACKUP;
		r->backups = true;
	} else if (c->main_ok > 0) {
		r->tier = VIEW_PANIC;
		r->bars = STATE_SHUT;
	} else
		choose_ejected(c);
}

bool
census_admits(const struct view_rule *r, const struct board_server_live *l)
{
	uint64_t	word = atomic_load_explicit(&l->state,
			    memory_order_acquire);

	return (word & r->bars) == 0 && ((word & STATE_SICK) == 0 ||
	    r->absent || !state_is_absent(l, word));
}

const char *
census_why_not(const struct view_rule *r, const struct board_server *b,
    const struct board_server_live *l)
{
	uint64_t	word = atomic_load(&l->state);

	if ((word & r->bars) != 0)
		return state_names[state_of(word & r->bars)];
	if (state_weight(b, l) == 0)
		return "its weight is 0";
	if (!r->backups && is_backup(b))
		return "a backup";
	if (!census_admits(r, l))
		return "nobody listens there";
	return r->tier == VIEW_EMPTY ? "nobody may be asked" : NULL;
}
