/*
 * Slow start.  All processes begin it, health goes on with it.
 */
#include "up/slow_start.h"

#include "up/view.h"

void
slow_start_begin(struct shm *shm, uint32_t row, uint64_t tag, uint64_t ms)
{
	struct board_server_live	*l;

	l = shm_row(shm, &board_servers_live, row);
	if (ms == 0 || atomic_load(&l->tag) != tag)
		return;
	/* who is in it goes on; who failed in it begins anew */
	if (state_of(atomic_load(&l->state)) != SERVER_SLOW)
		atomic_store(&l->ramp, RAMP_FIRST);
	(void)state_change(shm, row, tag, SERVER_SLOW, true, FAIL_NONE);
}

/* Since when, also for a process that was not there then. */
static uint64_t
begun_before(uint64_t word, uint64_t ms, uint64_t now_ms)
{
	uint64_t	since = state_since_ms(word);
	uint64_t	wall = state_wall_ms(), gone;

	gone = since < wall ? wall - since : 0;
	gone = gone < ms ? gone : ms;
	return now_ms > gone ? now_ms - gone : 1;
}

void
slow_start_go(struct shm *shm, uint32_t row, uint64_t tag, uint64_t ms,
    uint64_t now_ms, uint64_t *begun)
{
	struct board_server_live	*l;
	uint64_t			 word, gone;
	uint32_t			 ramp;

	l = shm_row(shm, &board_servers_live, row);
	word = atomic_load(&l->state);
	/* while it is held back for another reason it does not go on */
	if (state_of(word) != SERVER_SLOW) {
		*begun = 0;
		return;
	}
	if (*begun == 0)
		*begun = begun_before(word, ms, now_ms);
	gone = now_ms - *begun;
	if (gone >= ms) {
		state_change(shm, row, tag, SERVER_SLOW, false, FAIL_NONE);
		*begun = 0;
		return;
	}
	ramp = RAMP_FIRST * (uint32_t)(gone * 10 / ms);
	if (ramp > atomic_load(&l->ramp) && atomic_load(&l->tag) == tag)
		state_set_ramp(shm, row, ramp);
}
