/*
 * Scanning for the end of a run of allowed bytes: what the HTTP parsers
 * spend their time with.  SSE2 where the compiler has it, else a table;
 * both give the same answers.
 */
#ifndef SL_BASE_SCAN_H
#define SL_BASE_SCAN_H

#include "base/str.h"

#define SCAN_STEP	16	/* bytes that are judged at once */

enum scan_class {
	SCAN_TOKEN = 0x01,	/* tchar (RFC 9110 5.6.2) */
	SCAN_VALUE = 0x02,	/* HTAB, SP, VCHAR, obs-text (5.5) */
	SCAN_TARGET = 0x04,	/* VCHAR: 0x21 to 0x7e */
	SCAN_NAME = 0x08,	/* unreserved (RFC 3986 2.3) */
	SCAN_PATH = 0x10	/* VCHAR but % \\ # ? and . */
};

/* Length of the run of bytes of that class at the start of the slice. */
size_t scan_token(struct str);
size_t scan_name(struct str);
size_t scan_path(struct str);
size_t scan_value(struct str);
size_t scan_target(struct str);

/* The same by table, byte for byte: the reference of the others. */
size_t scan_plain(struct str, enum scan_class);

/* Index of the first c, or the length: for short slices. */
size_t scan_to(struct str, char c);

/* A bit for each of the sixteen bytes at p that is c, lowest first. */
unsigned scan_bits(const char *p, char c);

/* True if the byte is of the class. */
bool scan_is(char, enum scan_class);

#endif
