/*
 * Generations: the configuration as an immutable memory file, mapped
 * read-only at the same address in every process, so that plain pointers
 * (also to constant tables of the binary) hold everywhere.
 *
 * The master reserves the range before it forks anything.  The builder
 * fills a slot; the master checks and seals; workers prepare (map, vet)
 * and commit (swap).  A process keeps a handle with a count of what still
 * uses the generation, and unmaps it when the last use is gone.
 */
#ifndef SL_CONF_GEN_H
#define SL_CONF_GEN_H

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"

#define GEN_SLOT_BYTES	(256UL << 20)
#define GEN_KEYS_BYTES	(64UL << 20)	/* of a file of keys */
#define GEN_LIVE	16		/* generations at most in use */
#define GEN_SLOTS	(4 * GEN_LIVE)	/* so that a slot is not reused soon */
#define GEN_MAGIC	0x31304e4547434c53ULL	/* "SLCGEN01" */

/* at the slot's first byte */
struct gen_head {
	uint64_t		magic;
	uint64_t		build;		/* of this binary's tables */
	uint64_t		number;
	uint64_t		size;		/* bytes used, head included */
	const void		*base;		/* the slot's address */
	const struct conf	*conf;
	uint64_t		digest;
};

/* files of keys beside a generation; a process maps one of them or none */
enum gen_keys {
	GEN_KEYS,	/* all secret values: for who does handshakes */
	GEN_PROBE,	/* what probes show to servers: for health */
	GEN_NKEYS
};

/* a file of keys that is written */
struct gen_keys_file {
	enum gen_keys		 kind;
	int			 fd;		/* own; -1: none */
	struct arena		 arena;		/* over it */
};

/* a process's handle on a mapped generation */
struct gen {
	uint64_t		 number;
	unsigned		 slot;
	const struct conf	*conf;		/* in the slot */
	uint64_t		 uses;		/* exchanges, current mark */
	struct gen		*next;		/* of struct gens */
	bool			 keys;		/* its keys are mapped here */
	enum gen_keys		 kind;		/* which */
};

struct gens {
	char		*range;		/* own: GEN_SLOTS slots, PROT_NONE */
	struct gen	*all;		/* own: what is mapped here */
	struct gen	*cur;		/* committed */
	struct gen	*next;		/* prepared */
	int		 fd;		/* builder: of gen_create */
	char		*keys[GEN_NKEYS]; /* own: GEN_SLOTS slots each */
	void		(*on_free)(void *, const struct gen *);
	void		*ctx;
};

/* Reserves the address range; once, in the master. */
int gen_reserve(struct gens *, struct err *);

/*
 * Builder: an empty memory file mapped read-write at the slot, with an
 * arena over it.  on_full as in arena_init_fixed.  The descriptor, or -1.
 */
int gen_create(struct gens *, unsigned slot, struct arena *,
    void (*on_full)(void *), void *ctx, struct err *);
/*
 * Builder: writes the head and cuts the file to what is used; it is
 * complete.  conf->number is the caller's.
 */
void gen_finish(struct gens *, unsigned slot, struct arena *,
    struct conf *);

/*
 * The files of keys.  Builder: as gen_create and gen_finish, of the file's
 * kind; conf points into them.
 */
int gen_create_keys(struct gens *, unsigned slot, struct gen_keys_file *,
    void (*on_full)(void *), void *ctx, struct err *);
void gen_finish_keys(struct gens *, unsigned slot, struct gen_keys_file *,
    uint64_t number);
/* Master: seals it and looks at its size; never at what is in it. */
int gen_check_keys(int fd, struct err *);
/* Worker, health: maps it read-only, left out of core dumps. */
int gen_map_keys(struct gens *, struct gen *, enum gen_keys, int fd,
    struct err *);
/* Whether what is mapped has a key at all. */
bool gen_has_keys(const struct gens *, const struct gen *);
/* Unmaps it before its generation: no handshake needs it any more. */
void gen_drop_keys(struct gens *, struct gen *);

/*
 * Master: seals the file, then sees that size, head and pointers hold.
 * Fails while anybody (the builder) still has it mapped for writing.  While
 * the kernel has a page of it in hand this waits, for some 2.4 s at most;
 * so does gen_check_keys.
 */
int gen_check(struct gens *, int fd, unsigned slot, uint64_t number,
    struct err *);

/*
 * Maps read-only; the handle has no use yet and is the prepared one, in
 * place of another that was never committed.
 */
struct gen *gen_map(struct gens *, int fd, unsigned slot, struct err *);

/* Unmaps the prepared one, if there is one. */
void gen_cancel(struct gens *);

/* Makes g the current one and drops the mark of the one before. */
void gen_commit(struct gens *, struct gen *);

static inline struct gen *
gen_ref(struct gen *g)
{
	g->uses++;
	return g;
}

/* Drops a use; the last one unmaps and calls on_free.  Nulls *g. */
void gen_unref(struct gens *, struct gen **g);

/* Child after fork: forgets all but the current one. */
void gen_forget(struct gens *);

/* Handles in use here, the current one included. */
unsigned gen_count(const struct gens *);

#endif
