/*
 * How the servers of rows are called: by an address, and an upstream's
 * name.  An address that has no room in its row, the path of a socket,
 * lies aside, in a row of the same number whose page nobody else needs;
 * an upstream's name is there once.  The master writes, all read.
 *
 * Control may write the segment, too: no length there is believed.
 */
#ifndef SL_UP_ROW_TEXT_H
#define SL_UP_ROW_TEXT_H

#include "base/err.h"
#include "base/str.h"
#include "os/shm.h"

#define ROW_ADDR	64	/* bytes of an address in its row */
#define ROW_PATH	128	/* and aside */
#define ROW_UPSTREAM	64	/* of an upstream's name */

/* region of dir, row as `servers`; only where the row has no room */
struct board_path {
	char		 text[ROW_PATH];
};
_Static_assert(sizeof(struct board_path) == 128, "board path");

/* region of dir, row as `upstream_live` */
struct board_upstream_name {
	uint8_t		 len;
	char		 text[127];
};
_Static_assert(sizeof(struct board_upstream_name) == 128, "upstream name");

extern const struct shm_region board_paths, board_upstream_names;

/* The address of server i: a unix path without "unix:", or "ip:port". */
struct str row_text_addr(const struct shm *, uint32_t i);
/* The name of its upstream; "": it has none. */
struct str row_text_upstream(const struct shm *, uint32_t i);
/* The name of an upstream's row; "": it has none. */
struct str row_text_name(const struct shm *, uint32_t upstream);

/* Master: the address of a row that is free; -1: no room. */
int row_text_set_addr(struct shm *, uint32_t i, struct str, struct err *);
/* Master: the name of an upstream's row that is free; -1: no room. */
int row_text_set_name(struct shm *, uint32_t upstream, struct str,
    struct err *);

#endif
