/*
 * What can be looked up of the rows of a program: the same for all loads,
 * so it is made once.  Builder, -t and tools.
 */
#ifndef SL_CONF_KEYS_H
#define SL_CONF_KEYS_H

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "conf/conf.h"

/* where a key leads */
struct rowref {
	const struct conf_row	*row;
	const struct conf_alias	*alias;	/* NULL: the row's own word */
	unsigned		 nth;	/* row of the section, from 0 */
};

/* a key by which a row is found */
struct keyword {
	struct str		 word;
	uint64_t		 letters; /* a bit for each that is in it */
	const struct rowref	*ref;
};

/* a section type made fit for looking up */
struct keys {
	const struct conf_section	*section;
	size_t				 ngroup;
	size_t				 nrow;
	struct map			 map;	/* to struct rowref, of arena */
	struct vec			 words;	/* struct keyword, as in map */
	struct vec			 fams;	/* struct rowref, "header.*" */
	struct map			 later;	/* keys not obeyed yet */
	struct vec			 later_fams; /* struct str, "retry." */
	const struct keys		*guest;	/* of section->guest, or NULL */
	/* made with the first object; of arena */
	void				**tmpl;	/* groups: constant defaults */
	struct vec			 late;	/* struct laterow */
};

/* a row whose default needs memory of the load */
struct laterow {
	const struct conf_row	*row;
	size_t			 group;
};

/* all types of a table of contents */
struct keytab {
	const struct conf_section	*const *sections;
	size_t				 n;
	struct arena			 arena;
	struct keys			 v[CONF_NSECTION];
};

/*
 * Of the table.  That of the program's own is kept until its process ends;
 * another must be put back.
 */
struct keytab *keytab_get(const struct conf_section *const *);
void keytab_put(struct keytab **);

/* True if later versions obey sections of that type. */
bool keytab_is_later(struct str type);

/* The row of a key, families included, or NULL. */
const struct rowref *keys_find(const struct keys *, struct str key);
/* True if there is no row for it, but will be one. */
bool keys_is_later(const struct keys *, struct str key);
/* True if the row is not the section's own but of its guest. */
bool keys_is_guest(const struct keys *, const struct conf_row *);
/* The key that an environment variable means, of arena, or STR_NONE. */
struct str keys_find_env(const struct keys *, struct str canon,
    struct arena *);
/*
 * The nearest key within max edits, of arena if it is of a family; *ref
 * is its row.
 */
struct str keys_find_near(const struct keys *, struct str key, unsigned max,
    struct arena *, const struct rowref **ref);

#endif
