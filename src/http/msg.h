/*
 * HTTP messages as every version sees them (RFC 9110): a head of slices
 * in one page or arena.  Framing and hop-by-hop fields are no part of it:
 * codecs take them out when reading and write their own.
 */
#ifndef SL_HTTP_MSG_H
#define SL_HTTP_MSG_H

#include "base/arena.h"
#include "base/str.h"

/* known methods (RFC 9110 9.3, RFC 5789); others are METHOD_OTHER + text */
enum http_method {
	METHOD_OTHER, METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT,
	METHOD_DELETE, METHOD_CONNECT, METHOD_OPTIONS, METHOD_TRACE,
	METHOD_PATCH, METHOD_N
};

/* fields that somebody looks at, see hdr.tbl */
#define HDR_F_HOP	0x01	/* hop-by-hop, never forwarded (9110 7.6.1) */
#define HDR_F_FRAME	0x02	/* written anew by the codec */
#define HDR_F_ONE	0x04	/* a second one is refused (request) */
#define HDR_F_NOTRAIL	0x08	/* dropped from trailers (9110 6.5.1) */

enum hdr_id {
	HDR_OTHER,
#define HDR(id, name, wire, flags)	HDR_##id,
#include "http/hdr.tbl"
#undef HDR
	HDR_N
};

struct hdr {
	struct str	name;	/* as received; compared folded */
	struct str	val;	/* without surrounding white space */
	uint16_t	id;	/* enum hdr_id */
	uint16_t	flags;	/* HDR_F_ of the id; HDR_F_DEAD: taken out */
};
#define HDR_F_DEAD	0x8000
/* both were looked at: hdr_is_token, hdr_is_value */
#define HDR_F_GOOD	0x2000
/* the name is our table's, to be written as that has it */
#define HDR_F_OURS	0x1000
/* name and val lie as "name: val CRLF" in one piece, which was checked */
#define HDR_F_LINE	0x4000

struct hdrs {
	struct hdr	*v;	/* of the message's arena */
	uint16_t	 n;
	uint16_t	 cap;
	/*
	 * The first nline fields as HTTP/1 has them, for a codec to copy;
	 * 0 when one of them may have been changed.
	 */
	uint16_t	 nline;
	struct str	 lines;
};

/* lengths of a body */
#define BODY_NONE	0
#define BODY_UNKNOWN	(-1)	/* chunked, DATA frames, until close */

struct msg {
	/* request */
	struct str		method;
	struct str		scheme;		/* "http", "https" */
	struct str		authority;	/* Host, :authority */
	struct str		host;		/* authority without port */
	struct str		target;		/* path?query or "*" */
	/* response */
	struct str		reason;		/* may be empty */
	/* both */
	struct hdrs		hdrs;
	int64_t			body;		/* bytes, or BODY_UNKNOWN */
	uint16_t		status;		/* 0: a request */
	uint8_t			meth;		/* enum http_method */
	uint8_t			major;		/* 0: HTTP/1 */
	uint8_t			minor;		/* HTTP/1.x: 0 or 1 */
	bool			upgrade:1;	/* asks for, or 101 */
	bool			expect:1;	/* 100-continue */
	bool			bodyless:1;	/* response to HEAD, 204, 304 */
	bool			trailers:1;	/* TE: trailers */
	struct str		protocol;	/* of Upgrade, CONNECT; a 426 */
};

/* By its name, in its case; METHOD_OTHER if it has no row. */
enum http_method msg_method(struct str);
/* "GET"; "" for METHOD_OTHER. */
struct str msg_method_text(enum http_method);
bool msg_is_idempotent(enum http_method);	/* RFC 9110 9.2.2 */
/* One whose content is looked for: without any, that is told. */
bool msg_wants_length(enum http_method);
/* The version it came in: "1.0", "1.1", "2.0". */
struct str msg_version(const struct msg *);
/* "Not Found"; "" if the status has no phrase of its own. */
struct str msg_reason(unsigned status);

/* Id of a field name, HDR_OTHER if it is none of ours. */
enum hdr_id hdr_find_id(struct str name);
struct str hdr_name(enum hdr_id);
/* The name as HTTP/1.1 writes it: "Content-Type". */
struct str hdr_wire_name(enum hdr_id);
unsigned hdr_flags(enum hdr_id);

/* Appends a field that the caller fills, all of it. */
struct hdr *hdr_new(struct arena *, struct hdrs *);
/* Appends; the slices are borrowed. */
void hdr_add(struct arena *, struct hdrs *, enum hdr_id, struct str val);
void hdr_add_name(struct arena *, struct hdrs *, struct str name,
    struct str val);
/* One whose value is hdr_is_value for sure: nobody looks again. */
void hdr_add_good(struct arena *, struct hdrs *, enum hdr_id,
    struct str val);
/* The first live field of that id, or NULL; after: continue behind it. */
struct hdr *hdr_get(const struct hdrs *, enum hdr_id);
struct hdr *hdr_next(const struct hdrs *, enum hdr_id,
    const struct hdr *after);
struct hdr *hdr_get_name(const struct hdrs *, struct str name);
/* Value of the first, or STR_NONE. */
struct str hdr_val(const struct hdrs *, enum hdr_id);
/* Takes out all of an id. */
void hdr_del(struct hdrs *, enum hdr_id);
/* Replaces all by one. */
void hdr_set(struct arena *, struct hdrs *, enum hdr_id, struct str val);
/* Live ones only; deep copy of the slices too. */
void hdr_copy(struct arena *, struct hdrs *dst, const struct hdrs *src);
/* True if a comma-separated list field has the token (9110 5.6.1). */
bool hdr_has_token(const struct hdrs *, enum hdr_id, struct str token);

/*
 * Takes the next element of a comma-separated list (9110 5.6.1) off the
 * front, trimmed; it may be empty.  False when *rest (then STR_NONE) is
 * used up.  Commas in quotes are not known to it.
 */
bool hdr_cut_element(struct str *rest, struct str *word);

/* RFC 9110 5.6.2 token, 5.5 field-value (no CTL but HTAB). */
bool hdr_is_token(struct str);
bool hdr_is_value(struct str);

#endif
