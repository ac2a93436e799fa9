/*
 * What the static handler sends: representations of files, where they are
 * remembered, and how they leave.  Workers.
 */
#ifndef SL_HANDLER_STATIC_FILE_H
#define SL_HANDLER_STATIC_FILE_H

#include <sys/stat.h>

#include "handler/static.h"

/* --- static_file.c --- */

#define STATIC_HDRS	8

/* a representation of a file; counted, shared by entries and answers */
struct static_file {
	uint32_t		 refs;
	/* what it was when it was opened */
	dev_t			 dev;
	ino_t			 ino;
	struct timespec		 mtime;
	struct timespec		 ctime;
	uint64_t		 size;
	bool			 racy:1;	/* changed just then */
	/* its bytes: one of them */
	struct page		*page;		/* ref */
	struct file		*file;		/* ref */
	uint64_t		 warm_ms;	/* in memory until then */
	/* its fields; those of a 304, those of parts, all */
	struct static_tag	 tag;
	struct str		 type;
	struct hdr		 hdrs[STATIC_HDRS];
	bool			 vary:1;
	uint16_t		 nsame;
	uint16_t		 nbase;
	uint16_t		 nall;
	char			 text[];	/* the fields as lines */
};

/* what static_file_new is told */
struct static_source {
	struct serve			*serve;
	const struct static_route	*route;
	struct str			 name;	/* decides the type */
	enum static_coding		 coding;
	bool				 vary;
	int				 fd;	/* taken */
	const struct stat		*st;
};

struct static_file *static_file_new(const struct static_source *);
void static_file_unref(struct static_file **);
static inline struct static_file *
static_file_ref(struct static_file *f)
{
	f->refs++;
	return f;
}
/* True if what was opened now is it, unchanged. */
bool static_file_is(const struct static_file *, const struct stat *);
/*
 * Takes a small file into memory; then its descriptor is closed.  False:
 * the disk would have to be asked (it stays as it is otherwise).
 */
bool static_file_load(struct static_file *, struct serve *);
/* Head with the first n fields. */
struct msg *static_file_head(const struct static_file *, struct exchange *,
    unsigned status, unsigned n);

/* --- static_cache.c --- */

enum static_kind { STATIC_FILE, STATIC_SLASH, STATIC_NONE, STATIC_NO_INDEX };

/* what stands behind a path; of the cache, valid in this turn only */
struct static_entry {
	struct list		 node;		/* the least used last */
	struct static_site	*site;		/* ref */
	uint64_t		 until_ms;
	enum static_kind	 kind;
	unsigned		 have;		/* bits of file[] */
	struct static_file	*file[CODING_N]; /* ref; NULL: none */
	size_t			 bytes;		/* in the cache's sums */
	size_t			 fds;
	struct str		 key;
	char			 text[];
};

struct static_cache;
struct static_cache *static_cache_new(void);
void static_cache_free(struct static_cache **);
/* NULL: nothing known; it may be stale. */
struct static_entry *static_cache_find(struct static_cache *,
    struct static_site *, struct str key);
/* Notes what was found, until STATIC_LOOK_MS from now; takes references. */
struct static_entry *static_cache_put(struct static_cache *, struct serve *,
    struct static_site *, struct str key, enum static_kind,
    struct static_file *const file[CODING_N]);
/* Forgets all of a site that goes. */
void static_cache_drop(struct static_cache *, struct static_site *);
struct static_cache *static_site_cache(struct serve *);

/* --- static_body.c --- */

/* what a body consists of: text, or n bytes of the file from off */
struct static_part {
	struct str	text;		/* of arena */
	uint64_t	off;
	uint64_t	n;
};

struct static_body {
	struct source		 src;
	struct exchange		*x;		/* ref */
	struct static_file	*file;		/* ref */
	struct static_part	*v;		/* of arena */
	unsigned		 n;
	unsigned		 at;
	struct question		 q;		/* is it in memory? */
	struct file		*warm;		/* ref: goes with q */
	struct ask_warm		 asked;		/* payload of q */
};

/* Sends the parts; what is set above stays until the stream is closed. */
void static_body_start(struct static_body *);
void static_body_cancel(struct static_body *);

/* --- static_answer.c --- */

/* the parts of an answer that has a body */
struct static_answer {
	struct static_part	*v;
	unsigned		 n;	/* 0: it is answered already */
};

/* Answers with a file, by what the request says. */
void static_answer_file(struct exchange *, struct static_file *,
    struct static_answer *);

#endif
