/*
 * What one configuration changes of another, by section and key, as
 * JSON.  Builder and tools.
 */
#ifndef SL_CONF_DELTA_H
#define SL_CONF_DELTA_H

#include "base/text.h"
#include "conf/conf.h"

struct delta;

/* a change that no key tells: of what a file says */
struct delta_file {
	char			 op;	/* + - ~ */
	const struct conf_obj	*obj;	/* whose key names it */
	const char		*key;
	struct str		 path;
	struct str		 old;	/* a few words; "": nothing to say */
	struct str		 new;
	const char		*note;	/* what comes of it; or NULL */
};
void delta_add_file(struct delta *, const struct delta_file *);

/*
 * Adds members of an object: generation, next, changes (op + - ~,
 * section, key, old, new, class, note), classes (how many changes are of
 * each), listeners_drained.  Secrets are told as changed, without values.
 * more (or NULL) adds what files say to the changes.
 */
void delta_write(const struct conf *old, const struct conf *new,
    void (*more)(struct delta *, const struct conf *old,
    const struct conf *new), struct text *out);

#endif
