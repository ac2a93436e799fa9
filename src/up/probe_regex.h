/*
 * The expression of health.body: checked by the builder, matched by
 * health.  A text that takes too many steps does not fit.
 */
#ifndef SL_UP_PROBE_REGEX_H
#define SL_UP_PROBE_REGEX_H

#include "base/err.h"
#include "base/str.h"

struct probe_regex;

/* NULL: why it is none, and where. */
struct probe_regex *probe_regex_new(struct str, size_t *off, struct err *);
/* Frees and nulls; *NULL is allowed. */
void probe_regex_free(struct probe_regex **);
bool probe_regex_fits(const struct probe_regex *, struct str);

#endif
