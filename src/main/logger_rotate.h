/*
 * The names of the log's files: when one ends, what becomes of it, and
 * what may be removed.  Logger process alone.
 *
 *	PATTERN			the file that is written, or one of a day
 *				or of a master before
 *	PATTERN.N		rotated; N grows
 *	PATTERN[.N].gz		compressed, complete
 *	PATTERN[.N].gz.tmp	what a killed compressor left
 *
 * All else in the folder is somebody else's.  Rotation has no state but
 * these names: whoever is killed, the next logger goes on from them.
 */
#ifndef SL_MAIN_LOGGER_ROTATE_H
#define SL_MAIN_LOGGER_ROTATE_H

#include <sys/types.h>

#include "base/vec.h"
#include "main/logger.h"

struct logger_rotate {
	/* of the generation */
	char		 pattern[128];
	const char	*name;		/* ref: what {name} is */
	bool		 by_size:1;
	bool		 by_time:1;	/* neither: hands off */
	bool		 compresses:1;
	uint64_t	 size;		/* bytes */
	uint64_t	 age;		/* s; 0: for ever */
	uint64_t	 keep;		/* rotated files; 0: all */
	/* of the process */
	char		 host[65];
	pid_t		 master;
	/* state */
	time_t		 shift;		/* test builds: of the clock */
	pid_t		 zip;		/* own: compressor; 0: none */
	bool		 zip_failed:1;	/* the last one did */
	uint64_t	 look_ms;	/* the folder is looked at again */
	uint64_t	 rest_ms;	/* and not before */
	uint64_t	 retry_ms;	/* after a rotation that failed */
	uint32_t	 next;		/* number to try first */
	char		 next_of[LOGGER_NAME];
};

enum rotated_kind { ROTATED_PLAIN, ROTATED_GZ, ROTATED_TMP };

/* a file of the folder */
struct rotated {
	char			name[LOGGER_NAME];
	size_t			base;	/* bytes of it before .N */
	uint32_t		number;	/* 0: none */
	enum rotated_kind	kind;
	struct timespec		mtime;
	bool			drop:1;	/* retention's choice */
};

/* --- logger_rotate.c --- */

void logger_rotate_init(struct logger_rotate *, pid_t master);

/*
 * How files are named: all as the pattern says, or, when the log is split
 * in two, that of one kind of record.
 */
void logger_rotate_set_name(struct logger_rotate *, struct str pattern,
    bool splits, enum logger_which);

/* The name that the file has now. */
int logger_rotate_name(const struct logger_rotate *, char *name, size_t size,
    struct err *);

/* Fills name, base, number and kind; false: it is no file of the log. */
bool logger_rotate_match(const struct logger_rotate *, const char *name,
    struct rotated *);

/* True when the file is full, or of another day than now. */
bool logger_rotate_is_due(const struct logger_rotate *,
    const struct logger_file *);

/*
 * Gives the file another name, if the new one is not another already, and
 * opens the new one.  Only when no ring has a note.  -1: what was open is.
 */
int logger_rotate_run(struct logger_rotate *, struct logger_file *,
    struct err *);

/* Gives a plain file the next number; the folder is locked. */
int logger_rotate_aside(struct logger_rotate *, int dir, const char *name);

/* Sorts files, the oldest first, and marks those that are to go. */
void logger_rotate_choose(const struct logger_rotate *, struct vec *,
    time_t now);

/*
 * Removes what is too old and starts the compressor, now and then; -1
 * once after the compressor failed.
 */
int logger_rotate_look(struct logger_rotate *, const struct logger_file *,
    uint64_t now_ms, struct err *);

/* Ends the compressor; what it was at is there and whole. */
void logger_rotate_end(struct logger_rotate *);

/* --- logger_gzip.c --- */

enum gzip_rc {
	GZIP_OK,
	GZIP_BUSY,	/* in use, or gone */
	GZIP_FAILED
};

/* Makes NAME.gz of NAME, which then is no more; waits for the disk. */
enum gzip_rc logger_gzip(struct logger_rotate *, int dir, const char *name);

/* In a child of the logger: all plain files of the list; its status. */
int logger_gzip_all(struct logger_rotate *, const char *dir,
    const struct vec *);

#endif
