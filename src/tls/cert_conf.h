/*
 * [cert NAME] as the configuration has it.  Builder and -t.
 */
#ifndef SL_TLS_CERT_CONF_H
#define SL_TLS_CERT_CONF_H

#include "tls/cert.h"

enum { CERT_UNKNOWN_DEFAULT, CERT_UNKNOWN_REFUSE };	/* tls.unknown */

enum { CERT_WATCH_OFF, CERT_WATCH_CERTS };	/* watch */

/* tls.expiry_warn: times before the end, seconds */
struct cert_days {
	const int64_t	*v;
	size_t		 n;
};

/* "/etc/x" of "/etc/x/a.crt"; "a.crt" of it. */
struct str cert_folder(struct str path);
struct str cert_file_name(struct str path);

struct cert_conf {
	struct conf_obj		obj;
	struct str		cert;
	struct str		key;		/* "": in cert */
	struct str		passphrase;	/* of the keys' file */
	struct str		directory;	/* in place of both */
	struct conf_list	names;
	bool			fallback;	/* default */
};

#endif
