/*
 * One probe of one server: a connection of its own, a question, a verdict.
 * Health process.  HTTP is spoken by the codec that requests use, so what
 * goes wrong has the same words.
 */
#ifndef SL_UP_PROBE_H
#define SL_UP_PROBE_H

#include "base/page.h"
#include "codec/codec.h"
#include "tls/client.h"
#include "up/probe_conf.h"
#include "up/probe_regex.h"

#define PROBE_BODY	65536	/* bytes of an answer that are looked at */
#define PROBE_DETAIL	256

struct probe;
struct rand;
struct upstream_conf;

/* what all probes of the process share */
struct probe_env {
	struct ev		*ev;		/* ref */
	struct rand		*rand;		/* ref */
	struct page_pool	 pages;
	struct slab		 arenas;
	struct slab		 conns;
	struct tls_clients	 clients;
	struct tls_room		*room;		/* own; or NULL */
};

/* what the probes of an upstream share */
struct probe_set {
	const struct probe_conf	*conf;		/* of the generation */
	int			 send_proxy;	/* version, or 0 */
	uint32_t		 http;		/* bits of codecs[], 0: auto */
	struct probe_regex	*regex;		/* own: of its body; NULL */
	struct tls_client	*client;	/* counted; or NULL */
};

/* Ready for probes as the upstream wants them; conf must last. */
void probe_set_open(struct probe_set *, struct probe_env *,
    const struct upstream_conf *);
void probe_set_close(struct probe_set *);
/* Whether a body is as it should be. */
bool probe_set_likes(const struct probe_set *, struct str body);

void probe_env_init(struct probe_env *, struct ev *, struct rand *);
void probe_env_fini(struct probe_env *);
/* What a burst took and the next probes do not need goes back. */
void probe_env_trim(struct probe_env *);

/*
 * Called once, from a wake; the probe is gone then.  why: FAIL_NONE, or
 * what is wrong; detail: more about it, may be "".  us: how long it took.
 */
typedef void (*probe_fn)(void *ctx, enum fail why, const char *detail,
    uint64_t us);

/* whom a probe is for; nothing of it has to last */
struct probe_of {
	struct sock_addr	 addr;
	struct str		 host;		/* if the keys have none */
	const struct tls_peer	*peer;		/* NULL: no TLS */
	bool			 h2;		/* HTTP/2 and nothing else */
};

/* Begins one; on is called when it has ended. */
struct probe *probe_start(struct probe_env *, const struct probe_set *,
    const struct probe_of *, probe_fn, void *ctx);
/* A new generation has the same wishes elsewhere. */
void probe_bind(struct probe *, const struct probe_set *);
/* Ends it untold and nulls the pointer; *NULL is allowed. */
void probe_cancel(struct probe **);

#endif
