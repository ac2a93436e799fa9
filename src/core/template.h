/*
 * Templates: values of keys with variables that are filled in for each
 * request, "/new${path}".  Read by the builder, filled in by workers.
 */
#ifndef SL_CORE_TEMPLATE_H
#define SL_CORE_TEMPLATE_H

#include "conf/load.h"
#include "core/exchange.h"

struct template_part;

struct template {
	const struct template_part	*v;	/* of conf */
	size_t				 n;
	bool				 fixed;	/* no variables */
};

#define TEMPLATE_GROUPS	0x1	/* $1 to $9 are variables too */
#define TEMPLATE_TEXT	0x2	/* what is no variable stays as it is */
#define TEMPLATE_ASKER	0x4	/* client, header.NAME, cookie.NAME too */

/*
 * Reads a slice of an item's value into the load's arena.  -1 after E0133
 * at what is no variable.
 */
int template_parse(struct conf_load *, const struct conf_row *,
    const struct conf_item *, struct str text, unsigned how,
    struct template *);

/*
 * For link functions of handlers: all ${path.NAME} are caught by one of
 * the route's patterns.  -1 after E0133.
 */
int template_check(struct conf_load *, const struct conf_obj *,
    const char *key, const struct template *);

/*
 * The text for a request, of its arena.  groups: values of $1 on, or
 * NULL.  A "?" in front of an empty ${query} is left out.
 */
struct str template_expand(const struct template *, struct exchange *,
    const struct str *groups, uint32_t ngroup);

#endif
