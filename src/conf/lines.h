/*
 * Logical lines of one file, for reader.c.
 */
#ifndef SL_CONF_LINES_H
#define SL_CONF_LINES_H

#include "base/vec.h"
#include "conf/load.h"

struct cfile;
struct rows;

enum line_kind { LINE_END, LINE_HEAD, LINE_KEY };

/* a physical line */
struct line {
	struct str	text;
	unsigned	number;
};

struct lines {
	struct conf_load	*l;
	const struct cfile	*file;
	size_t			 pos;
	unsigned		 number;
	struct line		 back;		/* fetched too early */
	bool			 has_back;
	struct rows		*rows;		/* of the section, or NULL */
	/* what lines_next found */
	struct line		 at;
	struct str		 key;		/* HEAD: the whole line */
	struct conf_span	 kspan;		/* KEY */
	struct vec		 raws;		/* KEY: struct raw, n > 0 */
};

void lines_init(struct lines *, struct conf_load *, const struct cfile *);
void lines_fini(struct lines *);

/* The next logical line; what it found is valid until the next call. */
enum line_kind lines_next(struct lines *);

/* The span of a part of a line. */
struct conf_span lines_span(const struct lines *, const struct line *,
    struct str part);

#endif
