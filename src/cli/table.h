/*
 * Aligned tables of text.  sluicectl.
 */
#ifndef SL_CLI_TABLE_H
#define SL_CLI_TABLE_H

#include "base/text.h"
#include "base/vec.h"

#define TABLE_COLS	16

struct table {
	const char *const	*head;	/* const: ">PID" is set to the right */
	size_t			 ncol;
	struct text		 text;	/* own: of all cells */
	struct vec		 cells;	/* own */
};

/* Heads of the columns, NULL at the end. */
void table_init(struct table *, const char *const *head);
void table_fini(struct table *);

/*
 * The next cell, row by row.  Bytes that a terminal could take for more
 * than text are escaped.
 */
void table_str(struct table *, struct str);
void table_fmt(struct table *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends the table, each line indented by so many blanks. */
void table_print(const struct table *, unsigned indent, struct text *);

#endif
