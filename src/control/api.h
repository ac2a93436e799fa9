/*
 * The control API: HTTP/1.1 and JSON under /v1 on RUN_DIR/control.sock.
 * Paths are for ever; every answer is an object with "v":1.
 *
 *	GET  /v1/version      program, version, library versions
 *	GET  /v1/status       processes, generation, sums of counters
 *	GET  /v1/generations  those in use, by whom
 *	POST /v1/reload       200 with the generation or 409 with diagnostics
 *	POST /v1/plan         what a reload would change; changes nothing
 *	POST /v1/roll         replaces the workers one by one
 *	GET  /v1/names        servers' names, their addresses, what fails
 *	GET  /v1/metrics      the stat rows as JSON
 *	GET  /v1/explain      ?url= &method= &field= (many) &from=: the route
 *	GET  /v1/upstreams    ?name=: servers, their state, counts, times
 *	POST /v1/servers      ?upstream= &server= &do= &weight=: drain, up, down
 *	GET  /v1/failures     ?name=: what can fail, and what did
 *	GET  /v1/log          ?past= &follow= &q=: records, JSON lines
 *	GET  /v1/board        names; descriptors of dir and live, read-only
 *
 * An error is {"v":1,"error":NAME,"why":SENTENCE}.  The descriptors come
 * with the bytes of the answer (SCM_RIGHTS), in the order of the names.
 */
#ifndef SL_CONTROL_API_H
#define SL_CONTROL_API_H

#include "core/handler.h"
#include "core/serve.h"

#define API_VERSION	"/v1/version"
#define API_STATUS	"/v1/status"
#define API_GENERATIONS	"/v1/generations"
#define API_RELOAD	"/v1/reload"
#define API_PLAN	"/v1/plan"
#define API_ROLL	"/v1/roll"
#define API_NAMES	"/v1/names"
#define API_METRICS	"/v1/metrics"
#define API_BOARD	"/v1/board"
#define API_LOG		"/v1/log"
#define API_EXPLAIN	"/v1/explain"
#define API_UPSTREAMS	"/v1/upstreams"
#define API_FAILURES	"/v1/failures"
#define API_SERVERS	"/v1/servers"

#define API_ORDERS	16	/* reloads and rolls waited for at a time */

struct names;

/* of the control process; its serve->only is api_handler */
struct api {
	struct serve	 serve;
	struct list	 orders;	/* own by their exchanges */
	unsigned	 norder;
	uint64_t	 id;		/* of the last order */
	struct list	 looks;		/* explain: own by their exchanges */
	unsigned	 nlook;
	struct list	 readers;	/* of the log; own by theirs */
	unsigned	 nreader;
	struct chan	 logger;	/* own */
	const int	*ro_fd;		/* ref: dir, live */
	struct names	*names;		/* own */
	struct timer	 trim;		/* after a long answer */
};

/* what became of a reload, roll or plan */
struct api_outcome {
	uint64_t	id;
	uint64_t	generation;	/* live now */
	int		code;		/* exit code; 0: done */
	struct str	why;
	struct str	text;		/* diagnostics for people */
	struct str	json;		/* the same as diag_json has them */
	int		fd;		/* ref: of a plan; -1: none */
};

extern const struct handler api_handler;

/* What the table says of a failure; a new object. */
struct json_t *api_failure_row(enum fail);

/* After serve_init; the two descriptors stay the caller's. */
void api_init(struct api *, const int ro_fd[2]);

/* A channel to a logger, in place of the one before. */
void api_log_join(struct api *, int fd);

/* Told by the control process: answers whoever waits for it. */
void api_report(struct api *, const struct api_outcome *);

/* What a worker answered to explain; the id is the question's. */
void api_explain_told(struct api *, uint64_t id, struct str payload);

/* No outcome will come any more: answers all who wait with 503. */
void api_give_up(struct api *);

#endif
