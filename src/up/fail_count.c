/*
 * Failed attempts by upstream and row.  Master, workers, control.
 */
#include "up/fail_count.h"

const struct shm_region board_fail_counts = {
	"fail_count", SHM_LIVE, 2, sizeof(struct board_fail_count), 16,
	"failed attempts of upstreams, by row"
};

int
fail_count_link(struct shm *shm, uint32_t row, bool fresh, struct err *e)
{
	struct board_fail_count	*c;

	if (shm_grow(shm, &board_fail_counts, row + 1, e) == -1)
		return -1;
	c = shm_row(shm, &board_fail_counts, row);
	for (unsigned i = 0; fresh && i < FAIL_COUNTS; i++)
		atomic_store(&c->n[i], 0);
	return 0;
}

void
fail_count_add(struct shm *shm, uint32_t row, enum fail why)
{
	struct board_fail_count	*c;

	if (row >= shm_rows(shm, &board_fail_counts))
		return;
	c = shm_row(shm, &board_fail_counts, row);
	atomic_fetch_add_explicit(&c->n[why], 1, memory_order_relaxed);
}

uint32_t
fail_count_get(const struct shm *shm, uint32_t row, enum fail why)
{
	struct board_fail_count	*c;

	if (row >= shm_rows(shm, &board_fail_counts))
		return 0;
	c = shm_row(shm, &board_fail_counts, row);
	return atomic_load_explicit(&c->n[why], memory_order_relaxed);
}
