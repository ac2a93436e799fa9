/*
 * What diag.c collects and diag_print.c prints.
 */
#ifndef SL_CONF_DIAG_INT_H
#define SL_CONF_DIAG_INT_H

#include "base/vec.h"
#include "conf/diag.h"

struct diag {
	enum diag_id	 id;
	size_t		 seq;
	struct str	 file;
	unsigned	 line;
	unsigned	 col;
	struct str	 window;	/* of the line; n == 0: none */
	size_t		 at;		/* caret's offset in it */
	size_t		 len;		/* of what is underlined */
	struct str	 section;
	struct str	 key;
	struct str	 text;
	struct str	 hint;
};

struct diags {
	struct arena	 arena;
	struct vec	 v;		/* struct diag */
	struct vec	 secrets;	/* struct str, of arena */
	uint64_t	*told;		/* own; hashes, 0: free; or NULL */
	size_t		 ntold;
	size_t		 cap;		/* of told, a power of two */
	unsigned	 errors;
	unsigned	 warnings;
	unsigned	 notices;
	bool		 ids[DIAG_NID];
	bool		 color;
	bool		 open;		/* the last one was kept: hints */
};

/* How many are kept. */
size_t diag_kept(const struct diags *);
/* Gives those from there on that have no section this one. */
void diag_own(struct diags *, size_t from, struct str section);

/* 'E', 'W' or 'N'. */
static inline char
diag_kind(enum diag_id id)
{
	return diag_code(id)[0];
}

#endif
