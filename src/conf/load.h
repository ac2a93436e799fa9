/*
 * Loading: files and overrides to objects.  Runs in the builder, in
 * `sluiced -t` and `-T`, and offline in sluicectl.  Three passes: read
 * (files, includes, libinih, expansions), resolve (defaults, like, rows,
 * values), link (references, checks, indexes).  Every error is collected;
 * a pass goes on as far as it makes sense.
 */
#ifndef SL_CONF_LOAD_H
#define SL_CONF_LOAD_H

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/conf.h"
#include "conf/diag.h"

/* where a value came from */
enum conf_origin {
	CONF_DEFAULT,	/* row->def */
	CONF_DEFAULTS,	/* [defaults TYPE] */
	CONF_LIKE,	/* like = other */
	CONF_FILE,
	CONF_ENV,
	CONF_CLI	/* --set, --root, --port */
};

/* a piece of a file; for overrides file is "environment" or "--set" */
struct conf_span {
	const char	*file;		/* of the load's arena */
	unsigned	 line;		/* from 1; 0: no place */
	unsigned	 col;		/* from 1, in bytes */
	unsigned	 len;
	struct str	 text;		/* the whole physical line */
};

struct conf_piece;

/* one assignment */
struct conf_item {
	struct str		key;	/* as written */
	struct str		val;	/* quotes off, expanded, $$ done */
	struct conf_span	kspan;
	struct conf_span	vspan;
	enum conf_origin	origin;
	const struct conf_row	*row;	/* NULL: unknown */
	const struct conf_alias	*alias;	/* the word used, if not the row's */
	const struct conf_piece	*pieces; /* where val's bytes stood; NULL: */
	size_t			npieces; /* val is a slice of vspan.text */
	bool			quoted;	/* "": a value that is empty */
};

/* a walk over the words of a key */
struct conf_words {
	const struct conf_item	*it;	/* that has the word */
	struct str		 word;	/* a slice of its value */
	const struct conf_item	*next;	/* of those of the object */
	const struct conf_item	*end;
	struct str		 key;
	struct str		 rest;
};

struct conf_opts {
	const char	*file;		/* NULL: built-in defaults only */
	bool		 file_given;	/* -c: absence is an error */
	const char	*root;		/* --root or SLUICE_ROOT */
	const char	*port;		/* --port or SLUICE_PORT */
	const char	*const *set;	/* --set, NULL-terminated, or NULL */
	char		*const *env;	/* environ */
	bool		 as_root;	/* privileged ports, user, paths */
	/* for tests and fuzzing; NULL: conf_sections, conf_builtin, the file */
	const struct conf_section *const *sections;
	const char	*builtin;
	const struct str *memory;	/* the main file's text; then no
					 * other file is read either */
};

struct conf_load;

struct conf_load *conf_load_new(const struct conf_opts *);
void conf_load_free(struct conf_load **);

/*
 * Loads into out, an arena of the generation.  NULL if there was an
 * error; the diagnostics tell.  Everything the result points to is in
 * out or constant.
 */
struct conf *conf_load_run(struct conf_load *, struct arena *out);
/*
 * Before it: values of secret rows go to keys, copies of what probes need
 * of them to probe; without it to out as well.
 */
void conf_load_keys(struct conf_load *, struct arena *keys,
    struct arena *probe);

/* --- for parse, link and done functions of modules --- */
struct arena *conf_load_arena(struct conf_load *);	/* = out */
/* Where what nobody but workers may see is kept; out if keys was not set. */
struct arena *conf_load_secret(struct conf_load *);
/* The same for what health may see. */
struct arena *conf_load_probe(struct conf_load *);
struct diags *conf_load_diags(struct conf_load *);
const struct conf_opts *conf_load_opts(const struct conf_load *);
struct conf *conf_load_conf(struct conf_load *);
/* Objects that exist so far, by name; for references (E0210). */
void *conf_ref(struct conf_load *, const struct conf_section *,
    struct str name);
/*
 * The same for a word of an item's value; NULL after E0210 at the word,
 * with the names that exist.
 */
void *conf_ref_at(struct conf_load *, const struct conf_obj *,
    const struct conf_item *, struct str word, const struct conf_section *);
/* The last assignment of a key of an object, or NULL if it has its default. */
const struct conf_item *conf_item(struct conf_load *,
    const struct conf_obj *, const char *key);
/*
 * Goes through the words of all assignments of a list, in order, which is
 * how the list has them: for carets.  False behind the last, and at once
 * if the key has its default; it is NULL then.
 */
void conf_words_init(struct conf_words *, struct conf_load *,
    const struct conf_obj *, const char *key);
bool conf_words_next(struct conf_words *);
/* True when the user set the key, by whatever origin above default. */
bool conf_is_set(struct conf_load *, const struct conf_obj *,
    const char *key);
/*
 * An object made by code: a singleton's alias form, an unnamed upstream.
 * It has the defaults; its links run after the caller's.  NULL if one of
 * that name exists.
 */
void *conf_make(struct conf_load *, const struct conf_section *,
    struct str name, const struct conf_item *because);
/*
 * The same for an object whose section has that one as its guest: what is
 * set there of it is set in the new one, too.
 */
void *conf_lend(struct conf_load *, const struct conf_obj *from,
    const struct conf_section *, struct str name,
    const struct conf_item *because);
/*
 * What an object has of its section's guest, at being the number of the
 * next one; NULL behind the last.
 */
const struct conf_item *conf_guest(struct conf_load *,
    const struct conf_obj *, size_t *at);
/*
 * A text of the section's own that lives as long as the load, empty at
 * first: what its done() learnt beside what the generation has.
 */
struct text *conf_load_note(struct conf_load *, const struct conf_section *);
/* Sets the object's section data. */
void conf_set_data(struct conf_load *, const struct conf_section *, void *);
/* A path as the file meant it: relative ones start at that file's folder. */
struct str conf_path(struct conf_load *, const struct conf_item *);
/* A slice of the value, or a copy of one of its words, for carets. */
struct conf_span conf_word_span(const struct conf_item *, struct str word);
/* Where the object begins; nowhere if no file has it. */
struct conf_span conf_obj_span(const struct conf_obj *);

/* --- values; each returns 0 or -1 with a reason without position --- */
int conf_val_bool(struct str, bool *, struct err *);
int conf_val_int(struct str, int64_t min, int64_t max, int64_t *,
    struct err *);
int conf_val_size(struct str, enum conf_unit bare, uint64_t *, struct err *);
int conf_val_time(struct str, enum conf_unit bare, uint64_t *, struct err *);
int conf_val_enum(struct str, const char *choices, int *, struct err *);

/* A scalar as it is in the object; false, nothing added: it is none. */
bool conf_value_text(const struct conf_row *, const void *at, struct text *);

/* --- printing; all write to a FILE of the caller --- */
enum conf_dump {
	CONF_DUMP_ALL,		/* -T: every row with its origin */
	CONF_DUMP_SET		/* --dump-set: what differs from default */
};
void conf_dump(struct conf_load *, enum conf_dump, FILE *);
/* --dump-schema: JSON, {"v":1,"sections":[..]}. */
void conf_dump_schema(FILE *);
/* The rows as mdoc: the reference part of sluice.conf(5). */
void conf_dump_mdoc(FILE *);
/* The keys, one a line: type, named or one, key, choices between tabs. */
void conf_dump_words(FILE *);

#endif
