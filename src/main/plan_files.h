/*
 * What a plan tells beside keys: what files of TLS say, and whose
 * connections end.  Builder.
 */
#ifndef SL_MAIN_PLAN_FILES_H
#define SL_MAIN_PLAN_FILES_H

#include "conf/delta.h"

/* For delta_write: certificates, authorities, revoked ones, ticket keys. */
void plan_files_tell(struct delta *, const struct conf *old,
    const struct conf *new);

/*
 * Adds the member retired: listeners that let clients go who came in by
 * rules that hold no more, by the comparison that a reload makes.
 */
void plan_files_retired(const struct conf *old, const struct conf *new,
    struct text *out);

#endif
