/*
 * The Priority field and PRIORITY_UPDATE frames (RFC 9218 4).  Pure.
 */
#ifndef SL_CODEC_H2_PRIORITY_H
#define SL_CODEC_H2_PRIORITY_H

#include "base/str.h"

#define H2_URGENCY_DEF	3
#define H2_URGENCY_MAX	7

struct h2_priority {
	uint8_t	urgency;	/* 0 first .. 7 last */
	bool	incremental;	/* shares with its equals */
};

/*
 * Reads what the value says over *p; what it does not say stays.  What
 * is malformed says nothing.
 */
void h2_priority_parse(struct str, struct h2_priority *p);

#endif
