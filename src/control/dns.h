/*
 * Answers of name servers.  Control process.  A pure function: the bytes
 * of a message in, records out.
 */
#ifndef SL_CONTROL_DNS_H
#define SL_CONTROL_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* types of records, as they are on the wire */
enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_SRV = 33 };

#define DNS_RECORDS	128	/* of one answer; the first ones */
#define DNS_NAME	256	/* a name with its NUL */

/* ip of A (the first four bytes) and AAAA, the rest of SRV */
struct dns_record {
	uint8_t		ip[16];
	uint16_t	priority;
	uint16_t	weight;
	uint16_t	port;
	char		host[DNS_NAME];
};

struct dns_answer {
	uint32_t		ttl;	/* least of all on the way, seconds */
	unsigned		n;
	bool			cut;	/* there were more */
	/* ordered: by address, or by priority, host and port */
	struct dns_record	rec[DNS_RECORDS];
};

/*
 * Takes the records of a type out of a message's answers.  -1: it is
 * malformed; names in it that are no host names leave out their record.
 */
int dns_parse(const uint8_t *, size_t n, enum dns_type, struct dns_answer *);

#endif
