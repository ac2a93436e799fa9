/*
 * Records in the log rings: access records and lines.  Written by any
 * process, rendered by the logger.  Numbers first, then the texts, each
 * cut so that a record never exceeds RECORD_MAX.
 */
#ifndef SL_CORE_ACCESS_H
#define SL_CORE_ACCESS_H

#include "base/text.h"
#include "os/log.h"
#include "os/ring.h"
#include "os/sock.h"

enum access_id {
#define ACCESS(id, name, type, text)	ACCESS_##id,
#include "core/access.tbl"
#undef ACCESS
	ACCESS_N
};
enum access_type { ACCESS_TIME_T, ACCESS_STR_T, ACCESS_IP_T, ACCESS_NUM_T };

struct access_row {
	const char		*name;
	enum access_type	 type;
	const char		*text;
};
extern const struct access_row access_rows[];	/* ACCESS_N */

#define RECORD_MAX	16384
#define RECORD_STR_MAX	4096	/* of one text */

enum record_kind { RECORD_NONE, RECORD_ACCESS, RECORD_LINE };

/* what an exchange fills in; values by id, of any lifetime until put */
struct access {
	uint64_t		num[ACCESS_N];	/* NUM, TIME (ms) */
	struct str		str[ACCESS_N];	/* STR */
	struct sock_peer	peer;		/* IP */
};

/* a line of the error log */
struct record_line {
	uint64_t		 wall_ms;
	enum log_level		 level;
	const char		*role;
	unsigned		 index;
	const struct log_ids	*ids;
	struct str		 text;
};

/*
 * Reserves and writes a record of *n bytes, without making it visible;
 * ring_commit(ring, *n) does.  Between them stands flight_closing.
 * False if the ring is full (counted there).
 */
bool access_put(struct ring *, const struct access *, size_t *n);

/*
 * The same for a line of the error log, committed at once.  Index 0: the
 * role has but one process, its name stands alone.
 */
bool record_put_line(struct ring *, const struct record_line *);

/* What a record is; 0 if it is nothing known. */
enum record_kind record_kind(struct str record);

/*
 * Logger: one record as a JSON line with its newline, without durations
 * if not wanted.  -1 if the record is malformed (nothing is added).
 */
int record_json(struct text *, struct str record, bool no_times);

#endif
