/*
 * An exchange: one request and its response.  Head phases are a list of
 * steps with one driver (exchange.steps); body phases are two independent
 * pumps over the waist, the request's and the response's.  It lives in
 * an arena of its own, for it ends when the codec has closed the stream
 * and the handler has let go, which may be later; destruction is deferred
 * to the end of the turn.
 */
#ifndef SL_CORE_EXCHANGE_H
#define SL_CORE_EXCHANGE_H

#include "core/access.h"
#include "core/board.h"
#include "core/conn.h"
#include "http/uri.h"

struct error_page;
struct route;
struct route_path;
struct handler;

enum step_rc { STEP_NEXT, STEP_DONE, STEP_WAIT, STEP_FAIL };

enum step_id {
#define STEP(id, fn, text)	STEP_##id,
#include "core/exchange.steps"
#undef STEP
	STEP_N
};

#define GRPC_STATUS_NONE	255

struct exchange {
	/* set once */
	struct list		 node;		/* of serve.exchanges */
	struct serve		*serve;		/* ref */
	struct conn		*conn;		/* ref */
	struct stream		*client;	/* ref, NULL once closed */
	struct arena		*arena;		/* = &mem */
	struct arena		 mem;		/* own; it holds this too */
	struct gen		*gen;		/* ref, to head_sent */
	struct board_flight	*flight;	/* of the board; may be NULL */
	struct logctx		 lc;
	/* the request */
	struct msg		*req;		/* of the stream's arena */
	struct uri		 uri;
	struct str		 path;		/* normalised; one for all */
	struct str		 asked;		/* the same before rewriting */
	struct str		 host;		/* without port, lower case */
	struct str		 id;		/* request id */
	const struct route	*route;		/* of conf; NULL without gen */
	const struct route_path	*pattern;	/* of conf; by which it fits */
	struct str		*caps;		/* of arena: pattern->ncap */
	size_t			 fixed;		/* bytes before the asterisk */
	uint64_t		 max_body;	/* bytes; 0: none */
	struct source		*body;		/* of arena: counts the body */
	void			**fstate;	/* of arena: of filters */
	const struct handler	*handler;	/* const */
	void			*hctx;		/* of the handler, arena */
	/* the response */
	struct msg		*res;		/* of arena; NULL: none yet */
	struct sink		*out;		/* where body goes; of chain */
	unsigned		 res_flags;	/* WAIST_ */
	const struct error_page	*page;		/* of conf: the handler's, with
						 * its own status; or NULL */
	uint32_t		 retry_after;	/* seconds; 0: as usual */
	uint32_t		 allow;		/* of a 405: bit per method */
	struct str		 allow_more;	/* those without a bit */
	struct str		 reply;		/* rest of a small answer */
	struct source		 reply_src;
	/* phase */
	uint8_t			 step;		/* enum step_id */
	uint8_t			 chain_at;	/* next hook */
	uint8_t			 chain_top;	/* filters entered */
	uint8_t			 chain_res;	/* response hooks, in all */
	uint8_t			 client_field;	/* enum client_field */
	enum fail		 fail;
	const char		*error_type;	/* of Proxy-Status, where the
						 * row's is not right */
	uint16_t		 received;	/* status of a server; or 0 */
	uint8_t			 grpc_status;	/* or GRPC_STATUS_NONE */
	uint8_t			 grpc_reset;	/* of a reset; or _NONE */
	bool			 grpc:1;	/* asks as a call does: is told
						 * and counted as one */
	bool			 call:1;	/* and is led as one: bounds and
						 * times go by this bit alone */
	bool			 trusted:1;	/* the peer is a known proxy */
	bool			 secure:1;	/* the client's is https */
	bool			 odd_slash:1;	/* path has %2F or %5C */
	bool			 begun:1;	/* counted as started */
	bool			 running:1;	/* the driver is active */
	bool			 head_sent:1;
	bool			 counted:1;	/* end hooks have run */
	bool			 handling:1;	/* the handler holds things */
	bool			 error_page:1;	/* res is a built-in error */
	bool			 skipped:1;	/* nobody reads the request */
	bool			 aborted:1;	/* so was the codec told */
	bool			 cut:1;		/* so was the handler told */
	bool			 stream:1;	/* drain.streams holds */
	bool			 log_it:1;	/* [log] access, at begin */
	bool			 log_block:1;	/* [log] overflow */
	uint32_t		 log_sample;	/* [log] sample */
	struct timer		 deadline;	/* of whoever waits */
	struct ev_task		 wake;		/* goes on with the steps */
	struct ev_task		 free;
	struct access		 acc;
};

/* --- for steps, filters and handlers --- */

/* Methods of Allow as bits. */
#define METHOD_BIT(m)	(1u << (m))
#define METHODS_ALL	(METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD) | \
	METHOD_BIT(METHOD_POST) | METHOD_BIT(METHOD_PUT) |		\
	METHOD_BIT(METHOD_DELETE) | METHOD_BIT(METHOD_OPTIONS) |	\
	METHOD_BIT(METHOD_PATCH))

/* Goes on with the steps, from a wake: what a waiting step is woken by. */
void exchange_go(struct exchange *);

/*
 * The handler's answer.  The head may be changed by response hooks; body
 * is sent through exchange_body() afterwards.  WAIST_END: no body.
 * exchange_interim passes a 1xx on.
 */
void exchange_respond(struct exchange *, struct msg *res, unsigned flags);
void exchange_interim(struct exchange *, struct msg *res);

/* A response head in the arena with room for fields. */
struct msg *exchange_new_head(struct exchange *, unsigned status);

/* A whole small answer: text must outlive the exchange or be in its arena. */
void exchange_reply(struct exchange *, unsigned status, struct str type,
    struct str text);

/* What was asked for is at this place, of arena. */
void exchange_redirect(struct exchange *, unsigned status, struct str place);

/*
 * The request failed: a built-in error by Accept if no head was sent,
 * else the stream is aborted.  cause says more for the log ("" if none),
 * of arena or constant.
 */
void exchange_fail(struct exchange *, enum fail, struct str cause);

/*
 * The same on behalf of somebody else than the handler, which is told to
 * let go first.
 */
void exchange_give_up(struct exchange *, enum fail, struct str cause);

/*
 * The response body's sink: the handler joins its source to it after
 * exchange_respond without WAIST_END, when st_head has run: then
 * handler->body is called.
 */
struct sink *exchange_body(struct exchange *);

/*
 * The request body's source, for a handler that reads it.  A body beyond
 * max_body, or one cut short, ends with the sink's abort; the handler
 * then calls exchange_fail with that reason.
 */
struct source *exchange_request(struct exchange *);
/* Nobody reads the request body: the codec drops or closes. */
void exchange_skip_request(struct exchange *);

/* The handler holds nothing any more (after abort(), or at its end). */
void exchange_handler_done(struct exchange *);

/* --- after a head with WAIST_UPGRADE: exchange_upgrade.c --- */

/*
 * The client's io and what it said behind its request.  NULL: the head is
 * not yet all written, room() of wait tells when (wait is joined then).
 * From here on the exchange is a stream, which holds no generation and
 * nothing of the request; the io is the caller's to close.
 */
struct io *exchange_take(struct exchange *, struct source *wait,
    struct chunk *rest);
/* got bytes were read from the client, put were written to it. */
void exchange_moved(struct exchange *, size_t got, size_t put);
/* The io is closed; why, if not as it should, and more for the log. */
void exchange_taken_end(struct exchange *, enum fail why, struct str cause);

/* Address as X-Forwarded-For has it, of arena. */
struct str exchange_client_ip(struct exchange *);

/* "https" or "http": what the client used, as far as is known. */
struct str exchange_scheme(const struct exchange *);

/* Sets uri, host and path from x->req and the arena: what routes see. */
enum fail exchange_target(struct exchange *);

/* Ends all here (drain's end); not streams, and spares their conns, if not. */
void exchange_abort_all(struct serve *, enum fail why, bool streams);
/* Logs and ends those that still use a generation (too many are live). */
void exchange_expire(struct serve *, uint64_t generation);

#endif
