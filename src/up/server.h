/*
 * A server that is asked: the run-time twin of a server = line, or of an
 * address of its name (up/upstream.h).  Workers.
 */
#ifndef SL_UP_SERVER_H
#define SL_UP_SERVER_H

#include "base/list.h"
#include "base/str.h"
#include "os/sock.h"
#include "os/timer.h"
#include "up/server_http.h"

struct board_server;
struct board_server_live;
struct member_name;
struct server_use;
struct ssl_session_st;
struct tls_peer;
struct upstream;

/* of a server that takes many requests on a connection */
struct server_multi {
	struct list		 shared;	/* up_conn.node: not idle */
	struct list		 shares;	/* pool_share.node: dialled */
	unsigned		 streams;	/* it last took; 0: not told */
	uint64_t		 h1_ms;		/* see server_want_h1; or 0 */
};

/* of a server with TLS */
struct server_shake {
	struct ssl_session_st	*session;	/* own: see server_tls.h */
	char			*said;		/* own: why one failed */
};

/*
 * Counted: by its twin while it is a member, by each open connection and
 * by each attempt.  It lives no longer than its twin.
 */
struct server {
	/* set once */
	struct upstream		*upstream;	/* ref */
	struct str		 text;		/* own, behind the struct */
	struct sock_peer	 addr;		/* see server_addr */
	uint32_t		 row;
	const struct board_server *board;	/* of the board */
	struct board_server_live *live;		/* of the board */
	struct server_use	*use;		/* of the board; may be NULL */
	uint64_t		 tag;		/* of the row's life */
	const struct member_name *name;		/* of upstream; NULL: none */
	uint64_t		 number;	/* see up/sticky.h; or 0 */
	const struct tls_peer	*peer;		/* of upstream; NULL: plain */
	struct server_shake	*shake;		/* own; NULL: none so far */
	struct list		 attempts;	/* under way here */
	unsigned		 uses;
	unsigned		 nwant;		/* that wait for it alone */
	uint64_t		 probe_ms;	/* none is let to it before */
	/* see up/pool.h */
	struct list		 idle;		/* pooled, LIFO */
	struct timer		 idle_end;	/* of the longest idle one */
	unsigned		 nidle;
	unsigned		 nopen;
	struct server_multi	*multi;		/* own; NULL: none so far */
	bool			 left:1;	/* no member any more */
	bool			 h2:1;		/* HTTP/2 and nothing else */
	bool			 spoke_h1:1;	/* by ALPN, the last time */
};

struct server *server_ref(struct server *);
/* Drops a use and nulls the pointer; *NULL is allowed. */
void server_unref(struct server **);
/* Its part, made when it is first asked for. */
struct server_multi *server_multi(struct server *);
struct server_shake *server_shake(struct server *);
/* Where it is dialled. */
void server_addr(const struct server *, struct sock_addr *);
/* What a request for it calls it: its name, or its address. */
struct str server_host(const struct server *);
/* Its lease word's index + 1; 0: there is no limit. */
uint32_t server_lease(const struct server *);

#endif
