/*
 * TLS of the generator: each connection's layer, and the sessions that are
 * kept to be resumed.  Certificates are not looked at: that would be the
 * client's work.
 */
#ifndef LOAD_TLS_H
#define LOAD_TLS_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_client;

struct tls_count {
	uint64_t	shaken;		/* handshakes that went through */
	uint64_t	offered;	/* with a session */
	uint64_t	resumed;
};
extern struct tls_count tls_count;

/*
 * version 2 or 3 of TLS 1; resume: offer the sessions that servers gave;
 * h2: agree on HTTP/2.
 */
void	tls_setup(unsigned version, bool resume, bool h2);
struct tls_client *tls_new(int fd);
/* Also with NULL. */
void	tls_free(struct tls_client **);
/* 1: through; 0: go on at the next event; -1: it failed. */
int	tls_go(struct tls_client *);
/* As send and recv; recv is 0 at an end with or without a word of it. */
ssize_t	tls_send(struct tls_client *, const void *, size_t);
ssize_t	tls_recv(struct tls_client *, void *, size_t);

#endif
