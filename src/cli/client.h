/*
 * A client of the control socket: one request, one whole answer.
 * sluicectl.
 */
#ifndef SL_CLI_CLIENT_H
#define SL_CLI_CLIENT_H

#include "base/err.h"
#include "base/text.h"

#define CLIENT_FDS	4

struct answer {
	bool		reached;	/* somebody is there */
	unsigned	status;
	struct text	body;		/* own */
	int		fds[CLIENT_FDS]; /* own */
	unsigned	nfd;
};

/* Frees the body and closes the descriptors. */
void client_free(struct answer *);

/*
 * Asks over the unix socket at path and waits up to ms for the end of the
 * answer.  0; -1 when nobody answered, and why.  *a needs no init; after
 * either it is to be freed.
 */
int client_ask(const char *path, const char *meth, const char *target,
    unsigned ms, struct answer *, struct err *);

/*
 * The same with GET for an answer that goes on: the bytes of one with
 * status 200 are given to fn as they come, for as long as they do.
 */
typedef void (*client_fn)(void *ctx, struct str bytes);
struct client_follow {
	client_fn	 fn;
	void		*ctx;
};
int client_follow(const char *path, const char *target, unsigned ms,
    const struct client_follow *, struct answer *, struct err *);

#endif
