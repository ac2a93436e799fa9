/*
 * Names that are asked for again and again.  Control process, and sluiced
 * -t --strict-dns.
 *
 * A lookup is a host (A and AAAA) or a service (SRV), one per name and
 * process, counted by those who want it; a service counts its hosts.  It
 * is asked anew when its answer has run out, and sooner while there is
 * none.  An answer without addresses, or none, leaves the last one as it
 * is: a name server that lost its data takes nobody off the net.
 */
#ifndef SL_CONTROL_LOOKUP_H
#define SL_CONTROL_LOOKUP_H

#include "base/map.h"
#include "base/text.h"
#include "control/resolver.h"
#include "up/names.h"

struct lookup;

/*
 * A host that somebody wrote down is one of this machine's domains, too;
 * one that a service names is whole as it is (RFC 2782).
 */
enum lookup_kind { LOOKUP_HOST, LOOKUP_TARGET, LOOKUP_SRV };

/* a host of a service */
struct lookup_target {
	struct lookup	*host;		/* ref, counted */
	uint16_t	 priority;
	uint16_t	 weight;
	uint16_t	 port;
};

struct lookup {
	/* set once */
	struct lookups	*all;		/* ref */
	char		 name[DNS_NAME];
	enum lookup_kind kind;
	/* asking: A or SRV, and AAAA */
	struct question	*ask[2];
	enum dns_rc	 rc[2];
	const char	*said[2];	/* const */
	uint32_t	 ttl[2];
	bool		 many[2];	/* more than are read */
	unsigned	 pending;
	unsigned	 nth;		/* of the names to be asked for */
	bool		 turn;		/* it is one of lookups.nasking */
	bool		 waits;		/* in the queue */
	struct list	 node;		/* of lookups.queue */
	struct timer	 again;
	/* what holds; ip[0] IPv4 */
	uint8_t		 (*ip[2])[16];	/* own */
	unsigned	 nip[2];
	uint8_t		 (*got[2])[16];	/* own: of the answers at hand */
	unsigned	 ngot[2];
	struct lookup_target *target;	/* own: of a service */
	unsigned	 ntarget;
	enum name_state	 state;
	const char	*why;		/* const: why there is no answer */
	uint64_t	 since_ms;	/* it is in this state; of the day */
	uint64_t	 asked_ms;	/* last; monotonic */
	uint64_t	 asked;
	uint64_t	 failed;
	unsigned	 streak;	/* failures in a row */
	bool		 cut;		/* the answer had too many */
	unsigned	 uses;
};

struct lookups {
	struct ev	*ev;		/* ref */
	struct resolver	*resolver;	/* own */
	/* a lookup has new addresses or another state */
	void		(*changed)(void *, struct lookup *);
	void		*ctx;
	bool		 quiet;		/* nothing is logged */
	struct map	 names;		/* own: kind, name */
	struct list	 queue;		/* those that wait for their turn */
	unsigned	 nasking;
	unsigned	 nfailing;
};

/* servers: as resolver_new has them. */
int lookups_open(struct lookups *, struct ev *, const char *servers,
    struct err *);
/* All must have been put back. */
void lookups_close(struct lookups *);
/* Asks other servers from now on. */
int lookups_reopen(struct lookups *, const char *servers, struct err *);

/* The lookup of a name, with one use more; asked at once if it is new. */
struct lookup *lookup_get(struct lookups *, struct str name,
    enum lookup_kind);
/* Drops a use and nulls the pointer; the last one frees. */
void lookup_put(struct lookup **);

/* True while its first answer, or that of one of its hosts, is awaited. */
bool lookup_is_new(const struct lookup *);
/*
 * Its addresses, ordered, for a port (of services: their own): of the
 * best priority that has any.  How many: of more than NAME_MEMBERS the
 * first ones.
 */
unsigned lookup_members(const struct lookup *, uint16_t port,
    struct name_member *);
/*
 * How it is, and why it has no addresses: a service is as its hosts are if
 * all of them are missing.
 */
enum name_state lookup_state(const struct lookup *, const char **why);
/* Adds what is wrong with it, of a service with each of its hosts. */
void lookup_why(const struct lookup *, struct text *);
/* Milliseconds until it is asked again. */
uint64_t lookup_left(const struct lookup *);

#endif
