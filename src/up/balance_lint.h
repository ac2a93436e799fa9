/*
 * What is odd about how an upstream chooses, probes and repeats: keys that
 * do nothing, and values that cannot be meant.  Builder and tools.
 */
#ifndef SL_UP_BALANCE_LINT_H
#define SL_UP_BALANCE_LINT_H

struct conf_load;
struct conf_obj;

/* Tells of it, once the groups of this upstream are linked. */
void balance_lint(struct conf_load *, struct conf_obj *);

#endif
