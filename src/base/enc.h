/*
 * Encodings: hex, percent, base64 later.  Pure functions.
 */
#ifndef SL_BASE_ENC_H
#define SL_BASE_ENC_H

#include "base/str.h"

/* Value of a hex digit, or -1. */
int enc_unhex(char);

/* Writes 2 * n lower-case hex digits; no NUL. */
void enc_hex(const void *, size_t n, char *out);

/* True if the slice is well-formed UTF-8 (RFC 3629). */
bool enc_is_utf8(struct str);

/* Length of the UTF-8 sequence at s.p (1 to 4), 0 if malformed. */
size_t enc_utf8_len(struct str s);

/* True if it begins with a control of C1: terminals may obey those. */
bool enc_is_c1(struct str);

#endif
