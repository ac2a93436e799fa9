/*
 * A look at a choice that is not made: whom a cookie names, which only
 * those who have the keys can tell, and which servers a key comes to, by
 * the table and the bound that requests go by.  Control asks (CHAN_LOOK),
 * the master hands it on, a worker answers.
 */
#ifndef SL_UP_LOOK_H
#define SL_UP_LOOK_H

#include "base/str.h"

struct serve;

#define LOOK_MAX	5	/* upstreams: one and its fallbacks */
#define LOOK_WAY	4	/* servers on a key's way that are told */
#define LOOK_NOBODY	UINT32_MAX
#define LOOK_COOKIE	64	/* bytes of a value: longer ones are cut */

/* what a cookie is worth; NONE: it was not asked for, or is not known */
enum look_cookie {
	LOOK_NONE,
	LOOK_FORGED,	/* no key of ours made it */
	LOOK_LATE,	/* it is older than sticky.ttl */
	LOOK_OTHER,	/* made for another upstream */
	LOOK_GONE,	/* its server is no member any more */
	LOOK_AWAY,	/* nor may be asked now */
	LOOK_GOOD,
	LOOK_NCOOKIE
};

/* the payload is one for each upstream */
struct look_ask {
	uint64_t	hash;
	uint32_t	upstream;	/* its row */
	uint8_t		hashed;		/* 1: the key has that hash */
	uint8_t		given;		/* 1: there is a cookie */
	uint8_t		ncookie;	/* bytes of it */
	uint8_t		pad;
	char		cookie[LOOK_COOKIE];
};

/* the answer: as many, in that order; all are rows, or LOOK_NOBODY */
struct look_told {
	uint32_t	upstream;	/* LOOK_NOBODY: it is not known */
	uint32_t	cookie;		/* enum look_cookie */
	uint32_t	renew;		/* 1: a new one follows all the same */
	uint32_t	other;		/* OTHER: the upstream */
	uint32_t	server;		/* GOOD, AWAY: that it names */
	uint32_t	picked;		/* by the hash */
	uint32_t	nway;
	struct {
		uint32_t	server;
		uint32_t	how;	/* enum hash_stop, see up/hash.h */
	} way[LOOK_WAY];
};

/* Worker: the number of answers; 0: that is no payload of ours. */
size_t look_answer(struct serve *, struct str payload,
    struct look_told out[LOOK_MAX]);

#endif
