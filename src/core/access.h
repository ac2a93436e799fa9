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

enum record_kind { RECORD_ACCESS = 1, RECORD_LINE = 2 };

/* what an exchange fills in; values by id, of any lifetime until put */
struct access {
	uint64_t		num[ACCESS_N];	/* NUM, TIME (ms) */
	struct str		str[ACCESS_N];	/* STR */
	struct sock_peer	peer;		/* IP */
};

/*
 * Reserves and writes a record, without making it visible; access_commit
 * does.  False if the ring is full (counted there).
 */
bool access_put(struct ring *, const struct access *, size_t *n);

/* The same for a line of the error log, committed at once. */
bool record_put_line(struct ring *, uint64_t wall_ms, enum log_level,
    const char *role, unsigned index, const struct log_ids *,
    struct str text);

/*
 * Logger: one record as a JSON line with its newline.  -1 if the record
 * is malformed (nothing is added).
 */
int record_json(struct text *, struct str record);

#endif
