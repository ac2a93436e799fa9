/*
 * Heads and trailers of HTTP/2 (RFC 9113 8.2, 8.3), strict: from fields,
 * one by one as HPACK gives them, to a message.  What could mean something
 * else in HTTP/1 is refused here with the row that names it.
 */
#ifndef SL_CODEC_H2_HEAD_H
#define SL_CODEC_H2_HEAD_H

#include "codec/h2/h2_priority.h"
#include "http/waist.h"

#define H2_FIELD_COST	32	/* RFC 9113 6.5.2 */
#define H2_BOMB		4	/* times the limit: no honest head */

struct h2_head {
	/* set once */
	struct arena			*arena;	/* ref */
	const struct codec_limits	*limits;
	struct hdrs			*hdrs;	/* ref: where fields go */
	bool				 trailer;
	bool				 answer;	/* of a response */
	/* what it has told so far, of the arena */
	struct str			 method, scheme, authority, path;
	struct str			 status;
	struct str			 protocol;	/* RFC 8441 */
	struct str			 host;	/* the first Host */
	int64_t				 length;	/* -1: none */
	struct h2_priority		 priority;
	uint64_t			 bytes;	/* with 32 for each field */
	uint32_t			 n;
	uint8_t				 pseudo;	/* bits: seen */
	uint8_t				 nhost;
	uint8_t				 ncookie;	/* 2: more than one */
	bool				 regular:1;	/* after the pseudo */
	bool				 trailers:1;	/* TE: trailers */
	bool				 expect:1;
	bool				 expect_bad:1;
	enum fail			 why;	/* the first thing wrong */
};

/* Begins; the fields are added to hs. */
void h2_head_init(struct h2_head *, struct arena *,
    const struct codec_limits *, struct hdrs *hs, bool trailer);

/*
 * One field; the slices are copied.  False: the list is many times as
 * large as it may be, so the connection has to end.
 */
bool h2_head_field(struct h2_head *, struct str name, struct str val);

/*
 * The head is whole: the message, as far as it goes, and what is wrong
 * with it or FAIL_NONE.  end: no body follows.
 */
enum fail h2_head_finish(struct h2_head *, struct msg *, bool end);

/*
 * The same of a response, with the rows of one; asked: the method of its
 * request.  *what: what is wrong, constant, or NULL.
 */
enum fail h2_head_answer(struct h2_head *, struct msg *, enum http_method
    asked, bool end, const char **what);
/* What is wrong with the trailers of a response; or FAIL_NONE. */
enum fail h2_head_trailer(const struct h2_head *, const char **what);

#endif
