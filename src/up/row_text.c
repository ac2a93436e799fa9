/*
 * Texts of rows.  The master writes, all read.
 */
#include "up/row_text.h"

#include <string.h>

#include "base/must.h"
#include "up/upstream_rows.h"

const struct shm_region board_paths = {
	"server_paths", SHM_DIR, 1, sizeof(struct board_path), 64,
	"addresses of servers that are long"
};
const struct shm_region board_upstream_names = {
	"upstream_names", SHM_DIR, 1, sizeof(struct board_upstream_name), 16,
	"names of upstreams"
};

struct str
row_text_addr(const struct shm *shm, uint32_t i)
{
	const struct board_server	*s = shm_row(shm, &board_servers, i);
	const struct board_path		*p;
	size_t				 n = s->addr_len;

	if (n <= ROW_ADDR)
		return str_make(s->addr, n);
	if (i >= shm_rows(shm, &board_paths))
		return STR("");
	p = shm_row(shm, &board_paths, i);
	return str_make(p->text, n < ROW_PATH ? n : ROW_PATH);
}

struct str
row_text_name(const struct shm *shm, uint32_t upstream)
{
	const struct board_upstream_name	*u;

	if (upstream >= shm_rows(shm, &board_upstream_names))
		return STR("");
	u = shm_row(shm, &board_upstream_names, upstream);
	return str_make(u->text, u->len < ROW_UPSTREAM ? u->len :
	    ROW_UPSTREAM);
}

struct str
row_text_upstream(const struct shm *shm, uint32_t i)
{
	const struct board_server	*s = shm_row(shm, &board_servers, i);

	return row_text_name(shm, atomic_load_explicit(&s->upstream_row,
	    memory_order_relaxed));
}

int
row_text_set_addr(struct shm *shm, uint32_t i, struct str text,
    struct err *e)
{
	struct board_server	*s = shm_row(shm, &board_servers, i);
	struct board_path	*p;

	must(text.n <= ROW_PATH);
	if (text.n <= ROW_ADDR)
		memcpy(s->addr, text.p, text.n);
	else {
		if (shm_grow(shm, &board_paths, i + 1, e) == -1)
			return -1;
		p = shm_row(shm, &board_paths, i);
		memcpy(p->text, text.p, text.n);
	}
	s->addr_len = (uint8_t)text.n;
	return 0;
}

int
row_text_set_name(struct shm *shm, uint32_t upstream, struct str text,
    struct err *e)
{
	struct board_upstream_name	*u;

	must(text.n <= ROW_UPSTREAM);
	if (shm_grow(shm, &board_upstream_names, upstream + 1, e) == -1)
		return -1;
	u = shm_row(shm, &board_upstream_names, upstream);
	memcpy(u->text, text.p, text.n);
	u->len = (uint8_t)text.n;
	return 0;
}
