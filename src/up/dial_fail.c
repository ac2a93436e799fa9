/*
 * What an errno of socket(), connect() or epoll is in our words.  Workers.
 */
#include "up/dial_fail.h"

#include <errno.h>

enum fail
dial_fail(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return FAIL_DIAL_REFUSED;
	case ENOENT:		/* a unix socket that is not there */
	case EACCES:
	case EPERM:		/* a packet filter here */
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
		return FAIL_DIAL_UNREACHABLE;
	case ETIMEDOUT:
		return FAIL_DIAL_TIMEOUT;
	case EMFILE:		/* ours, and no fault of the server */
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case ENOSPC:		/* no descriptor more can be watched */
	case EADDRNOTAVAIL:	/* no port of ours is free towards it */
		return FAIL_DIAL_EXHAUSTED;
	default:
		return FAIL_DIAL_ERROR;
	}
}
