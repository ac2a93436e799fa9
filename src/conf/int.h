/*
 * What the files of conf/ share: the load under way, from the text of
 * files to raw sections of assignments.  Builder, -t and tools only.
 */
#ifndef SL_CONF_INT_H
#define SL_CONF_INT_H

#include <sys/types.h>

#include "base/map.h"
#include "base/text.h"
#include "base/vec.h"
#include "conf/load.h"

#define CONF_FILE_MAX	(16UL << 20)	/* bytes of one file */
#define CONF_VALUE_MAX	65536
#define CONF_NAME_MAX	63
#define CONF_KEY_MAX	255
#define CONF_DEPTH_MAX	8		/* of include */
#define CONF_LIKE_MAX	16		/* of like */
#define CONF_SEPS	" \t,"		/* between words of a list */

/* where a key leads */
struct rowref {
	const struct conf_row	*row;
	const struct conf_alias	*alias;	/* NULL: the row's own word */
};

/* a section type made fit for looking up */
struct rows {
	const struct conf_section	*section;
	size_t				 index;	/* in the table */
	size_t				 ngroup;
	struct map			 keys;	/* to struct rowref, of arena */
	struct vec			 fams;	/* struct rowref, "header.*" */
	struct map			 objs;	/* name to struct sect */
	void				**tmpl;	/* groups with their defaults */
	struct vec			 made;	/* struct sect *, in order */
	size_t				 cap;	/* of conf->objs[index].v */
};

/* a file that was read; all of the load's arena */
struct cfile {
	const char		*name;		/* as messages show it */
	struct str		 data;		/* BOM taken off */
	const struct cfile	*parent;	/* who included it, or NULL */
	unsigned		 depth;		/* 0: the main file */
	struct {
		dev_t	dev;
		ino_t	ino;
	} id;					/* the same file twice? */
	struct vec		 includes;	/* struct conf_item */
	enum conf_origin	 origin;
};

/* an assignment in a raw section */
struct node {
	struct conf_item	 item;
	struct node		*next;
};

/* a raw section: all files' [type name] together */
struct sect {
	struct str		 name;
	struct rows		*rows;		/* NULL: unknown type */
	bool			 defaults;	/* [defaults TYPE] */
	bool			 bad;		/* an error was told */
	bool			 cyclic;	/* one of a ring of like */
	struct conf_span	 span;		/* of the first header */
	const struct cfile	*file;		/* that had the last header */
	struct node		*head;
	struct node		**tail;
	struct conf_item	*like;		/* or NULL */
	/* resolved */
	struct conf_obj		*obj;
	struct conf_item	*items;		/* what holds, in order */
	size_t			 nitem;
};

struct conf_load {
	/* set once */
	struct conf_opts			 opts;
	const struct conf_section *const	*sections;
	size_t					 nsect;
	struct rows				 rows[CONF_NSECTION];
	struct map				 types;	/* type to rows */
	/* while it runs */
	struct arena	 arena;		/* files, spans, items */
	struct arena	*out;		/* ref: the generation's */
	struct arena	*keys;		/* ref: of secret values; or NULL */
	struct diags	*diags;		/* own */
	struct conf	*conf;		/* of out */
	struct map	 sects;		/* "type name" to struct sect */
	struct vec	 order;		/* struct sect *, as files have them */
	struct vec	 queue;		/* struct sect *, to be linked */
	struct vec	 files;		/* struct cfile * */
	struct map	 ids;		/* cfile.id to struct cfile */
	struct str	 cwd;		/* "/srv/", for relative paths */
	bool		 broken;	/* something could not be read */
};

/* a stretch of a value before expansion, with its place */
struct raw {
	struct str		 text;
	struct conf_span	 span;	/* text masked if secret */
};

/* bytes of a value and where they stood */
struct conf_piece {
	size_t			 from;	/* first byte in the value */
	size_t			 n;
	struct conf_span	 span;
	bool			 exact;	/* byte by byte, else as a whole */
};

/* --- rows.c --- */
void rows_init(struct rows *, const struct conf_section *, struct arena *);
void rows_fini(struct rows *);
/* The row of a key, families included, or NULL. */
const struct rowref *rows_find(struct rows *, struct str key);
/* The key that an environment variable means, of arena, or STR_NONE. */
struct str rows_find_env(struct rows *, struct str canon, struct arena *);
struct rows *rows_type(struct conf_load *, struct str type);
/* True if keys.md's later.tbl has the key (key.n 0: the section). */
bool rows_is_later(struct str type, struct str key);
/* Reports a key or a section that no table knows, with a suggestion. */
void rows_unknown_key(struct conf_load *, const struct sect *,
    const struct conf_item *);
void rows_unknown_type(struct conf_load *, struct str type,
    const struct conf_span *);

/* --- include.c --- */
/* Reads a file wholly; -1 after reporting at why (NULL: nowhere). */
int include_slurp(struct conf_load *, const char *path,
    const struct conf_item *why, struct cfile *);
/* Reads what a file's include lines name, and what those name. */
void include_run(struct conf_load *, struct cfile *);
/* "dir/" of a file's name, "" for none, of arena. */
struct str include_folder(struct arena *, const char *file);

/* --- reader.c --- */
/* Feeds a file to libinih and its assignments to items. */
void reader_file(struct conf_load *, struct cfile *);
/* The raw section, made if it is new; name "" for singletons. */
struct sect *reader_sect(struct conf_load *, struct rows *, bool defaults,
    struct str name, const struct conf_span *);
/* Sets kspan and vspan free of what nobody may see, if the key is secret. */
void reader_mask(struct conf_load *, struct conf_item *, struct raw *,
    size_t n);
/*
 * Adds an assignment whose key, value, spans and origin are set to the
 * section.  Reports what is wrong with the key.
 */
void reader_assign(struct conf_load *, struct sect *, struct conf_item *);

/* --- expand.c --- */
/* Sets val, vspan and pieces; -1 after a report. */
int expand_value(struct conf_load *, struct conf_item *, const struct raw *,
    size_t n);

/* --- override.c --- */
/* Environment, --set, --root, --port; includes among them are read. */
void override_run(struct conf_load *);

/* --- value.c --- */
/* The unit's name for the reference. */
const char *value_unit(enum conf_unit);
/* The n-th alternative of choices, its first word; false past the end. */
bool value_choice(const char *choices, size_t n, struct str *word);

/* --- assign.c --- */
/* Fills dst (the row's member) from n > 0 items; false after a report. */
bool assign_row(struct conf_load *, const struct sect *,
    const struct conf_row *, void *dst, const struct conf_item *, size_t n);

/* --- resolve.c --- */
/* Raw sections to objects of out, filled. */
void resolve_run(struct conf_load *);
/* The empty object of a raw section, registered everywhere. */
void resolve_make(struct conf_load *, struct sect *);
/* Fills an object from what its section, like and defaults say. */
void resolve_fill(struct conf_load *, struct sect *);

/* --- diag.c --- */
/* diag_at for what is no object yet; section as in "upstream users". */
void diag_sect(struct diags *, enum diag_id, const struct conf_span *,
    struct str section, struct str key, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* What messages must never show. */
void diag_secret(struct diags *, struct str);
/* False when there are so many already that hints are not worth it. */
bool diag_has_room(const struct diags *);
/* "upstream users" of a raw section. */
struct str diag_name(struct conf_load *, const struct sect *);

/* --- schema.c --- */
void schema_json(const struct conf_section *const *, FILE *);
void schema_mdoc(const struct conf_section *const *, FILE *);

#endif
