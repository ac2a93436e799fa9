/*
 * Rows of the fail table and error codes of HTTP/2 (RFC 9113 7).  Pure.
 */
#ifndef SL_CODEC_H2_CODE_H
#define SL_CODEC_H2_CODE_H

#include <stdint.h>

#include "http/fail.h"

/* With which code a stream is reset that fails so. */
uint32_t h2_code_of(enum fail);
/* "CANCEL"; "an unknown code" for those without a name. */
const char *h2_code_name(uint32_t code);

#endif
