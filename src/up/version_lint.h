/*
 * What does not fit the version of HTTP that servers are spoken to with:
 * probes that speak another one, keys that leave no choice, limits that one
 * long stream uses up.  Builder and tools.
 */
#ifndef SL_UP_VERSION_LINT_H
#define SL_UP_VERSION_LINT_H

struct conf_load;
struct conf_obj;

/* Tells of it, once the groups of this upstream are linked. */
void version_lint(struct conf_load *, struct conf_obj *);

#endif
