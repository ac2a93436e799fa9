/*
 * Windows that follow the path (h2_bdp.h).  Workers.
 */
#include "codec/h2/h2_bdp.h"

#define ASK_FROM	16384	/* bytes: a small body is through by then */

void
h2_bdp_init(struct h2_bdp *b)
{
	*b = (struct h2_bdp){ .window = H2_WINDOW };
}

/*
 * The count begins when the PING leaves, so the first piece of a body is
 * not in it, nor what came in the same read.
 */
bool
h2_bdp_data(struct h2_bdp *b, uint64_t n)
{
	b->bytes += n;
	if (b->asking || b->bytes < ASK_FROM || b->window >= H2_WINDOW_MAX)
		return false;
	b->asking = true;
	b->bytes = 0;
	return true;
}

bool
h2_bdp_answer(struct h2_bdp *b)
{
	uint64_t	bytes = b->bytes;

	if (!b->asking)
		return false;
	b->asking = false;
	b->bytes = 0;
	if (bytes < b->window / 3 * 2)
		return false;
	b->window = bytes > H2_WINDOW_MAX / 2 ? H2_WINDOW_MAX :
	    (uint32_t)bytes * 2;
	return true;
}

/* One that stands still leaves room for others. */
uint32_t
h2_bdp_conn(const struct h2_bdp *b)
{
	return b->window < H2_WINDOW_CONN / 2 ? H2_WINDOW_CONN :
	    b->window * 2;
}
