/*
 * What the files that link rows share.  Master.
 */
#ifndef SL_UP_INT_H
#define SL_UP_INT_H

#include "up/names.h"

/* the master's walk: rows known, and where free ones may be */
struct linker {
	struct shm		*shm;
	struct upstream_rows	 rows;
	uint64_t		 number;
	uint32_t		 free_server;
	uint32_t		 free_upstream;
	uint32_t		 free_word;
	uint32_t		 free_name;
};

/* what the configuration wants a server to have */
struct row_want {
	uint64_t	limit;
	uint32_t	weight;
	bool		backup;
};

/*
 * The row of a server, made where there is none: only then it has at once
 * what is wanted.  Its index, or -1.
 */
int64_t rows_link(struct linker *, struct str upstream, struct str addr,
    const struct row_want *, struct err *);
/* A word of the lease for a row that is there, if it is to have one. */
int rows_link_word(struct linker *, struct board_server *, uint64_t limit,
    bool fresh, struct err *);
/*
 * The next row of a region whose first word, its tag, is 0; the region
 * grows when there is none.  *from goes over the rows once.
 */
void *rows_take(struct linker *, const struct shm_region *, uint32_t *from,
    struct err *);
/* Tag of a new life of row i, never one of an earlier life. */
uint64_t rows_tag(uint64_t number, uint64_t last, uint32_t i);
/*
 * Frees the rows of servers that no generation from oldest on has, and
 * no name; oldest 0: those alone that came by a name.
 */
void rows_free(struct shm *, uint64_t oldest);
/*
 * A text of a row with the length that stands beside it.  Control writes
 * that segment, too, and reads from the network: the master believes no
 * length and no index there.
 */
struct str rows_text(const char *, size_t size, size_t n);
/* Takes a row into what is known. */
void rows_note_name(struct upstream_rows *, const struct board_name *,
    uint32_t row);
/* Gives it what is wanted; true if it has more connections than that. */
bool rows_settle(struct shm *, struct board_server *,
    const struct row_want *);

#endif
