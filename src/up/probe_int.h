/*
 * A probe under way: what probe.c and those of its kinds share.
 */
#ifndef SL_UP_PROBE_INT_H
#define SL_UP_PROBE_INT_H

#include "codec/ws/ws.h"
#include "up/probe.h"

enum probe_phase { PHASE_DIAL, PHASE_SHAKE, PHASE_HEAD, PHASE_BODY,
    PHASE_PONG };

#define PING_BYTES	8

struct probe_ws {
	char		key[WS_KEY];
	char		ping[PING_BYTES];
	char		in[WS_CONTROL + 16];	/* a head, a pong's payload */
	size_t		n;
	uint64_t	skip;		/* of a payload nobody wants */
	uint64_t	got;		/* bytes in all */
};

struct probe {
	struct probe_env	*env;		/* ref */
	const struct probe_set	*set;		/* ref */
	probe_fn		 on;		/* NULL: it was cancelled */
	void			*ctx;
	struct io		 io;		/* of the codec while it is */
	struct codec_env	 cenv;
	const struct client_codec *how;		/* const: that of codec */
	struct codec_conn	*codec;		/* NULL: none (any more) */
	struct arena		 arena;
	struct source		 src;		/* of the request */
	struct sink		 sink;		/* of the answer */
	struct probe_ws		 ws;
	struct timer		 deadline;
	struct ev_task		 end;
	struct ev_task		 free;
	uint64_t		 begun_ns;
	uint64_t		 us;
	struct str		 host;		/* own, of arena */
	struct tls_client	*client;	/* counted; NULL: no TLS */
	struct tls_peer		 peer;		/* its name is of arena */
	struct tls_out		 out;
	char			*body;		/* own; NULL: not wanted */
	size_t			 nbody;		/* bytes that came */
	enum fail		 why;
	char			 detail[PROBE_DETAIL];
	uint8_t			 phase;		/* enum probe_phase */
	uint8_t			 http;		/* enum server_http */
	int8_t			 grpc;		/* its status; -1: none yet */
	bool			 over:1;	/* why holds */
	bool			 taken:1;	/* io from the codec */
	bool			 late:1;	/* in the second batch */
};

/* The verdict; the first one counts. */
void probe_over(struct probe *, enum fail why);
void probe_detail(struct probe *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Connected, and the handshake is through if there is one. */
void probe_ask(struct probe *);

/* --- probe_tls.c --- */

/* Whom the server is to be; NULL: it has no TLS. */
void probe_tls_init(struct probe *, const struct tls_peer *);
/* The handshake; then probe_ask. */
void probe_tls_begin(struct probe *);
/* What became of a connection that ended without an answer. */
enum fail probe_tls_blame(struct probe *, enum fail);
void probe_tls_fini(struct probe *);

/* --- probe_ws.c --- */

/* Adds the fields of a handshake to a request. */
void probe_ws_ask(struct probe *, struct msg *);
/* The answer has WAIST_UPGRADE. */
void probe_ws_begin(struct probe *, const struct msg *);

/* --- probe_grpc.c --- */

/* Makes of a request a call. */
void probe_grpc_ask(struct probe *, struct msg *);
/* The call's message, behind its head. */
void probe_grpc_send(struct probe *, struct stream *);
/* A head came; false: it is none of gRPC, and the probe is over. */
bool probe_grpc_head(struct probe *, const struct msg *);
/* Trailers, or a head that stands for them. */
void probe_grpc_status(struct probe *, const struct hdrs *);
/* The answer is complete. */
void probe_grpc_judge(struct probe *);

#endif
