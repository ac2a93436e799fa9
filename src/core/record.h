/*
 * What a record is made of, for those who render it: access.c as JSON,
 * record_text.c as a line for people.  Logger.
 */
#ifndef SL_CORE_RECORD_H
#define SL_CORE_RECORD_H

#include "core/access.h"

#define RECORD_ROLE_MAX	64

/* at the beginning of every record */
struct rec_head {
	uint16_t	kind;
	uint16_t	version;
	uint32_t	n;		/* of the record */
};

/* an access record, taken apart */
struct rec_access {
	uint64_t	 set;		/* bits of fields that are not zero */
	uint64_t	 num[ACCESS_N];	/* 0 where the row is no number */
	struct sock_peer peer;
};

/* role, module, request, text and fields follow */
struct rec_line {
	struct rec_head	 head;
	uint64_t	 wall_ms;
	uint64_t	 conn;
	uint32_t	 index;
	uint16_t	 level;
	uint16_t	 role_n;
	uint16_t	 module_n;
	uint16_t	 request_n;
	uint32_t	 text_n;
	uint32_t	 fields_n;
	uint32_t	 pad;
};

/* the texts of a line */
struct rec_words {
	struct str	role, module, request, text;
	struct str	fields;		/* record_next_field takes them */
};

/*
 * Take a record of that kind apart; -1 if its lengths lie.  The bytes are
 * to be a copy nobody else can write; the texts are slices of them.
 */
int record_read_access(struct str record, struct rec_access *,
    struct str str[ACCESS_N]);
int record_read_line(struct str record, struct rec_line *,
    struct rec_words *);
/* The next of a line's fields, its name in name; false behind the last. */
bool record_next_field(struct str *rest, struct log_field *,
    char name[LOG_NAME_MAX + 1]);

/* how a record becomes a line of a file */
enum record_form {
	FORM_JSON, FORM_LOGFMT, FORM_COMMON, FORM_COMBINED, FORM_PLAIN,
	FORM_TEMPLATE
};

struct record_style {
	enum record_form	form;
	struct str		tmpl;		/* of FORM_TEMPLATE; ref */
	bool			no_times;	/* no durations */
};

/*
 * False if those who read files of that form take nothing else: lines of
 * processes then need a file of their own.
 */
bool record_form_has_lines(enum record_form);

/*
 * Adds a record as a line of a file, with its newline; the same record
 * and style give the same bytes at any time.  Access records follow the
 * form; lines of processes, for which COMMON, COMBINED and TEMPLATE have
 * no place, stand there as in PLAIN.  -1 if the record is malformed
 * (nothing is added).
 */
int record_write(struct text *, struct str record,
    const struct record_style *);

/*
 * The next piece of a template: a text as it stands, or the field of a
 * "${name}" (*field >= 0).  False at the end, or with *why set at what is
 * wrong: it begins at *rest then.
 */
bool record_template_next(struct str *rest, struct str *piece, int *field,
    const char **why);

/*
 * Adds a record as one line for people, without the newline: no control
 * byte of it reaches a terminal, colours do if wanted.  The time is local.
 * -1 if the record is malformed.
 */
int record_text(struct text *, struct str record, bool colour);

#endif
