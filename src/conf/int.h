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
#include "conf/rows.h"

#define CONF_FILE_MAX	(16UL << 20)	/* bytes of one file */
#define CONF_VALUE_MAX	65536
#define CONF_NAME_MAX	63
#define CONF_KEY_MAX	255
#define CONF_DEPTH_MAX	8		/* of include */
#define CONF_LIKE_MAX	16		/* of like */
#define CONF_SEPS	" \t,"		/* between words of a list */

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
	unsigned		 nth;	/* row of the section */
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
	struct sect		*next;		/* in load->order */
	/* resolved */
	struct conf_obj		*obj;
	struct conf_item	*items;		/* what holds, in order */
	size_t			 nitem;
	struct sect		*made;		/* the next in rows->made */
	struct sect		*queued;	/* the next in load->queue */
	struct sect		*lent;		/* has its guests, or NULL */
};

struct conf_load {
	/* set once */
	struct conf_opts			 opts;
	const struct conf_section *const	*sections;
	struct keytab				*keytab;
	size_t					 nsect;
	struct rows				 rows[CONF_NSECTION];
	/* while it runs */
	struct arena	 arena;		/* files, spans, items */
	struct arena	*out;		/* ref: the generation's */
	struct arena	*keys;		/* ref: of secret values; or NULL */
	struct arena	*probe;		/* ref: of those for probes; or NULL */
	struct diags	*diags;		/* own */
	struct conf	*conf;		/* of out */
	struct sect	*recent;	/* whose items were asked for last */
	struct sects	 order;		/* as files have them */
	struct sects	 queue;		/* to be linked */
	struct vec	 files;		/* struct cfile * */
	struct map	 ids;		/* cfile.id to struct cfile */
	struct str	 cwd;		/* "/srv/", for relative paths */
	struct text	 note[CONF_NSECTION];	/* own */
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
