/*
 * The configuration inside a generation: immutable objects, found by
 * section and name.  Read by every process; written by the builder.
 */
#ifndef SL_CONF_CONF_H
#define SL_CONF_CONF_H

#include "conf/row.h"

#define CONF_NSECTION	24

struct conf_objs {
	struct conf_obj	*const *v;
	size_t		 n;
};

/* objects of a section by name: open addressing, in the generation */
struct conf_names {
	const struct conf_obj	**slot;		/* NULL: free */
	size_t			  cap;		/* power of two or 0 */
};

struct conf {
	const struct conf_section *const *sections; /* the table used */
	uint64_t		number;		/* of the generation */
	uint64_t		made_ms;	/* wall clock */
	struct str		file;		/* main one; "": built-in */
	uint64_t		digest;		/* of all objects */
	unsigned		warnings;	/* told while loading */
	struct conf_objs	objs[CONF_NSECTION]; /* as in conf_sections[] */
	struct conf_names	names[CONF_NSECTION];
	void			*data[CONF_NSECTION]; /* made by done() */
};

/* The table of contents, in registry.c; NULL-terminated. */
extern const struct conf_section *const conf_sections[];

/*
 * What is loaded when there is no file: text of the format, in registry.c.
 */
extern const char conf_builtin[];

/* Index of a section in conf_sections; must exist. */
size_t conf_index(const struct conf_section *);

/* All objects of a section, in file order. */
struct conf_objs conf_all(const struct conf *, const struct conf_section *);

/* A singleton: always there, with defaults if no file names it. */
const void *conf_one(const struct conf *, const struct conf_section *);

/* The objects of the section of that type, which must be there. */
struct conf_objs conf_type(const struct conf *, const char *type);
/* The member of an object that a key fills; it must exist. */
const void *conf_member(const struct conf_obj *, const char *key);
/*
 * A singleton's value by the words of the file, as its row's type has it:
 * for floors below the module that the section is of.  It must exist.
 */
const void *conf_value(const struct conf *, const char *type,
    const char *key);

/* An object by name, or NULL. */
const void *conf_find(const struct conf *, const struct conf_section *,
    struct str name);

/* What the section's done() made. */
void *conf_data(const struct conf *, const struct conf_section *);

/* The struct of a further group, or NULL if the section has none such. */
void *conf_part(const struct conf_obj *, const struct conf_group *);

#endif
