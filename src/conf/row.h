/*
 * Rows: everything that can be configured, declared by the module that
 * obeys it.  Parser, checks, dump, schema, man page and completion are
 * made from these tables.  Const data in every process; values are read
 * by the builder only.
 */
#ifndef SL_CONF_ROW_H
#define SL_CONF_ROW_H

#include "base/str.h"

struct conf_load;
struct conf_obj;
struct conf_item;
struct conf_row;

/* what a row's value is in the struct at row->off */
enum conf_type {
	CONF_BOOL,	/* bool; on|off, aliases true|false */
	CONF_INT,	/* int64_t, row->unit CONF_COUNT or CONF_PERCENT */
	CONF_SIZE,	/* uint64_t bytes: 512, 16k, 16m, 2g */
	CONF_TIME,	/* uint64_t milliseconds: 250ms, 3s, 5m, 1h, 30d */
	CONF_ENUM,	/* int: index into row->choices, words split at |;
			 * "least_conn,least_connections": first the word,
			 * then aliases of it */
	CONF_STR,	/* struct str */
	CONF_PATH,	/* struct str, made absolute (see conf_path) */
	CONF_LIST,	/* struct conf_list: words at blanks and commas,
			 * each of row->choices if there are some */
	CONF_LINES,	/* struct conf_list: one element per assignment */
	CONF_PAIRS,	/* struct conf_pairs: key is a family "header.*" */
	CONF_CUSTOM	/* row->parse fills it */
};

/* what a bare number means, and what the reference says of it */
enum conf_unit {
	CONF_COUNT, CONF_BYTES, CONF_MS, CONF_SECONDS, CONF_MEGABYTES,
	CONF_DAYS, CONF_PERCENT
};

/* what a change of the key needs (design: reload classes) */
enum conf_class {
	CONF_LIVE,	/* a new generation */
	CONF_ROLL,	/* workers replaced one by one */
	CONF_UPGRADE	/* another board layout, or only at start */
};

#define CONF_F_SECRET	0x01	/* never shown: "***" in dumps and messages */
#define CONF_F_REQUIRED	0x02	/* the section is an error without it */
#define CONF_F_HANDLER	0x04	/* of a route: this key chooses the handler */
#define CONF_F_COND	0x08	/* of a route: a match condition */
#define CONF_F_ROUTE	0x10	/* of an upstream: a route may override it */
#define CONF_F_EMPTY	0x20	/* the empty value is a value, not a reset */
#define CONF_F_MANY	0x40	/* CUSTOM: all assignments count */
#define CONF_F_LINES	0x80	/* MANY: a line is one value; order counts */
#define CONF_F_HOME	0x100	/* never a guest's, see conf_section.guest */
#define CONF_F_SHARED	0x200	/* and lent with its guests, as theirs */

struct conf_list {
	const struct str	*v;
	size_t			 n;
};

struct conf_pair {
	struct str	key;	/* the part that stood for '*' */
	struct str	val;
};

struct conf_pairs {
	const struct conf_pair	*v;
	size_t			 n;
};

/* another word that is read as this row (W0410 names the row) */
struct conf_alias {
	const char	*key;
	enum conf_unit	 unit;		/* of a bare number */
	const char	*value;		/* NULL, or: this value, if set to on */
};

/*
 * Fills dst from the assignments of a row, in order, an empty one having
 * cleared those before it.  Reports with diag_at; -1 after it did.
 */
typedef int (*conf_parse_fn)(struct conf_load *, const struct conf_row *,
    void *dst, const struct conf_item *items, size_t n);

struct conf_row {
	const char		*key;
	const struct conf_alias	*aliases;	/* ends with key == NULL */
	enum conf_type		 type;
	enum conf_unit		 unit;
	size_t			 off;
	const char		*def;		/* as written; NULL: unset */
	int64_t			 min;		/* of numbers; STR: bytes */
	int64_t			 max;		/* 0: none */
	const char		*choices;	/* "off|on|auto" */
	enum conf_class		 reload;
	unsigned		 flags;		/* CONF_F_ */
	conf_parse_fn		 parse;		/* CONF_CUSTOM */
	const char		*example;	/* a valid value, not def */
	const char		*text;		/* mdoc-safe, 1-2 sentences */
};

/*
 * Rows with the struct they fill.  A section has its own group first; a
 * handler, filter or condition that adds keys to [route] is a further
 * group, whose struct is found with conf_part().
 */
struct conf_group {
	const char		*name;
	const struct conf_row	*rows;		/* ends with key == NULL */
	size_t			 size;
	/* Checks one filled struct, after all references can be found. */
	int			(*link)(struct conf_load *, struct conf_obj *,
				    void *part);
};

/* "[word]", read as "[TYPE name]" of the section (W0410 says so) */
struct conf_section_alias {
	const char	*word;
	const char	*name;
};

struct conf_section {
	const char		*type;
	bool			 named;		/* else a singleton */
	const struct conf_group	*const *groups;	/* NULL-terminated */
	/* Runs once when all objects are linked; builds indexes. */
	int			(*done)(struct conf_load *);
	const char		*text;		/* for the reference */
	const struct conf_section_alias	*aliases; /* ends with NULL */
	/*
	 * Keys of that section that are none of this one may stand in this
	 * one as well, for an object that is made for it by conf_lend().
	 */
	const struct conf_section	*const *guest;	/* NULL: none */
};

/* an assignment that holds, for showing and comparing; of the generation */
struct conf_line {
	const struct conf_row	*row;
	struct str		 key;	/* the row's, or of a family the word */
	struct str		 val;	/* as -T shows it; "" if secret */
	uint64_t		 digest; /* of a secret */
};

/* First member of every group[0] struct. */
struct conf_obj {
	struct str			 name;	/* "" for singletons */
	const struct conf_section	*section;
	void				**part;	/* one per group, [0] is this */
	struct str			 file;	/* its first; "": none */
	unsigned			 line;
	unsigned			 set;	/* keys that a user set */
	uint64_t			 digest; /* of effective values */
	const struct conf_line		*lines;	/* what was set, in order */
	size_t				 nlines;
};

#endif
