/*
 * The names that are meant where a host is called so: with the domains of
 * this machine, as resolv.conf(5) has them.  Control process, and sluiced
 * -t --strict-dns.
 */
#ifndef SL_CONTROL_SEARCH_H
#define SL_CONTROL_SEARCH_H

#include "base/str.h"
#include "control/dns.h"

#define SEARCH_DOMAINS	16	/* more are left out */
#define SEARCH_NDOTS	15	/* at most, as the C library has it */

struct search {
	unsigned	 ndots;		/* so many: the plain name is first */
	unsigned	 n;
	char		 domain[SEARCH_DOMAINS][DNS_NAME];
	bool		 has_domains;	/* they were said; may be none */
	bool		 has_ndots;
};

/*
 * The variables LOCALDOMAIN and RES_OPTIONS, then a file, then the domain
 * of this machine's name; what was said first holds.
 */
void search_load(struct search *, const char *path);
/* Takes what the text of a file says in addition. */
void search_read(struct search *, struct str text);
/*
 * The nth name to be asked for, of those that are short enough to be
 * names; false: there are no more.
 */
bool search_name(const struct search *, const char *name, unsigned nth,
    char out[DNS_NAME]);

#endif
