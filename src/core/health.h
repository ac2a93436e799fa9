/*
 * Health on every listener: the paths of [health] for whoever asks, and
 * the state of components.  A route answers in its place if it names the
 * path more closely than as any path.  Workers; nothing here changes
 * anything.
 */
#ifndef SL_CORE_HEALTH_H
#define SL_CORE_HEALTH_H

#include "core/exchange.h"

/*
 * A component that can be asked: /NAME/health and /NAME/status.  One file
 * and one line in registry.c.
 */
struct health_part {
	const char	*name;
	bool		(*is_well)(struct exchange *);
	/* Adds members of a JSON object, each behind a comma. */
	void		(*tell)(struct exchange *, struct text *);
};
extern const struct health_part *const health_parts[];	/* NULL at the end */

extern const struct conf_section health_section;
extern const struct handler handler_health;

/* True if the request is one for handler_health; the route was chosen. */
bool health_takes(const struct conf *, const struct exchange *);

/* ,"name":number */
void health_num(struct text *, const char *name, uint64_t);

#endif
