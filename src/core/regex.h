/*
 * Regular expressions (PCRE2) of paths.  The builder checks them; each
 * process that serves compiles its own, by their text, and keeps them
 * over reloads.  A match that needs more than its limits is no match and
 * is counted.
 */
#ifndef SL_CORE_REGEX_H
#define SL_CORE_REGEX_H

#include "core/serve.h"

/*
 * Sets the names of the groups, of which there is room for ROUTE_CAPS:
 * their own, or "1", "2"; more are forgotten.  -1 with the reason and
 * where it is.
 */
int regex_check(struct arena *, struct str text, struct str *names,
    uint32_t *nname, size_t *off, struct err *);

enum regex_rc { REGEX_NO, REGEX_YES, REGEX_LIMIT };

/*
 * Matches a text that the current generation has; sets up to n groups,
 * "" for those that took no part.  REGEX_LIMIT: nobody knows whether it
 * fits, it would take too long; that is counted.  Without a process that
 * serves (tools) it is compiled each time.
 */
enum regex_rc regex_match(struct serve *, struct str text,
    struct str subject, struct str *groups, uint32_t n);

extern const struct serve_part regex_part;

#endif
