/*
 * What one configuration changes of another, by section and key, as
 * JSON.  Builder and tools.
 */
#ifndef SL_CONF_DELTA_H
#define SL_CONF_DELTA_H

#include "base/text.h"
#include "conf/conf.h"

/*
 * Adds members of an object: generation, next, changes (op + - ~,
 * section, key, old, new, class, note), classes (how many changes are of
 * each), listeners_drained.  Secrets are told as changed, without values.
 */
void delta_write(const struct conf *old, const struct conf *new,
    struct text *out);

#endif
