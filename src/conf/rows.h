/*
 * The types of sections in a load, each with its sections.  Builder, -t
 * and tools; of the load.
 */
#ifndef SL_CONF_ROWS_H
#define SL_CONF_ROWS_H

#include "conf/keys.h"
#include "conf/load.h"

struct sect;

/* a list of sections, each of them in one list of a kind */
struct sects {
	struct sect	*first;
	struct sect	*last;
	size_t		 n;
};

/* a section type in a load */
struct rows {
	struct keys			*keys;	/* of keytab */
	const struct conf_section	*section;
	size_t				 index;	/* in the table */
	struct map			 sects;	/* name to struct sect */
	struct sect			*only;	/* of a singleton */
	struct sect			*defs;	/* [defaults TYPE] or NULL */
	void				**tmpl;	/* groups with their defaults */
	struct sects			 made;	/* those with an object */
	size_t				 cap;	/* of conf->objs[index].v */
};

void rows_init(struct rows *, struct keys *, size_t index);
void rows_fini(struct rows *);
/* Those of the type, or NULL. */
struct rows *rows_type(struct conf_load *, struct str type);
/* The raw section of that name, or NULL; "" for singletons. */
struct sect *rows_sect(const struct rows *, struct str name);
void rows_add_sect(struct rows *, struct sect *);
/* Reports a key or a section that no table knows, with a suggestion. */
void rows_unknown_key(struct conf_load *, const struct sect *,
    const struct conf_item *);
void rows_unknown_type(struct conf_load *, struct str type,
    const struct conf_span *);

#endif
