/*
 * An attempt at a server, from its choice to its end: what balancers, the
 * breaker, the outlier sweep and statistics know of it.  One per exchange
 * at a time.  Workers.
 */
#ifndef SL_UP_ATTEMPT_H
#define SL_UP_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "http/fail.h"
#include "up/breaker.h"

struct serve;
struct server;

struct attempt {
	/* by its owner, before the first attempt_begin */
	/*
	 * Its server must not be waited for any more (why: down or ejected):
	 * from a wake, and only while no answer came.  NULL: no matter.
	 */
	void		(*cut)(struct attempt *, enum fail why);
	/* of attempt.c */
	struct server	*server;	/* ref, counted; NULL: none */
	struct list	 node;		/* of server.attempts */
	struct breaker_ticket probe;	/* which of a half-open breaker */
	struct breaker_ticket next;	/* by upstream_pick, of the next */
	uint64_t	 word;		/* the server's state that it has
					 * been laid beside */
	uint64_t	 head_ms;	/* loop time, once answered */
	bool		 answered:1;	/* a head that is good came */
	bool		 judged:1;	/* it counted as good or bad */
	bool		 settled:1;	/* as good, before its end */
	bool		 counted:1;	/* as under way */
	bool		 failed:1;	/* it counted as such */
	bool		 excused:1;	/* another's failure counts for it */
	bool		 summed:1;	/* the next one is in the sum already:
					 * one was taken back */
};

/* Before anything else is done with it. */
void attempt_init(struct attempt *);
/* One begins; the one before it is over. */
void attempt_begin(struct attempt *, struct server *);
/*
 * If it is a half-open breaker's probe, that is free again: its server has
 * not looked at it.
 */
void attempt_return_probe(struct attempt *);
/*
 * It was none after all, for nobody was asked; so is its probe.  Harmless
 * when there is none.
 */
void attempt_take_back(struct attempt *);
/*
 * The head of an answer came, with this status: from 500 on it has failed.
 * Else it is good when it is over, for its body may break off.
 */
void attempt_answered(struct attempt *, int status);
/*
 * Its answer is an error of the server, whatever flags that row has:
 * before the head that is good, or before the end.
 */
void attempt_erred(struct attempt *, enum fail);
/* So did its end: before the client has that, who asks next sees it. */
void attempt_complete(struct attempt *);
/*
 * It failed, before or after that, and counts so once; rows without B are
 * no fault of its.
 */
void attempt_failed(struct attempt *, enum fail);
/*
 * What fails next was the failure of another attempt, which has counted: of
 * a dial that many waited for.  A half-open breaker's probe fails none the
 * less.
 */
void attempt_excuse(struct attempt *);
/* It is over; harmless if it is already. */
void attempt_end(struct attempt *);

/*
 * MAIL_STATE came: cuts those at servers that are out of service, of
 * upstreams whose row is key modulo MAIL_KEYS.
 */
void attempt_on_mail(struct serve *, uint32_t key);

#endif
