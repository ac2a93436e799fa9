/*
 * Listeners: what accepts.  [listener NAME] is configuration; a struct
 * listener is one bound address in this process.  It outlives generations
 * as long as the address stays configured, so that idle connections hold
 * no generation; its settings are copied at each commit.
 *
 * Accept rules: level-triggered with EPOLLEXCLUSIVE.  Whoever is woken
 * accepts at least one, up to 4 when the last second's rate was high.
 * Who is ahead of the mean by more than one is put at the end of those
 * whom the kernel wakes; who is 16 ahead may step back, for at most 20 ms,
 * by load (connections accepted and busy time both above 9/8 of the mean),
 * never by open connections, never when fewer than half of the workers
 * listen.  After a worker's death the others try accept once.  On EMFILE:
 * step back 100 ms, close idle connections, count fd_exhausted.
 */
#ifndef SL_CORE_LISTENER_H
#define SL_CORE_LISTENER_H

#include "core/limit.h"
#include "core/serve.h"
#include "core/trust.h"

/* "20/s burst=40": new connections per time */
struct listener_rate {
	uint64_t		 n;		/* 0: no limit */
	uint64_t		 span_ms;
	uint64_t		 burst;		/* that may come at once */
};

/* what is shared with all processes; 0: no limit */
struct listener_share {
	int64_t			 conns;		/* max_conns */
	int64_t			 per_ip;	/* max_conns_per_ip */
	struct listener_rate	 rate;		/* max_new_conns_per_ip */
};

/* what a connection holds of them: words + 1; 0: nothing */
struct listener_hold {
	uint32_t		 row;		/* of its listener */
	uint32_t		 addr;		/* of its address */
};

/* what a reload does to who came in by rules that hold no more */
enum listener_change { LISTENER_RETIRE, LISTENER_CUT };

/* [listener NAME] in a generation */
struct listener_conf {
	struct conf_obj		 obj;
	struct sock_addr	*bind;		/* of conf */
	size_t			 nbind;
	struct codec_limits	 limits;	/* with [limits] merged in */
	struct listener_share	 share;
	bool			 proxy;		/* proxy_protocol */
	struct trust		 proxy_from;	/* n 0: from everybody */
	int64_t			 on_change;	/* enum listener_change */
	uint32_t		 http;		/* bits of codecs[]; 0: auto */
	bool			 passes;	/* a route passes on */
};
extern const struct conf_section listener_section;

/* All addresses of a generation in the order in which sockets travel. */
struct listen_addr {
	const struct listener_conf	*conf;
	const struct sock_addr		*addr;
};
/* Addresses of a generation; *n of them, of conf (listener_section data). */
const struct listen_addr *listener_addrs(const struct conf *, size_t *n);

struct tls_policy;

struct listener {
	struct list		 node;		/* of serve */
	struct ev_fd		 fd;
	struct serve		*serve;		/* ref */
	struct sock_addr	 addr;
	struct str		 name;		/* own */
	struct codec_env	 env;		/* limits of the current conf */
	/* of the owner: false closes what was accepted; NULL: all come in */
	bool			(*admit)(struct listener *, int fd);
	unsigned		 refs;		/* connections + 1 if listed */
	bool			 listening:1;	/* in the loop */
	bool			 retired:1;	/* no longer configured */
	bool			 full:1;	/* max_conns are open */
	bool			 proxy:1;	/* see greet.h */
	bool			 cut:1;		/* on_change */
	bool			 passes:1;	/* see pass.h */
	bool			 dev:1;		/* tls = dev */
	struct trust		 proxy_from;	/* own, copied */
	struct tls_policy	*tls;		/* own, counted; NULL: none */
	uint64_t		 tls_sum;	/* of all its policies */
	uint64_t		 handshake_ms;
	uint64_t		 max_handshakes;
	uint64_t		 shaking;	/* under way (secure.c) */
	struct list		 turns;		/* of secure_wait, in order */
	uint32_t		 http;		/* bits of codecs[]; 0: auto */
	struct listener_said	*said;		/* own, of rows; NULL: none */
	/* limits (listener_limit.c) */
	struct listener_share	 share;		/* of the current conf */
	struct limit_rule	 rule;		/* the same, of an address */
	uint32_t		 row;		/* its word + 1; 0: none */
	struct ev_task		 room;		/* one of its own ended */
	/* accounting of the accept rules */
	struct timer		 back;		/* stepped back */
	uint64_t		 back_until;	/* ms, at most */
	uint64_t		 kick;		/* accept_kick last seen */
	uint64_t		 queued_ns;	/* before it was watched */
	unsigned		 batch;		/* that a wake takes at most */
	unsigned		 wakes;		/* in a row that had so many */
};

/*
 * Makes or finds the listener of an address; fd is the process's own copy
 * of the master's socket (taken).  It accepts from then on, unless the
 * process drains.
 */
struct listener *listener_attach(struct serve *, const struct listen_addr *,
    int fd, struct err *);
struct listener *listener_find(struct serve *, const struct sock_addr *);
void listener_start(struct listener *);
void listener_stop(struct listener *);
/* Not configured any more: stop, drain its connections, free when empty. */
void listener_retire(struct listener *);
/* The process ends: takes who waits already, then as listener_retire. */
void listener_finish(struct listener *);
void listener_unref(struct listener *);
/* A line about a client that was closed (listener_say.c). */
struct listener_end {
	const struct sock_peer	*peer;		/* ref */
	enum fail		 why;
	const char		*more;		/* ref; "": nothing */
	struct str		 sni;		/* ref; "": none */
	struct str		 cert;		/* ref: its subject; or "" */
	struct str		 print;		/* ref: its fingerprint */
	bool			 shake;		/* of a handshake */
};
/*
 * Of handshakes each is told; of what else ended so some are left out,
 * when there are many of the same row.
 */
void listener_say(struct listener *, const struct listener_end *);
/*
 * Its connections came in by other rules: let go as on_change says, but
 * for those of which keeps says that theirs hold (NULL: none).
 */
struct conn;
typedef bool (*conn_keeps_fn)(const struct conn *, const void *arg);
void listener_let_go(struct listener *, conn_keeps_fn keeps,
    const void *arg);
/* The listeners of a process after a commit: settings, retirement. */
void listener_commit(struct serve *, const struct conf *);
/* Called each second: rates, kicks. */
void listener_second(struct serve *);
/* One of the connections of a full listener ended: accept again. */
void listener_resume(struct listener *);
/* A worker died: every listener tries to accept once. */
void listener_kick(struct serve *);

#endif
