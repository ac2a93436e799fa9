/*
 * What servers are told beside the request itself: the keys host_header,
 * forwarded and send_proxy of [upstream].  Builder; workers read.
 */
#ifndef SL_UP_TOLD_H
#define SL_UP_TOLD_H

#include "conf/load.h"

/* the Host that they get */
enum host_header { HOST_PRESERVE, HOST_SERVER, HOST_TEXT };

struct told_host {
	struct str	text;		/* of conf; HOST_TEXT */
	int		how;		/* enum host_header */
};

/* fields about the client */
enum forwarded { FORWARDED_X, FORWARDED_RFC, FORWARDED_BOTH, FORWARDED_OFF };
#define FORWARDED_WORDS	"x|rfc7239|both|off"

/* a header before the request; the number is its version */
enum send_proxy { SEND_PROXY_OFF, SEND_PROXY_V1, SEND_PROXY_V2 };
#define SEND_PROXY_WORDS	"off|v1|v2"

struct told {
	struct told_host host;
	int		forwarded;	/* enum forwarded */
	int		send_proxy;	/* enum send_proxy */
};

/* The value of host_header (struct told_host). */
int told_parse_host(struct conf_load *, const struct conf_row *, void *dst,
    const struct conf_item *, size_t);

#endif
