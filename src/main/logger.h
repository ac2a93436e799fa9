/*
 * The logger's parts, without its process: rings become text, text goes
 * to the file and the console, and a ring's tail moves only behind what
 * was written.  Logger process alone; logger.c joins it to the skeleton.
 */
#ifndef SL_MAIN_LOGGER_H
#define SL_MAIN_LOGGER_H

#include <time.h>

#include "base/text.h"
#include "core/board.h"
#include "core/record.h"

struct logger_feed;

#define LOGGER_BATCH	(64U << 10)	/* bytes of one write */
#define LOGGER_TURN	(2U << 20)	/* and of all writes of one turn */
#define LOGGER_LINE	4096		/* of the console; PIPE_BUF */

/* the log's files: one, unless its form has no place for lines */
enum logger_which {
	LOGGER_RECORDS,			/* access records, or all */
	LOGGER_LINES,			/* lines of processes */
	LOGGER_NFILE
};

/* --- logger_text.c: records of a ring as text --- */

/* a batch; the memory is kept for the next one */
struct logger_text {
	struct text	 json;		/* own */
	struct record_style style;	/* of the file; refs */
	struct text	 human;		/* own: the same lines for people */
	struct text	 raw;		/* own: records, see core/feed.h */
	bool		 wants_human:1;
	bool		 wants_raw:1;
	bool		 colour:1;
	bool		 splits:1;	/* lines have a file of their own */
	bool		 full:1;	/* there are more */
	enum logger_which which;	/* file that the text is for */
	uint64_t	 pos;		/* behind the last record */
	uint64_t	 bad;		/* records ever that nobody can read */
};

void logger_text_init(struct logger_text *);
void logger_text_fini(struct logger_text *);

/*
 * Makes text of the records from the tail to position `end` (UINT64_MAX:
 * of all there are up to the first for another file), at most `max` bytes
 * of JSON; the same records give the same text at any time.
 */
void logger_text_fill(struct logger_text *, struct ring *, uint64_t end,
    size_t max);

/* --- logger_file.c: the file that is written --- */

#define LOGGER_NAME	256	/* bytes of a file's name */

struct logger_file {
	int		 fd;		/* own; -1: none */
	uint64_t	 dev;
	uint64_t	 ino;
	uint64_t	 size;		/* after the last write */
	time_t		 since;		/* of its last line, when opened */
	char		 dir[4096];
	char		 name[LOGGER_NAME];
	bool		 seen:1;	/* its last byte is a newline */
};

void logger_file_init(struct logger_file *);
void logger_file_close(struct logger_file *);

/*
 * Opens or makes DIR/NAME; what was open before is closed after that.
 * -1 leaves everything as it is.  A shared lock says that it is in use.
 */
int logger_file_open(struct logger_file *, const char *dir, const char *name,
    struct err *);

/* False when nobody has a name for the file any more, or none is open. */
bool logger_file_is_linked(const struct logger_file *);

/*
 * Appends the text by one write(2) as the protocol of os/ring.h wants it;
 * 0: the tail stands at pos.  -1: it is not or only partly written,
 * logger_file_settle has to decide before anything else is put.
 */
int logger_file_put(struct logger_file *, struct ring *, struct str text,
    uint64_t pos, struct err *);

/*
 * Ends a write that was noted and not finished, by this process or by one
 * that was killed; 0 when the ring has none (any more).  -1: what is
 * missing of it cannot be written now.
 */
int logger_file_settle(struct logger_file *, struct ring *,
    struct logger_text *, struct err *);

/* --- logger_console.c: people who watch stderr --- */

struct logger_console {
	int		 fd;		/* ref */
	uint64_t	 skipped;	/* lines since one was shown */
	bool		 stuck:1;	/* nobody reads: no waiting for it */
	bool		 keeps:1;	/* what is not written comes again */
};

/* True if the descriptor is a terminal whose owner likes colours. */
bool logger_console_colours(int fd);

/*
 * Writes lines, each of at most LOGGER_LINE bytes, and waits no longer
 * than a moment for a reader.  Returns the bytes of the lines that are
 * done with.
 */
size_t logger_console_put(struct logger_console *, struct str lines);

/* --- logger_drain.c: all rings --- */

enum logger_rc {
	LOGGER_IDLE,	/* nothing is left */
	LOGGER_MORE,	/* there is more: come back at once */
	LOGGER_FAILED	/* the file takes nothing */
};

struct logger {
	struct shm		*shm;		/* ref */
	bool			 to_file:1;
	bool			 to_console:1;
	bool			 unsettled:1;	/* a write may be unfinished */
	struct logger_file	 file[LOGGER_NFILE];
	int			 nfile;		/* of them, in use */
	uint64_t		 file_max;	/* bytes of each; 0: any */
	struct logger_console	 console;
	struct logger_text	 text;
	struct logger_feed	*feed;		/* ref; NULL: none */
	uint32_t		 next;		/* row that has its turn */
	uint64_t		 moved;		/* bytes, this turn */
	uint64_t		 waited;	/* in the fullest ring */
	uint64_t		 failed;	/* writes that failed, ever */
	uint64_t		 lost[SLOT_MAX]; /* dropped, as last seen */
	uint64_t		 mark[SLOT_MAX]; /* heads at logger_set_mark */
};

/* To the file until told otherwise; no file is open yet. */
void logger_init(struct logger *, struct shm *);
void logger_fini(struct logger *);

/*
 * Moves what stands in the rings to where it belongs, for one turn; it
 * comes back early when a file has file_max bytes.
 */
enum logger_rc logger_drain(struct logger *, struct err *);

/* True when no ring holds a record. */
bool logger_is_empty(const struct logger *);

/* True when all is written that stood in the rings at set_mark. */
void logger_set_mark(struct logger *);
bool logger_is_past_mark(const struct logger *);

/* Bytes that stand in the rings. */
uint64_t logger_waiting(const struct logger *);

/* Records that found a full ring and that nobody was told of yet. */
uint64_t logger_lost(struct logger *);
/* Those of the last logger_lost were told. */
void logger_told(struct logger *);

/* True if a process other than this one lives in a slot of the board. */
bool logger_has_company(const struct shm *);

#endif
