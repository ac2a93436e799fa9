/*
 * Names of servers at run time.  A name of an upstream is a row of the
 * board with a list of the rows of its addresses.  Control finds the
 * addresses out, the master checks them, makes rows and publishes the
 * list; workers look at its version before they pick a server.
 */
#ifndef SL_UP_NAMES_H
#define SL_UP_NAMES_H

#include "up/upstream.h"

/* --- name_conf.c: as they are written --- */
#define NAME_SRV_SCHEME	"dns+srv://"

/* A host name with or without a port, and no address. */
bool name_is_like(struct str);
/*
 * Reads NAME:PORT, or what stands behind the scheme; text, name, port and
 * srv of the server are set.  NULL, or why it is refused.
 */
const char *name_parse(struct arena *, struct str, int def_port,
    struct server_conf *);
const char *name_parse_srv(struct arena *, struct str, struct server_conf *);

/* --- on the board --- */
#define NAME_MEMBERS	256	/* addresses of a name */
#define NAME_TEXT	280	/* "dns+srv://" and a name */
#define NAME_KEEP_MS	60000	/* how long a row stays that left */

/*
 * ASKING: there never was an answer.  HELD: the last answer holds.  The
 * others: there is none, and addresses that were there before stay.
 */
enum name_state { NAME_ASKING, NAME_HELD, NAME_ERROR, NAME_TIMEOUT };

/* region `names` of dir; writer: the master, of state: control */
struct board_name {
	_Atomic uint64_t tag;		/* of this life of the row; 0: free */
	_Atomic uint64_t generation;	/* last that named it */
	_Atomic uint64_t version;	/* of the list; odd: it is written */
	_Atomic uint32_t state;		/* enum name_state */
	_Atomic uint32_t limit;		/* max_conns of its servers */
	_Atomic uint32_t weight;	/* each has it times its own */
	_Atomic uint32_t backup;	/* 1: they are backups */
	_Atomic uint32_t n;
	uint32_t	 fill[13];
	uint16_t	 upstream_len;
	uint16_t	 text_len;
	char		 upstream[64];
	char		 text[NAME_TEXT];	/* as server_conf.text */
	_Atomic uint32_t member[NAME_MEMBERS];	/* rows of `servers` */
};
_Static_assert(sizeof(struct board_name) == 1472, "board name");

/* an address, on its way from control to the master (CHAN_NAMES) */
struct name_member {
	uint8_t		 ip[16];	/* IPv4: the first four */
	uint32_t	 weight;
	uint16_t	 port;
	uint8_t		 family;	/* AF_INET, AF_INET6 */
	uint8_t		 pad;
};

/* n members follow */
struct name_set {
	uint64_t	 tag;		/* of the row */
	uint32_t	 row;
	uint32_t	 n;
};

/*
 * What became of a set, on its way back: a frame has several.  The reason
 * of a refusal follows.
 */
struct name_reply {
	uint64_t	 tag;
	uint32_t	 changed;
	uint32_t	 nwhy;
};

/* --- names_rows.c: the board --- */

struct linker;
struct names_pass;
struct row_want;

/*
 * Master, before prepare: a row for a name that conf has; its addresses
 * stay.  -1: no room.
 */
int names_link(struct linker *, struct str upstream,
    const struct server_conf *, struct err *);
/* Master, after the commit: what the servers of a name's row are to have. */
bool names_settle(struct shm *, uint32_t row, const struct row_want *);
/*
 * Master: frees the rows of names that no generation from oldest on has;
 * marks the rows of servers that the other names have, a bit each in
 * memory of the caller's.  All: with 0 it only marks.
 */
uint64_t *names_sweep(struct shm *, uint64_t oldest);
/* True if a row left the lists of all names too lately to be free. */
bool names_holds(const struct board_server *);

/*
 * Master: sets from control, checked like network input.  All that wait
 * are one pass over the rows, in which nobody else changes them.
 */
struct names_pass *names_begin(struct shm *, uint64_t number);
void names_end(struct names_pass **);
/* 1: published, 0: it is what there was, -1: refused. */
int names_apply(struct names_pass *, const void *set, size_t n,
    struct err *);

/*
 * All: the list as it was at one moment, with its version; NAME_MEMBERS
 * rows at most.  -1: it was written all the while.
 */
int names_read(const struct board_name *, uint32_t *row, uint64_t *version);
/* The address of a server's row, and its text in buf; -1: it has none. */
#define NAMES_ADDR	56
int names_addr(const struct board_server *, struct sock_addr *,
    char buf[NAMES_ADDR]);

/* --- members.c: the lists as a worker has them --- */

/* a name of a twin */
struct member_name {
	const struct board_name	*row;		/* of the board */
	uint64_t		 tag;		/* of the row's life */
	uint64_t		 version;	/* last read; odd: none */
	struct str		 host;		/* own; "": the address */
	const struct tls_peer	*peer;		/* of the twin; NULL: plain */
	bool			 h2;		/* HTTP/2 and nothing else */
};

/*
 * upstream.c: the twin of a row with one use and no name, by the address
 * as sock_text writes it; NULL: the row is free.
 */
struct server *server_new(struct upstream *, uint32_t row, struct str text);
/* A name of a twin that is made: its row, as server_conf.text has it. */
void members_add(struct upstream *, uint32_t row, struct str text,
    bool srv);
/* Name i of a twin is that row now; nothing changes if it was before. */
void members_bind(struct upstream *, size_t i, uint32_t row);
/* The members are those of the board, after this. */
void members_refresh(struct upstream *);
void members_free(struct upstream *);
/*
 * An address of the same host in the other family that was not asked yet
 * (NULL: any), or NULL.
 */
struct server *members_other(const struct server *, const struct tried *);

#endif
