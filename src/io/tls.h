/*
 * TLS as a layer on a socket's io: what is read and written above is plain,
 * what goes over the wire is not.  Workers.
 *
 * The layer is put on an open io and stays until that is closed.  Nothing
 * of a connection is buffered here while it is idle: what OpenSSL is to
 * write is gathered in the room, which all connections of a process share,
 * and leaves in one call; only what the kernel does not take is kept.
 * Bytes count as written once the kernel has the whole record: until then
 * the owner offers the same bytes again, as it does when a socket is full.
 */
#ifndef SL_IO_TLS_H
#define SL_IO_TLS_H

#include <openssl/ssl.h>

#include "base/str.h"
#include "io/io.h"

/* what the connections of a process share; one per process */
struct tls_room;
struct tls_room *tls_room_new(void);
void tls_room_free(struct tls_room **);

/* why a handshake, or the transport behind it, failed */
struct tls_error {
	unsigned long	 code;		/* of OpenSSL; 0: none of it */
	int		 alert;		/* that the peer sent; -1: none */
};

/*
 * Reads once what the peer begins with, before there is a layer.  The
 * bytes are of the room and last until it is used again.
 */
enum io_rc tls_first(struct tls_room *, struct io *, struct str *);

/*
 * Puts the layer on: ssl (own from here) is set to accept or to connect,
 * first was read already.  From here on all goes by the layer; reads and
 * writes are for later, when tls_shake has answered IO_OK.
 */
void tls_open(struct io *, struct tls_room *, SSL *, struct str first);

/*
 * Goes on with the handshake; IO_AGAIN is followed by an event, unless
 * whoever chooses the certificate is waited for.  IO_EOF: the peer left.
 * IO_ERR: tls_error tells why; an alert was sent as far as that goes.
 * What is to be sent at its end leaves with the first write, or by itself
 * at the end of the turn.
 */
enum io_rc tls_shake(struct io *);

/*
 * Takes the layer off an io that goes on in clear, or only drops what still
 * comes; false: it stays on, for something of it is yet to be sent.
 */
bool tls_off(struct io *);

/* The connection of an io; NULL: there is no TLS on it. */
SSL *tls_ssl(const struct io *);

/* Why it failed; valid until it is closed. */
const struct tls_error *tls_error(const struct io *);

#endif
