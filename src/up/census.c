/*
 * Views as rows have them.  Control.
 */
#include "up/census.h"

const char *const census_tiers[4] = {
	[VIEW_EMPTY] = "empty", [VIEW_MAIN] = "main",
	[VIEW_BACKUP] = "backup", [VIEW_PANIC] = "panic"
};

void
census_add(struct census *c, const struct board_server *b,
    const struct board_server_live *l)
{
	uint64_t	word = atomic_load(&l->state);
	bool		ok = (word & STATE_AWAY) == 0;

	if (state_weight(b, l) == 0 || (word & (STATE_BIT(SERVER_DRAIN) |
	    STATE_BIT(SERVER_MAINTENANCE))) != 0)
		return;
	c->open += (word & STATE_BIT(SERVER_OPEN)) != 0;
	if (atomic_load(&b->backup) != 0)
		c->backup_ok += ok;
	else {
		c->main++;
		c->main_ok += ok;
	}
}

void
census_choose(struct census *c, unsigned panic)
{
	if (c->main_ok > 0 && c->main_ok * 100 >= c->main * panic)
		c->tier = VIEW_MAIN;
	else if (c->backup_ok > 0)
		c->tier = VIEW_BACKUP;
	else
		c->tier = c->main_ok > 0 ? VIEW_PANIC : VIEW_EMPTY;
	c->bars = c->tier == VIEW_PANIC ? STATE_SHUT : STATE_AWAY;
}

const char *
census_why_not(const struct census *c, const struct board_server *b,
    const struct board_server_live *l)
{
	uint64_t	word = atomic_load(&l->state);

	if ((word & c->bars) != 0)
		return state_names[state_of(word & c->bars)];
	if (state_weight(b, l) == 0)
		return "its weight is 0";
	if (c->tier == VIEW_EMPTY)
		return "nobody may be asked";
	if (c->tier != VIEW_BACKUP && atomic_load(&b->backup) != 0)
		return "a backup";
	return NULL;
}
